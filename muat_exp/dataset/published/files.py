"""The tables of a repository in the published layout, told by the columns that they hold."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from muat_exp.config.groups import JSON_COLUMNS, PROMPT_TASKS
from muat_exp.dataset.parquet import open_parquet, require_all_shards
from muat_exp.dataset.provenance import is_own
from muat_exp.errors import DatasetError, first_line

ID = "example_id"
METADATA = "metadata"
BATCH = 100  # examples that are decoded at a time
_TEXTS = tuple(f"{task}_{part}" for task in PROMPT_TASKS for part in ("prompt", "completion"))
_KNOWN = (ID, METADATA, *_TEXTS, *JSON_COLUMNS)  # columns that are read
_LARGEST_ID = 2**53  # the first whole number that JSON's readers may confuse with the next


def is_published(folder: Path) -> bool:
    """Whether a folder is a repository in the published layout.

    Its tables have the published fields, and nothing there shows that this program made it.
    """
    return not is_own(folder) and bool(published_files(folder))


def task_fields(task: str) -> tuple[str, str]:
    """The fields of a kind of prompt that its text is made of: prompt and completion."""
    return f"{task}_prompt", f"{task}_completion"


def tasks_in(columns: Collection[str]) -> tuple[str, ...]:
    """The kinds of prompts whose fields are among some columns."""
    return tuple(task for task in PROMPT_TASKS if set(task_fields(task)) <= set(columns))


def published_files(folder: Path) -> list[Path]:
    """The Parquet files of a folder that have the published fields, in the order of their names.

    What has a name that begins with a dot, or is in such a folder, is no part of a repository.

    Raises:
        DatasetError: a Parquet file can't be read.
    """
    paths = sorted(folder.rglob("*.parquet"))
    visible = [path for path in paths if path.is_file() and not _is_hidden(path, folder)]
    return [path for path in visible if _has_fields(path, folder)]


def open_table(path: Path, folder: Path, columns: Collection[str] | None = None) -> pq.ParquetFile:
    """A file of a repository, open; see `parquet.open_parquet`.

    Raises:
        DatasetError: it can't be read, or holds more than a dataset does.
    """
    return open_parquet(path, folder, columns=columns)


def _is_hidden(path: Path, folder: Path) -> bool:
    """Whether a file, or a folder that it is in, has a name that begins with a dot."""
    parts = path.relative_to(folder).parts
    return any(part.startswith(".") for part in parts)


def _has_fields(path: Path, folder: Path) -> bool:
    """Whether a file has the published fields of an example, and of one kind of prompt at least."""
    columns = open_table(path, folder, ()).schema_arrow.names  # no column is decoded
    return {ID, METADATA} <= set(columns) and bool(tasks_in(columns))


class PublishedTables:
    """The tables of a repository; their columns are checked when this is made.

    Attributes:
        folder: the repository.
        paths: the files, in the order of their names.
        columns: the published columns that every file has, in the order of the first.
        numbers: int64 `(examples,)`, what stands for the examples, in the order of the files.
        renumbered: whether these are not the stored ids.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = published_files(folder)
        if not self.paths:
            raise DatasetError(f"{folder} holds no dataset: no file has the published fields.")
        require_all_shards(folder, self.paths)
        self.columns = self._common_columns()
        stored = self._ids()
        self.numbers = numbers_of(stored, folder)
        self.renumbered = not np.array_equal(self.numbers, stored)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The kinds of prompts that every file has."""
        return tasks_in(self.columns)

    def rows(self, path: Path, columns: Collection[str] = ()) -> Iterator[dict[str, Any]]:
        """The rows of one file, some of them decoded at a time.

        Args:
            path: the file.
            columns: of all published columns only these.

        Raises:
            DatasetError: it can't be read.
        """
        wanted = [name for name in self.columns if not columns or name in columns]
        try:
            file = open_table(path, self.folder, wanted)
            for batch in file.iter_batches(BATCH, columns=wanted):
                yield from batch.to_pylist()
        except DatasetError:
            raise
        except (OSError, pa.ArrowException, ValueError) as error:
            raise DatasetError(f"{path} can't be read: {first_line(error)}.") from error

    def _common_columns(self) -> list[str]:
        """The published columns that all files have, each once and of its type."""
        common: list[str] = []
        for number, path in enumerate(self.paths):
            schema = open_table(path, self.folder, ()).schema_arrow
            names = [name for name in schema.names if name in _KNOWN]
            common = [name for name in common if name in names] if number else names
            _check_types(path, schema, names)
        if not tasks_in(common):
            raise DatasetError(f"{self.folder}: its files have no kind of prompts in common.")
        return common

    def _ids(self) -> NDArray[np.int64]:
        """The stored ids of all examples, int64 `(examples,)`."""
        ids = [row[ID] for path in self.paths for row in self.rows(path, [ID])]
        if not ids:
            raise DatasetError(f"{self.folder} holds no examples.")
        for value in ids:
            if value is None or not 0 <= value < _LARGEST_ID:
                allowed = f"a whole number from 0 to {_LARGEST_ID - 1}"
                raise DatasetError(
                    f"{self.folder}: an example_id is {value}; it must be {allowed}."
                )
        return np.array(ids, np.int64)


def _check_types(path: Path, schema: pa.Schema, names: Sequence[str]) -> None:
    """Raises `DatasetError` unless each of some columns is there once with its type."""
    for name in names:
        if names.count(name) > 1:
            raise DatasetError(f"{path}: the column {name} is there {names.count(name)} times.")
        kind = schema.field(name).type
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        right = pa.types.is_integer(kind) if name == ID else is_text
        if not right:
            wanted = "whole numbers" if name == ID else "texts"
            raise DatasetError(
                f"{path}: the column {name} is {str(kind)[:100]}; it must be {wanted}."
            )


def numbers_of(ids: NDArray[np.int64], folder: Path) -> NDArray[np.int64]:
    """What stands for each example of a repository, int64 `(examples,)`.

    The predecessor uploads in parts, each of which counts from 0: its examples are numbered anew,
    in the order of the files and of the rows in them. Ids that differ are kept.

    Raises:
        DatasetError: ids occur more than once and are none of such parts.

    >>> numbers_of(np.array([0, 1, 2, 0, 1]), Path()).tolist()
    [0, 1, 2, 3, 4]
    >>> numbers_of(np.array([7, 3]), Path()).tolist()
    [7, 3]
    """
    values, counts = np.unique(ids, return_counts=True)
    if len(values) == len(ids):
        return ids
    if counts_from_zero(ids.tolist()):
        return np.arange(len(ids))
    repeated = values[counts > 1][0]
    raise DatasetError(f"{folder}: example_id {repeated} occurs more than once.")


def counts_from_zero(ids: Sequence[object]) -> bool:
    """Whether ids are those of parts, one after another, each of which counts from 0.

    >>> counts_from_zero([0, 1, 0, 1, 2]), counts_from_zero([0, 1, 1]), counts_from_zero([1, 2])
    (True, False, False)
    """
    before: object = None
    for value in ids:
        continued = type(before) is int and value == before + 1
        if not (value == 0 or continued):
            return False
        before = value
    return True
