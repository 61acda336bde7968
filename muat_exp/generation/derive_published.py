"""A repository in the published layout from the stored networks of another one.

Metadata and training metrics are taken over as they are: nothing tells the sequences that they were
measured on. Signatures and texts are made anew.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from muat_exp.config.checks import require
from muat_exp.config.groups import PROMPT_TASKS, Config
from muat_exp.dataset.card import render_published_card
from muat_exp.dataset.parquet import Shard, parse_shard_name, shard_name
from muat_exp.dataset.published.files import ID, METADATA
from muat_exp.dataset.published.probe_file import PROBES
from muat_exp.dataset.published.probes import published_probe_file, published_probes
from muat_exp.dataset.published.reading import PublishedDataset
from muat_exp.dataset.published.settings import SETTINGS, read_settings
from muat_exp.dataset.schema import lists
from muat_exp.dataset.staging import (
    claim_dataset,
    flush_folder,
    removed_on_failure,
    staged_folder,
)
from muat_exp.errors import DatasetError, RunFolderError
from muat_exp.evaluation.measurement import RunContext, extract_signatures, unbounded
from muat_exp.executors.budget import Budget
from muat_exp.executors.serial import SerialExecutor
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.generation.derive import PROBES as PROBE_KEYS
from muat_exp.generation.derive import derived_config
from muat_exp.generation.pipeline import ensure_compiled
from muat_exp.generation.run_folder import locked
from muat_exp.progress import Reporter
from muat_exp.prompts.rendering import Renderer
from muat_exp.prompts.tokens import TokenStatistics
from muat_exp.signatures.methods import method_columns
from muat_exp.signatures.probe_file import read_file
from muat_exp.signatures.probe_set import ProbeSet
from muat_exp.subjects.architecture import recorded_architecture, recorded_networks
from muat_exp.subjects.population import Population

# Keys of what would take other weights, other files, or accuracies of the weights.
_FIXED = (
    "architecture",
    "evaluation",
    "dataset.label",
    "dataset.behaviour",
    "dataset.splits",
    "dataset.examples_per_shard",
)
_NEEDS_DEGRADED = {"modification", "degraded_signature", "degraded_model_weights"}
_METRICS = "training_metrics"
_ORIGIN = (
    "Made by `task={task}` of muat_exp from the networks of a repository in this layout; its "
    "metadata are those of the repository."
)
_Tokens = dict[str, list[int]]  # the tokens of each row's texts, by kind of prompt


class _Batch(NamedTuple):
    """Some examples.

    Attributes:
        start: the first one's row among all.
        rows: what is taken over of each.
    """

    start: int
    rows: list[dict[str, Any]]


def derive_published(
    stored: PublishedDataset,
    composed: Config,
    given: Collection[str],
    target: Path,
    workers: ThreadExecutor,
    reporter: Reporter,
) -> Path:
    """Makes a repository with other signatures or texts of the same networks.

    Args:
        stored: a repository in the published layout.
        composed: the configuration of the command line, its `task` signature or render.
        given: the keys that were named there.
        target: folder of the new repository; must not exist.
        workers: threads that measure and render.
        reporter: told of the progress.

    Returns:
        The new repository's folder, `target`.

    Raises:
        ConfigurationError: a key was named that can't be changed, or something is asked for that
            the repository can't give.
        DatasetError: the repository lacks its probes where a signature is taken, or they are
            wrong; or a network can't be run.
        RunFolderError: `target` exists, its place is taken by something else, or another command
            is at work in its folder.
    """
    if os.path.lexists(target):
        raise RunFolderError(f"{target} is there already; choose another hydra.run.dir.")
    for key in given:
        require(
            not key.startswith(_FIXED),
            f"task={composed.task} can't change '{key}' of a repository in the published layout: "
            "it keeps its files, and its accuracies can't be measured again.",
        )
    config = derived_config(stored.config, composed, given)
    _require_available(stored, config)
    maker = _Maker(stored, config, given)
    with locked(target.parent):
        claim_dataset(target, config)
        ensure_compiled(reporter.note)
        maker.prepare()
        staged = staged_folder(target, config)
        with removed_on_failure(staged):
            written = _write_tables(staged, maker, workers, reporter)
            origin = _ORIGIN.format(task=composed.task)
            splits = list(dict.fromkeys(map(_split_of, stored.tables.paths)))
            count = len(stored.tables.numbers)
            card = render_published_card(config, count, written, splits, origin)
            _complete(staged, maker, card)
            staged.rename(target)
    return target


def _require_available(stored: PublishedDataset, config: Config) -> None:
    """Raises `ConfigurationError` where something is asked for that a repository can't give."""
    source = stored.tables.folder
    asked = [*config.dataset.tasks, *config.dataset.columns]
    for name in asked:
        available = name not in _NEEDS_DEGRADED or "degraded_weights" in stored.table.column_names
        require(available, f"{source} has no degraded weights, which {name} shows.")
    kept = _METRICS not in asked or _METRICS in stored.tables.columns
    require(kept, f"{source} has no {_METRICS}; they need a run of their own.")


class _Maker:
    """Makes rows of the new repository from those of the old one.

    Attributes:
        config: of the new repository.
        tables: the files of the old one.
        renderer: of its texts.
        context: what signatures are taken with; None where they are taken over.
    """

    def __init__(self, stored: PublishedDataset, config: Config, given: Collection[str]) -> None:
        self.config = config
        self.tables = stored.tables
        self.renderer = Renderer(config)
        self._stored = stored
        self._changed = config.signature != stored.config.signature
        self._same_tasks = config.dataset.tasks == stored.config.dataset.tasks
        self.context: RunContext | None = None
        self._measures = any(self._is_measured(name) for name in self._signatures())
        self._probes: ProbeSet | None = None  # None for those that the configuration gives
        named = any(f"signature.{name}" in given for name in PROBE_KEYS)
        if self._measures and not named:
            self._probes = published_probes(stored.tables.folder, config)

    def prepare(self) -> None:
        """Makes what signatures are taken with, where any are taken; runs kernels."""
        if self._measures:
            self.context = RunContext.build(self.config, self._probes)

    def _signatures(self) -> dict[str, str]:
        """The columns of signatures that are shown, and of the weights that give them."""
        dataset = self.config.dataset
        shown = {}
        if "classification" in dataset.tasks or "improved_signature" in dataset.columns:
            shown["signature"] = "weights"
        if dataset.needs_degraded_signature:
            shown["degraded_signature"] = "degraded_weights"
        return shown

    def _is_measured(self, name: str) -> bool:
        """Whether a column of signatures is measured, and not taken over."""
        return self._changed or name not in self._stored.table.column_names

    def rows(self, batch: _Batch) -> tuple[pa.Table, _Tokens]:
        """The new rows of some examples, and the tokens of their texts; thread-safe."""
        records = self._stored.table.slice(batch.start, len(batch.rows)).combine_chunks()
        arrays = self._arrays(records)
        rows = []
        for place, (record, row) in enumerate(zip(self._scalars(records), batch.rows, strict=True)):
            own = {name: values[place] for name, values in arrays.items()}
            rows.append(self._row(record, own, row))
        table = pa.Table.from_pylist(rows, schema=self.renderer.schema)
        return table, self._tokens(rows)

    def _scalars(self, records: pa.Table) -> list[dict[str, Any]]:
        """The columns of records that are no lists of numbers, by row."""
        lists_ = [field.name for field in records.schema if field.type == pa.list_(pa.float32())]
        scalars: list[dict[str, Any]] = records.drop_columns(lists_).to_pylist()
        return scalars

    def _arrays(self, records: pa.Table) -> dict[str, list[NDArray[np.float32]]]:
        """Weights, and the signatures that are shown, `(neurons, columns)`, of each record."""
        names = [name for name in ("weights", "degraded_weights") if name in records.column_names]
        arrays = {name: _split(*lists(records, name)) for name in names}
        columns = method_columns(self.config.signature, len(self.config.patterns.enabled))
        width = sum(count for _, count in columns)
        for name, weights in self._signatures().items():
            if self._is_measured(name):
                flat = self._measured(records, weights)
            else:
                flat = lists(records, name)
            arrays[name] = [values.reshape(-1, width) for values in _split(*flat)]
        return arrays

    def _measured(
        self, records: pa.Table, name: str
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Signatures of the networks of a column, and where each begins and ends."""
        if self.context is None:
            raise ValueError(f"signatures of {name} are measured without probes")
        values, _ = lists(records, name)
        shapes = Population(recorded_networks(records, self.config))
        population = shapes.with_parameters(np.ascontiguousarray(values, np.float32))
        wild = unbounded(population)
        if wild.any():
            example = records[ID][int(np.argmax(wild))]
            raise DatasetError(f"example {example}: {name} are so large that they can't be run.")
        everyone = np.arange(len(population))
        return extract_signatures(self.context, population, everyone, SerialExecutor())

    def _row(
        self, record: Mapping[str, Any], arrays: Mapping[str, Any], row: Mapping[str, Any]
    ) -> dict[str, Any]:
        """One example's columns by name."""
        architecture = recorded_architecture(record, self.config)
        made = {ID: record[ID], METADATA: self._metadata(row[METADATA])}
        for task in self.config.dataset.tasks:
            prompt, completion = self.renderer.texts(task, record, architecture, arrays)
            made[f"{task}_prompt"] = prompt
            made[f"{task}_completion"] = completion
            made[f"{task}_text"] = prompt + completion
        for name in self.config.dataset.columns:
            made[name] = (
                row[name]
                if name == _METRICS
                else self.renderer.column(name, record, architecture, arrays)
            )
        return made

    def _metadata(self, text: str) -> str:
        """Metadata as they were, but for the tasks where these are others."""
        if self._same_tasks:
            return text
        included = {task: task in self.config.dataset.tasks for task in PROMPT_TASKS}
        return orjson.dumps(orjson.loads(text) | {"tasks_included": included}).decode()

    def _tokens(self, rows: Sequence[Mapping[str, Any]]) -> _Tokens:
        """The tokens of each row's texts by kind of prompt; nothing where there is no tokenizer."""
        counter = self.renderer.counter
        if counter is None:
            return {}
        return {
            task: [counter.count(row[f"{task}_text"]) for row in rows]
            for task in self.config.dataset.tasks
        }


def _split(values: NDArray[np.float32], offsets: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    """Flat values cut where each row begins."""
    return np.split(values, offsets[1:-1])


@dataclass
class PublishedTokens:
    """Token counts of the texts that were written.

    Attributes:
        tokens: by kind of prompt; empty where there is no tokenizer.
        tokenizer: its name.
    """

    tokenizer: str
    tokens: dict[str, TokenStatistics] = field(default_factory=dict)

    def add(self, counts: _Tokens) -> None:
        """Takes in the tokens of some texts."""
        for task, lengths in counts.items():
            self.tokens.setdefault(task, TokenStatistics()).add(lengths)


def _write_tables(
    staged: Path, maker: _Maker, workers: ThreadExecutor, reporter: Reporter
) -> PublishedTokens:
    """Writes a file for each of the old repository; returns the token counts."""
    counter = maker.renderer.counter
    written = PublishedTokens(counter.name if counter else "")
    (staged / "data").mkdir()
    budget = Budget(maker.config)
    start = 0
    for path, name in zip(maker.tables.paths, _names(maker.tables.paths), strict=True):
        batches = _batches(maker, path, start, budget.batch)
        with pq.ParquetWriter(
            staged / "data" / name, maker.renderer.schema, compression="zstd"
        ) as writer:
            for table, counts in workers.stream(maker.rows, batches, budget.batches):
                writer.write_table(table)
                written.add(counts)
                start += table.num_rows
                reporter.update(start, 0, 0.0)
    return written


def _names(paths: Sequence[Path]) -> Iterator[str]:
    """The names of the new files: those of shards, of the splits that the old ones are of."""
    splits = [_split_of(path) for path in paths]
    totals = Counter(splits)
    numbers: Counter[str] = Counter()
    for split in splits:
        yield shard_name(Shard(split, numbers[split], totals[split]))
        numbers[split] += 1


def _split_of(path: Path) -> str:
    """The split of a file: what its name tells, else train, the published one."""
    shard = parse_shard_name(path.name)
    return shard.split if shard else "train"


def _batches(maker: _Maker, path: Path, start: int, size: int) -> Iterator[_Batch]:
    """The rows of a file that are taken over, some at a time."""
    rows = maker.tables.rows(path, [ID, METADATA, _METRICS])
    while batch := list(islice(rows, size)):
        yield _Batch(start, batch)
        start += len(batch)


def _complete(staged: Path, maker: _Maker, card: str) -> None:
    """Writes the files beside the tables, and has everything on the disk."""
    source = maker.tables.folder
    (staged / "README.md").write_bytes(card.encode())
    probes = source / PROBES
    if maker.context is not None:
        content = published_probe_file(maker.context.probes, maker.config)
        (staged / PROBES).write_bytes(content)
    elif probes.exists():
        (staged / PROBES).write_bytes(read_file(probes, source))
    settings = read_settings(source)
    if settings:
        content = yaml.safe_dump(_settings(settings, maker.config), sort_keys=False).encode()
        (staged / SETTINGS).write_bytes(content)
    else:
        (staged / SETTINGS).unlink()  # the mark of what is not finished
    flush_folder(staged)


def _settings(settings: dict[str, Any], config: Config) -> dict[str, Any]:
    """The predecessor's configuration with the signature and the tasks that there are."""
    widths = dict(method_columns(config.signature, len(config.patterns.enabled)))
    signature = {
        "neuron_profile_methods": {name: {"columns": width} for name, width in widths.items()},
        "prompt_format": {"style": config.dataset.style},
    }
    tasks = {f"include_{task}": task in config.dataset.tasks for task in PROMPT_TASKS}
    changed: dict[str, dict[str, Any]] = {"signature": signature, "task_generation": tasks}
    return settings | {key: _group(settings, key) | own for key, own in changed.items()}


def _group(settings: Mapping[str, Any], key: str) -> dict[str, Any]:
    """One group of the predecessor's configuration; empty where it is none."""
    group = settings.get(key)
    return group if isinstance(group, dict) else {}
