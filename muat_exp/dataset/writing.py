"""Writes a dataset's Parquet files: records, ordered by example, rendered, sharded, by split."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from muat_exp.config.groups import SPLITS, Config
from muat_exp.dataset.checksums import shards_digest, write_checksums
from muat_exp.dataset.column_names import PROMPTS, SUBJECTS
from muat_exp.dataset.index import RecordLocations
from muat_exp.dataset.parquet import Shard, shard_name
from muat_exp.dataset.schema import part_schemas
from muat_exp.dataset.splits import assign_splits
from muat_exp.dataset.staging import flush_folder
from muat_exp.executors.budget import Budget
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.memory import give_back_memory
from muat_exp.prompts.forms import Forms, measure_forms, sampled_places
from muat_exp.prompts.rendering import Renderer
from muat_exp.prompts.tokens import TokenStatistics

_DICTIONARIES = ["target_pattern", "selected_patterns.list.element", "activation"]


class ShardWriter:
    """Writes Parquet files of the same examples, one of each configuration, from threads."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        folder: Path,
        name: str,
        schemas: dict[str, pa.Schema],
        budget: Budget,
    ) -> None:
        self.pool = pool
        self.budget = budget
        self.pending: list[Future[None]] = []
        self.taken: dict[str, list[pa.Table]] = {part: [] for part in schemas}
        self.writers = {
            # Dictionaries of weights or of whole prompts cost four times the writing and half of
            # the space again.
            part: pq.ParquetWriter(
                folder / part / name,
                schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=_DICTIONARIES,
                write_statistics=_without_texts(schema),
            )
            for part, schema in schemas.items()
        }

    def write(self, tables: dict[str, pa.Table]) -> None:
        """Takes the next examples of each; queues them for writing when they fill a row group."""
        for part, table in tables.items():
            self.taken[part].append(table)
        rows = sum(table.num_rows for table in self.taken[SUBJECTS])
        if rows >= self.budget.row_group:
            self.flush()
        if not self.budget.writes_behind:
            give_back_memory()

    def flush(self) -> None:
        """Queues a row group of each.

        No more than that is under way, so memory stays flat, and a failure stops the run.
        """
        self.wait()
        self.pending = []
        for part, tables in self.taken.items():
            if tables:
                group = pa.concat_tables(tables)
                self.pending.append(self.pool.submit(self.put, part, group))
        self.taken = {part: [] for part in self.taken}
        if not self.budget.writes_behind:
            self.wait()

    def put(self, part: str, table: pa.Table) -> None:
        """Writes a row group of one part."""
        self.writers[part].write_table(table, row_group_size=table.num_rows)

    def wait(self) -> None:
        """Waits for all that is queued; raises what a writer raised."""
        wait(self.pending)
        for pending in self.pending:
            pending.result()

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Writes what is left and ends both files; gives them up where the block failed."""
        with ExitStack() as unfinished:
            unfinished.callback(self._give_up)
            if kind is None:
                self._finish()
                unfinished.pop_all()

    def _finish(self) -> None:
        """Writes what is left and ends both files."""
        self.flush()
        self.wait()
        for writer in self.writers.values():
            writer.close()

    def _give_up(self) -> None:
        """Ends the threads, then closes files that are incomplete, and says nothing of that."""
        self.pool.shutdown(wait=True, cancel_futures=True)  # else it writes to a closed file
        for writer in self.writers.values():
            with suppress(Exception):
                writer.close()


def _without_texts(schema: pa.Schema) -> list[str]:
    """The columns that are no texts or bytes: nobody asks for the first and the last of them.

    Finding them takes more memory than the prompts themselves, and more time than writing them.
    """
    return [field.name for field in schema if field.type not in (pa.string(), pa.binary())]


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        splits: examples in each split that has any.
        tokens: counts by task; empty where there is no tokenizer.
        tokenizer: its name.
        digest: of all Parquet files, 16 hexadecimal digits.
        forms: what the forms of the prompts cost, and lose; None where that was not measured.
    """

    splits: dict[str, int]
    tokens: dict[str, TokenStatistics]
    tokenizer: str
    digest: str
    forms: Forms | None = None

    @property
    def fitting(self) -> dict[str, int]:
        """Examples whose texts fit `dataset.max_tokens`, by task; empty where there is no limit."""
        return {task: found.fitting for task, found in self.tokens.items() if found.limit}


def _planned_files(
    config: Config, locations: RecordLocations
) -> Iterator[tuple[str, str, RecordLocations]]:
    """Split, name and examples of each file."""
    splits = assign_splits(config, locations.targets)
    for number, split in enumerate(SPLITS):
        shards = locations.of(np.flatnonzero(splits == number)).groups(
            config.dataset.examples_per_shard
        )
        for shard, examples in enumerate(shards):
            yield split, shard_name(Shard(split, shard, len(shards))), examples


def write_shards(
    folder: Path,
    config: Config,
    locations: RecordLocations,
    fetch: Callable[[RecordLocations], pa.Table],
    workers: ThreadExecutor,
    observe: Callable[[pa.Table], None],
) -> Written:
    """Writes all Parquet files of a dataset, rendered by the workers and written behind them.

    `fetch` gives the records of some examples; `observe` sees each table of them.
    """
    budget = Budget(config)
    renderer = Renderer(config)
    schemas = part_schemas(config)
    for part in schemas:
        (folder / part).mkdir()
    splits: Counter[str] = Counter()
    counter = renderer.counter
    counted = config.dataset.tasks if counter else ()
    tokens = {task: TokenStatistics(config.dataset.max_tokens) for task in counted}

    def render(group: RecordLocations) -> tuple[dict[str, pa.Table], dict[str, list[int]]]:
        records = fetch(group)
        tables = {part: records.select(schemas[part].names) for part in schemas if part != PROMPTS}
        prompts, counts = renderer.table(tables[SUBJECTS])
        return {PROMPTS: prompts, **tables}, counts

    with ThreadPoolExecutor(len(schemas), thread_name_prefix="muat-writer") as pool:
        for split, name, examples in _planned_files(config, locations):
            splits[split] += len(examples.ids)
            batches = examples.groups(budget.batch)
            with ShardWriter(pool, folder, name, schemas, budget) as writer:
                for tables, counts in workers.stream(render, batches, budget.batches):
                    observe(tables[SUBJECTS])
                    writer.write(tables)
                    for task, lengths in counts.items():
                        tokens[task].add(lengths)
                    del tables  # before the next ones are made
    tokenizer = counter.name if counter else ""
    total = len(locations.ids)
    sample = locations.of(sampled_places(config, total))
    forms = measure_forms(config, fetch(sample), total, workers) if total else None
    return Written(dict(splits), tokens, tokenizer, shards_digest(folder), forms)


def complete(folder: Path, probes: bytes, summary: Mapping[str, Any], card: str) -> None:
    """Writes the files beside the shards and the configuration, and has everything on the disk."""
    (folder / "summary.json").write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    (folder / "probe_set.json").write_bytes(probes)
    (folder / "README.md").write_bytes(card.encode())
    write_checksums(folder)
    flush_folder(folder)
