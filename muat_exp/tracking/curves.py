"""Training curves: recorded with each cohort, kept in its file, summed up for the whole run."""

from collections.abc import Iterable
from typing import Any

import orjson
import pyarrow as pa

from muat_exp.training.statistics import SUBJECTS

_KEY = b"curves"
Row = dict[str, Any]
PLACE = ("stage", "epoch")  # the keys of a row that say where it stands


def attach_curves(table: pa.Table, rows: list[Row]) -> pa.Table:
    """The table with the curves in its schema's metadata."""
    return table.replace_schema_metadata({_KEY: orjson.dumps(rows)})


def attached_curves(table: pa.Table) -> list[Row]:
    """The curves that came with a table."""
    rows: list[Row] = orjson.loads((table.schema.metadata or {}).get(_KEY, b"[]"))
    return rows


class MeanCurves:
    """The curves of a whole run from those of its cohorts, in flat memory.

    Counts add up; means are weighted by the subjects in training, and so are quantiles, which is an
    approximation. A cohort that lacks a metric, as all of it blew up, has no weight in its mean.

    >>> curves = MeanCurves()
    >>> curves.add([{"stage": "clean", "epoch": 1, "training": 3.0, "train_loss_mean": 1.0}])
    >>> curves.add([{"stage": "clean", "epoch": 1, "training": 1.0, "train_loss_mean": 2.0}])
    >>> curves.rows()
    [{'stage': 'clean', 'epoch': 1, 'training': 4.0, 'train_loss_mean': 1.25}]
    """

    def __init__(self) -> None:
        self.sums: dict[tuple[str, int], dict[str, float]] = {}
        self.weights: dict[tuple[str, int], dict[str, float]] = {}  # subjects behind each sum

    def add(self, rows: Iterable[Row]) -> None:
        """Adds the rows of one cohort."""
        for row in rows:
            epoch = (row["stage"], row["epoch"])
            sums = self.sums.setdefault(epoch, {SUBJECTS: 0.0})
            weights = self.weights.setdefault(epoch, {})
            subjects = row[SUBJECTS]
            sums[SUBJECTS] += subjects
            for key, value in row.items():
                if key not in (*PLACE, SUBJECTS):
                    sums[key] = sums.get(key, 0.0) + subjects * value
                    weights[key] = weights.get(key, 0.0) + subjects

    def rows(self) -> list[Row]:
        """A row per stage and epoch, the degraded stage first."""
        rows = []
        for place in sorted(self.sums, key=_in_time):
            stage, epoch = place
            sums = self.sums[place]
            row: Row = {"stage": stage, "epoch": epoch, SUBJECTS: sums[SUBJECTS]}
            for key, subjects in self.weights[place].items():
                row[key] = sums[key] / subjects
            rows.append(row)
        return rows


def _in_time(place: tuple[str, int]) -> tuple[bool, int]:
    """A key that sorts the epochs of both stages, the degraded one first."""
    stage, epoch = place
    return stage == "clean", epoch
