"""The Lightning logger that records the curves of one cohort."""

from argparse import Namespace
from typing import Any

from pytorch_lightning.loggers import Logger

from muat_exp.tracking.curves import Row


class Curves(Logger):
    """Keeps the curves of one cohort, a row per stage and epoch.

    So they are stored and resumed with its subjects, and told to the trackers in the order of
    cohorts.

    Attributes:
        rows: `stage`, `epoch` and the values logged for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "curves"

    @property
    def version(self) -> str:
        """Unused: a cohort has one."""
        return ""

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Nothing: the configuration is stored with the run."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Keeps a row; the stage is the prefix that all keys share."""
        stage, _, _ = next(iter(metrics)).partition("/")
        row: Row = {"stage": stage, "epoch": step}
        for key, value in metrics.items():
            name = key.removeprefix(f"{stage}/")
            row[name] = value
        self.rows.append(row)
