"""The plainest tracker: a CSV file."""

import csv
from pathlib import Path

from muat_exp.config.groups import Config
from muat_exp.tracking.curves import Row
from muat_exp.tracking.tracker import Progress, Tracker

_NAME = "metrics.csv"


class MetricsFile(Tracker):
    """A run's `metrics.csv`: a row per cohort, stage and epoch."""

    files = (_NAME,)

    def __init__(self, config: Config, folder: Path) -> None:
        self.path = folder / _NAME
        self.path.unlink(missing_ok=True)  # a continued run tells of all its cohorts again

    def write(self, cohort: int, rows: list[Row], progress: Progress) -> None:
        """See `Tracker`."""
        with self.path.open("a", newline="") as file:
            for row in rows:
                texts = {key: _as_text(value) for key, value in row.items()}
                shown = {"cohort": cohort, **texts}
                writer = csv.DictWriter(file, shown)
                if not file.tell():
                    writer.writeheader()
                writer.writerow(shown)


def _as_text(value: object) -> object:
    """A value as the file shows it: numbers with six digits.

    >>> _as_text(1 / 3), _as_text("clean"), _as_text(2)
    ('0.333333', 'clean', 2)
    """
    return f"{value:.6g}" if isinstance(value, float) else value
