"""Weights & Biases: one run per job, offline unless asked otherwise, all inside the run's folder.

A thread does the work: importing W&B and starting its service take a second, in which the kernels
train.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muat_exp.claims import claim
from muat_exp.config.groups import Config
from muat_exp.config.identity import config_signature, published_values
from muat_exp.errors import TrackingError
from muat_exp.tracking.curves import MeanCurves, Row
from muat_exp.tracking.tracker import Progress, Tracker
from muat_exp.tracking.wandb_environment import (
    OFFLINE,
    ONLINE,
    ignored_text,
    ignored_variables,
    require_login,
    resolved,
    shortened,
    unreachable,
)

if TYPE_CHECKING:
    import wandb

_FOLDERS = ("CACHE", "DATA", "CONFIG", "ARTIFACT")
_PATIENCE = 30  # seconds for the server to take a run
_SERVICE = "WANDB_SERVICE"  # by which child processes find the service of this one


class WandbTracker(Tracker):
    """One W&B run for one run's folder.

    Curves are logged when the run is finished, against `<stage>/epoch`, for all subjects together;
    what goes on meanwhile against `progress/attempts`, cohort by cohort. What W&B refuses is told
    by `close`, so that it costs no dataset.
    """

    folders = ("wandb",)

    def __init__(self, config: Config, folder: Path) -> None:
        require_login(config.logger)
        self.config = replace(config, logger=resolved(config.logger))
        self.folder = folder.resolve()
        self.notes = self._settle_mode()
        self.curves = MeanCurves()
        self.run: wandb.Run | None = None
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="muat-wandb")
        self.orders: list[Future[None]] = []
        self._order(self._begin)

    def _settle_mode(self) -> list[str]:
        """Has the run logged offline where W&B can't be reached; returns what is to be told."""
        notes = [ignored_text()]
        host = unreachable() if self.config.logger.mode == ONLINE else ""
        if host:
            self.config = _offline(self.config)
            notes.append(f"{host} can't be reached, so W&B logs offline; {self._advice}")
        return [note for note in notes if note]

    @property
    def _advice(self) -> str:
        """How what was logged offline is sent later."""
        return f"later: wandb sync {self.folder / 'wandb'}/offline-run-*"

    def write(self, cohort: int, rows: list[Row], progress: Progress) -> None:
        """See `Tracker`."""
        self.curves.add(rows)
        values: dict[str, float] = {
            "progress/attempts": progress.attempts,
            "progress/accepted": progress.accepted,
            "progress/acceptance": progress.accepted / max(1, progress.attempts),
            "progress/attempts_per_second": progress.attempts / max(progress.seconds, 1e-9),
        }
        for reason, count in progress.rejected.items():
            values[f"rejected/{reason}"] = count
        self._order(lambda: self._started.log(values))

    def finish(self, dataset: Path, summary: dict[str, Any]) -> None:
        """See `Tracker`."""
        path = dataset.resolve()
        self._order(lambda: self._log_result(path, summary))

    def close(self) -> None:
        """See `Tracker`.

        Raises:
            TrackingError: something could not be logged.
        """
        self._order(self._end)
        self.thread.shutdown(wait=True)
        for order in self.orders:
            error = order.exception()
            if error is not None:
                raise _not_logged(error) from error

    def _order(self, work: Callable[[], None]) -> None:
        """Has the thread do something after all that it was given before."""

        def contained() -> None:
            with _contained(self.folder / "wandb"):
                work()

        self.orders.append(self.thread.submit(contained))

    def _begin(self) -> None:
        """Begins the run of a job, or goes on with that of the same folder."""
        run = self._start_or_go_offline()
        self.run = run
        for stage in ("degraded", "clean"):
            run.define_metric(f"{stage}/*", step_metric=f"{stage}/epoch")
        for part in ("progress", "rejected"):
            run.define_metric(f"{part}/*", step_metric="progress/attempts")

    def _start_or_go_offline(self) -> wandb.Run:
        """The W&B run; an offline one, after a sentence, where the server did not take it."""
        identity = _run_identity(self.folder)
        try:
            return _start(self.config, self.folder, "generate", self.folder.name, identity)
        except Exception as error:  # whatever the client raises: it has no common class
            if self.config.logger.mode != ONLINE:
                raise
            self.config = _offline(self.config)
            reason = str(error).strip().partition("\n")[0]
            sentence = f"W&B did not take the run ({reason}), so it is logged offline"
            print(f"{sentence}; {self._advice}", file=sys.stderr)
            # The client holds the id of what it could not begin.
            return _start(self.config, self.folder, "generate", self.folder.name, None)

    @property
    def _started(self) -> wandb.Run:
        """The run, of which nothing can be asked where it could not be begun."""
        if self.run is None:
            raise RuntimeError("the run was not begun")
        return self.run

    def _log_result(self, dataset: Path, summary: dict[str, Any]) -> None:
        """Logs the curves, what came out, and the dataset."""
        from muat_exp.tracking.wandb_results import charts, dataset_artifact, results

        run = self._started
        for row in self.curves.rows():
            stage = row.pop("stage")
            run.log({f"{stage}/{key}": value for key, value in row.items()})
        run.summary.update(results(summary))
        shown = charts(dataset, self.config, summary)
        run.log(shown)
        artifact = dataset_artifact(dataset, self.config, summary)
        run.log_artifact(artifact)

    def _end(self) -> None:
        """Ends the run, where it was begun, and waits until everything is written."""
        if self.run is not None:
            self.run.finish()


def log_sweep(
    folder: Path,
    config: Config,
    keys: list[str],
    rows: list[dict[str, Any]],
    pictures: Sequence[Path],
) -> None:
    """A W&B run of its own for a gathered sweep, in the group of its jobs: its table and plots.

    Args:
        folder: the sweep's.
        config: of its jobs.
        keys: what was swept.
        rows: of the table, one per job.
        pictures: the plots; other pictures in the folder are nobody's business.

    Raises:
        TrackingError: something could not be logged.
    """
    require_login(config.logger)
    config = replace(config, logger=resolved(config.logger))
    if config.logger.mode == ONLINE and unreachable():
        config = _offline(config)
    claim(folder, folders=WandbTracker.folders)
    path = folder.resolve()
    with _contained(path / "wandb"):
        try:
            run = _start(config, path, "sweep", f"{path.name} gathered", _run_identity(path))
            _log_table(run, rows, pictures)
            run.summary["swept"] = keys
            run.finish()
        except Exception as error:  # whatever the client raises: it has no common class
            raise _not_logged(error) from error


def _offline(config: Config) -> Config:
    """A configuration whose W&B run is logged offline."""
    return replace(config, logger=replace(config.logger, mode=OFFLINE))


def _log_table(run: wandb.Run, rows: list[dict[str, Any]], pictures: Sequence[Path]) -> None:
    """Logs a gathered sweep's table, and its plots as images."""
    import wandb

    keys = [key for row in rows for key in row]
    columns = list(dict.fromkeys(keys))
    cells = [[row.get(column) for column in columns] for row in rows]
    table = wandb.Table(columns=[*columns], data=cells)
    shown: dict[str, Any] = {"sweep": table}
    for path in pictures:
        shown[f"plots/{path.stem}"] = wandb.Image(str(path))
    run.log(shown)


def _not_logged(error: BaseException) -> TrackingError:
    """The sentence for what W&B did not take."""
    reason = " ".join(str(error).split())  # W&B's own words may have several lines
    return TrackingError(
        f"Not everything could be logged to W&B: {type(error).__name__}: {reason}. The dataset is "
        "whole; run the same command again, or with logger=csv."
    )


@contextmanager
def _contained(folder: Path) -> Iterator[None]:
    """A block in which W&B writes into `folder` alone, is silent, and reports to nobody.

    W&B also puts itself in the place of `sys.exit` and `sys.excepthook`, and tells child processes
    of its service; all that is undone. What another thread puts there meanwhile stays.
    """
    values = {f"WANDB_{name}_DIR": str(folder / name.lower()) for name in _FOLDERS}
    values |= {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
    hidden = ignored_variables()
    before = {name: os.environ.get(name) for name in (*values, *hidden, _SERVICE)}
    leave = sys.exit
    report = sys.excepthook
    for name in hidden:  # W&B would check them, and end at what it does not take
        del os.environ[name]
    os.environ.update(values)
    try:
        yield
    finally:
        if _is_of_wandb(sys.exit):
            sys.exit = leave
        if _is_of_wandb(sys.excepthook):
            sys.excepthook = report
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _is_of_wandb(hook: Callable[..., Any]) -> bool:
    """Whether W&B defined a function that stands in `sys`."""
    module = getattr(hook, "__module__", None) or ""
    return module.partition(".")[0] == "wandb"


def _start(
    config: Config, folder: Path, job_type: str, name: str, identity: str | None
) -> wandb.Run:
    """A W&B run that writes into `folder/wandb`, or goes on with the one of this identity."""
    import wandb

    logger = config.logger
    mode: Any = logger.mode  # one of W&B's own names, as the configuration checks
    return wandb.init(
        project=logger.project,
        entity=logger.entity or None,
        group=logger.group or None,
        name=logger.run_name or shortened(name),
        tags=_tags(config),
        notes=os.environ.get("WANDB_NOTES"),  # of now: W&B reads it once per process
        job_type=job_type,
        id=identity,
        resume="allow" if identity else None,
        mode=mode,
        dir=str(folder),
        config=_shown_configuration(config),
        settings=_settings(),
        reinit="create_new",  # a run that the caller has open stays as it is
    )


def _tags(config: Config) -> list[str]:
    """What runs are found by: recipe, signature methods, corruption, and the user's own tags."""
    corruption = f"corruption {config.corruption.rate:g}"
    made_up = [config.training.recipe, *config.signature.methods, corruption]
    tags = [shortened(tag, "tags") for tag in made_up if tag]
    return list(dict.fromkeys([*tags, *config.logger.tags]))


def _shown_configuration(config: Config) -> dict[str, Any]:
    """The configuration, its signature, and the commit of the program."""
    origin = {"config_signature": config_signature(config), "git_commit": _git_commit()}
    return published_values(config) | origin


def _settings() -> wandb.Settings:
    """W&B tells nothing on the terminal, and collects nothing that it was not given."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
        disable_git=True,
        disable_code=True,
        init_timeout=_PATIENCE,
    )


def _git_commit() -> str | None:
    """The commit that the working folder is at, where it is a git repository."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "rev-parse", "HEAD"]
    try:
        done = subprocess.run(  # noqa: S603 - a command of our own, without a shell
            command, capture_output=True, text=True, check=False, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _run_identity(folder: Path) -> str | None:
    """The W&B id of a run's folder, made once, so that a continued run goes on where it was.

    None for the runs of a W&B agent, which have an id from it.
    """
    if "WANDB_SWEEP_ID" in os.environ:
        return None
    path = folder / "wandb" / "id"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(uuid.uuid4().hex[:12], encoding="utf-8")
    return path.read_text(encoding="utf-8")
