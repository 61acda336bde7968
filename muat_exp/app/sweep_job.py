"""The jobs of a sweep: each makes a dataset and notes what became of it; then they are gathered."""

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from muat_exp.app.job_configs import job_config
from muat_exp.config.groups import Config, LoggerConfig
from muat_exp.errors import MuatError, NobodyAcceptedError, RunFolderError
from muat_exp.sweep.folder import read_plan
from muat_exp.sweep.jobs import (
    EMPTY,
    FINISHED,
    RUNNING,
    Job,
    failed,
    is_finished,
    swept_keys,
)
from muat_exp.sweep.launchers import launched_threads
from muat_exp.sweep.planning import as_typed
from muat_exp.sweep.results import read_result
from muat_exp.tracking.wandb_environment import DISABLED, resolved, shortened

if TYPE_CHECKING:
    from muat_exp.sweep.gather import Sweep

TRACEBACKS = "MUAT_EXP_TRACEBACKS"  # set to 1 in the environment: failures are shown with theirs


def run_job(composed: DictConfig, settings: DictConfig, folder: Path) -> float:
    """One job of a sweep, skipped where it is finished.

    A failed job leaves its reason and does not end the others.

    Args:
        composed: the job's configuration.
        settings: Hydra's own part of it.
        folder: the job's.

    Returns:
        What a sweeper may maximise, see `sweep.jobs.objective`; NaN for a job that failed.
    """
    number = settings.callbacks.sweep.first_job + settings.job.num
    job = Job(number, tuple(as_typed(settings.overrides.task)), RUNNING)
    try:
        config = _job_config(composed, settings, job)
        return _make_or_skip(job, config, folder)
    except NobodyAcceptedError as error:
        print(f"job {job.number} is empty: {error}", file=sys.stderr, flush=True)
        _note(replace(job, status=EMPTY, error=str(error)), folder)
        return 0.0
    except Exception as error:
        if _wants_traceback(error):
            traceback.print_exc()
        failure = failed(job.number, job.overrides, error)
        print(f"job {job.number} failed: {failure.error}", file=sys.stderr, flush=True)
        _note(failure, folder)
        return float("nan")


def _note(job: Job, folder: Path) -> None:
    """Notes what became of a job; where that can't be written, it is taken for unfinished."""
    try:
        job.write(folder)
    except (RunFolderError, OSError) as error:
        print(f"job {job.number}: its reason is not noted: {error}", file=sys.stderr)


def _wants_traceback(error: Exception) -> bool:
    """Whether an error is none of those that a user can act on, or tracebacks were asked for."""
    actionable = isinstance(error, MuatError | OSError)
    return not actionable or os.environ.get(TRACEBACKS) == "1"


def _make_or_skip(job: Job, config: Config, folder: Path) -> float:
    """Makes the dataset of a job that is not finished yet; returns its objective."""
    shown = " ".join(job.overrides)
    if is_finished(folder, config):
        print(f"job {job.number} is finished: {shown}", flush=True)
        return read_result(folder).objective
    job.write(folder)
    print(f"job {job.number}: {shown}", flush=True)
    from muat_exp.app.tasks.generate import make_dataset

    value = make_dataset(config, folder, brief=True)
    replace(job, status=FINISHED).write(folder)
    return value


def _job_config(composed: DictConfig, settings: DictConfig, job: Job) -> Config:
    """The configuration of one job, as it is launched.

    Raises:
        ConfigurationError: it is wrong, or asks for what a sweep can't do.
    """
    config = job_config(composed, job.overrides)
    config = replace(config, logger=_job_logger(config, settings, job))
    if config.workers == "auto":
        threads = launched_threads(settings, config.threads)
        config = replace(config, workers=threads)
    return config


def _job_logger(config: Config, settings: DictConfig, job: Job) -> LoggerConfig:
    """The logger of one job: its group is named after the sweep, and itself by what was swept."""
    sweep = Path(settings.sweep.dir)
    searched = list(settings.sweeper.params or {})  # a search has no plan
    planned = read_plan(sweep)
    swept = swept_keys(planned) or searched
    name = job.label(swept, planned) or f"job {job.number}"
    group = "-".join(sweep.parts[-2:])
    logger = config.logger
    group = logger.group or os.environ.get("WANDB_RUN_GROUP") or shortened(group, "group")
    return replace(logger, group=group, run_name=logger.run_name or shortened(name))


def show_sweep(folder: Path) -> int:
    """Gathers a sweep, writes its files and prints its table; returns the exit code of its jobs.

    The tables are written first: no plot that fails takes them along.

    Raises:
        MuatError: the folder holds no sweep, a table is in the way of somebody else's file, or the
            table could not be logged.
    """
    from muat_exp.sweep.files import write_tables
    from muat_exp.sweep.gather import gather
    from muat_exp.sweep.plots import write_plots
    from muat_exp.sweep.report import print_place, print_sweep

    sweep = gather(folder)
    write_tables(sweep)
    print_sweep(sweep)
    drawn = write_plots(sweep)
    for fault in drawn.faults:
        print(fault)
    print_place(sweep, plots=len(drawn.pictures))
    _track_sweep(sweep, drawn.pictures)
    return sweep.exit_code


def _track_sweep(sweep: "Sweep", pictures: Sequence[Path]) -> None:
    """Logs a gathered sweep and its plots to W&B where its jobs were logged there."""
    if not sweep.rows:
        return
    from muat_exp.generation.run_folder import load_run_config
    from muat_exp.sweep.files import flat_rows

    config = load_run_config(sweep.folder / sweep.rows[0].job.folder)
    if config.logger.name != "wandb" or resolved(config.logger).mode == DISABLED:
        return
    from muat_exp.tracking.weights_and_biases import log_sweep

    logger = replace(config.logger, run_name="gathered")
    config = replace(config, logger=logger)
    log_sweep(sweep.folder, config, sweep.keys, flat_rows(sweep), pictures)
