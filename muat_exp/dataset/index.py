"""Where the records of a dataset lie."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RecordLocations:
    """Where the records of N examples lie, ordered by example.

    Attributes:
        ids: int64 `(N,)`, ascending.
        files, rows: int64 `(N,)`, number of the file and row in it.
        targets: int64 `(N,)`, target pattern as an index into `patterns.enabled`.
    """

    ids: NDArray[np.int64]
    files: NDArray[np.int64]
    rows: NDArray[np.int64]
    targets: NDArray[np.int64]

    @classmethod
    def ordered(cls, rows: NDArray[np.int64]) -> "RecordLocations":
        """Locations from rows (example, file, row, target), int64 `(N, 4)`, in any order."""
        ids, files, places, targets = rows[np.argsort(rows[:, 0])].T
        return cls(ids, files, places, targets)

    def of(self, which: NDArray[np.int64] | slice) -> "RecordLocations":
        """Some of them."""
        return RecordLocations(
            self.ids[which], self.files[which], self.rows[which], self.targets[which]
        )

    def groups(self, size: int) -> list["RecordLocations"]:
        """All of them in groups of `size`, the last one smaller."""
        starts = range(0, len(self.ids), size)
        return [self.of(slice(start, start + size)) for start in starts]
