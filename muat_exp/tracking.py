"""Training curves: recorded by Lightning with each cohort, then written for the whole run as the group `logger` says."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from pytorch_lightning.loggers import Logger

from muat_exp.config import Config

KEY = b"curves"
Row = dict[str, Any]


class Curves(Logger):
    """Keeps the curves of one cohort: a row a stage and epoch, so that they are stored and resumed with its subjects.

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

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration is stored with the run."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Keeps a row; the stage is the prefix that all keys share."""
        stage = next(iter(metrics)).split("/")[0]
        self.rows.append({"stage": stage, "epoch": step} | {key.split("/")[1]: value for key, value in metrics.items()})


def attach_curves(table: pa.Table, rows: list[Row]) -> pa.Table:
    """The table with the curves in its schema's metadata."""
    return table.replace_schema_metadata({KEY: orjson.dumps(rows)})


def attached_curves(table: pa.Table) -> list[Row]:
    """The curves that came with a table."""
    return orjson.loads((table.schema.metadata or {}).get(KEY, b"[]"))  # type: ignore[no-any-return]


class MetricsFile:
    """A run's `metrics.csv`: a row a cohort, stage and epoch, in the order of the cohorts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)

    def write(self, cohort: int, rows: Iterable[Row]) -> None:
        """Appends the rows of one cohort."""
        with self.path.open("a", newline="") as file:
            for row in rows:
                shown = {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()}
                writer = csv.DictWriter(file, {"cohort": cohort} | shown)
                if not file.tell():
                    writer.writeheader()
                writer.writerow({"cohort": cohort} | shown)


def build_trackers(config: Config, folder: Path) -> list[MetricsFile]:
    """Where the curves of a run in this folder go."""
    return [MetricsFile(folder / "metrics.csv")] if config.logger.name == "csv" else []
