"""Writes the dataset: records of finished cohorts, ordered by example, rendered and sharded into Parquet."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from muat_exp.config import Config, config_signature
from muat_exp.dataset.checksums import walk
from muat_exp.dataset.prompts import PromptRenderer, render_metadata
from muat_exp.dataset.records import subject_schema
from muat_exp.dataset.tokens import TokenStatistics, load_counter
from muat_exp.engine import Workers
from muat_exp.run_folder import read_cohort
from muat_exp.signature import method_columns

ROW_GROUP = 50
DICTIONARIES = ["target_pattern", "selected_patterns.list.element", "activation"]
TASK = "classification"
TEXTS = ("metadata", f"{TASK}_prompt", f"{TASK}_completion", f"{TASK}_text")
PROMPT_SCHEMA = pa.schema([("example_id", pa.int64())] + [(name, pa.string()) for name in TEXTS])


@dataclass(frozen=True)
class Places:
    """Where the records of N examples lie, ordered by example.

    Attributes:
        ids: int64 `(N,)`, ascending.
        cohorts, rows: int64 `(N,)`, number of the cohort's file and row in it.
    """

    ids: NDArray[np.int64]
    cohorts: NDArray[np.int64]
    rows: NDArray[np.int64]


def gather(places: Places, start: int, stop: int, paths: dict[int, Path]) -> pa.Table:
    """Records `start` to `stop`, in order."""
    cohorts, rows = places.cohorts[start:stop], places.rows[start:stop]
    order = np.argsort(cohorts, kind="stable")
    parts = [read_cohort(paths[int(c)]).take(pa.array(rows[order][cohorts[order] == c])) for c in np.unique(cohorts)]
    together = pa.concat_tables(part.replace_schema_metadata() for part in parts)
    return together.take(pa.array(np.argsort(order))).drop_columns("outcome")


class Renderer:
    """Prompts of whole tables of records."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.identity = config_signature(config)
        self.patterns = {pattern.name: pattern for pattern in config.patterns.build()}
        self.prompts = PromptRenderer(
            list(self.patterns.values()),
            method_columns(config.signature, len(config.patterns.enabled)),
            config.patterns.sequence_length,
            config.patterns.vocab_size,
        )
        self.counter = load_counter()

    def table(self, records: pa.Table) -> tuple[pa.Table, list[int]]:
        """The `prompts` rows of some `subjects` rows, and their texts' tokens where there is a tokenizer."""
        columns = sum(width for _, width in method_columns(self.config.signature, len(self.config.patterns.enabled)))
        weights, signatures = records["weights"].combine_chunks(), records["signature"].combine_chunks()
        scalars = records.drop_columns(["weights", "degraded_weights", "signature"]).to_pylist()
        rows = []
        for i, record in enumerate(scalars):
            prompt = self.prompts.render(
                record["num_layers"],
                record["neurons_per_layer"],
                record["activation"],
                weights[i].values.to_numpy(),
                signatures[i].values.to_numpy().reshape(-1, columns),
            )
            completion = self.prompts.complete([self.patterns[name] for name in record["selected_patterns"]])
            metadata = render_metadata(record, self.config, self.identity)
            rows.append((record["example_id"], metadata, prompt, completion, prompt + completion))
        table = pa.Table.from_arrays([pa.array(column) for column in zip(*rows, strict=True)], schema=PROMPT_SCHEMA)
        return table, [self.counter.count(row[-1]) for row in rows] if self.counter else []


class ShardWriter:
    """Writes two Parquet shards of the same examples, `prompts` and `subjects`, each from a background thread."""

    def __init__(self, pool: ThreadPoolExecutor, folder: Path, shard: int, shards: int, schemas: dict[str, pa.Schema]) -> None:
        name = f"train-{shard:05d}-of-{shards:05d}.parquet"
        self.pool = pool
        self.pending: list[Future[None]] = []
        self.writers = {
            # Dictionaries of weights or of whole prompts cost four times the writing and half of the space again.
            part: pq.ParquetWriter(
                folder / part / name, schema, compression="zstd", compression_level=1, use_dictionary=DICTIONARIES
            )
            for part, schema in schemas.items()
        }

    def write(self, tables: dict[str, pa.Table]) -> None:
        """Queues a row group of each; no more than that is under way, so memory stays flat and a failure stops the run."""
        self.wait()
        self.pending = [self.pool.submit(self.put, part, table) for part, table in tables.items()]

    def put(self, part: str, table: pa.Table) -> None:
        """Writes a row group of one part."""
        self.writers[part].write_table(table)

    def wait(self) -> None:
        """Waits for what is queued; raises what the writer raised."""
        for pending in self.pending:
            pending.result()

    def close(self) -> None:
        """Ends both files."""
        self.wait()
        for writer in self.writers.values():
            writer.close()


def write_shards(
    folder: Path,
    config: Config,
    places: Places,
    paths: dict[int, Path],
    workers: Workers,
    observe: Callable[[pa.Table], None],
) -> TokenStatistics | None:
    """Writes all Parquet files of a dataset, rendered by the workers and written behind them.

    `observe` sees each table of records, in order. Returns the token counts where there is a tokenizer.
    """
    renderer, total, size = Renderer(config), len(places.ids), config.dataset.examples_per_shard
    schemas = {"prompts": PROMPT_SCHEMA, "subjects": subject_schema(config)}
    for part in schemas:
        (folder / part).mkdir()
    tokens = TokenStatistics("Classification") if renderer.counter else None
    shards = [(first, min(total, first + size)) for first in range(0, total, size)]

    def render(rows: tuple[int, int]) -> tuple[pa.Table, pa.Table, list[int]]:
        records = gather(places, *rows, paths)
        return records, *renderer.table(records)

    with ThreadPoolExecutor(len(schemas), thread_name_prefix="muat-writer") as pool:
        for number, (first, last) in enumerate(shards):
            writer = ShardWriter(pool, folder, number, len(shards), schemas)
            groups = [(start, min(last, start + ROW_GROUP)) for start in range(first, last, ROW_GROUP)]
            try:
                for records, prompts, counts in workers.stream(render, groups):
                    observe(records)
                    writer.write({"prompts": prompts, "subjects": records})
                    if tokens:
                        tokens.add(counts)
            finally:
                writer.close()
    return tokens


def replace_folder(staged: Path, final: Path) -> None:
    """Puts a finished folder in the place of an older one."""
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    staged.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def staged_folder(final: Path) -> Path:
    """An empty folder beside the final one to write into."""
    staged = final.with_name(f".{final.name}.staged")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    return staged


def flush(folder: Path) -> None:
    """Has every file of a folder on the disk before it is renamed."""
    for path in walk(folder):
        with path.open("rb") as file:
            os.fsync(file.fileno())


class Means:
    """Means of some columns by target pattern, over tables seen one after another.

    >>> means = Means(["score"])
    >>> means.add(pa.table({"target_pattern": ["a", "a"], "score": [1.0, 2.0]}))
    >>> means.by_pattern("a")
    {'score': 1.5}
    """

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns
        self.sums: dict[str, NDArray[np.float64]] = {}
        self.counts: dict[str, int] = {}

    def add(self, table: pa.Table) -> None:
        """Adds a table's rows."""
        names = np.array(table["target_pattern"].to_pylist(), object)
        values = np.stack([table[column].to_numpy() for column in self.columns], axis=1)  # (rows, columns)
        for name in np.unique(names):
            self.sums[name] = self.sums.get(name, np.zeros(len(self.columns))) + values[names == name].sum(axis=0)
            self.counts[name] = self.counts.get(name, 0) + int((names == name).sum())

    def by_pattern(self, name: str) -> dict[str, Any]:
        """Means of one pattern's examples; None where there are none."""
        count = self.counts.get(name, 0)
        return {column: float(self.sums[name][i] / count) if count else None for i, column in enumerate(self.columns)}

    def overall(self) -> dict[str, Any]:
        """Means of all examples; None where there are none."""
        count = sum(self.counts.values())
        total = sum(self.sums.values(), np.zeros(len(self.columns)))
        return {column: float(total[i] / count) if count else None for i, column in enumerate(self.columns)}
