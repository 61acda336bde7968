"""Checks of a dataset's files, and the tables of examples in them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from muat_exp.config.groups import SPLITS, Config
from muat_exp.dataset.behaviour import behaviour_bounds
from muat_exp.dataset.column_names import BEHAVIOUR, PROMPTS, SUBJECTS
from muat_exp.dataset.faults import Faults
from muat_exp.dataset.parquet import Shard, open_parquet, parse_shard_name, shard_name, shards
from muat_exp.dataset.records import prompt_bounds, record_bounds
from muat_exp.dataset.schema import columns_with_gaps, part_schemas
from muat_exp.errors import DatasetError, first_line
from muat_exp.validation.examples import batch_size

_SHARD_FORM = "<split>-<number>-of-<shards>.parquet"
_Files = dict[str, pq.ParquetFile]  # the files of one shard, by configuration
_Tables = dict[str, pa.Table]  # the same rows of all configurations


class Batch(NamedTuple):
    """Some examples of one split: the same rows of all configurations."""

    split: str
    subjects: pa.Table
    prompts: pa.Table
    behaviour: pa.Table | None


def count_examples(folder: Path) -> int:
    """Examples of a dataset of this program, as far as its Parquet files can be read."""
    count = 0
    for path in shards(folder, SUBJECTS):
        with suppress(OSError, pa.ArrowException):
            count += pq.read_metadata(path).num_rows if path.is_file() else 0
    return count


def check_files(folder: Path, config: Config, faults: Faults) -> None:
    """Checks that all configurations have the same shards, all of them.

    Args:
        folder: the dataset's.
        config: its configuration.
        faults: takes what is wrong.
    """
    parts = [part for part in part_schemas(config) if part != SUBJECTS]
    subjects = _shard_names(folder, SUBJECTS)
    every = set(subjects)
    for part in parts:
        names = _shard_names(folder, part)
        every |= names
        for name in sorted(subjects ^ names):
            place, other = (SUBJECTS, part) if name in subjects else (part, SUBJECTS)
            faults.add("files", f"{place}/{name} has no counterpart in {other}.")
    for name in sorted(_shard_names(folder, BEHAVIOUR) if BEHAVIOUR not in parts else ()):
        faults.add("files", f"{BEHAVIOUR}/{name} is there, but dataset.behaviour is false.")
    _check_shards(every, faults)


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
    for path in shards(folder, SUBJECTS):
        shard = _own_shard(path.name)
        files = [folder / part / path.name for part in part_schemas(config)]
        if shard is None or not all(file.is_file() for file in files):
            continue
        try:
            for tables in _matching_tables(folder, path.name, config, faults):
                yield Batch(shard.split, tables[SUBJECTS], tables[PROMPTS], tables.get(BEHAVIOUR))
        except DatasetError as error:
            faults.add("files", str(error))
        except (OSError, pa.ArrowException, ValueError) as error:
            faults.add("files", f"{path.name} can't be read: {first_line(error)}.")


def _matching_tables(folder: Path, name: str, config: Config, faults: Faults) -> Iterator[_Tables]:
    """Tables of the same rows of all files of a shard, if these have the right columns."""
    schemas = part_schemas(config)
    bounds = {
        SUBJECTS: record_bounds(config),
        PROMPTS: prompt_bounds(config),
        BEHAVIOUR: behaviour_bounds(config),
    }
    files = {
        part: open_parquet(folder / part / name, folder, bounds[part], schemas[part].names)
        for part in schemas
    }
    if not _have_schemas(files, schemas, name, faults):
        return
    if not _have_same_rows(files, name, faults):
        return
    yield from _matching(files, name, config, faults)


def _have_schemas(files: _Files, schemas: dict[str, pa.Schema], name: str, faults: Faults) -> bool:
    """Whether the files have the columns that the configuration gives."""
    sound = True
    for part, schema in schemas.items():
        if not files[part].schema_arrow.equals(schema):
            sentence = f"the columns of {part} are not those of the configuration."
            faults.add("schema", f"{name}: {sentence}")
            sound = False
    return sound


def _have_same_rows(files: _Files, name: str, faults: Faults) -> bool:
    """Whether the files of all configurations have as many rows."""
    rows = {part: file.metadata.num_rows for part, file in files.items()}
    wrong = [part for part in rows if rows[part] != rows[SUBJECTS]]
    for part in wrong:
        sentence = f"{SUBJECTS} has {rows[SUBJECTS]} rows, {part} {rows[part]}."
        faults.add("schema", f"{name}: {sentence}")
    return not wrong


def _matching(files: _Files, name: str, config: Config, faults: Faults) -> Iterator[_Tables]:
    """Tables of the same rows of all files, as far as they have no gaps."""
    size = batch_size(config)
    enabled = config.patterns.enabled
    streams = [file.iter_batches(size) for file in files.values()]
    for group in zip(*streams, strict=True):
        gaps = [gap for batch in group for gap in columns_with_gaps(batch, enabled)]
        for column in gaps:
            faults.add("schema", f"{name}: {column} has a null.")
        if not gaps:
            yield dict(zip(files, map(_as_table, group), strict=True))


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    """A table of one batch."""
    return pa.Table.from_batches([batch])
