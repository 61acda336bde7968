"""The records of a dataset that there is, by example, wherever they lie in its files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.index import RecordLocations
from muat_exp.dataset.reading import read_config
from muat_exp.dataset.records import RecordFile, check_distinct, record_files


@dataclass(frozen=True)
class Source:
    """The records of a dataset that there is.

    Attributes:
        folder: the dataset.
        config: what it was made with.
        files: its `subjects` files.
        groups: int64 `(groups, 4)`: each row group's file, number in it, first row in the file, and
            rows.
        locations: all examples, ordered by number; their rows are counted within their file.
    """

    folder: Path
    config: Config
    files: list[RecordFile]
    groups: NDArray[np.int64]
    locations: RecordLocations

    @classmethod
    def open(cls, folder: Path) -> "Source":
        """Finds where the examples are.

        Raises:
            DatasetError: the folder holds no readable dataset.
        """
        config = read_config(folder)
        files = record_files(folder, config)
        groups = [_row_groups(number, file) for number, file in enumerate(files)]
        enabled = config.patterns.enabled
        rows = [_examples(number, file, enabled) for number, file in enumerate(files)]
        locations = RecordLocations.ordered(np.concatenate(rows))
        check_distinct(locations.ids, folder)
        return cls(folder, config, files, np.concatenate(groups), locations)

    def fetch(self, locations: RecordLocations) -> pa.Table:
        """The records of some examples, in their order; thread-safe.

        Raises:
            DatasetError: a value is not what the configuration allows.
        """
        by_place = np.lexsort((locations.rows, locations.files))  # by file, then by row
        parts: list[pa.Table] = []
        for number in np.unique(locations.files):
            rows = np.sort(locations.rows[locations.files == number])
            parts += self._read_rows(number, rows)
        order = np.argsort(by_place)  # of the records as they were read
        return pa.concat_tables(parts).take(pa.array(order)).combine_chunks()

    def _read_rows(self, number: int, rows: NDArray[np.int64]) -> Iterator[pa.Table]:
        """The records in some rows of a file, which ascend, from one row group after another."""
        groups = self.groups[self.groups[:, 0] == number]
        for _, group, first, count in groups.tolist():
            own = rows[(rows >= first) & (rows < first + count)]
            if len(own):
                table = self.files[number].read([group])
                yield table.take(pa.array(own - first))


def _row_groups(number: int, file: RecordFile) -> NDArray[np.int64]:
    """Each row group of a file, int64 `(groups, 4)`.

    Columns: the file's number, the group's, its first row, its rows.
    """
    rows = file.group_rows
    count = len(rows)
    firsts = np.cumsum(rows) - rows
    columns = (np.full(count, number), np.arange(count), firsts, rows)
    return np.stack(columns, axis=1)


def _examples(number: int, file: RecordFile, patterns: Sequence[str]) -> NDArray[np.int64]:
    """Each example of a file, int64 `(rows, 4)`: its number, the file's, its row, its target."""
    table = file.read(range(len(file.group_rows)), ["example_id", "target_pattern"])
    targets = [patterns.index(name) for name in table["target_pattern"].to_pylist()]
    count = table.num_rows
    columns = (
        table["example_id"].to_numpy(),
        np.full(count, number),
        np.arange(count),
        np.array(targets, np.int64),
    )
    return np.stack(columns, axis=1)
