"""The jobs of a sweep: each makes a dataset and notes what became of it; then they are gathered."""

import os
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from muat_exp.app.compose import read_request
from muat_exp.app.overrides import given_keys
from muat_exp.config.checks import require
from muat_exp.config.groups import Config
from muat_exp.errors import MuatError
from muat_exp.sweep.jobs import (
    FINISHED,
    RUNNING,
    Job,
    exit_code,
    failed,
    is_finished,
    objective,
    read_plan,
    read_summary,
    swept_keys,
)
from muat_exp.sweep.launchers import launched_threads

if TYPE_CHECKING:
    from muat_exp.sweep.gather import Sweep

TRACEBACKS = "MUAT_EXP_TRACEBACKS"  # set to 1 in the environment: failures are shown with theirs


def run_job(composed: DictConfig, settings: Any, folder: Path) -> float:
    """One job of a sweep, skipped where it is finished.

    A failed job leaves its reason and does not end the others.

    Args:
        composed: the job's configuration.
        settings: Hydra's own part of it.
        folder: the job's.

    Returns:
        What a sweeper may maximise, see `sweep.jobs.objective`; NaN for a job that failed.
    """
    number = int(settings.job.num)
    overrides = tuple(settings.overrides.task)
    try:
        return _make_or_skip(composed, settings, folder)
    except Exception as error:
        known = isinstance(error, MuatError | OSError)
        if not known or os.environ.get(TRACEBACKS) == "1":
            traceback.print_exc()
        failure = failed(number, overrides, error)
        print(f"job {number} failed: {failure.error}", file=sys.stderr, flush=True)
        failure.write(folder)
        return float("nan")


def _make_or_skip(composed: DictConfig, settings: Any, folder: Path) -> float:
    """Makes the dataset of a job that is not finished yet; returns its objective."""
    number = int(settings.job.num)
    overrides = tuple(settings.overrides.task)
    request = read_request(composed, given_keys(overrides), folder)
    task = request.keys.task
    require(
        task == "generate",
        f"A multirun makes datasets; run task={task} by itself, without -m.",
    )
    require(
        not request.keys.resume,
        "resume continues one run; a sweep is continued by hydra.sweep.dir=<its folder>.",
    )
    config = _as_launched(request.config, settings, number)
    if is_finished(folder, config):
        print(f"job {number} is finished: {' '.join(overrides)}", flush=True)
        return objective(read_summary(folder))
    entry = Job(number, overrides, RUNNING)
    entry.write(folder)
    print(f"job {number}: {' '.join(overrides)}", flush=True)
    from muat_exp.app.tasks.generate import make_dataset

    value = make_dataset(config, folder, brief=True)
    replace(entry, status=FINISHED).write(folder)
    return value


def _as_launched(config: Config, settings: Any, number: int) -> Config:
    """The configuration of one job: its share of the processors, its name and group for W&B."""
    folder = Path(settings.sweep.dir)
    searched = list(settings.sweeper.params or {})  # a search has no plan
    swept = swept_keys(read_plan(folder)) or searched
    label = Job(number, tuple(settings.overrides.task)).label(swept)
    logger = replace(
        config.logger,
        group=config.logger.group or "-".join(folder.parts[-2:]),
        run_name=config.logger.run_name or label or f"job {number}",
    )
    if config.workers == "auto":
        config = replace(config, workers=launched_threads(settings, config.threads))
    return replace(config, logger=logger)


def show_sweep(folder: Path) -> int:
    """Gathers a sweep, writes its files and prints its table; returns the exit code of its jobs."""
    from muat_exp.sweep.files import write_files
    from muat_exp.sweep.gather import gather
    from muat_exp.sweep.report import print_sweep

    sweep = gather(folder)
    write_files(sweep)
    print_sweep(sweep)
    _track_sweep(sweep)
    return exit_code(sweep.jobs)


def _track_sweep(sweep: "Sweep") -> None:
    """Logs a gathered sweep to W&B where its jobs were logged there."""
    if not sweep.rows:
        return
    from muat_exp.generation.run_folder import load_run_config
    from muat_exp.sweep.files import flat_rows

    config = load_run_config(sweep.folder / str(sweep.rows[0]["job"]))
    if config.logger.name != "wandb":
        return
    from muat_exp.tracking.weights_and_biases import log_sweep

    plain = replace(config, logger=replace(config.logger, run_name="gathered"))
    log_sweep(sweep.folder, plain, sweep.keys, flat_rows(sweep))
