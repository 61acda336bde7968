"""The Parquet files of datasets from anywhere: their names, and bounds on what is read."""

import re
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from muat_exp.errors import DatasetError

MAX_LIST_VALUES = 8_000_000  # of one list: more than the largest network has weights
_MAX_GROUP_BYTES = 2**31  # of one row group, uncompressed
_SHARD_NAME = re.compile(r"(\w+)-(\d+)-of-(\d+)\b.*\.parquet")


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


def open_parquet(path: Path) -> pq.ParquetFile:
    """An open Parquet file.

    Raises:
        DatasetError: it can't be read, or says that it holds more than any dataset does.
    """
    name = f"{path.parent.name}/{path.name}"
    try:
        file = pq.ParquetFile(path, pre_buffer=True)
        excess = _oversized_group(file.metadata)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DatasetError(f"{name} can't be read: {error}") from error
    if excess is not None:
        raise DatasetError(
            f"{name}: row group {excess} holds more than a dataset does; it is not read."
        )
    return file


def _oversized_group(metadata: pq.FileMetaData) -> int | None:
    """The first row group that says it holds more than any dataset's does."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(column) for column in range(group.num_columns)]
        values = max((column.num_values for column in columns), default=0)
        too_many = values > MAX_LIST_VALUES * max(1, group.num_rows)
        if too_many or group.total_byte_size > _MAX_GROUP_BYTES:
            return number
    return None
