"""The schema of the `subjects` configuration, and its columns of lists."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.column_names import (
    BEHAVIOUR,
    CONFUSION,
    EXACT_SCORES,
    PROMPTS,
    SCORES,
    SUBJECTS,
)
from muat_exp.prompts.columns import prompt_schema
from muat_exp.sequences.patterns import NAMES
from muat_exp.subjects.population import Population

if TYPE_CHECKING:
    from muat_exp.evaluation.truth import Behaviour

_FLOATS = pa.list_(pa.float32())
# A share for every pattern that there is, so that all datasets have one type and can be joined.
_RESPONSE = pa.struct([(name, pa.float32()) for name in NAMES])


def subject_schema(config: Config) -> pa.Schema:
    """Columns of the `subjects` configuration."""
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
            ("response", _RESPONSE),
            ("best_pattern", pa.string()),
            ("best_pattern_score", pa.float64()),
            *_exact_columns(config),
            *[(name, pa.int32()) for name in counts],
            ("weights", _FLOATS),
            ("degraded_weights", _FLOATS),
            ("signature", _FLOATS),
            *_optional_columns(config),
        ]
    )


def score_names(config: Config) -> tuple[str, ...]:
    """The columns of accuracies of a dataset."""
    return (*SCORES, *EXACT_SCORES) if config.exact else SCORES


def _exact_columns(config: Config) -> list[tuple[str, pa.DataType]]:
    """The columns of what only an exact truth tells."""
    if not config.exact:
        return []
    scores = [(name, pa.float64()) for name in EXACT_SCORES]
    return [*scores, *((name, pa.int32()) for name in CONFUSION)]


def behaviour_schema() -> pa.Schema:
    """Columns of the `behaviour` configuration."""
    return pa.schema([("example_id", pa.int64()), (BEHAVIOUR, pa.binary())])


def part_schemas(config: Config) -> dict[str, pa.Schema]:
    """The columns of each configuration that a dataset has."""
    schemas = {PROMPTS: prompt_schema(config), SUBJECTS: subject_schema(config)}
    return schemas | ({BEHAVIOUR: behaviour_schema()} if config.dataset.behaviour else {})


def record_schema(config: Config) -> pa.Schema:
    """Columns of `subjects`, and of `behaviour` where it is written."""
    schema = subject_schema(config)
    if config.dataset.behaviour:
        return schema.append(behaviour_schema().field(BEHAVIOUR))
    return schema


def _optional_columns(config: Config) -> list[tuple[str, pa.DataType]]:
    """The columns that only some configurations have."""
    columns = []
    if config.dataset.needs_degraded_signature:
        columns.append(("degraded_signature", _FLOATS))
    if config.dataset.needs_history:
        columns.append(("history", _FLOATS))
        columns.append(("degraded_epochs", pa.int32()))
    return columns


def behaviour_columns(config: Config, behaviour: Behaviour) -> dict[str, pa.Array]:
    """The columns of what subjects do."""
    enabled = config.patterns.enabled
    columns = {
        "response": response_array(enabled, behaviour.responses),
        "best_pattern": pa.array(np.array(enabled, object)[behaviour.best], pa.string()),
        "best_pattern_score": pa.array(behaviour.best_scores),
    }
    exact = behaviour.exact
    if exact is not None:
        scores = (exact.task_accuracy, behaviour.own)
        columns |= zip(EXACT_SCORES, map(pa.array, scores), strict=True)
        counts = exact.confusion.T.astype(np.int32)
        columns |= zip(CONFUSION, map(pa.array, counts), strict=True)
    if exact is not None and config.dataset.behaviour:
        columns[BEHAVIOUR] = _bytes_array(exact.bits)
    return columns


def _bytes_array(rows: NDArray[np.uint8]) -> pa.Array:
    """Rows of bytes `(n, size)` as binary values."""
    ends = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(rows.shape[1])
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(rows))]
    return pa.Array.from_buffers(pa.binary(), len(rows), buffers)


def response_array(enabled: Sequence[str], shares: NDArray[np.float64]) -> pa.StructArray:
    """The column `response` of shares `(S, P)`, null for the patterns that are not enabled."""
    nothing = pa.nulls(len(shares), pa.float32())
    known = {
        name: pa.array(column.astype(np.float32))
        for name, column in zip(enabled, shares.T, strict=True)
    }
    return pa.StructArray.from_arrays([known.get(name, nothing) for name in NAMES], list(NAMES))


def columns_with_gaps(records: pa.Table | pa.RecordBatch, enabled: Collection[str]) -> list[str]:
    """The columns that have a null, or one within; in `response` for an enabled pattern."""
    return [name for name in records.schema.names if _has_gap(records[name], enabled)]


def _has_gap(column: pa.Array | pa.ChunkedArray, enabled: Collection[str]) -> bool:
    """Whether an array, or an array within it, lacks a value."""
    if column.null_count:
        return True
    if pa.types.is_list(column.type):
        return _has_gap(_chunk(column).flatten(), enabled)
    if pa.types.is_struct(column.type):
        parts = zip(column.type, _chunk(column).flatten(), strict=True)
        return any(part.null_count > 0 for field, part in parts if field.name in enabled)
    return False


def stray_responses(records: pa.Table, enabled: Collection[str]) -> NDArray[np.bool_]:
    """Records with a share for a pattern that is not enabled, bool `(rows,)`."""
    stray = np.zeros(records.num_rows, np.bool_)
    for name, shares in zip(NAMES, _chunk(records["response"]).flatten(), strict=True):
        if name not in enabled:
            stray |= shares.is_valid().to_numpy(zero_copy_only=False)
    return stray


def _chunk(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def list_array(values: NDArray[np.float32], lengths: NDArray[np.int64]) -> pa.Array:
    """Rows of the given lengths cut from flat values: list<float32>."""
    return pa.ListArray.from_arrays(_offsets(lengths), pa.array(values))


def _offsets(lengths: NDArray[np.int64]) -> pa.Array:
    """Where rows of the given lengths begin and end among flat values: int32 `(rows + 1,)`."""
    ends = np.cumsum(lengths)
    return pa.array(np.concatenate([[0], ends]).astype(np.int32))


def lists(table: pa.Table, name: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A list column's flat values, and where each row's begin and end among them."""
    column = table[name].combine_chunks()
    offsets = column.offsets.to_numpy().astype(np.int64)
    first = offsets[0]
    values = column.values.to_numpy()[first : offsets[-1]]
    return values, offsets - first


def weight_lists(population: Population, accepted: NDArray[np.bool_]) -> pa.Array:
    """Flat parameters of the accepted subjects, empty lists for the others."""
    counts = np.diff(population.offsets)
    kept = population.parameters[np.repeat(accepted, counts)]
    return list_array(kept, np.where(accepted, counts, 0))


def selected_lists(names: tuple[str, ...], selected: NDArray[np.bool_]) -> pa.Array:
    """Names of each subject's selected patterns: list<string>."""
    counts = selected.sum(axis=1)
    _, columns = np.nonzero(selected)  # row by row
    chosen = np.array(names, object)[columns]
    return pa.ListArray.from_arrays(_offsets(counts), pa.array(chosen, pa.string()))


def history_lists(
    degraded: NDArray[np.float32], clean: NDArray[np.float32], accepted: NDArray[np.bool_]
) -> tuple[pa.Array, NDArray[np.int64]]:
    """The epochs of the accepted subjects, and how many of them are the degraded stage's.

    Args:
        degraded: float32 `(S, epochs, 4)` of the degraded stage, see `training.History`; NaN in the
            epochs that a subject did not train.
        clean: the same of the clean stage.
        accepted: bool `(S,)`.

    Returns:
        list<float32>, the degraded epochs and then the clean ones, four numbers each; and int64
        `(S,)`, the number of degraded epochs.
    """
    both = np.concatenate([degraded, clean], axis=1)  # (S, epochs of both, 4)
    trained = ~np.isnan(both[:, :, 0]) & accepted[:, None]  # (S, epochs of both)
    degraded_epochs = trained[:, : degraded.shape[1]].sum(axis=1)
    lengths = 4 * trained.sum(axis=1)
    history = list_array(both[trained].ravel(), lengths)
    return history, degraded_epochs
