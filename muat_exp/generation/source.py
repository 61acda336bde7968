"""The records of a dataset that there is, by example, wherever they lie in its files."""

from collections.abc import Sequence
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
        together = np.concatenate(locations)
        return cls(
            folder,
            config,
            files,
            np.concatenate(groups),
            RecordLocations(*together[np.argsort(together[:, 0])].T),
        )

    def fetch(self, locations: RecordLocations) -> pa.Table:
        """The records of some examples, in their order; thread-safe."""
        parts = []
        found = []
        for number in np.unique(locations.files):
            file = open_parquet(self.files[number])
            rows = locations.rows[locations.files == number]
            for _, group, first, count in self.groups[self.groups[:, 0] == number]:
                own = rows[(rows >= first) & (rows < first + count)]
                if len(own):
                    parts.append(file.read_row_group(group).take(pa.array(own - first)))
                    found.append(np.stack([np.full(len(own), number), own], axis=1))
        # (n, 2)
        there = np.concatenate(found)
        wanted = np.stack([locations.files, locations.rows], axis=1)
        order = np.empty(len(wanted), np.int64)
        order[np.lexsort(wanted.T[::-1])] = np.lexsort(there.T[::-1])
        return pa.concat_tables(parts).take(pa.array(order)).combine_chunks()


def _row_groups(number: int, path: Path) -> NDArray[np.int64]:
    """Each row group of a file, int64 `(groups, 4)`.

    Columns: the file's number, the group's, its first row, its rows.
    """
    metadata = open_parquet(path).metadata
    rows = np.array(
        [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)], np.int64
    )
    return np.stack(
        [np.full(len(rows), number), np.arange(len(rows)), np.cumsum(rows) - rows, rows], axis=1
    )


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
