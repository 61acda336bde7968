"""A dataset from the stored networks of another: other signatures, other prompts, coarser weights. Nothing is trained again."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from muat_exp.config import Config, config_signature
from muat_exp.dataset.card import render_card
from muat_exp.dataset.reading import read_summary
from muat_exp.dataset.records import list_array, lists, subject_schema
from muat_exp.dataset.source import Source
from muat_exp.dataset.store import SCORES, Means, Places, Written, complete, replace_folder, staged_folder, write_shards
from muat_exp.engine import Here, Workers
from muat_exp.errors import DatasetError, RunFolderError
from muat_exp.measurement import Measured, Task, measure
from muat_exp.population import Population
from muat_exp.progress import Reporter
from muat_exp.schema import require
from muat_exp.signature import given_probes
from muat_exp.storage import as_stored
from muat_exp.subject import draw_data, draw_population, draw_specs

# Keys that each task may change; what is not named on the command line stays as it was.
CHANGEABLE = {
    "signature": ("signature",),
    "render": (
        "dataset.tasks", "dataset.style", "dataset.columns", "dataset.splits", "dataset.tokenizer",
        "dataset.examples_per_shard", "architecture.precision", "architecture.quantization",
    ),
}  # fmt: skip
FREE = ("task", "dataset_dir", "workers", "progress", "logger", "hydra")  # keys that change no dataset


def derived_config(stored: Config, composed: Config, given: Collection[str]) -> Config:
    """The configuration of a dataset that is made from one with the configuration `stored`.

    Args:
        stored: of the dataset that there is.
        composed: as the command line composes it.
        given: the keys that were named there.

    Raises:
        ConfigurationError: a key was named that decides what is trained, or weights would become coarser than they are.
    """
    allowed = CHANGEABLE[composed.task]
    for key in given:
        known = any(key == name or key.startswith(f"{name}.") for name in (*allowed, *FREE))
        require(known, f"task={composed.task} trains nothing, so it can't change '{key}'; it can change {', '.join(allowed)}.")
    if composed.task == "signature":
        return replace(stored, signature=composed.signature)
    named = {key.split(".")[1] for key in given if key.startswith("dataset.")}
    dataset = replace(stored.dataset, **{name: getattr(composed.dataset, name) for name in named | {"tokenizer"}})
    coarser = [name for name in ("precision", "quantization") if f"architecture.{name}" in given]
    architecture = replace(stored.architecture, **{name: getattr(composed.architecture, name) for name in coarser})
    for name, plain in (("precision", "float32"), ("quantization", "none")):
        before, after = getattr(stored.architecture, name), getattr(architecture, name)
        require(before in (plain, after), f"architecture.{name} is {before} in this dataset; its weights can't become {after}.")
    return replace(stored, dataset=dataset, architecture=architecture)


class Remeasured:
    """Records with the weights that a configuration stores, and what is measured on these."""

    def __init__(self, task: Task, source: Source) -> None:
        self.task, self.source = task, source
        before, after = source.config, task.config
        same_weights = before.architecture == after.architecture
        same_signature = before.signature == after.signature
        here = subject_schema(before).names
        self.as_it_was = same_weights and same_signature and set(subject_schema(after).names) <= set(here)

    def fetch(self, places: Places) -> pa.Table:
        """The records of some examples, measured again where that is needed; thread-safe."""
        records = self.source.fetch(places)
        if not self.as_it_was:
            records = self.measured(records)
        return records.select(subject_schema(self.task.config).names).cast(subject_schema(self.task.config))

    def population(self, records: pa.Table, name: str) -> Population:
        """The networks of a column, with their weights as they will be stored."""
        config = self.task.config
        specs = draw_specs(config, records["example_id"].to_numpy())
        population = draw_population(config, specs)
        values = np.ascontiguousarray(lists(records, name)[0], np.float32)
        if len(values) != len(population.parameters):
            raise DatasetError(f"{self.source.folder}: {name} has not as many numbers as the architectures of its examples.")
        stored = population.with_parameters(values)
        same = self.source.config.architecture == config.architecture
        return stored if same else as_stored(stored, config.architecture)

    def measured(self, records: pa.Table) -> pa.Table:
        """Records with everything replaced that is measured on the weights."""
        config = self.task.config
        specs = draw_specs(config, records["example_id"].to_numpy())
        data = draw_data(config, self.task.space, specs)
        degraded, improved = (self.population(records, name) for name in ("degraded_weights", "weights"))
        measured = measure(self.task, specs, data, degraded, improved, Here())
        for name, column in self.columns(degraded, improved, measured).items():
            place = records.schema.get_field_index(name)
            records = records.append_column(name, column) if place < 0 else records.set_column(place, name, column)
        return records

    def columns(self, degraded: Population, improved: Population, measured: Measured) -> dict[str, pa.Array]:
        """The columns that depend on the weights."""
        counts, lengths = np.diff(improved.offsets), np.diff(measured.signature_offsets)
        shares = [pa.array(column.astype(np.float32)) for column in measured.responses.T]
        columns: dict[str, Any] = {
            "degraded_accuracy": measured.degraded_accuracy,
            "improved_accuracy": measured.improved_accuracy,
            "improvement": measured.improved_accuracy - measured.degraded_accuracy,
            "degraded_test_accuracy": measured.test_accuracy[:, 0],
            "test_accuracy": measured.test_accuracy[:, 1],
            "response": pa.StructArray.from_arrays(shares, names=list(self.task.config.patterns.enabled)),
            "weights": list_array(improved.parameters, counts),
            "degraded_weights": list_array(degraded.parameters, counts),
            "signature": list_array(measured.signatures, lengths),
        }
        if self.task.config.dataset.needs_degraded_signature:
            columns["degraded_signature"] = list_array(measured.degraded_signatures, lengths)
        return {name: column if isinstance(column, pa.Array) else pa.array(column) for name, column in columns.items()}


def derive(source: Path, composed: Config, given: Collection[str], target: Path, workers: Workers, reporter: Reporter) -> Path:
    """Makes a dataset from the stored networks of another one.

    Args:
        source: a dataset's folder.
        composed: the configuration of the command line, its `task` signature or render.
        given: the keys that were named there.
        target: folder of the new dataset; must not exist.
        workers: threads that measure and render.
        reporter: told of the progress.

    Returns:
        The new dataset's folder, `target`.

    Raises:
        ConfigurationError: see `derived_config`; or `training_metrics` are asked for and were not kept.
        DatasetError: `source` holds no readable dataset.
        RunFolderError: `target` exists.
    """
    if target.exists():
        raise RunFolderError(f"{target} is there already; choose another hydra.run.dir.")
    stored, summary = Source.open(source), read_summary(source)
    config = derived_config(stored.config, composed, given)
    kept = not config.dataset.needs_history or stored.config.dataset.needs_history
    require(kept, "dataset.columns asks for training_metrics, which this dataset did not keep; they need a run of their own.")
    task, means = Task.build(config, given_probes(source, config)), Means(SCORES)

    def observe(records: pa.Table) -> None:
        means.add(records)
        reporter.update(means.count, 0, 0.0)

    target.parent.mkdir(parents=True, exist_ok=True)
    staged = staged_folder(target)
    written = write_shards(staged, config, stored.places, Remeasured(task, stored).fetch, workers, observe)
    summary = derived_summary(summary, config, means, written, composed.task)
    complete(staged, config, task.probes.to_json(config), summary, render_card(config, summary, written, summary["origin"]))
    replace_folder(staged, target)
    return target


def derived_summary(summary: Mapping[str, Any], config: Config, means: Means, written: Written, task: str) -> dict[str, Any]:
    """The counts of the first dataset's run, with the accuracies of the weights as they are stored here."""
    origin = (
        f"Made by `task={task}` from the networks of a dataset with the config_signature `{summary['config_signature']}`; "
        "attempts and rejections are those of its run."
    )
    patterns = {name: row | means.by_pattern(name) for name, row in summary["patterns"].items()}
    changed = {"config_signature": config_signature(config), "accuracy": means.overall(), "patterns": patterns}
    return {**summary, **changed, "splits": written.splits, "origin": origin}
