"""Hydra's callback at the start of a multirun: its folder, and which jobs there will be."""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, ListConfig, OmegaConf, read_write

from muat_exp.claims import LIST
from muat_exp.config.identity import determines_data
from muat_exp.config.reading import flatten
from muat_exp.errors import RunFolderError
from muat_exp.generation.run_folder import stored_config
from muat_exp.output_folder import OutputFolder
from muat_exp.sweep.jobs import PLAN, Job, claim_sweep, job_folder, read_plan, write_plan
from muat_exp.sweep.launchers import limit_jobs

_SWEPT_TASK = "generate"  # what has jobs to gather
BEGINNINGS = (PLAN, LIST, "multirun.yaml")  # files that are there before the first job begins


STARTED: list[OutputFolder] = []  # of the multirun that this process began: one, or none


class NoteMultirun(Callback):
    """Claims the folder of a multirun and writes its plan there."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called once, in the process that launches the jobs.

        Raises:
            SystemExit: after a sentence, where there can be no such multirun. (Hydra turns what
                else a callback raises into a warning.)
        """
        _require_sweepable(config)
        try:
            _begin(config)
        except RunFolderError as error:
            _refuse(str(error), code=1)
        except OSError as error:
            place = config.hydra.sweep.dir
            _refuse(f"The sweep's folder {place} can't be written: {error.strerror}.", code=1)


def _require_sweepable(config: DictConfig) -> None:
    """Ends the process where a job would do something else than make a dataset of its own."""
    tasks = [config.get("task"), *sorted(_named_values(config, "task"))]
    for task in tasks:
        if task != _SWEPT_TASK:
            _refuse(f"A multirun makes datasets; run task={task} by itself.", code=2)
    if any(_named_values(config, "resume")):
        sentence = "resume continues one run; a sweep is continued by hydra.sweep.dir=<its folder>."
        _refuse(sentence, code=2)


def _named_values(config: DictConfig, key: str) -> set[str]:
    """The values that a key has in the jobs, as far as overrides give it one."""
    values = set()
    for overrides in _planned_jobs(config, [key]):
        value = Job(0, tuple(overrides)).values.get(key)
        if value is not None:
            values.add(value.strip("'\""))
    return values


def _begin(config: DictConfig) -> None:
    """Claims the folder and bounds the launcher; writes a plan unless the sweeper searches."""
    started = _claim(config)
    STARTED.append(started)
    limit_jobs(config)
    if config.hydra.runtime.choices["hydra/sweeper"] == "basic":
        _begin_sweep(started.path, _planned_jobs(config))


def _refuse(sentence: str, code: int) -> NoReturn:
    """Ends the process."""
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(code)


def _claim(config: DictConfig) -> OutputFolder:
    """The folder of the multirun: the one that was named, or one that nobody else has."""
    hydra = config.hydra
    wanted = Path(hydra.sweep.dir)
    given = as_typed(hydra.overrides.hydra)
    named = any(override.startswith("hydra.sweep.dir=") for override in given)
    if named:
        return OutputFolder.before(wanted)
    claimed = OutputFolder.claim(wanted)
    _name_folder(hydra, claimed.path)
    return claimed


def _name_folder(hydra: DictConfig, folder: Path) -> None:
    """Sends the multirun and each of its jobs to a folder."""
    quoted = QuotedString(str(folder), Quote.single).with_quotes()
    with read_write(hydra):
        hydra.sweep.dir = str(folder)
        hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted}")  # each job is composed with these


def _begin_sweep(folder: Path, jobs: list[list[str]]) -> None:
    """Writes the plan of a sweep; ends the process where the folder holds another one."""
    try:
        claim_sweep(folder)
    except RunFolderError as error:
        _refuse(str(error), code=1)
    for there, overrides in zip(read_plan(folder), jobs, strict=False):
        here = Job(there.number, tuple(overrides))
        contradiction = contradicts(job_folder(folder, there), there, here)
        if contradiction:
            _refuse(
                f"{folder} holds another sweep: job {there.number} there has {contradiction}. "
                "Choose another hydra.sweep.dir, or give the same command.",
                code=1,
            )
    write_plan(folder, jobs)


def contradicts(folder: Path, there: Job, here: Job) -> str:
    """What a begun job was made with, where it is to be made otherwise; empty where it fits."""
    path = folder / "config.json"
    if not path.is_file():
        return ""
    stored = dict(flatten(stored_config(folder)))
    given_there = there.values
    given_here = here.values
    for key in filter(determines_data, given_there.keys() | given_here.keys()):
        before = given_there.get(key)
        wanted = given_here.get(key)
        if key in stored:
            if wanted is None or yaml.safe_load(wanted) != stored[key]:
                return f"{key}={stored[key]}"
        elif before and wanted and before != wanted:  # a group's option
            return f"{key}={before}"
    return ""


def as_typed(overrides: ListConfig) -> list[str]:
    """Overrides with their `${...}` as it stands: what Hydra lists would be resolved in its place.

    >>> as_typed(OmegaConf.create(["seed=${other}"]))
    ['seed=${other}']
    """
    texts: Any = OmegaConf.to_container(overrides, resolve=False)
    return list(texts)


def _planned_jobs(config: DictConfig, keys: Collection[str] = ()) -> list[list[str]]:
    """Overrides of every job that Hydra's basic sweeper will run, or those of some keys alone."""
    params = config.hydra.sweeper.params or {}
    swept = [f"{key}={value}" for key, value in params.items()]
    named = as_typed(config.hydra.overrides.task)
    overrides = OverridesParser.create().parse_overrides(swept + named)
    if keys:
        overrides = [override for override in overrides if override.key_or_group in keys]
    (jobs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return jobs
