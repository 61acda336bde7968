"""A cohort's arrays as an Arrow table, one row per attempt, and its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.subjects.activations import ACTIVATIONS
from muat_exp.subjects.population import Population

if TYPE_CHECKING:
    from muat_exp.evaluation.measurement import Measured
    from muat_exp.generation.cohort import CohortResult

from muat_exp.dataset.column_names import SCORES
from muat_exp.dataset.index import RecordLocations
from muat_exp.dataset.schema import (
    behaviour_columns,
    history_lists,
    list_array,
    record_schema,
    selected_lists,
    weight_lists,
)


def read_cohort(path: Path) -> pa.Table:
    """A cohort's attempts, memory-mapped."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _attempt_schema(config: Config) -> pa.Schema:
    """Columns of a cohort's file: the outcome of every attempt, and its record.

    Those of rejected attempts hold no arrays, and null for what was not measured.
    """
    return pa.schema([("outcome", pa.string()), *record_schema(config)])


def measured_columns(
    config: Config, degraded: Population, improved: Population, measured: Measured
) -> dict[str, pa.Array]:
    """The columns that follow from the weights of S subjects: these, and what was measured."""
    counts = np.diff(improved.offsets)
    lengths = np.diff(measured.signature_offsets)
    scores = zip(SCORES, measured.scores.T, strict=True)
    columns = {
        **{name: pa.array(values) for name, values in scores},
        **behaviour_columns(config, measured.behaviour),
        "weights": list_array(improved.parameters, counts),
        "degraded_weights": list_array(degraded.parameters, counts),
        "signature": list_array(measured.signatures, lengths),
    }
    if config.dataset.needs_degraded_signature:
        columns["degraded_signature"] = list_array(measured.degraded_signatures, lengths)
    return columns


def _optional_columns(
    config: Config, result: CohortResult, accepted: NDArray[np.bool_]
) -> dict[str, Any]:
    """The columns that only some configurations have."""
    columns: dict[str, Any] = {}
    if config.dataset.needs_degraded_signature:
        columns["degraded_signature"] = list_array(
            result.degraded_signatures, _signature_lengths(result)
        )
    if config.dataset.needs_history:
        columns["history"], columns["degraded_epochs"] = history_lists(
            result.degraded_history, result.clean_history, accepted
        )
    return columns


def _signature_lengths(result: CohortResult) -> NDArray[np.int64]:
    """Numbers in each attempt's signature, int64 `(S,)`: none where it was rejected."""
    lengths = np.zeros(len(result.specs), np.int64)
    lengths[result.accepted] = np.diff(result.signature_offsets)
    return lengths


def attempt_table(config: Config, result: CohortResult) -> pa.Table:
    """A cohort's outcome, one row per attempt in the order of their numbers."""
    specs = result.specs
    names = config.patterns.enabled
    accepted = np.isin(np.arange(len(specs)), result.accepted)
    places = pa.array(np.cumsum(accepted) - 1, mask=~accepted)  # among the accepted ones
    known = behaviour_columns(config, result.behaviour)
    columns = {
        "outcome": pa.array(result.outcomes, pa.string()),
        "example_id": specs.indices,
        "target_pattern": np.array(names, object)[specs.targets],
        "selected_patterns": selected_lists(names, specs.selected),
        "num_layers": specs.depths,
        "neurons_per_layer": specs.widths,
        "activation": np.array(ACTIVATIONS, object)[specs.activations],
        "learning_rate": specs.rates,
        "degraded_accuracy": result.degraded_accuracy,
        "improved_accuracy": result.improved_accuracy,
        "improvement": result.improved_accuracy - result.degraded_accuracy,
        "degraded_test_accuracy": result.test_accuracy[:, 0],
        "test_accuracy": result.test_accuracy[:, 1],
        **{name: column.take(places) for name, column in known.items()},
        "switch_epoch": result.switch_epoch,
        "clean_epoch": result.clean_epoch,
        "corrupted_labels": result.data.flips,
        "corruption_candidates": result.data.candidates,
        "weights": weight_lists(result.improved, accepted),
        "degraded_weights": weight_lists(result.degraded, accepted),
        "signature": list_array(result.signatures, _signature_lengths(result)),
    } | _optional_columns(config, result, accepted)
    return _as_table(columns, _attempt_schema(config))


def _as_table(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """Arrays of Arrow or NumPy as a table, each with the type that the schema gives it."""
    cast = []
    for field in schema:
        column = columns[field.name]
        array = column if isinstance(column, pa.Array) else pa.array(column)
        cast.append(array.cast(field.type))
    return pa.table(cast, schema=schema)


def gather(locations: RecordLocations, paths: dict[int, Path]) -> pa.Table:
    """Records from the cohorts' files, in the order of the locations."""
    order = np.argsort(locations.files, kind="stable")
    files = locations.files[order]
    rows = locations.rows[order]
    parts = []
    for file in np.unique(files):
        own = pa.array(rows[files == file])
        part = read_cohort(paths[int(file)]).take(own)
        parts.append(part.replace_schema_metadata())
    as_asked = pa.array(np.argsort(order))
    return pa.concat_tables(parts).take(as_asked).drop_columns("outcome")
