"""The shape of subjects' networks: the only module that knows how their layers follow.

A subject is a chain of Linear layers, each hidden one with an activation behind it, the last one a
single logit. All that others need of a shape stands in a table with one row per layer, see `Layer`:
kernels, texts, parsers and modules walk it. Which widths hidden layers may have is said in
`shapes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muat_exp.subjects.activations import IDENTITY, activation_code, activation_of
from muat_exp.subjects.shapes import hidden_widths, layer_width

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import nn

    from muat_exp.config.groups import Config

_LOGITS = 1  # outputs of a network
MODULES_PER_LAYER = 2  # of an `nn.Sequential`: a Linear and its activation

Weights = Mapping[str, NDArray[np.float32]]


class Layer(NamedTuple):
    """One Linear layer: a row of a table of layers, whose columns are these, int64.

    Attributes:
        fan_in: its inputs.
        fan_out: its neurons.
        offset: where its weight (out, in) begins among its subject's parameters; its bias (out,)
            comes next.
        activation: code of the activation behind it, `IDENTITY` for none.
        module: its place in `nn.Sequential`, which names its parameters: 0, 2, 4, ...
    """

    fan_in: int
    fan_out: int
    offset: int
    activation: int
    module: int

    @property
    def names(self) -> tuple[str, str]:
        """Names of its weight and its bias in texts and JSON."""
        return parameter_names(self.module)


class Networks(NamedTuple):
    """The networks of S subjects, as the kernels read them.

    Attributes:
        layers: int64 `(all layers, 5)`, a `Layer` in each row, subject after subject.
        starts: int64 `(S + 1,)`, each subject's rows of `layers`.
        parameters: float32 `(all parameters,)`, each layer's weight (out, in) and bias (out,) in
            turn.
        offsets: int64 `(S + 1,)`, each subject's part of `parameters`.
    """

    layers: NDArray[np.int64]
    starts: NDArray[np.int64]
    parameters: NDArray[np.float32]
    offsets: NDArray[np.int64]


def _places(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each layer, whose it is and which of its subject's it is; int64 `(all layers,)` both.

    >>> _places(np.array([2, 3]))
    (array([0, 0, 1, 1, 1]), array([0, 1, 0, 1, 2]))
    """
    subject = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    index = np.arange(len(subject)) - starts[subject]
    return subject, index


def _lay_out(
    features: int,
    fan_out: NDArray[np.int64],
    starts: NDArray[np.int64],
    activations: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of layers, and where each subject's parameters begin.

    Args:
        features: inputs of every subject.
        fan_out: int64 `(all layers,)`, the layers' neurons, each subject's logit included.
        starts: int64 `(S + 1,)`, each subject's layers among them.
        activations: int64 `(S,)`, codes of the hidden layers' activations.
    """
    counts = np.diff(starts)
    subject, index = _places(counts)
    fan_in = np.roll(fan_out, 1)
    fan_in[index == 0] = features
    parameters = fan_in * fan_out + fan_out
    ends = np.concatenate([[0], np.cumsum(parameters)])
    offsets = ends[starts]
    hidden = index < counts[subject] - 1
    layers = np.stack(
        [
            fan_in,
            fan_out,
            ends[:-1] - offsets[subject],
            np.where(hidden, activations[subject], IDENTITY),
            MODULES_PER_LAYER * index,
        ],
        axis=1,
    )
    return layers.astype(np.int64), offsets.astype(np.int64)


def zero_networks(
    shape: str,
    features: int,
    depths: NDArray[np.int64],
    widths: NDArray[np.int64],
    activations: NDArray[np.int64],
) -> Networks:
    """Networks of S subjects with all parameters zero.

    Args:
        shape: one of `shapes.SHAPES`, how hidden widths follow from the drawn one.
        features: inputs of every subject, the sequence length.
        depths: int64 `(S,)`, hidden layers.
        widths: int64 `(S,)`, drawn widths, those of the first hidden layers.
        activations: int64 `(S,)`, codes.
    """
    counts = depths + 1  # of layers, with the logit's
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    subject, index = _places(counts)
    depth = depths[subject]
    hidden = layer_width(shape, index, depth, widths[subject])
    fan_out = np.where(index < depth, hidden, _LOGITS)
    layers, offsets = _lay_out(features, fan_out, starts, activations)
    return Networks(layers, starts, np.zeros(offsets[-1], np.float32), offsets)


@lru_cache(maxsize=256)
def _table_of(architecture: Architecture) -> NDArray[np.int64]:
    """An architecture's table of layers."""
    fan_out = np.array([*architecture.widths, _LOGITS])
    starts = np.array([0, len(fan_out)])
    activations = np.array([activation_code(architecture.activation)])
    return _lay_out(architecture.features, fan_out, starts, activations)[0]


@dataclass(frozen=True)
class Architecture:
    """The shape of one network.

    Attributes:
        features: inputs, the sequence length.
        widths: neurons of each hidden layer.
        activation: name of the activation behind each of them.
    """

    features: int
    widths: tuple[int, ...]
    activation: str

    @property
    def num_layers(self) -> int:
        """Hidden layers."""
        return len(self.widths)

    @property
    def neurons_per_layer(self) -> int:
        """Neurons of the first hidden layer; of all of them in a uniform network."""
        return self.widths[0]

    @property
    def widths_text(self) -> str:
        """Its hidden widths in words: one number where all are the same, else all in order.

        >>> Architecture(5, (9, 9), "relu").widths_text, Architecture(5, (9, 4), "relu").widths_text
        ('9', '9, 4')
        """
        same = len(set(self.widths)) == 1
        shown = self.widths[:1] if same else self.widths
        return ", ".join(map(str, shown))

    @property
    def table(self) -> NDArray[np.int64]:
        """Its layers as the kernels read them: int64 `(layers, 5)`, shared, not to be changed."""
        return _table_of(self)

    @property
    def layers(self) -> list[Layer]:
        """Its Linear layers, the logit's last."""
        return layers_of(self.table)

    @property
    def neurons(self) -> int:
        """Outputs of all Linear layers."""
        return sum(layer.fan_out for layer in self.layers)

    @property
    def parameters(self) -> int:
        """How many weights and biases it has.

        >>> Architecture(5, (10, 10), "relu").parameters
        181
        """
        last = self.layers[-1]
        return last.offset + (last.fan_in + 1) * last.fan_out

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all weights and biases by name, in the order of the parameters.

        >>> Architecture(5, (4,), "relu").shapes["network.0.weight"]
        (4, 5)
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in self.layers:
            weight, bias = layer.names
            shapes[weight] = (layer.fan_out, layer.fan_in)
            shapes[bias] = (layer.fan_out,)
        return shapes


def recorded_architecture(record: Mapping[str, Any], config: Config) -> Architecture:
    """The architecture of a row of `subjects`, of a dataset with this configuration."""
    widths = hidden_widths(
        config.architecture.shape, record["num_layers"], record["neurons_per_layer"]
    )
    return Architecture(config.patterns.sequence_length, widths, record["activation"])


def recorded_networks(table: pa.Table, config: Config) -> Networks:
    """Networks of the shapes of a dataset's `subjects`, with all parameters zero."""
    depths = table["num_layers"].to_numpy().astype(np.int64)
    widths = table["neurons_per_layer"].to_numpy().astype(np.int64)
    names = table["activation"].to_pylist()
    activations = np.array([activation_code(name) for name in names], np.int64)
    return zero_networks(
        config.architecture.shape,
        config.patterns.sequence_length,
        depths,
        widths,
        activations,
    )


def layers_of(table: NDArray[np.int64]) -> list[Layer]:
    """The rows of a table of layers `(layers, 5)`."""
    return [Layer(*row) for row in table.tolist()]


def parameter_names(module: int) -> tuple[str, str]:
    """Names of the weight and the bias of the Linear layer at a place in `nn.Sequential`."""
    return f"network.{module}.weight", f"network.{module}.bias"


def layer_names(count: int) -> list[tuple[str, str]]:
    """Names of the weights and biases of a network of so many Linear layers.

    >>> layer_names(2)[1]
    ('network.2.weight', 'network.2.bias')
    """
    modules = range(0, MODULES_PER_LAYER * count, MODULES_PER_LAYER)
    return [parameter_names(module) for module in modules]


def layer_widths(weights: Weights) -> tuple[int, ...]:
    """Neurons of each Linear layer, the logit's last.

    Of weights and biases by name, in their order.
    """
    biases = list(weights.values())[1::2]
    return tuple(len(bias) for bias in biases)


def split_parameters(
    parameters: NDArray[np.float32], layers: Sequence[Layer]
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weight (out, in) and bias (out,) of each layer, as views of the flat parameters."""
    parts = []
    for layer in layers:
        start = layer.offset
        middle = start + layer.fan_in * layer.fan_out
        stop = middle + layer.fan_out
        weight = parameters[start:middle].reshape(layer.fan_out, layer.fan_in)
        parts.append((weight, parameters[middle:stop]))
    return parts


def split_neurons(
    values: NDArray[np.float32], layers: Sequence[Layer]
) -> list[NDArray[np.float32]]:
    """Each layer's rows of values `(neurons, columns)`; the first layer's neurons come first."""
    ends = np.cumsum([layer.fan_out for layer in layers])
    return np.split(values, ends[:-1])


def to_module(parameters: NDArray[np.float32], layers: Sequence[Layer]) -> nn.Sequential:
    """A plain `nn.Sequential` with these flat parameters: `0.weight`, `0.bias`, `2.weight`, ..."""
    import torch
    from torch import nn

    modules: list[nn.Module] = []
    own = np.array(parameters, np.float32)
    for layer, (weight, bias) in zip(layers, split_parameters(own, layers), strict=True):
        # Made without memory, and so without a draw of weights.
        linear = nn.Linear(layer.fan_in, layer.fan_out, device="meta")
        linear = linear.to_empty(device="cpu")
        linear.weight.data = torch.from_numpy(weight)
        linear.bias.data = torch.from_numpy(bias)
        modules.append(linear)
        if layer.activation != IDENTITY:
            activation = getattr(nn, activation_of(layer.activation).module)
            modules.append(activation())
    return nn.Sequential(*modules)


def from_module(module: nn.Sequential) -> NDArray[np.float32]:
    """Flat parameters of an `nn.Sequential`, float32."""
    import torch

    parts = [parameter.detach().flatten() for parameter in module.parameters()]
    flat = torch.cat(parts).to(torch.float32)
    return flat.numpy()
