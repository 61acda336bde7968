"""Opens Parquet files of datasets that may come from anywhere: what they hold is bounded before it is read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from muat_exp.errors import DatasetError

MOST_VALUES = 8_000_000  # of one list: more than the largest network has weights
_MOST_BYTES = 2**31  # of one row group, uncompressed


def shards(folder: Path, part: str) -> list[Path]:
    """The files of one configuration of a dataset, `subjects` or `prompts`, in the order of their names."""
    return sorted((folder / part).glob("*.parquet"))


def open_parquet(path: Path) -> pq.ParquetFile:
    """An open Parquet file.

    Raises:
        DatasetError: it can't be read, or says that it holds more than any dataset does.
    """
    place = f"{path.parent.name}/{path.name}"
    try:
        file = pq.ParquetFile(path, pre_buffer=True)
        metadata = file.metadata
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            values = max(
                (group.column(column).num_values for column in range(group.num_columns)), default=0
            )
            if group.total_byte_size > _MOST_BYTES or values > MOST_VALUES * max(1, group.num_rows):
                raise DatasetError(
                    f"{place}: row group {number} holds more than a dataset does; it is not read."
                )
    except (OSError, pa.ArrowException, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{place} can't be read: {error}") from error
    return file
