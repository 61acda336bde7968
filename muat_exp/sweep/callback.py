"""Hydra's callback at the start of a multirun: notes which jobs there will be, so that missing ones can be named."""

from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from muat_exp.compose import limit_jobs
from muat_exp.config import determines_data
from muat_exp.sweep.jobs import Job, job_folder, read_plan, write_plan

STARTED: list[Path] = []  # folders of the multiruns of this process


class NoteMultirun(Callback):
    """Writes the plan of a multirun into its folder."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called once, in the process that launches the jobs."""
        folder = Path(config.hydra.sweep.dir)
        STARTED.append(folder)
        limit_jobs(config)
        if config.hydra.runtime.choices["hydra/sweeper"] == "basic":
            begin_sweep(folder, planned_jobs(config))


def begin_sweep(folder: Path, jobs: list[list[str]]) -> None:
    """Writes the plan of a sweep.

    Raises:
        SystemExit: with a sentence, where the folder holds another sweep, or can't be written. (Hydra turns what else a
            callback raises into a warning.)
    """
    try:
        begun = [job for job in read_plan(folder) if (job_folder(folder, job) / "config.json").is_file()]
        if is_another(begun, jobs):
            raise SystemExit(f"error: {folder} holds another sweep; choose another hydra.sweep.dir, or give the same command.")
        write_plan(folder, jobs)
    except OSError as error:
        raise SystemExit(f"error: The sweep's folder {folder} can't be written: {error.strerror}.") from error


def is_another(begun: list[Job], jobs: list[list[str]]) -> bool:
    """Whether a job that was begun differs from the one of its number in what determines its data."""

    def data_keys(job: Job) -> dict[str, str]:
        return {key: value for key, value in job.values.items() if determines_data(key)}

    return any(
        job.number < len(jobs) and data_keys(job) != data_keys(Job(job.number, tuple(jobs[job.number]))) for job in begun
    )


def planned_jobs(config: DictConfig) -> list[list[str]]:
    """Overrides of every job that Hydra's basic sweeper will run."""
    swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    overrides = OverridesParser.create().parse_overrides([*swept, *config.hydra.overrides.task])
    return BasicSweeper.split_arguments(overrides, None)[0]
