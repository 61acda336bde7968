"""A dataset from the stored networks of another: other signatures or prompts, coarser weights.

Nothing is trained again.
"""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from muat_exp.config.checks import require
from muat_exp.config.groups import Config, EvaluationConfig, PromptsConfig, SignatureConfig
from muat_exp.config.identity import config_signature
from muat_exp.dataset.card import render_card
from muat_exp.dataset.checksums import differences
from muat_exp.dataset.faults import Faults
from muat_exp.dataset.figures import ExampleFigures
from muat_exp.dataset.index import RecordLocations
from muat_exp.dataset.networks import check_networks, stored_population
from muat_exp.dataset.reading import check_count, read_figures
from muat_exp.dataset.schema import record_schema, subject_schema
from muat_exp.dataset.staging import (
    claim_dataset,
    removed_on_failure,
    replace_folder,
    staged_folder,
)
from muat_exp.dataset.writing import Written, complete, write_shards
from muat_exp.errors import DatasetError, RunFolderError
from muat_exp.evaluation.measurement import Pair, RunContext, measure, unbounded
from muat_exp.executors.serial import SerialExecutor
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.generation.pipeline import ensure_compiled
from muat_exp.generation.run_folder import locked
from muat_exp.generation.source import Source
from muat_exp.generation.summary import COUNTED, fitting
from muat_exp.generation.table import measured_columns
from muat_exp.maker import current_maker, describe_makers
from muat_exp.progress import Reporter
from muat_exp.prompts.fitting import require_fitting
from muat_exp.prompts.tokens import LLAMA3, NONE
from muat_exp.signatures.probe_set import given_probes
from muat_exp.subjects.data import draw_data
from muat_exp.subjects.population import Population
from muat_exp.subjects.quantization import as_stored
from muat_exp.subjects.schemes import PUBLISHED_SCHEMES
from muat_exp.subjects.specs import Specs, draw_specs

MEASURE = "measure"
# Keys that each task may change; what is not named on the command line stays as it was.
_CHANGEABLE = {
    "signature": ("signature", "dataset.tokenizer", "dataset.max_tokens"),
    MEASURE: (
        "evaluation", "dataset.behaviour", "dataset.label", "dataset.tokenizer",
        "dataset.max_tokens",
    ),
    "render": (
        "dataset.tasks", "dataset.style", "prompts", "dataset.label", "dataset.columns",
        "dataset.splits", "dataset.tokenizer", "dataset.max_tokens", "dataset.examples_per_shard",
        "architecture.precision", "architecture.quantization",
    ),
}  # fmt: skip
_FREE = (
    "task",
    "dataset_dir",
    "workers",
    "memory_gib",
    "progress",
    "logger",
    "hydra",
)  # keys that change no dataset
PROBES = (
    "probes",
    "probe_seed",
    "probe_set",
    "probe_set_sha256",
)
_KEPT = (*PROBES, "definitions")  # not part of the choice of a signature group


def derived_config(stored: Config, composed: Config, given: Collection[str]) -> Config:
    """The configuration of a dataset that is made from one with the configuration `stored`.

    Args:
        stored: of the dataset that there is.
        composed: as the command line composes it.
        given: the keys that were named there.

    Raises:
        ConfigurationError: a key was named that decides what is trained, or weights would become
            finer than they are.
    """
    allowed = _CHANGEABLE[composed.task]
    for key in given:
        known = any(key == name or key.startswith(f"{name}.") for name in (*allowed, *_FREE))
        require(
            known,
            f"task={composed.task} trains nothing, so it can't change '{key}'; "
            f"it can change {', '.join(allowed)}.",
        )
    dataset = stored.dataset
    if dataset.tokenizer not in (LLAMA3, NONE):  # a file of elsewhere
        dataset = replace(dataset, tokenizer=NONE)
    dataset = replace(dataset, **_named_values(composed.dataset, "dataset", given))
    named = _named_values(composed.architecture, "architecture", given)
    architecture = replace(stored.architecture, **named)
    for name, plain in (("precision", "float32"), ("quantization", "none")):
        before = getattr(stored.architecture, name)
        after = getattr(architecture, name)
        require(
            before in (plain, after),
            f"architecture.{name} is {before} in this dataset; its weights can't become {after}.",
        )
    signature = _derived_signature(stored.signature, composed.signature, given)
    require(
        signature.definitions == stored.signature.definitions
        or stored.architecture.quantization not in PUBLISHED_SCHEMES,
        f"architecture.quantization is {stored.architecture.quantization} in this dataset, as "
        f"signature.definitions={stored.signature.definitions} means it; its weights can't become "
        "others.",
    )
    return replace(
        stored,
        dataset=dataset,
        prompts=_derived_prompts(stored, composed, dataset.style, given),
        architecture=architecture,
        signature=signature,
        evaluation=_derived_evaluation(stored.evaluation, composed, given),
        memory_gib=composed.memory_gib,
    )


def _derived_prompts(
    stored: Config, composed: Config, style: str, given: Collection[str]
) -> PromptsConfig:
    """The form of the prompts: a named option, or as it was where the style stays.

    Another style has its own form; then the keys that were named.
    """
    if "prompts" in given:
        return composed.prompts
    kept = stored.prompts if style == stored.dataset.style else PromptsConfig()
    return replace(kept, **_named_values(composed.prompts, "prompts", given))


def _derived_evaluation(
    stored: EvaluationConfig, composed: Config, given: Collection[str]
) -> EvaluationConfig:
    """The evaluation as it was; of the task `measure` as it is composed, and the named keys."""
    if composed.task != MEASURE:
        return stored
    named = _named_values(composed.evaluation, "evaluation", given)
    return replace(stored, **{"truth": composed.evaluation.truth} | named)


def _named_values(group: object, name: str, given: Collection[str]) -> dict[str, Any]:
    """The values of those keys of a group that were named."""
    values = {}
    for key in given:
        group_name, _, rest = key.partition(".")
        if group_name == name and rest:
            own, _, _ = rest.partition(".")
            values[own] = getattr(group, own)
    return values


def _derived_signature(
    stored: SignatureConfig, composed: SignatureConfig, given: Collection[str]
) -> SignatureConfig:
    """The methods of a named group, or as they were; then the keys that were named.

    The probes stay the same where none of their keys is named, and the definitions where theirs is
    not.
    """
    named = _named_values(composed, "signature", given)
    if "probe_set" in named:
        named |= {"probe_set_sha256": composed.probe_set_sha256, "probes": composed.probes}
    elif named.keys() & {"probes", "probe_seed"}:
        named |= {"probe_set_sha256": ""}
    chosen = asdict(composed) if "signature" in given else {}
    kept = {key: value for key, value in chosen.items() if key not in _KEPT}
    return replace(stored, **kept | named)


class _Remeasured:
    """Records with the weights that a configuration stores, and what is measured on these."""

    def __init__(self, context: RunContext, source: Source) -> None:
        self.context = context
        self.source = source
        before = source.config
        after = context.config
        same_weights = before.architecture == after.architecture
        same_signature = before.signature == after.signature
        here = set(subject_schema(before).names)
        there = set(record_schema(after).names)
        same_truth = before.evaluation == after.evaluation
        self.as_it_was = same_weights and same_signature and same_truth and there <= here

    def fetch(self, locations: RecordLocations) -> pa.Table:
        """The records of some examples, measured again where that is needed; thread-safe.

        Raises:
            DatasetError: a network does not fit what its number gives, or can't be measured.
        """
        records = self.source.fetch(locations)
        faults = Faults()
        if not check_networks(self.source.config, records, faults):
            raise DatasetError(f"{self.source.folder}: {faults.sentences()[0]}")
        if not self.as_it_was:
            records = self.measured(records)
        schema = record_schema(self.context.config)
        return records.select(schema.names).cast(schema)

    def population(self, records: pa.Table, specs: Specs, name: str) -> Population:
        """The networks of a column, with their weights as they will be stored."""
        stored = stored_population(self.source.config, specs, records, name)
        if self.source.config.architecture == self.context.config.architecture:
            return stored
        config = self.context.config
        result = as_stored(stored, config.architecture, config.signature.definitions)
        wild = unbounded(result)
        if wild.any():
            example = records["example_id"][int(np.argmax(wild))]
            precision = self.context.config.architecture.precision
            sentence = f"{name} has a number that {precision} can't hold."
            raise DatasetError(f"{self.source.folder}: example {example}: {sentence}")
        return result

    def measured(self, records: pa.Table) -> pa.Table:
        """Records with everything replaced that is measured on the weights."""
        config = self.context.config
        specs = draw_specs(config, records["example_id"].to_numpy())
        data = draw_data(config, self.context.space, specs)
        degraded = self.population(records, specs, "degraded_weights")
        improved = self.population(records, specs, "weights")
        measured = measure(self.context, specs, data, Pair(degraded, improved), SerialExecutor())
        columns = measured_columns(config, degraded, improved, measured)
        for name, column in columns.items():
            if name in records.column_names:
                place = records.schema.get_field_index(name)
                records = records.set_column(place, name, column)
            else:
                records = records.append_column(name, column)
        return records


def derive(
    source: Path,
    composed: Config,
    given: Collection[str],
    target: Path,
    workers: ThreadExecutor,
    reporter: Reporter,
) -> Path:
    """Makes a dataset from the stored networks of another one.

    Args:
        source: a dataset's folder.
        composed: the configuration of the command line, its `task` one of `_CHANGEABLE`.
        given: the keys that were named there.
        target: folder of the new dataset; must not exist.
        workers: threads that measure and render.
        reporter: told of the progress.

    Returns:
        The new dataset's folder, `target`.

    Raises:
        ConfigurationError: see `derived_config`; or `training_metrics` are asked for and were not
            kept.
        DatasetError: `source` holds no readable dataset, or not as many examples as it says.
        RunFolderError: `target` exists, its place is taken by something else, or another command
            is at work in its folder.
    """
    if os.path.lexists(target):
        raise RunFolderError(f"{target} is there already; choose another folder for the results.")
    damaged = next(differences(source), "")
    if damaged:
        raise DatasetError(f"{source} is damaged: {damaged}")
    stored = Source.open(source)
    summary = read_figures(source, stored.config.patterns.enabled)
    check_count(source, len(stored.locations.ids), summary)
    config = derived_config(stored.config, composed, given)
    require_fitting(config)
    kept = not config.dataset.needs_history or stored.config.dataset.needs_history
    require(
        kept,
        "dataset.columns asks for training_metrics, which this dataset did not keep; "
        "they need a run of their own.",
    )
    with locked(target.parent):
        claim_dataset(target, config)
        ensure_compiled(reporter.note)
        context = RunContext.build(config, given_probes(source, config))
        described = partial(_derived_summary, summary, composed.task)
        _write(target, _Remeasured(context, stored), described, workers, reporter)
    return target


def _write(
    target: Path,
    remeasured: _Remeasured,
    described: Callable[[Config, ExampleFigures, Written], dict[str, Any]],
    workers: ThreadExecutor,
    reporter: Reporter,
) -> None:
    """Writes the dataset beside its place, and puts it there."""
    context = remeasured.context
    config = context.config
    figures = ExampleFigures(config)

    def observe(records: pa.Table) -> None:
        figures.add(records)
        reporter.update(figures.count, 0, 0.0)

    staged = staged_folder(target, config)
    with removed_on_failure(staged):
        locations = remeasured.source.locations
        written = write_shards(staged, config, locations, remeasured.fetch, workers, observe)
        summary = described(config, figures, written)
        card = render_card(config, summary, written, summary["origin"])
        complete(staged, context.probes.to_json(config), summary, card)
        replace_folder(staged, target)


def _derived_summary(
    summary: Mapping[str, Any], task: str, config: Config, figures: ExampleFigures, written: Written
) -> dict[str, Any]:
    """The counts of the first dataset's run, and the accuracies of the weights that are here."""
    origin = (
        f"Made by `task={task}` from the networks of a dataset with the config_signature "
        f"`{summary['config_signature']}`; "
        "attempts and rejections are those of its run."
    )
    origin = f"{origin} {summary['origin']}".strip()
    patterns = {
        name: {key: row[key] for key in COUNTED} | figures.by_pattern(name)
        for name, row in summary["patterns"].items()
    }
    changed = {
        "config_signature": config_signature(config),
        "accuracy": figures.overall(),
        "patterns": patterns,
    }
    makers = describe_makers([current_maker()], summary)
    changed |= fitting(config, written.fitting)
    kept = {key: value for key, value in summary.items() if key != "fitting"}
    return {**kept, **changed, **makers, "splits": written.splits, "origin": origin}
