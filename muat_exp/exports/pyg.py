"""The format `pyg`: graphs for PyTorch Geometric.

A node is an input or a neuron, an edge a weight, from where it comes to where it goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muat_exp.dataset.parquet import Shard, shard_name
from muat_exp.exports.formats import Options, Written, require_package
from muat_exp.exports.labelled import LabelledSubjects
from muat_exp.subjects.architecture import Layer, split_parameters

if TYPE_CHECKING:
    from torch_geometric.data import Data

    from muat_exp.dataset.reading import Subject

_GRAPHS_PER_FILE = 5000


def graph_arrays(subject: Subject) -> dict[str, Any]:
    """A network as a graph: the values of a `torch_geometric.data.Data` by name.

    Inputs come first, then the neurons layer by layer, the logit last.

    Returns:
        x: float32 `(nodes, 2 + columns)`, of each node its bias, its layer (0 for inputs) and its
            signature; inputs have neither bias nor signature, zeros stand for them.
        edge_index: int64 `(2, edges)`, from and to.
        edge_attr: float32 `(edges, 1)`, the weights.
        layer: int64 `(nodes,)`.
        y: int64 `(1,)`, the pattern that `dataset.label` says, as an index into
            `patterns.enabled`.
        example_id: int64 `(1,)`.
        pattern, activation: their names.
    """
    layers = subject.architecture.layers
    parts = split_parameters(subject.weights, layers)
    depths = _node_layers(layers)
    biases = np.concatenate([bias for _, bias in parts])
    inputs = layers[0].fan_in
    x = np.zeros((len(depths), 2 + subject.signature.shape[1]), np.float32)
    x[inputs:, 0] = biases
    x[:, 1] = depths
    x[inputs:, 2:] = subject.signature
    pattern = subject.record[subject.config.dataset.label_column]
    return {
        "x": x,
        "edge_index": _edges(layers),
        "edge_attr": np.concatenate([weight.ravel() for weight, _ in parts])[:, None],
        "layer": depths,
        "y": np.array([subject.config.patterns.enabled.index(pattern)]),
        "example_id": np.array([subject.example_id]),
        "pattern": pattern,
        "activation": subject.activation,
    }


def graph(subject: Subject) -> Data:
    """A network as a graph; see `graph_arrays`.

    Raises:
        ConfigurationError: torch_geometric is not installed.
    """
    require_package("torch_geometric", "pyg", "to_pyg")
    from torch_geometric.data import Data

    return Data(**_tensors(subject))


def load_graphs(dataset: Path | str) -> list[Data]:
    """The networks of a dataset as graphs, in the order of `load_subjects`; see `graph_arrays`.

    Args:
        dataset: its folder; a text may also be its `<owner>/<name>` on the Hugging Face Hub.

    Raises:
        ConfigurationError: torch_geometric is not installed.
        DatasetError: there is no such dataset, or it is not readable.
    """
    return [graph(subject) for subject in LabelledSubjects(dataset).subjects]


def check(options: Options) -> None:
    """Refuses nothing: PyTorch Geometric is needed by who reads the files."""


def write(dataset: Path, folder: Path, options: Options) -> Written:
    """Writes `<split>-<number>-of-<files>.pt`, each a list of dictionaries of plain tensors.

    `[Data(**values) for values in torch.load(path, weights_only=True)]` are their graphs.

    Raises:
        DatasetError: the dataset is not readable.
    """
    import torch

    labelled = LabelledSubjects(dataset)
    for name, rows in _files(labelled):
        graphs = [_tensors(labelled.subjects[row]) for row in rows.tolist()]
        torch.save(graphs, folder / name)
    return Written(labelled.counts(), facts={"patterns": labelled.patterns})


def _files(labelled: LabelledSubjects) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """The name of each file, and the rows of the networks in it."""
    for split in labelled.counts():
        rows = np.flatnonzero(labelled.splits == split)
        starts = range(0, len(rows), _GRAPHS_PER_FILE)
        for number, start in enumerate(starts):
            name = Path(shard_name(Shard(split, number, len(starts))))
            yield str(name.with_suffix(".pt")), rows[start : start + _GRAPHS_PER_FILE]


def _tensors(subject: Subject) -> dict[str, Any]:
    """A graph's arrays as tensors; its texts as they are."""
    import torch

    values = graph_arrays(subject)
    return {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in values.items()
    }


def _node_layers(layers: list[Layer]) -> NDArray[np.int64]:
    """The layer of each node, from 0 for the inputs: int64 `(nodes,)`."""
    sizes = [layers[0].fan_in, *(layer.fan_out for layer in layers)]
    return np.repeat(np.arange(len(sizes)), sizes)


def _edges(layers: list[Layer]) -> NDArray[np.int64]:
    """Where each weight comes from and goes to, in the order of the parameters: `(2, edges)`."""
    parts = []
    first = 0  # node of the layer that a weight comes from
    for layer in layers:
        target, source = np.divmod(np.arange(layer.fan_in * layer.fan_out), layer.fan_in)
        parts.append(np.stack([first + source, first + layer.fan_in + target]))
        first += layer.fan_in
    return np.concatenate(parts, axis=1)
