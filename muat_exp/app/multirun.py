"""Hydra's callback at the start of a multirun: its folder, and which jobs there will be."""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from muat_exp.app.job_configs import ONE_RUN, JobComposer, require_swept
from muat_exp.app.sweep_job import TRACEBACKS
from muat_exp.claims import LIST
from muat_exp.config.checks import require
from muat_exp.config.groups import Config
from muat_exp.config.identity import determines_data
from muat_exp.config.reading import flatten
from muat_exp.errors import ConfigurationError, MuatError, RunFolderError, SweepError, first_line
from muat_exp.generation.run_folder import stored_config
from muat_exp.output_folder import OutputFolder
from muat_exp.sweep.folder import PLAN, claim_plan, is_below, list_jobs, read_plan, write_plan
from muat_exp.sweep.jobs import Job, swept_keys
from muat_exp.sweep.launchers import limit_jobs
from muat_exp.sweep.planning import as_typed, planned_overrides

_LONGEST_NAME = 255  # bytes of a folder's name
_SEARCHES = "optuna"  # the sweeper that does
BEGINNINGS = (PLAN, LIST, "multirun.yaml")  # files that are there before the first job begins


STARTED: list[OutputFolder] = []  # of the multirun that this process began: one, or none


class NoteMultirun(Callback):
    """Checks the jobs of a multirun, claims its folder and writes its plan there."""

    def __init__(self, first_job: int = 0) -> None:
        """Takes what the configuration says.

        Args:
            first_job: the number of the first job.
        """
        self.first_job = first_job

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called once, in the process that launches the jobs.

        Raises:
            SystemExit: after a sentence, where there can be no such multirun. (Hydra turns what
                else a callback raises into a warning.)
        """
        try:
            _require_sweepable(config)
            _begin(config)
        except MuatError as error:
            _refuse(str(error), code=2 if isinstance(error, ConfigurationError) else 1)
        except OSError as error:
            place = config.hydra.sweep.dir
            _refuse(f"The sweep's folder {place} can't be written: {error.strerror}.", code=1)


def _require_sweepable(config: DictConfig) -> None:
    """Raises `ConfigurationError` where a job would do something else than make a dataset."""
    tasks = [config.get("task"), *sorted(_named_values(config, "task"))]
    for task in tasks:
        require_swept(task)
    require(not any(_named_values(config, "resume")), ONE_RUN)


def _named_values(config: DictConfig, key: str) -> set[str]:
    """The values that a key has in the jobs, as far as overrides give it one."""
    values = set()
    for overrides in planned_overrides(config, [key]):
        value = Job(0, tuple(overrides)).values.get(key)
        if value is not None:
            values.add(value.strip("'\""))
    return values


def _refuse(sentence: str, code: int) -> NoReturn:
    """Ends the process for the error that is being handled."""
    if os.environ.get(TRACEBACKS) == "1":
        traceback.print_exc()
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(code)


def _begin(config: DictConfig) -> None:
    """Checks every job that can be known beforehand, then claims the folder.

    Raises:
        MuatError: a job is wrong, or the folder is not for this sweep.
    """
    sweeper = config.hydra.runtime.choices["hydra/sweeper"]
    planned = _compose_all(config) if sweeper == "basic" else []
    if sweeper == _SEARCHES:
        _require_storage(config.hydra.sweeper.get("storage"))
    limit_jobs(config)
    started = _claim(config)
    STARTED.append(started)
    if planned:
        _begin_sweep(started.path, planned)
    elif sweeper == _SEARCHES and config.hydra.sweeper.get("storage") is not None:
        _count_on(config, started.path)


def _compose_all(config: DictConfig) -> list[tuple[Job, Config]]:
    """Every job of the basic sweeper with its checked configuration.

    Raises:
        ConfigurationError: one of them is wrong, or two would share a folder; it names the job.
    """
    composer = JobComposer(config)
    overrides = [tuple(texts) for texts in planned_overrides(config)]
    jobs = [Job(number, texts) for number, texts in enumerate(overrides)]
    keys = swept_keys(jobs)
    planned = []
    for job in jobs:
        try:
            configuration, folder = composer.compose(job.number, job.overrides)
        except ConfigurationError as error:
            label = job.label(keys, jobs)
            named = f"job {job.number} ({label})" if label else f"job {job.number}"
            raise ConfigurationError(f"{named}: {error}") from error
        planned.append((Job(job.number, job.overrides, folder=folder), configuration))
    _require_folders([job for job, _ in planned])
    return planned


def _require_folders(jobs: Sequence[Job]) -> None:
    """Raises `ConfigurationError` where a job's folder can't be one of its own within the sweep."""
    owners: dict[str, int] = {}
    for job in filter(lambda job: job.folder, jobs):
        folder = os.path.normpath(job.folder)
        told = f"hydra.sweep.subdir puts job {job.number} into {job.folder!r}"
        if not is_below(job.folder):
            raise ConfigurationError(f"{told}, which is not a folder below that of the sweep.")
        longest = max(len(os.fsencode(part)) for part in Path(folder).parts)
        if longest > _LONGEST_NAME:
            raise ConfigurationError(
                f"{told}, a name of {longest} bytes; names of folders have {_LONGEST_NAME} at most."
            )
        if folder in owners:
            raise ConfigurationError(f"{told}, as it does job {owners[folder]}.")
        owners[folder] = job.number
    for folder, number in owners.items():
        above = [owners[str(path)] for path in Path(folder).parents if str(path) in owners]
        if above:
            raise ConfigurationError(
                f"hydra.sweep.subdir puts job {number} into a folder of job {above[0]}: {folder}."
            )


def _require_storage(storage: object) -> None:
    """Raises `SweepError` where a search can't be kept in its database.

    The database is not named: its address may hold a password.
    """
    if storage is None:
        return
    installed = version("SQLAlchemy")
    if int(installed.partition(".")[0]) > 1:
        raise SweepError(
            f"hydra.sweeper.storage needs SQLAlchemy 1.4, and {installed} is installed: "
            "pip install 'muat_exp[optuna]'."
        )
    from optuna.storages import get_storage
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        get_storage(str(storage))
    except ArgumentError as error:
        raise SweepError(
            "hydra.sweeper.storage is not the address of a database, such as sqlite:///search.db."
        ) from error
    except (SQLAlchemyError, ImportError) as error:
        raise SweepError(f"hydra.sweeper.storage can't be opened: {first_line(error)}.") from error


def _count_on(config: DictConfig, folder: Path) -> None:
    """Has a search that its storage remembers go on behind the jobs that it made before.

    A sampler of the same seed would propose once more what it did at first, so it gets another one.
    """
    try:
        begun = list_jobs(folder).jobs
    except SweepError:  # none yet
        return
    first = 1 + max(job.number for job in begun)
    hydra = config.hydra
    with read_write(hydra):
        hydra.callbacks.sweep.first_job = first
        hydra.overrides.hydra.append(f"hydra.callbacks.sweep.first_job={first}")
        if hydra.sweeper.sampler.get("seed") is not None:
            hydra.sweeper.sampler.seed += first


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


def _begin_sweep(folder: Path, planned: Sequence[tuple[Job, Config]]) -> None:
    """Writes the plan of a sweep.

    Raises:
        RunFolderError: the folder holds another one, or files of somebody else.
    """
    claim_plan(folder)
    contradiction = _contradiction(folder, planned)
    if contradiction:
        raise RunFolderError(
            f"{folder} holds another sweep: {contradiction}. "
            "Choose another hydra.sweep.dir, or give the same command."
        )
    write_plan(folder, [job for job, _ in planned])


def _contradiction(sweep: Path, planned: Sequence[tuple[Job, Config]]) -> str:
    """What a begun job of a sweep has that it is not to have; empty where all fit."""
    try:
        before = {job.number: job.folder for job in read_plan(sweep)}
    except SweepError:  # damaged: the jobs' folders tell
        before = {}
    for job, config in planned:
        folder = before.get(job.number, job.folder)
        if folder != job.folder and (sweep / folder / "config.json").exists():
            return f"job {job.number} there is in the folder {folder}, not in {job.folder}"
        differing = contradicts(sweep / folder, config)
        if differing:
            return f"job {job.number} there has {differing}"
    return ""


def contradicts(folder: Path, config: Config) -> str:
    """What a begun job was made with, where it is to be made otherwise; empty where it fits."""
    if not (folder / "config.json").is_file():
        return ""
    try:
        stored = dict(flatten(stored_config(folder)))
    except RunFolderError:  # the job says so itself, and does not end the others
        return ""
    for key, wanted in flatten(config.to_dict()):
        if determines_data(key) and key in stored and stored[key] != wanted:
            return f"{key}={stored[key]}"
    return ""
