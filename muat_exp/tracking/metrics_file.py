"""The plainest tracker: a CSV file."""

import csv
from pathlib import Path

from muat_exp.config.groups import Config
from muat_exp.tracking.curves import PLACE, Row
from muat_exp.tracking.tracker import Progress, Tracker
from muat_exp.training.statistics import statistic_names

_NAME = "metrics.csv"
_COLUMNS = ("cohort", *PLACE, *statistic_names())


class MetricsFile(Tracker):
    """A run's `metrics.csv`: a row per cohort, stage and epoch.

    A cell is empty where the metric of all subjects blew up.
    """

    files = (_NAME,)

    def __init__(self, config: Config, folder: Path) -> None:
        self.path = folder / _NAME
        self.path.unlink(missing_ok=True)  # a continued run tells of all its cohorts again

    def write(self, cohort: int, rows: list[Row], progress: Progress) -> None:
        """See `Tracker`."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS, restval="")
            if not file.tell():
                writer.writeheader()
            for row in rows:
                texts = {key: _as_text(value) for key, value in row.items()}
                writer.writerow({"cohort": cohort, **texts})


def _as_text(value: object) -> object:
    """A value as the file shows it: numbers with six digits.

    >>> _as_text(1 / 3), _as_text("clean"), _as_text(2)
    ('0.333333', 'clean', 2)
    """
    return f"{value:.6g}" if isinstance(value, float) else value
