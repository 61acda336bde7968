"""Weights & Biases: one run per job, offline unless asked otherwise, all inside the run's folder.

A thread does the work: importing W&B and starting its service take a second, in which the kernels
train.
"""

import netrc
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from muat_exp.claims import claim
from muat_exp.config.checks import require
from muat_exp.config.groups import Config
from muat_exp.config.identity import config_signature, published_values
from muat_exp.errors import TrackingError
from muat_exp.tracking.curves import MeanCurves, Row
from muat_exp.tracking.tracker import Progress, Tracker

_FOLDERS = ("CACHE", "DATA", "CONFIG", "ARTIFACT")


class WandbTracker(Tracker):
    """One W&B run for one run's folder.

    Curves are logged when the run is finished, against `<stage>/epoch`, for all subjects together;
    what goes on meanwhile against `progress/attempts`, cohort by cohort. What W&B refuses is told
    by `close`, so that it costs no dataset.
    """

    folders = ("wandb",)

    def __init__(self, config: Config, folder: Path) -> None:
        require_login(config.logger.mode)
        self.config = config
        self.folder = folder.resolve()
        self.curves = MeanCurves()
        self.run: Any = None
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="muat-wandb")
        self.orders: list[Future[None]] = []
        self._order(self._begin)

    def write(self, cohort: int, rows: list[Row], progress: Progress) -> None:
        """See `Tracker`."""
        self.curves.add(rows)
        values: dict[str, float] = {
            "progress/attempts": progress.attempts,
            "progress/accepted": progress.accepted,
            "progress/acceptance": progress.accepted / max(1, progress.attempts),
            "progress/attempts_per_second": progress.attempts / max(progress.seconds, 1e-9),
        }
        values |= {f"rejected/{reason}": count for reason, count in progress.rejected.items()}
        self._order(lambda: self.run.log(values))

    def finish(self, dataset: Path, summary: dict[str, Any]) -> None:
        """See `Tracker`."""
        self._order(lambda: self._log_result(dataset.resolve(), summary))

    def close(self) -> None:
        """See `Tracker`.

        Raises:
            TrackingError: something could not be logged.
        """
        self._order(self._end)
        self.thread.shutdown(wait=True)
        errors = filter(None, (order.exception() for order in self.orders))
        for error in errors:
            raise _not_logged(error) from error

    def _order(self, work: Callable[[], None]) -> None:
        """Has the thread do something after all that it was given before."""

        def contained() -> None:
            with _contained(self.folder / "wandb"):
                work()

        self.orders.append(self.thread.submit(contained))

    def _begin(self) -> None:
        """Begins the run of a job, or goes on with that of the same folder."""
        identity = _run_identity(self.folder)
        self.run = _start(self.config, self.folder, "generate", self.folder.name, identity)
        for stage in ("degraded", "clean"):
            self.run.define_metric(f"{stage}/*", step_metric=f"{stage}/epoch")
        for part in ("progress", "rejected"):
            self.run.define_metric(f"{part}/*", step_metric="progress/attempts")

    def _log_result(self, dataset: Path, summary: dict[str, Any]) -> None:
        """Logs the curves, what came out, and the dataset."""
        from muat_exp.tracking.wandb_results import charts, dataset_artifact, results

        for row in self.curves.rows():
            stage = row["stage"]
            self.run.log({f"{stage}/{key}": value for key, value in row.items() if key != "stage"})
        self.run.summary.update(results(summary))
        self.run.log(charts(dataset, self.config, summary))
        self.run.log_artifact(dataset_artifact(dataset, self.config, summary))

    def _end(self) -> None:
        """Ends the run, where it was begun, and waits until everything is written."""
        if self.run is not None:
            self.run.finish()


def log_sweep(folder: Path, config: Config, keys: list[str], rows: list[dict[str, Any]]) -> None:
    """A W&B run of its own for a gathered sweep, in the group of its jobs: its table and plots.

    Raises:
        TrackingError: something could not be logged.
    """
    require_login(config.logger.mode)
    claim(folder, folders=WandbTracker.folders)
    path = folder.resolve()
    with _contained(path / "wandb"):
        try:
            run = _start(config, path, "sweep", f"{path.name} gathered", _run_identity(path))
            _log_table(run, path, rows)
            run.summary["swept"] = keys
            run.finish()
        except Exception as error:  # whatever the client raises: it has no common class
            raise _not_logged(error) from error


def _log_table(run: Any, folder: Path, rows: list[dict[str, Any]]) -> None:
    """Logs a gathered sweep's table, and the plots in its folder as images."""
    import wandb

    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[row.get(column) for column in columns] for row in rows]
    images = {f"plots/{path.stem}": wandb.Image(str(path)) for path in sorted(folder.glob("*.png"))}
    run.log({"sweep": wandb.Table(columns=list[Any](columns), data=cells)} | images)


def require_login(mode: str) -> None:
    """Raises `ConfigurationError` where W&B is to be online and there is no key to log in with."""
    logged_in = mode != "online" or bool(os.environ.get("WANDB_API_KEY")) or _has_stored_login()
    require(
        logged_in,
        "logger.mode=online needs a W&B account: run `wandb login` or set WANDB_API_KEY, "
        "or use logger.mode=offline.",
    )


def _has_stored_login() -> bool:
    """Whether the user's netrc file holds a login for W&B's server."""
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    address = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    host = address.partition("://")[2].partition("/")[0].partition(":")[0]
    try:
        return path.is_file() and netrc.netrc(str(path)).authenticators(host) is not None
    except netrc.NetrcParseError:
        return False


def _not_logged(error: BaseException) -> TrackingError:
    """The sentence for what W&B did not take."""
    return TrackingError(
        f"Not everything could be logged to W&B: {type(error).__name__}: {error}. The dataset is "
        "whole; run the same command again, or with logger=csv."
    )


@contextmanager
def _contained(folder: Path) -> Iterator[None]:
    """A block in which W&B writes into `folder` alone, is silent, and reports to nobody.

    W&B also puts itself in the place of `sys.exit` and `sys.excepthook`; both are put back.
    """
    values = {f"WANDB_{name}_DIR": str(folder / name.lower()) for name in _FOLDERS}
    values |= {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
    before = {name: os.environ.get(name) for name in values}
    leave = sys.exit
    report = sys.excepthook
    os.environ.update(values)
    try:
        yield
    finally:
        sys.exit = leave
        sys.excepthook = report
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start(config: Config, folder: Path, job_type: str, name: str, identity: str | None) -> Any:
    """A W&B run that writes into `folder/wandb`."""
    import wandb

    recipe = [
        config.training.recipe,
        *config.signature.methods,
        f"corruption {config.corruption.rate:g}",
    ]
    signature = {"config_signature": config_signature(config), "git_commit": _git_commit()}
    settings = wandb.Settings(
        silent=True,
        console="off",
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
        disable_git=True,
        disable_code=True,
    )
    mode: Any = config.logger.mode
    return wandb.init(
        project=config.logger.project,
        entity=config.logger.entity or None,
        group=config.logger.group or None,
        name=config.logger.run_name or name,
        tags=[*recipe, *config.logger.tags],
        job_type=job_type,
        id=identity,
        resume="allow" if identity else None,
        mode=mode,
        dir=str(folder),
        config=published_values(config) | signature,
        settings=settings,
        reinit="create_new",  # a run that the caller has open stays as it is
    )


def _git_commit() -> str | None:
    """The commit that the working folder is at, where it is a git repository."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
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
        path.write_text(uuid.uuid4().hex[:12])
    return path.read_text()
