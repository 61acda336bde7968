"""The records of a dataset that there is, by example, wherever they lie in its files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.index import RecordLocations
from muat_exp.dataset.parquet import open_parquet, shards
from muat_exp.dataset.reading import read_config
from muat_exp.errors import DatasetError


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
    files: list[Path]
    groups: NDArray[np.int64]
    locations: RecordLocations

    @classmethod
    def open(cls, folder: Path) -> "Source":
        """Finds where the examples are.

        Raises:
            DatasetError: the folder holds no readable dataset.
        """
        config = read_config(folder)
        files = shards(folder, "subjects")
        if not files:
            raise DatasetError(f"{folder} holds no dataset: it has no subjects/*.parquet.")
        groups = []
        locations = []
        for number, path in enumerate(files):
            try:
                groups.append(_row_groups(number, path))
                locations.append(examples(number, path, config.patterns.enabled))
            except (OSError, pa.ArrowException, KeyError, ValueError) as error:
                raise DatasetError(f"{folder}: {path.name} can't be read: {error}") from error
        ordered = RecordLocations.ordered(np.concatenate(locations))
        return cls(folder, config, files, np.concatenate(groups), ordered)

    def fetch(self, locations: RecordLocations) -> pa.Table:
        """The records of some examples, in their order; thread-safe."""
        by_place = np.lexsort((locations.rows, locations.files))  # by file, then by row
        parts: list[pa.Table] = []
        for number in np.unique(locations.files):
            rows = np.sort(locations.rows[locations.files == number])
            parts += self._read_rows(number, rows)
        order = np.argsort(by_place)  # of the records as they were read
        return pa.concat_tables(parts).take(pa.array(order)).combine_chunks()

    def _read_rows(self, number: int, rows: NDArray[np.int64]) -> Iterator[pa.Table]:
        """The records in some rows of a file, which ascend, from one row group after another."""
        file = open_parquet(self.files[number])
        groups = self.groups[self.groups[:, 0] == number]
        for _, group, first, count in groups:
            own = rows[(rows >= first) & (rows < first + count)]
            if len(own):
                table = file.read_row_group(group)
                yield table.take(pa.array(own - first))


def _row_groups(number: int, path: Path) -> NDArray[np.int64]:
    """Each row group of a file, int64 `(groups, 4)`.

    Columns: the file's number, the group's, its first row, its rows.
    """
    metadata = open_parquet(path).metadata
    count = metadata.num_row_groups
    sizes = [metadata.row_group(group).num_rows for group in range(count)]
    rows = np.array(sizes, np.int64)
    firsts = np.cumsum(rows) - rows
    columns = (np.full(count, number), np.arange(count), firsts, rows)
    return np.stack(columns, axis=1)


def examples(number: int, path: Path, patterns: Sequence[str]) -> NDArray[np.int64]:
    """Each example of a file, int64 `(rows, 4)`: its number, the file's, its row, its target."""
    table = open_parquet(path).read(columns=["example_id", "target_pattern"])
    targets = [patterns.index(name) for name in table["target_pattern"].to_pylist()]
    count = table.num_rows
    columns = (
        table["example_id"].to_numpy(),
        np.full(count, number),
        np.arange(count),
        np.array(targets, np.int64),
    )
    return np.stack(columns, axis=1)
