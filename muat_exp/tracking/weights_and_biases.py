"""Weights & Biases: one run a job, offline unless asked otherwise, all of it inside the run's folder.

The work is done by `wandb_process`, one for all jobs of this process.
"""

import atexit
import netrc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from muat_exp.claims import claim
from muat_exp.config.checks import require
from muat_exp.config.groups import Config
from muat_exp.errors import TrackingError
from muat_exp.tracking.curves import MeanCurves, Row
from muat_exp.tracking.tracker import Progress, Tracker

PROCESSES: list[subprocess.Popen[bytes]] = []


def begin_process() -> subprocess.Popen[bytes]:
    """The process that talks to W&B; begun once, early, so that it imports while we do."""
    if PROCESSES and PROCESSES[0].poll() is None:
        return PROCESSES[0]
    command = [sys.executable, "-m", "muat_exp.tracking.wandb_process"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    PROCESSES[:] = [process]
    atexit.register(_end_process, process)
    return process


def _end_process(process: subprocess.Popen[bytes]) -> None:
    """Lets the process end by itself, at the end of its input; what it was told to log is written by then."""
    assert process.stdin
    process.stdin.close()
    process.returncode = 0  # nobody waits for it


def tell(do: str, **values: Any) -> None:
    """Gives the process a command.

    Raises:
        TrackingError: it is gone.
    """
    process = begin_process()
    assert process.stdin
    try:
        process.stdin.write(
            orjson.dumps({"do": do} | values, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"
        )
        process.stdin.flush()
    except BrokenPipeError as error:
        raise TrackingError(
            "The process that logs to W&B has ended; run the command again, or with logger=csv."
        ) from error


def finish() -> None:
    """Ends the W&B run and waits until everything is written.

    Raises:
        TrackingError: something could not be logged.
    """
    tell("finish")
    answers = begin_process().stdout
    assert answers
    line = answers.readline()
    errors = orjson.loads(line) if line else ["its process has ended"]
    if errors:
        raise TrackingError(f"Not everything could be logged to W&B: {errors[0]}")


def require_login(mode: str) -> None:
    """Raises `ConfigurationError` where W&B is to be online and there is no key to log in with."""
    if mode != "online":
        return

    def stored() -> bool:
        path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
        host = (
            os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
            .partition("://")[2]
            .partition("/")[0]
            .partition(":")[0]
        )
        try:
            return path.is_file() and netrc.netrc(str(path)).authenticators(host) is not None
        except netrc.NetrcParseError:
            return False

    logged_in = bool(os.environ.get("WANDB_API_KEY")) or stored()
    require(
        logged_in,
        "logger.mode=online needs a W&B account: run `wandb login` or set WANDB_API_KEY, or use logger.mode=offline.",
    )


class WandbTracker(Tracker):
    """One W&B run for one run's folder.

    Curves are logged when the run is finished, against `<stage>/epoch`, for all subjects together; what goes on meanwhile
    against `progress/attempts`, cohort by cohort.
    """

    folders = ("wandb",)

    def __init__(self, config: Config, folder: Path) -> None:
        require_login(config.logger.mode)
        self.config = config
        self.curves = MeanCurves()
        tell("start", config=config.to_dict(), folder=str(folder.resolve()))

    def write(self, cohort: int, rows: list[Row], progress: Progress) -> None:
        """See `Tracker`."""
        self.curves.add(rows)
        rate = progress.attempts / max(progress.seconds, 1e-9)
        values: dict[str, float] = {
            f"rejected/{reason}": count for reason, count in progress.rejected.items()
        }
        values |= {"progress/attempts": progress.attempts, "progress/accepted": progress.accepted}
        values |= {
            "progress/acceptance": progress.accepted / max(1, progress.attempts),
            "progress/attempts_per_second": rate,
        }
        tell("log", values=values)

    def finish(self, dataset: Path, summary: dict[str, Any]) -> None:
        """See `Tracker`."""
        from muat_exp.signatures.methods import method_columns

        columns = sum(
            width
            for _, width in method_columns(self.config.signature, len(self.config.patterns.enabled))
        )
        tell(
            "result",
            dataset=str(dataset.resolve()),
            summary=summary,
            curves=self.curves.rows(),
            columns=columns,
        )

    def close(self) -> None:
        """See `Tracker`."""
        finish()


def log_sweep(folder: Path, config: Config, keys: list[str], rows: list[dict[str, Any]]) -> None:
    """A W&B run of its own for a gathered sweep: its table, and the plots in its folder."""
    require_login(config.logger.mode)
    claim(folder, folders=WandbTracker.folders)
    tell("sweep", config=config.to_dict(), folder=str(folder.resolve()), keys=keys, rows=rows)
    finish()
