"""Checks of a dataset's files, and the tables of examples in them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from muat_exp.config.groups import SPLITS, Config
from muat_exp.dataset.faults import Faults
from muat_exp.dataset.parquet import Shard, open_parquet, parse_shard_name, shard_name, shards
from muat_exp.dataset.records import prompt_bounds, record_bounds
from muat_exp.dataset.schema import columns_with_gaps, subject_schema
from muat_exp.errors import DatasetError, first_line
from muat_exp.prompts.columns import prompt_schema
from muat_exp.validation.examples import batch_size

_SHARD_FORM = "<split>-<number>-of-<shards>.parquet"
_Files = dict[str, pq.ParquetFile]  # the files of one shard, by configuration
_Pair = tuple[pa.Table, pa.Table]  # the same rows of `subjects` and of `prompts`


class Batch(NamedTuple):
    """Some examples of one split: the same rows of both configurations."""

    split: str
    subjects: pa.Table
    prompts: pa.Table


def count_examples(folder: Path) -> int:
    """Examples of a dataset of this program, as far as its Parquet files can be read."""
    count = 0
    for path in shards(folder, "subjects"):
        with suppress(OSError, pa.ArrowException):
            count += pq.read_metadata(path).num_rows if path.is_file() else 0
    return count


def check_files(folder: Path, faults: Faults) -> None:
    """Checks that both configurations have the same shards, all of them.

    Args:
        folder: the dataset's.
        faults: takes what is wrong.
    """
    subjects = _shard_names(folder, "subjects")
    prompts = _shard_names(folder, "prompts")
    for name in sorted(subjects ^ prompts):
        if name in subjects:
            faults.add("files", f"subjects/{name} has no counterpart in prompts.")
        else:
            faults.add("files", f"prompts/{name} has no counterpart in subjects.")
    _check_shards(subjects | prompts, faults)


def _shard_names(folder: Path, part: str) -> set[str]:
    """Names of the files of one configuration."""
    return {path.name for path in shards(folder, part)}


def _check_shards(names: Iterable[str], faults: Faults) -> None:
    """Checks that all files are named as shards, and that no shard is missing."""
    numbers: dict[tuple[str, int], set[int]] = defaultdict(set)
    for name in sorted(names):
        shard = _own_shard(name)
        if shard is None:
            faults.add("files", f"{name} is no name of a shard, {_SHARD_FORM}.")
            continue
        found = numbers[shard.split, shard.total]
        found.add(shard.number)
    for (split, total), found in numbers.items():
        wanted = set(range(total))
        if found != wanted:
            faults.add("files", f"{split} has {len(found)} of {total} shards.")


def _own_shard(name: str) -> Shard | None:
    """The shard of a file that is named as this program names one."""
    shard = parse_shard_name(name)
    if shard is None or shard.split not in SPLITS or shard_name(shard) != name:
        return None
    return shard


def batches(folder: Path, config: Config, faults: Faults) -> Iterator[Batch]:
    """The examples of a dataset, some at a time; a file that can't be read is a fault."""
    for path in shards(folder, "subjects"):
        shard = _own_shard(path.name)
        pair = (path, folder / "prompts" / path.name)
        if shard is None or not all(file.is_file() for file in pair):
            continue
        try:
            for subjects, prompts in _paired_tables(folder, path.name, config, faults):
                yield Batch(shard.split, subjects, prompts)
        except DatasetError as error:
            faults.add("files", str(error))
        except (OSError, pa.ArrowException, ValueError) as error:
            faults.add("files", f"{path.name} can't be read: {first_line(error)}.")


def _paired_tables(folder: Path, name: str, config: Config, faults: Faults) -> Iterator[_Pair]:
    """Tables of the same rows of both files of a shard, if these have the right columns."""
    schemas = {"subjects": subject_schema(config), "prompts": prompt_schema(config)}
    bounds = {"subjects": record_bounds(config), "prompts": prompt_bounds(config)}
    files = {
        part: open_parquet(folder / part / name, folder, bounds[part], schemas[part].names)
        for part in schemas
    }
    if not _have_schemas(files, schemas, name, faults):
        return
    if not _have_same_rows(files, name, faults):
        return
    yield from _paired(files, name, config, faults)


def _have_schemas(files: _Files, schemas: dict[str, pa.Schema], name: str, faults: Faults) -> bool:
    """Whether the files of both configurations have the columns that the configuration gives."""
    sound = True
    for part, schema in schemas.items():
        if not files[part].schema_arrow.equals(schema):
            sentence = f"the columns of {part} are not those of the configuration."
            faults.add("schema", f"{name}: {sentence}")
            sound = False
    return sound


def _have_same_rows(files: _Files, name: str, faults: Faults) -> bool:
    """Whether the files of both configurations have as many rows."""
    subjects = files["subjects"].metadata.num_rows
    prompts = files["prompts"].metadata.num_rows
    if subjects != prompts:
        faults.add("schema", f"{name}: subjects has {subjects} rows, prompts {prompts}.")
    return subjects == prompts


def _paired(files: _Files, name: str, config: Config, faults: Faults) -> Iterator[_Pair]:
    """Tables of the same rows of both files, as far as they have no gaps."""
    size = batch_size(config)
    enabled = config.patterns.enabled
    subjects = files["subjects"].iter_batches(size)
    prompts = files["prompts"].iter_batches(size)
    for first, second in zip(subjects, prompts, strict=True):
        gaps = [*columns_with_gaps(first, enabled), *columns_with_gaps(second, enabled)]
        for column in gaps:
            faults.add("schema", f"{name}: {column} has a null.")
        if not gaps:
            yield _as_table(first), _as_table(second)


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    """A table of one batch."""
    return pa.Table.from_batches([batch])
