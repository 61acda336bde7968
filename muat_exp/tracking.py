"""Loggers of the training curves, chosen by the config group `logger`."""

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from muat_exp.config import Config


class MetricsFile(Logger):
    """Appends one row a cohort, stage and epoch to a run's `metrics.csv`.

    Attributes:
        cohort: number of the cohort that trains, set by the run.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.cohort = path, 0

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "csv"

    @property
    def version(self) -> str:
        """Unused: a run has one file."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration is stored with the run."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Writes a row; the stage is the prefix that all keys share."""
        stage = next(iter(metrics)).split("/")[0]
        row = {"cohort": self.cohort, "stage": stage, "epoch": step}
        row |= {key.split("/")[1]: f"{value:.6g}" for key, value in metrics.items()}
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)


def build_loggers(config: Config, folder: Path) -> list[MetricsFile]:
    """The configured loggers of a run in this folder."""
    return [MetricsFile(folder / "metrics.csv")] if config.logger.name == "csv" else []
