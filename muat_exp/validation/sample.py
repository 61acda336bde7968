"""Which rows of a dataset are trained again: as many as asked for, spread over all of them."""

import numpy as np
from numpy.typing import NDArray

_GOLDEN_RATIO = (5**0.5 - 1) / 2


def spread_rows(rows: int, wanted: int) -> NDArray[np.int64]:
    """Some of the rows, ascending, the same ones whenever there are as many: int64 `(wanted,)`.

    One in each of `wanted` equal parts, at a place that changes from part to part, since the target
    patterns of a dataset's examples take turns.

    >>> spread_rows(100, 5).tolist(), spread_rows(3, 5).tolist()
    ([12, 24, 57, 69, 81], [0, 1, 2])
    """
    wanted = min(rows, wanted)
    if not wanted:
        return np.empty(0, np.int64)
    bounds = np.arange(wanted + 1) * rows // wanted
    places = np.arange(1, wanted + 1) * _GOLDEN_RATIO % 1.0  # in each part
    chosen: NDArray[np.int64] = bounds[:-1] + (places * np.diff(bounds)).astype(np.int64)
    return chosen


class SampledRows:
    """The sampled rows of a dataset, told batch by batch.

    Args:
        rows: of the whole dataset.
        wanted: how many to sample; None for all.
    """

    def __init__(self, rows: int, wanted: int | None) -> None:
        self._all = wanted is None
        self._rows = spread_rows(rows, wanted or 0)
        self._first = 0  # row of the dataset with which the next batch begins

    def of_next(self, count: int) -> NDArray[np.int64]:
        """The sampled ones of the next `count` rows, counted from the first of these."""
        first = self._first
        self._first += count
        if self._all:
            return np.arange(count)
        low, high = np.searchsorted(self._rows, [first, self._first])
        return self._rows[low:high] - first
