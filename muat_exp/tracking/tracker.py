"""What every tracker is told of a run, and the plainest one, a CSV file."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from muat_exp.tracking.curves import Row


@dataclass(frozen=True)
class Progress:
    """A run so far: attempts and accepted ones, rejections by reason, seconds of work."""

    attempts: int
    accepted: int
    rejected: dict[str, int]
    seconds: float


class Tracker(Protocol):
    """Told of a run's cohorts in the order of their numbers, then of its result."""

    def write(self, cohort: int, rows: list[Row], progress: Progress) -> None:
        """Takes the curves of one cohort, and how far the run has come with it."""

    def finish(self, dataset: Path, summary: dict[str, Any]) -> None:
        """Takes the finished dataset and the summary."""

    def close(self) -> None:
        """Ends tracking, after `finish` or where the run stopped short of it."""


class MetricsFile:
    """A run's `metrics.csv`: a row a cohort, stage and epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)

    def write(self, cohort: int, rows: Iterable[Row], progress: Progress) -> None:
        """See `Tracker`."""
        with self.path.open("a", newline="") as file:
            for row in rows:
                shown = {
                    key: f"{value:.6g}" if isinstance(value, float) else value
                    for key, value in row.items()
                }
                writer = csv.DictWriter(file, {"cohort": cohort} | shown)
                if not file.tell():
                    writer.writeheader()
                writer.writerow({"cohort": cohort} | shown)

    def finish(self, dataset: Path, summary: dict[str, Any]) -> None:
        """See `Tracker`."""

    def close(self) -> None:
        """See `Tracker`."""
