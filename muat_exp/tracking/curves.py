"""Training curves: recorded with each cohort, kept in its file, summed up for the whole run."""

from collections.abc import Iterable
from typing import Any

import orjson
import pyarrow as pa

_KEY = b"curves"
Row = dict[str, Any]


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
    approximation.

    >>> curves = MeanCurves()
    >>> curves.add([{"stage": "clean", "epoch": 1, "training": 3.0, "train_loss_mean": 1.0}])
    >>> curves.add([{"stage": "clean", "epoch": 1, "training": 1.0, "train_loss_mean": 2.0}])
    >>> curves.rows()
    [{'stage': 'clean', 'epoch': 1, 'training': 4.0, 'train_loss_mean': 1.25}]
    """

    def __init__(self) -> None:
        self.sums: dict[tuple[str, int], dict[str, float]] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Adds the rows of one cohort."""
        for row in rows:
            sums = self.sums.setdefault((row["stage"], row["epoch"]), {})
            for key, value in row.items():
                if key not in ("stage", "epoch"):
                    weight = 1.0 if key == "training" else row["training"]
                    sums[key] = sums.get(key, 0.0) + weight * value

    def rows(self) -> list[Row]:
        """A row per stage and epoch, the degraded stage first."""
        ordered = sorted(self.sums.items(), key=lambda item: (item[0][0] == "clean", item[0][1]))
        rows = []
        for (stage, epoch), sums in ordered:
            training = sums["training"]
            means = {key: value / training for key, value in sums.items() if key != "training"}
            rows.append({"stage": stage, "epoch": epoch, "training": training} | means)
        return rows
