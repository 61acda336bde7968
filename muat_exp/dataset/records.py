"""Records: a cohort's arrays as an Arrow table, one row an attempt, and the schema of the `subjects` configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config import ACTIVATIONS, Config
from muat_exp.population import Population

if TYPE_CHECKING:
    from muat_exp.cohort import CohortResult
    from muat_exp.measurement import Measured

FLOATS = pa.list_(pa.float32())
SCORES = ("degraded_accuracy", "improved_accuracy", "improvement", "degraded_test_accuracy", "test_accuracy")
ARRAYS = ("weights", "degraded_weights", "signature", "degraded_signature", "history")  # the columns of lists of floats


def subject_schema(config: Config) -> pa.Schema:
    """Columns of the `subjects` configuration."""
    optional = [("degraded_signature", FLOATS)] if config.dataset.needs_degraded_signature else []
    optional += [("history", FLOATS), ("degraded_epochs", pa.int32())] if config.dataset.needs_history else []
    counts = ["switch_epoch", "clean_epoch", "corrupted_labels", "corruption_candidates"]
    return pa.schema(
        [
            ("example_id", pa.int64()),
            ("target_pattern", pa.string()),
            ("selected_patterns", pa.list_(pa.string())),
            ("num_layers", pa.int32()),
            ("neurons_per_layer", pa.int32()),
            ("activation", pa.string()),
            ("learning_rate", pa.float32()),
            *[(name, pa.float64()) for name in SCORES],
            ("response", pa.struct([(name, pa.float32()) for name in config.patterns.enabled])),
            *[(name, pa.int32()) for name in counts],
            ("weights", FLOATS),
            ("degraded_weights", FLOATS),
            ("signature", FLOATS),
            *optional,
        ]
    )


def attempt_schema(config: Config) -> pa.Schema:
    """Columns of a cohort's file: the outcome of every attempt, and its record; rejected ones hold no arrays."""
    return pa.schema([("outcome", pa.string()), *subject_schema(config)])


def list_array(values: NDArray[np.float32], lengths: NDArray[np.int64]) -> pa.Array:
    """Rows of the given lengths cut from flat values: list<float32>."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def lists(table: pa.Table, name: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A list column's flat values, and where each row's begin and end among them."""
    column = table[name].combine_chunks()
    offsets = column.offsets.to_numpy().astype(np.int64)
    return column.values.to_numpy()[offsets[0] : offsets[-1]], offsets - offsets[0]


def weight_lists(population: Population, accepted: NDArray[np.bool_]) -> pa.Array:
    """Flat parameters of the accepted subjects, empty lists for the others."""
    counts = np.diff(population.offsets)
    return list_array(population.parameters[np.repeat(accepted, counts)], np.where(accepted, counts, 0))


def selected_lists(names: tuple[str, ...], selected: NDArray[np.bool_]) -> pa.Array:
    """Names of each subject's selected patterns: list<string>."""
    offsets = np.concatenate([[0], np.cumsum(selected.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.array(names, object)[np.nonzero(selected)[1]], pa.string()))


def measured_columns(
    config: Config, degraded: Population, improved: Population, measured: Measured
) -> dict[str, pa.Array]:
    """The columns that follow from the weights of S subjects: what they are, and what was measured of them."""
    counts, lengths = np.diff(improved.offsets), np.diff(measured.signature_offsets)
    shares = [pa.array(column.astype(np.float32)) for column in measured.responses.T]
    columns = {name: pa.array(values) for name, values in zip(SCORES, measured.scores.T, strict=True)} | {
        "response": pa.StructArray.from_arrays(shares, names=list(config.patterns.enabled)),
        "weights": list_array(improved.parameters, counts),
        "degraded_weights": list_array(degraded.parameters, counts),
        "signature": list_array(measured.signatures, lengths),
    }
    if config.dataset.needs_degraded_signature:
        columns["degraded_signature"] = list_array(measured.degraded_signatures, lengths)
    return columns


def history_lists(result: CohortResult, accepted: NDArray[np.bool_]) -> tuple[pa.Array, NDArray[np.int64]]:
    """Both stages' epochs of the accepted subjects, row by row of four numbers, and how many are the degraded stage's."""
    both = np.concatenate([result.degraded_history, result.clean_history], axis=1)  # (S, epochs, 4)
    trained = ~np.isnan(both[:, :, 0]) & accepted[:, None]
    degraded_epochs = trained[:, : result.degraded_history.shape[1]].sum(axis=1)
    return list_array(both[trained].ravel(), 4 * trained.sum(axis=1)), degraded_epochs


def optional_columns(config: Config, result: CohortResult, accepted: NDArray[np.bool_]) -> dict[str, Any]:
    """The columns that only some configurations have."""
    columns: dict[str, Any] = {}
    if config.dataset.needs_degraded_signature:
        columns["degraded_signature"] = list_array(result.degraded_signatures, signature_lengths(result))
    if config.dataset.needs_history:
        columns["history"], columns["degraded_epochs"] = history_lists(result, accepted)
    return columns


def signature_lengths(result: CohortResult) -> NDArray[np.int64]:
    """Numbers in each attempt's signature, int64 `(S,)`: none where it was rejected."""
    lengths = np.zeros(len(result.specs), np.int64)
    lengths[result.accepted] = np.diff(result.signature_offsets)
    return lengths


def attempt_table(config: Config, result: CohortResult) -> pa.Table:
    """A cohort's outcome, one row an attempt in the order of their numbers."""
    specs, names = result.specs, config.patterns.enabled
    accepted = np.isin(np.arange(len(specs)), result.accepted)
    responses = [pa.array(column.astype(np.float32)) for column in result.responses.T]
    columns = {
        "outcome": pa.array(result.outcomes, pa.string()),
        "example_id": specs.indices,
        "target_pattern": np.array(names, object)[specs.targets],
        "selected_patterns": selected_lists(names, specs.selected),
        "num_layers": specs.depths,
        "neurons_per_layer": specs.widths,
        "activation": np.array(ACTIVATIONS, object)[specs.kinds],
        "learning_rate": specs.rates,
        "degraded_accuracy": result.degraded_accuracy,
        "improved_accuracy": result.improved_accuracy,
        "improvement": result.improved_accuracy - result.degraded_accuracy,
        "degraded_test_accuracy": result.test_accuracy[:, 0],
        "test_accuracy": result.test_accuracy[:, 1],
        "response": pa.StructArray.from_arrays(responses, names=list(names)),
        "switch_epoch": result.switch_epoch,
        "clean_epoch": result.clean_epoch,
        "corrupted_labels": result.data.flips,
        "corruption_candidates": result.data.candidates,
        "weights": weight_lists(result.improved, accepted),
        "degraded_weights": weight_lists(result.degraded, accepted),
        "signature": list_array(result.signatures, signature_lengths(result)),
    } | optional_columns(config, result, accepted)
    schema = attempt_schema(config)
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns.values()]
    return pa.table([array.cast(field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema)
