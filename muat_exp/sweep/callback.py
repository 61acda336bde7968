"""Hydra's callback at the start of a multirun: notes which jobs there will be, so that missing ones can be named."""

from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from muat_exp.app.compose import limit_jobs
from muat_exp.config.identity import determines_data
from muat_exp.config.reading import flatten
from muat_exp.errors import RunFolderError
from muat_exp.generation.run_folder import stored_config
from muat_exp.sweep.jobs import Job, claim_sweep, job_folder, read_plan, write_plan

STARTED: list[Path] = []  # folders of the multiruns of this process


class NoteMultirun(Callback):
    """Writes the plan of a multirun into its folder."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called once, in the process that launches the jobs."""
        folder = Path(config.hydra.sweep.dir)
        STARTED.append(folder)
        limit_jobs(config)
        if config.hydra.runtime.choices["hydra/sweeper"] == "basic":
            _begin_sweep(folder, _planned_jobs(config))


def _begin_sweep(folder: Path, jobs: list[list[str]]) -> None:
    """Writes the plan of a sweep.

    Raises:
        SystemExit: with a sentence, where the folder holds another sweep, or can't be written. (Hydra turns what else a
            callback raises into a warning.)
    """
    try:
        claim_sweep(folder)
        for job, overrides in zip(read_plan(folder), jobs, strict=False):
            contradiction = contradicts(
                job_folder(folder, job), job, Job(job.number, tuple(overrides))
            )
            if contradiction:
                another = (
                    f"{folder} holds another sweep: job {job.number} there has {contradiction}"
                )
                raise SystemExit(
                    f"error: {another}. Choose another hydra.sweep.dir, or give the same command."
                )
        write_plan(folder, jobs)
    except RunFolderError as error:
        raise SystemExit(f"error: {error}") from error
    except OSError as error:
        raise SystemExit(
            f"error: The sweep's folder {folder} can't be written: {error.strerror}."
        ) from error


def contradicts(folder: Path, there: Job, here: Job) -> str:
    """What a job that was begun was made with, where it is now to be made with something else; empty where it fits."""
    if not (folder / "config.json").is_file():
        return ""
    stored = dict(flatten(stored_config(folder)))
    for key in filter(determines_data, there.values.keys() | here.values.keys()):
        before = there.values.get(key)
        now = here.values.get(key)
        if key in stored and (now is None or yaml.safe_load(now) != stored[key]):
            return f"{key}={stored[key]}"
        if key not in stored and before and now and before != now:  # a group's option
            return f"{key}={before}"
    return ""


def _planned_jobs(config: DictConfig) -> list[list[str]]:
    """Overrides of every job that Hydra's basic sweeper will run."""
    swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    overrides = OverridesParser.create().parse_overrides([*swept, *config.hydra.overrides.task])
    return BasicSweeper.split_arguments(overrides, None)[0]
