"""TensorBoard: curves against epochs, results as scalars; `tensorboard --logdir <run folder>`."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from muat_exp.config.checks import require
from muat_exp.config.groups import Config
from muat_exp.tracking.curves import MeanCurves, Row
from muat_exp.tracking.tracker import Progress, Tracker

_NAME = "tensorboard"


class TensorBoardTracker(Tracker):
    """Writes event files into the run's folder."""

    folders = (_NAME,)

    def __init__(self, config: Config, folder: Path) -> None:
        require(
            find_spec("tensorboard") is not None,
            "logger=tensorboard needs a package: pip install 'muat_exp[tensorboard]'.",
        )
        from torch.utils.tensorboard import SummaryWriter

        self.curves = MeanCurves()
        self.writer: Any = SummaryWriter(str(folder / _NAME))  # type: ignore[no-untyped-call]

    def write(self, cohort: int, rows: list[Row], progress: Progress) -> None:
        """See `Tracker`."""
        self.curves.add(rows)
        attempts = progress.attempts
        self.writer.add_scalar("progress/accepted", progress.accepted, attempts)
        for reason, count in progress.rejected.items():
            self.writer.add_scalar(f"rejected/{reason}", count, attempts)

    def finish(self, dataset: Path, summary: dict[str, Any]) -> None:
        """See `Tracker`."""
        for row in self.curves.rows():
            stage = row.pop("stage")
            epoch = row.pop("epoch")
            for key, value in row.items():
                self.writer.add_scalar(f"{stage}/{key}", value, epoch)
        for key, value in summary["accuracy"].items():
            if value is not None:
                self.writer.add_scalar(f"result/{key}", value, 0)
        self.writer.add_scalar("result/acceptance", summary["acceptance"], 0)

    def close(self) -> None:
        """See `Tracker`."""
        self.writer.close()
