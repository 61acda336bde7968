"""Finds numbers that are not finite, in Arrow's columns and in JSON."""

import math

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from muat_exp.config.groups import JSON_COLUMNS

# JSON columns that hold nothing but numbers and what they are of: there, null is a lost number.
_NUMBERS = tuple(name for name in JSON_COLUMNS if name != "training_metrics")


def wild_columns(batch: pa.RecordBatch) -> list[list[str]]:
    """For each row, the columns of lists that hold a number that is not finite."""
    wild: list[list[str]] = [[] for _ in range(batch.num_rows)]
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if _is_list(column.type):
            for row in np.flatnonzero(_wild_rows(column)):
                wild[row].append(name)
    return wild


def _is_list(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's lists."""
    fixed = pa.types.is_fixed_size_list(kind)
    return fixed or pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _wild_rows(array: pa.Array) -> NDArray[np.bool_]:
    """Which rows hold a number that is not finite, bool `(rows,)`."""
    wild = np.zeros(len(array), np.bool_)
    if pa.types.is_floating(array.type):
        finite = pc.is_finite(array.cast(pa.float64()))
        wild |= ~pc.fill_null(finite, True).to_numpy(zero_copy_only=False)
    elif _is_list(array.type):
        parents = pc.list_parent_indices(array).to_numpy()
        wild[parents[_wild_rows(pc.list_flatten(array))]] = True
    return wild


def json_problem(name: str, text: object) -> str:
    """What is wrong with the text of a JSON column, as the end of a sentence; empty if nothing."""
    if text is None:
        return ""
    try:
        value = orjson.loads(text)  # type: ignore[arg-type]
    except orjson.JSONDecodeError:  # NaN and Infinity are no JSON
        return "is no JSON with finite numbers"
    if name in _NUMBERS and not _all_known(value):
        return "holds a number that is missing or not finite"
    return ""


def _all_known(value: object) -> bool:
    """Whether a JSON value holds no null, and no number beyond all bounds."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif item is None or (isinstance(item, float) and not math.isfinite(item)):
            return False
    return True
