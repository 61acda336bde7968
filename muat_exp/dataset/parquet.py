"""The Parquet files of datasets from anywhere: their names, and bounds on what is read."""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from muat_exp.config.groups import SPLITS
from muat_exp.dataset.pages import Page, column_pages, longest_text
from muat_exp.errors import DatasetError, first_line
from muat_exp.opening import open_file, reason
from muat_exp.prompts.parsing import LONGEST_TEXT

MAX_LIST_VALUES = 8_000_000  # of one list: more than the largest network has weights
_MAX_ROWS = 100_000_000  # of one file
_MAX_COLUMNS = 1000
_MAX_GROUP_BYTES = 2**31  # of one row group, decoded
# Decoded bytes of a file: as many as any small dataset has, or so many times its own bytes, which
# is more than binary weights give.
_LEAST_DECODED = 2**28
_MOST_EXPANSION = 200
_MAX_PAGE_BYTES = 2**29  # of one page, decompressed
_LONGEST_FOOTER = 2**26  # bytes of what a file says of its columns, at its end
_TAIL = 8  # bytes after that: its length and four letters
_SHARD_FORM = "<split>-<number>-of-<shards>.parquet"
_SHARD_NAME = re.compile(r"(\w+)-(\d{1,9})-of-(\d{1,9})\b.*\.parquet")
_TEXT = "BYTE_ARRAY"  # Parquet's type of texts
# Bytes of one value, by Parquet's types.
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "FLOAT": 4, "DOUBLE": 8}
_LEVELS = 8  # bytes of a value in a page beside its own: of its length, its place in lists, nulls
_PAGE_START = 1024  # bytes of a page beside its values
_SHARED_PREFIXES = 7  # code of the encoding by which a few bytes make texts of any length


class Bounds(NamedTuple):
    """What a file may hold at most.

    Attributes:
        rows: of the file.
        values: of a list in one row.
        text: bytes of one text.
    """

    rows: int
    values: int
    text: int


class Shard(NamedTuple):
    """One of a split's files: its number, from 0, and how many there are."""

    split: str
    number: int
    total: int


def shard_name(shard: Shard) -> str:
    """The name of a shard's file, as the Hub's datasets have it.

    >>> shard_name(Shard("train", 0, 3))
    'train-00000-of-00003.parquet'
    """
    return f"{shard.split}-{shard.number:05d}-of-{shard.total:05d}.parquet"


def parse_shard_name(name: str) -> Shard | None:
    """The shard that a file's name tells, also where it is not spelled as `shard_name` does.

    >>> parse_shard_name("test-00001-of-00003-0a1b2c.parquet")
    Shard(split='test', number=1, total=3)
    """
    found = _SHARD_NAME.fullmatch(name)
    if found is None:
        return None
    split, number, total = found.groups()
    return Shard(split, int(number), int(total))


def shards(folder: Path, part: str) -> list[Path]:
    """The files of one configuration, `subjects` or `prompts`, in the order of their names."""
    return sorted((folder / part).glob("*.parquet"))


def all_shards(folder: Path, part: str) -> list[Path]:
    """The files of one configuration of a dataset of this program, none of which is missing.

    Raises:
        DatasetError: there are none, one is named otherwise, or a split lacks some.
    """
    files = shards(folder, part)
    if not files:
        raise DatasetError(f"{folder} holds no dataset: it has no {part}/*.parquet.")
    for path in files:
        shard = parse_shard_name(path.name)
        if shard is None or shard.split not in SPLITS:
            raise DatasetError(
                f"{folder}: {part}/{path.name} is no name of a shard; it must be {_SHARD_FORM} "
                f"with a split of {', '.join(SPLITS)}."
            )
    require_all_shards(folder, files)
    return files


def require_all_shards(folder: Path, files: Iterable[Path]) -> None:
    """Raises `DatasetError` where a shard is missing beside those among some files."""
    found: dict[tuple[str, str, int], set[int]] = {}
    for path in files:
        shard = parse_shard_name(path.name)
        if shard is not None:
            part = path.parent.name
            found.setdefault((part, shard.split, shard.total), set()).add(shard.number)
    for (part, split, total), numbers in found.items():
        if len(numbers) != total or max(numbers) >= total:
            raise DatasetError(f"{folder}: {part} has {len(numbers)} of {total} shards of {split}.")


def open_parquet(
    path: Path,
    folder: Path | None = None,
    bounds: Bounds | None = None,
    columns: Collection[str] | None = None,
    dictionaries: Collection[str] = (),
) -> pq.ParquetFile:
    """An open Parquet file, none of whose columns decodes to more than it may.

    Args:
        path: the file.
        folder: the dataset, which no link may lead out of; None where the file may be anywhere.
        bounds: what it may hold; by default what any dataset may.
        columns: those that are going to be read; by default all.
        dictionaries: columns of texts that are read as Arrow's dictionaries, equal texts once.

    Raises:
        DatasetError: it can't be read, or holds more than it may.
    """
    name = f"{path.parent.name}/{path.name}"
    bounds = bounds or Bounds(_MAX_ROWS, MAX_LIST_VALUES, LONGEST_TEXT)
    try:
        with open_file(path, folder) as pages:
            _require_footer(pages)
            file = pq.ParquetFile(path, pre_buffer=False)
            texts = _texts(file, dictionaries)
            if texts:
                file = pq.ParquetFile(path, pre_buffer=False, read_dictionary=texts)
            excess = next(_excesses(pages, file, bounds, columns), None)
    except OSError as error:
        raise DatasetError(f"{name} can't be read: {reason(error)}.") from error
    except (pa.ArrowException, ValueError, NotImplementedError) as error:
        raise DatasetError(f"{name} can't be read: {first_line(error)}.") from error
    if excess is not None:
        raise DatasetError(f"{name} holds more than a dataset does: {excess}; it is not read.")
    return file


def _texts(file: pq.ParquetFile, names: Collection[str]) -> list[str]:
    """Those of some columns that the file has, once, as texts."""
    columns = [file.schema.column(index) for index in range(file.metadata.num_columns)]
    paths = [column.path for column in columns if column.physical_type == _TEXT]
    return [name for name in names if paths.count(name) == 1]


def _size(file: BinaryIO) -> int:
    """Bytes of an open file."""
    return file.seek(0, os.SEEK_END)


def _require_footer(file: BinaryIO) -> None:
    """Raises `ValueError` for a file whose end is longer than any dataset's."""
    size = _size(file)
    if size < _TAIL:
        return
    file.seek(size - _TAIL)
    length = int.from_bytes(file.read(4), "little")
    if length > _LONGEST_FOOTER:
        raise ValueError(f"its footer has {length} bytes")


def _excesses(
    pages: BinaryIO, file: pq.ParquetFile, bounds: Bounds, columns: Collection[str] | None
) -> Iterator[str]:
    """What is too much in a file, as the middle of a sentence."""
    metadata = file.metadata
    if metadata.num_columns > _MAX_COLUMNS:
        yield f"{metadata.num_columns} columns; at most {_MAX_COLUMNS}"
    if metadata.num_rows > bounds.rows:
        yield f"{metadata.num_rows} rows; at most {bounds.rows}"
    rows = 0
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        rows += group.num_rows
        decoded = 0
        for index in range(group.num_columns):
            chunk = group.column(index)
            name = chunk.path_in_schema.partition(".")[0]
            if columns is not None and name not in columns:
                continue
            repeated = file.schema.column(index).max_repetition_level > 0
            column = _Column(pages, chunk, group.num_rows, bounds, repeated)
            yield from (f"row group {number}: {fault}" for fault in column.excesses())
            decoded += column.decoded
        total += decoded
        if decoded > _MAX_GROUP_BYTES:
            yield f"row group {number}: {decoded} bytes; at most {_MAX_GROUP_BYTES}"
    size = _size(pages)
    if total > max(_LEAST_DECODED, _MOST_EXPANSION * size):
        yield f"{total} bytes in {size}; at most {_MOST_EXPANSION} times as many"
    if rows != metadata.num_rows:
        yield f"{rows} rows in its groups, but {metadata.num_rows} are said"


class _Column:
    """One column of a row group, and what it decodes to."""

    def __init__(
        self,
        file: BinaryIO,
        chunk: pq.ColumnChunkMetaData,
        rows: int,
        bounds: Bounds,
        repeated: bool,
    ) -> None:
        self.file = file
        self.chunk = chunk
        self.name = chunk.path_in_schema
        self.rows = rows
        self.bounds = bounds
        self.repeated = repeated
        self.is_text = chunk.physical_type == _TEXT
        # Types that no dataset has are refused by the schema; 16 bytes are more than they need.
        self.width = bounds.text if self.is_text else _WIDTHS.get(chunk.physical_type, 16)
        self.decoded = 0

    def excesses(self) -> Iterator[str]:
        """What is too much in it; its pages are read one after another."""
        values = 0
        referred = 0  # values of the dictionary
        for page in column_pages(self.file, self.chunk):
            self.decoded += page.size
            if page.is_dictionary:
                referred += page.values
                yield from self._wrong_dictionary(page)
            else:
                values += page.values
            yield from self._wrong_page(page)
        if not self.is_text:
            self.decoded = max(self.decoded, values * self.width)
        yield from self._wrong_count(values)
        if values != self.chunk.num_values:
            yield f"{self.name} has {values} values, but {self.chunk.num_values} are said"
        if referred > values:
            yield f"{self.name} has {referred} values in a dictionary for {values} values"

    def _wrong_page(self, page: Page) -> Iterator[str]:
        """What is too much in one page."""
        most = page.values * (self.width + _LEVELS) + _PAGE_START
        if page.size > min(most, _MAX_PAGE_BYTES):
            yield f"{self.name} has {page.size} bytes for {page.values} values"
        if self.is_text and page.encoding == _SHARED_PREFIXES:
            yield f"{self.name} has texts of shared prefixes, whose length nothing bounds"

    def _wrong_dictionary(self, page: Page) -> Iterator[str]:
        """What is too much in a dictionary of texts, each of which may be there many times."""
        if not self.is_text or page.size > _MAX_PAGE_BYTES:
            return
        longest = longest_text(self.file, page, self.chunk.compression)
        if longest > self.bounds.text:
            yield f"{self.name} has a text of {longest} bytes; at most {self.bounds.text}"

    def _wrong_count(self, values: int) -> Iterator[str]:
        """What is wrong with the number of values for so many rows."""
        if not self.repeated and values != self.rows:
            yield f"{self.name} has {values} values for {self.rows} rows"
        if self.repeated and values > self.rows * self.bounds.values:
            most = f"at most {self.bounds.values} in each"
            yield f"{self.name} has {values} values for {self.rows} rows, {most}"
