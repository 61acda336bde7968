"""The format `matrix`: all networks, of one shape, in the rows of one array.

As the Small CNN Zoo is stored: `weights.npy`, `layout.csv`, which says what stands where in a row,
and `metrics.csv.gz`, a line for each row. Its readers take Keras' names and order: a `kernel:0` is
(in, out), a `bias:0` comes next.
"""

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.dataset.column_names import SCORES
from muat_exp.errors import ExportError
from muat_exp.exports.formats import Options, Written
from muat_exp.exports.labelled import LabelledSubjects
from muat_exp.subjects.architecture import Layer

_LAST_STEP = 86  # of the Zoo; its readers pass over rows of any other
_SHOWN_SHAPES = 3  # in the sentence about a dataset of several


class LayoutRow(NamedTuple):
    """What stands in some columns of the matrix: a line of `layout.csv`.

    Attributes:
        varname: of a kernel or a bias, such as `network.0/kernel:0`.
        start_idx, end_idx: its columns, the end excluded.
        shape: its shape, (in, out) or (out,).
    """

    varname: str
    start_idx: int
    end_idx: int
    shape: tuple[int, ...]


class Matrix(NamedTuple):
    """N networks of one shape.

    Attributes:
        weights: float32 `(N, parameters)`.
        layout: what stands in its columns, layer by layer.
        metrics: what is known of each row, with the names of the Zoo where it has one.
        labels: int64 `(N,)`, target patterns as indices into `patterns`.
        patterns: the names of the enabled patterns.
    """

    weights: NDArray[np.float32]
    layout: tuple[LayoutRow, ...]
    metrics: pa.Table
    labels: NDArray[np.int64]
    patterns: tuple[str, ...]


def load_matrix(dataset: Path | str) -> Matrix:
    """The networks of a dataset as one array.

    Args:
        dataset: its folder; a text may also be its `<owner>/<name>` on the Hugging Face Hub.

    Raises:
        DatasetError: there is no such dataset, or it is not readable.
        ExportError: its networks have several shapes.
    """
    labelled = LabelledSubjects(dataset)
    _require_one_shape(labelled)
    layers = labelled.population.layers(0)
    rows = labelled.population.parameters.reshape(len(labelled), -1)
    return Matrix(
        weights=np.concatenate([_columns(rows, layer) for layer in layers], axis=1),
        layout=tuple(row for layer in layers for row in _layout(layer)),
        metrics=_metrics(labelled),
        labels=labelled.labels,
        patterns=labelled.patterns,
    )


def check(options: Options) -> None:
    """Refuses nothing: it needs no further package."""


def write(dataset: Path, folder: Path, options: Options) -> Written:
    """Writes `weights.npy`, `layout.csv` and `metrics.csv.gz`.

    Raises:
        DatasetError: the dataset is not readable.
        ExportError: its networks have several shapes.
    """
    matrix = load_matrix(dataset)
    np.save(folder / "weights.npy", matrix.weights, allow_pickle=False)
    (folder / "layout.csv").write_bytes(_csv(LayoutRow._fields, matrix.layout))
    columns = [column.to_pylist() for column in matrix.metrics.columns]
    table = _csv(matrix.metrics.column_names, zip(*columns, strict=True))
    # Without the time, so that the same dataset gives the same bytes.
    (folder / "metrics.csv.gz").write_bytes(gzip.compress(table, mtime=0))
    splits = matrix.metrics["split"].value_counts().to_pylist()
    counts = {row["values"]: row["counts"] for row in splits}
    return Written(counts, facts={"patterns": matrix.patterns})


def _require_one_shape(labelled: LabelledSubjects) -> None:
    """Raises `ExportError` where the networks have several shapes."""
    table = labelled.subjects.table
    shapes = set(
        zip(table["num_layers"].to_pylist(), table["neurons_per_layer"].to_pylist(), strict=True)
    )
    if len(shapes) < 2:
        return
    some = [f"{depth} x {width}" for depth, width in sorted(shapes)[:_SHOWN_SHAPES]]
    raise ExportError(
        f"format=matrix needs networks of one shape; {labelled.subjects.folder} has {len(shapes)} "
        f"(hidden layers x neurons: {', '.join(some)}, ...). experiment=one_shape makes a dataset "
        "of one; format=state_dicts and format=pyg take any."
    )


def _columns(rows: NDArray[np.float32], layer: Layer) -> NDArray[np.float32]:
    """The kernel (in, out) and the bias of a layer, `(N, numbers)`, from flat parameters."""
    bias = layer.offset + layer.fan_in * layer.fan_out
    end = bias + layer.fan_out
    weights = rows[:, layer.offset : bias].reshape(-1, layer.fan_out, layer.fan_in)
    kernels = weights.transpose(0, 2, 1).reshape(len(rows), -1)
    return np.concatenate([kernels, rows[:, bias:end]], axis=1)


def _layout(layer: Layer) -> tuple[LayoutRow, LayoutRow]:
    """Where the kernel and the bias of a layer stand."""
    bias = layer.offset + layer.fan_in * layer.fan_out
    end = bias + layer.fan_out
    name = f"network.{layer.module}"
    return (
        LayoutRow(f"{name}/kernel:0", layer.offset, bias, (layer.fan_in, layer.fan_out)),
        LayoutRow(f"{name}/bias:0", bias, end, (layer.fan_out,)),
    )


def _metrics(labelled: LabelledSubjects) -> pa.Table:
    """What is known of each network; `train_accuracy` is that on the validation sequences."""
    table = labelled.subjects.table
    count = len(labelled)
    columns: dict[str, Any] = {
        "example_id": table["example_id"],
        "split": labelled.splits.tolist(),
        "target_pattern": table["target_pattern"],
        "label": labelled.labels,
        "step": np.full(count, _LAST_STEP),
        "train_accuracy": table["improved_accuracy"],
        **{name: table[name] for name in SCORES},
        "config.activation": table["activation"],
        "config.learning_rate": table["learning_rate"],
        "config.dropout": np.full(count, labelled.subjects.config.architecture.dropout),
    }
    return pa.table(columns)


def _csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()
