"""The application behind `python -m muat_exp`: Hydra's entry, the tasks, the jobs of a sweep, exit codes."""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from muat_exp.app.compose import launched_threads, prepare, to_config
from muat_exp.app.messages import conf_folder, sentences
from muat_exp.config.checks import require
from muat_exp.config.groups import Config
from muat_exp.errors import ConfigurationError, DatasetError, MuatError, RunFolderError, SweepError
from muat_exp.generation.run_folder import load_run_config
from muat_exp.startup import heavy_imports
from muat_exp.sweep.callback import STARTED
from muat_exp.sweep.jobs import (
    FINISHED,
    RUNNING,
    Job,
    exit_code,
    failed,
    is_finished,
    read_plan,
    swept_keys,
)

if TYPE_CHECKING:
    from muat_exp.sweep.gather import Sweep

_FAILURES: list[MuatError] = []  # of this process's single job
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (
    *_FULL,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENOENT,
)


@hydra.main(config_path=str(conf_folder()), config_name="config", version_base="1.3")
def job(composed: DictConfig) -> float:
    """One Hydra job; returns what a sweeper may maximise, acceptance times improvement, or NaN where it failed."""
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    if settings.mode == RunMode.MULTIRUN:
        return _sweep_job(composed, settings, folder)
    try:
        config = to_config(composed)
        return _TASKS[config.task](config, folder)
    except MuatError as error:
        _FAILURES.append(error)
        return float("nan")
    except OSError as error:
        _FAILURES.append(_unwritable(error))
        return float("nan")
    except KeyboardInterrupt:
        kept = f"finished cohorts are kept; run the same command with hydra.run.dir={folder}"
        again = kept if composed.task == "generate" else "run the same command"
        print(f"\ninterrupted: {again} to continue.", file=sys.stderr)
        raise


def _sweep_job(composed: DictConfig, settings: Any, folder: Path) -> float:
    """One job of a sweep: skipped where it is finished; a failed one leaves its reason and does not end the others."""
    number = int(settings.job.num)
    overrides = tuple(settings.overrides.task)
    entry = Job(number, overrides, RUNNING)
    try:
        config = to_config(composed)
        require(
            config.task == "generate",
            f"A multirun makes datasets; run task={config.task} by itself, without -m.",
        )
        config = _as_launched(config, settings, number)
        if is_finished(folder, config):
            print(f"job {number} is finished: {' '.join(overrides)}", flush=True)
            return _stored_objective(folder)
        entry.write(folder)
        print(f"job {number}: {' '.join(overrides)}", flush=True)
        value = _make_dataset(config, folder, brief=True)
        replace(entry, status=FINISHED).write(folder)
        return value
    except Exception as error:
        if not isinstance(error, MuatError | OSError):
            traceback.print_exc()
        failure = failed(number, overrides, error)
        print(f"job {number} failed: {failure.error}", file=sys.stderr, flush=True)
        failure.write(folder)
        return float("nan")


def _as_launched(config: Config, settings: Any, number: int) -> Config:
    """The configuration of one job with its share of the processors, and its name and group for W&B."""
    swept = swept_keys(read_plan(Path(settings.sweep.dir))) or list(
        settings.sweeper.params or {}
    )  # a search has no plan
    names = Job(number, tuple(settings.overrides.task)).label(swept)
    logger = replace(
        config.logger,
        group=config.logger.group or "-".join(Path(settings.sweep.dir).parts[-2:]),
        run_name=config.logger.run_name or names or f"job {number}",
    )
    workers = (
        launched_threads(settings, config.threads) if config.workers == "auto" else config.workers
    )
    return replace(config, workers=workers, logger=logger)


def _make_dataset(config: Config, folder: Path, brief: bool = False) -> float:
    """Runs the pipeline under a progress display and prints the closing table, or with `brief` one line."""
    if config.logger.name == "wandb":
        from muat_exp.tracking.weights_and_biases import require_login

        require_login(config.logger.mode)
    with heavy_imports():
        from muat_exp.generation.pipeline import generate
        from muat_exp.progress import print_brief, print_summary, reporter

    shown = config.progress and (sys.stdout.isatty() or not brief)
    with reporter(config.dataset.num_examples, shown) as display:
        result = generate(config, folder, display)
    if brief:
        print_brief(result.summary)
    else:
        print_summary(result.summary, os.path.relpath(result.dataset))
    return _objective(result.summary)


def _objective(summary: dict) -> float:  # type: ignore[type-arg]
    """Acceptance times the mean improvement of the accepted: how much good a recipe does to an attempt."""
    return float(summary["acceptance"] * (summary["accuracy"]["improvement"] or 0.0))


def _stored_objective(folder: Path) -> float:
    """The objective of a finished job."""
    import json

    return _objective(json.loads((folder / "summary.json").read_bytes()))


def _gather_sweep(config: Config, folder: Path) -> float:
    """Gathers the sweep in `sweep_dir`; a sweep with unfinished jobs is gathered as far as it goes."""
    _show_sweep(Path(config.sweep_dir))
    return 0.0


def _show_sweep(folder: Path) -> int:
    """Gathers and prints a sweep; returns the exit code that its jobs ask for."""
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
    config = load_run_config(sweep.folder / str(sweep.rows[0]["job"]))
    if config.logger.name == "wandb":
        from muat_exp.sweep.files import flat, null_for_nan
        from muat_exp.tracking.weights_and_biases import log_sweep

        plain = replace(config, logger=replace(config.logger, run_name="gathered"))
        log_sweep(sweep.folder, plain, sweep.keys, [null_for_nan(flat(row)) for row in sweep.rows])


def _make_dashboard(config: Config, folder: Path) -> float:
    """Saves the project's W&B dashboard, or with `dry_run` prints what it would send."""
    from muat_exp.tracking.dashboard import print_specification, require_workspaces, save_dashboard

    if config.dry_run:
        require_workspaces()
        print_specification(config.logger.entity or "entity", config.logger.project)
    else:
        for address in save_dashboard(config):
            print(address)
    return 0.0


def _validate_dataset(config: Config, folder: Path) -> float:
    """Checks a dataset and prints its faults; raises where there are any."""
    from muat_exp.dataset.hub import dataset_folder

    source = dataset_folder(config.dataset_dir)
    with heavy_imports():
        from muat_exp.executors.threads import worker_threads
        from muat_exp.progress import reporter
        from muat_exp.validation.validate import count_examples, validate

    with (
        worker_threads(config.threads) as workers,
        reporter(count_examples(source), config.progress) as display,
    ):
        faults = validate(source, workers, display)
    for fault in faults:
        print(fault)
    if faults:
        raise DatasetError(
            f"{config.dataset_dir} is not sound: {len(faults)} faults, listed above."
        )
    count = count_examples(source)
    checked = (
        f"{count} examples, every network run again"
        if count
        else "as far as the published fields go; no network was run"
    )
    print(f"{config.dataset_dir} is sound ({checked}).")
    return 0.0


def _make_probes(config: Config, folder: Path) -> float:
    """Makes a probe set and a benchmark set in the run's folder, or checks the file of `signature.probe_set`."""
    from muat_exp.evaluation.sets import check_set, make_sets

    if config.signature.probe_set:
        check_set(config)
    else:
        make_sets(config, folder)
    return 0.0


def _score_predictions(config: Config, folder: Path) -> float:
    """Scores predictions, writes `score.json` into the run's folder and prints the tables; returns the headline figure."""
    from muat_exp.dataset.hub import dataset_folder

    source = dataset_folder(config.dataset_dir)
    from muat_exp.claims import claim_output, write_output
    from muat_exp.score.judge import judge
    from muat_exp.score.report import print_score

    claim_output(folder / "score.json")
    score = judge(source, Path(config.predictions), config.benchmark_set, config.threads)
    score = replace(score, dataset=config.dataset_dir)
    write_output(folder / "score.json", score.to_json())
    print_score(score)
    print(f"score: {os.path.relpath(folder / 'score.json')}")
    return score.headline


def _derive_dataset(config: Config, folder: Path) -> float:
    """Makes a dataset from another one's stored networks, for task=signature and task=render."""
    from muat_exp.dataset.hub import dataset_folder

    source = dataset_folder(config.dataset_dir)
    with heavy_imports():
        from muat_exp.dataset.reading import read_summary
        from muat_exp.executors.threads import worker_threads
        from muat_exp.generation.derive import derive
        from muat_exp.progress import print_location, reporter

    given = [
        override.partition("=")[0].lstrip("+~") for override in HydraConfig.get().overrides.task
    ]
    summary = read_summary(source)
    with (
        worker_threads(config.threads) as workers,
        reporter(summary["accepted"], config.progress) as display,
    ):
        made = derive(source, config, given, folder / "dataset", workers, display)
    print_location(os.path.relpath(made), next(iter(read_summary(made)["splits"]), "train"))
    return 0.0


def _publish_dataset(config: Config, folder: Path) -> float:
    """Uploads a dataset to the Hub and prints its address, or with `dry_run` what would go there."""
    from muat_exp.dataset.hub import print_plan, publish

    if config.dry_run:
        print_plan(config)
    else:
        print(f"{config.dataset_dir} is published: {publish(config)}")
    return 0.0


_TASKS: dict[str, Callable[[Config, Path], float]] = {
    "generate": _make_dataset,
    "gather": _gather_sweep,
    "dashboard": _make_dashboard,
    "validate": _validate_dataset,
    "probes": _make_probes,
    "score": _score_predictions,
    "signature": _derive_dataset,
    "render": _derive_dataset,
    "publish": _publish_dataset,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 2 for a wrong configuration, 1 for other errors, 130 for Ctrl-C."""
    _FAILURES.clear()
    STARTED.clear()
    try:
        sys.argv[1:] = prepare(sys.argv[1:] if arguments is None else arguments)
    except MuatError as error:
        return report([error])
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        job()
        return 0
    os.environ["HYDRA_FULL_ERROR"] = "1"  # lets errors reach us instead of Hydra's own report
    try:
        with sentences():
            job()
        return report(_FAILURES) or (_show_sweep(STARTED[0]) if STARTED else 0)
    except KeyboardInterrupt:
        if STARTED:
            print(
                f"\ninterrupted: run the same command with hydra.sweep.dir={STARTED[0]} to continue.",
                file=sys.stderr,
            )
        return 130
    except MuatError as error:
        return report([error])
    except RuntimeError as error:
        if "srun" not in str(error):
            raise
        return report(
            [
                SweepError(
                    "hydra/launcher=slurm needs srun; run it where Slurm is, or use submitit_local."
                )
            ]
        )
    except OSError as error:
        return report([_unwritable(error)])
    finally:
        del os.environ["HYDRA_FULL_ERROR"]


def _unwritable(error: OSError) -> RunFolderError:
    """The sentence for a disk that is full or refuses to be written; raises every other error again."""
    if error.errno not in _REFUSED:
        raise error
    if error.errno == errno.ENOENT:
        return RunFolderError(f"{error.filename} is missing.")
    place = f" ({error.filename})" if error.filename else ""
    reason = os.strerror(error.errno)
    kept = " What was finished is kept." if error.errno in _FULL else ""
    return RunFolderError(f"A file can't be written{place}: {reason}.{kept}")


def report(failures: Sequence[MuatError]) -> int:
    """Prints a sentence for each failure; returns the exit code."""
    for error in failures:
        print(f"error: {error}", file=sys.stderr)
    if not failures:
        return 0
    return 2 if all(isinstance(error, ConfigurationError) for error in failures) else 1
