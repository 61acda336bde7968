"""The schema of the `subjects` configuration, and its columns of lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.subjects.population import Population

if TYPE_CHECKING:
    from muat_exp.generation.cohort import CohortResult

_FLOATS = pa.list_(pa.float32())
SCORES = (
    "degraded_accuracy",
    "improved_accuracy",
    "improvement",
    "degraded_test_accuracy",
    "test_accuracy",
)
ARRAYS = (
    "weights",
    "degraded_weights",
    "signature",
    "degraded_signature",
    "history",
)  # the columns of lists of floats


def subject_schema(config: Config) -> pa.Schema:
    """Columns of the `subjects` configuration."""
    optional = [("degraded_signature", _FLOATS)] if config.dataset.needs_degraded_signature else []
    optional += (
        [("history", _FLOATS), ("degraded_epochs", pa.int32())]
        if config.dataset.needs_history
        else []
    )
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
            ("weights", _FLOATS),
            ("degraded_weights", _FLOATS),
            ("signature", _FLOATS),
            *optional,
        ]
    )


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
    return list_array(
        population.parameters[np.repeat(accepted, counts)], np.where(accepted, counts, 0)
    )


def selected_lists(names: tuple[str, ...], selected: NDArray[np.bool_]) -> pa.Array:
    """Names of each subject's selected patterns: list<string>."""
    offsets = np.concatenate([[0], np.cumsum(selected.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(np.array(names, object)[np.nonzero(selected)[1]], pa.string())
    )


def history_lists(
    result: CohortResult, accepted: NDArray[np.bool_]
) -> tuple[pa.Array, NDArray[np.int64]]:
    """Both stages' epochs of the accepted subjects, row by row of four numbers, and how many are the degraded stage's."""
    both = np.concatenate([result.degraded_history, result.clean_history], axis=1)  # (S, epochs, 4)
    trained = ~np.isnan(both[:, :, 0]) & accepted[:, None]
    degraded_epochs = trained[:, : result.degraded_history.shape[1]].sum(axis=1)
    return list_array(both[trained].ravel(), 4 * trained.sum(axis=1)), degraded_epochs
