"""Many MLPs of any shapes in flat arrays, and the way to and from `nn.Sequential`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muat_exp.config import ACTIVATIONS

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Population:
    """S subjects: `depths` hidden layers of `widths` neurons, then one logit.

    Attributes:
        features: inputs of every subject, the sequence length.
        depths, widths, kinds: int64 `(S,)`; kinds index `ACTIVATIONS`.
        parameters: float32 `(offsets[-1],)`, each subject's weight (out, in) and bias (out,) layer by layer.
        offsets: int64 `(S + 1,)`.
    """

    features: int
    depths: NDArray[np.int64]
    widths: NDArray[np.int64]
    kinds: NDArray[np.int64]
    parameters: NDArray[np.float32]
    offsets: NDArray[np.int64]

    @classmethod
    def zeros(cls, features: int, depths: NDArray[np.int64], widths: NDArray[np.int64], kinds: NDArray[np.int64]) -> Population:
        """Subjects of the given shapes with all parameters zero."""
        counts = features * widths + widths + (depths - 1) * (widths * widths + widths) + widths + 1
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(features, depths, widths, kinds, np.zeros(offsets[-1], np.float32), offsets)

    def __len__(self) -> int:
        return len(self.depths)

    @property
    def neurons(self) -> NDArray[np.int64]:
        """Outputs of all Linear layers, the logit included: int64 `(S,)`."""
        return self.depths * self.widths + 1

    def subject(self, index: int) -> NDArray[np.float32]:
        """A view of one subject's flat parameters."""
        return self.parameters[self.offsets[index] : self.offsets[index + 1]]

    def with_parameters(self, parameters: NDArray[np.float32]) -> Population:
        """The same shapes with other parameters."""
        return replace(self, parameters=parameters)

    def copy_subjects(self, source: NDArray[np.float32], which: NDArray[np.int64]) -> None:
        """Copies the parameters of some subjects from an array laid out like `parameters`."""
        for index in which:
            part = slice(self.offsets[index], self.offsets[index + 1])
            self.parameters[part] = source[part]

    def to_module(self, index: int) -> nn.Sequential:
        """One subject as a plain `nn.Sequential` of Linear layers and activations."""
        kind = ACTIVATIONS[self.kinds[index]]
        return to_module(self.subject(index), self.features, int(self.depths[index]), int(self.widths[index]), kind)


def layer_shapes(features: int, depth: int, width: int) -> list[tuple[int, int]]:
    """(out, in) of every Linear layer.

    >>> layer_shapes(5, 2, 3)
    [(3, 5), (3, 3), (1, 3)]
    """
    return [(width, features), *[(width, width)] * (depth - 1), (1, width)]


def split_parameters(
    parameters: NDArray[np.float32], shapes: Sequence[tuple[int, int]]
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weight (out, in) and bias (out,) of each layer, as views of the flat parameters."""
    layers, at = [], 0
    for out, fan_in in shapes:
        weight = parameters[at : at + out * fan_in].reshape(out, fan_in)
        at += out * fan_in
        layers.append((weight, parameters[at : at + out]))
        at += out
    return layers


def to_module(parameters: NDArray[np.float32], features: int, depth: int, width: int, activation: str) -> nn.Sequential:
    """A plain `nn.Sequential` with these flat parameters: `0.weight`, `0.bias`, `2.weight`, ..."""
    import torch
    from torch import nn

    activations: dict[str, type[nn.Module]] = dict(
        zip(ACTIVATIONS, (nn.ReLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU), strict=True)
    )
    modules: list[nn.Module] = []
    for weight, bias in split_parameters(np.array(parameters, np.float32), layer_shapes(features, depth, width)):
        linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta").to_empty(device="cpu")
        linear.weight.data, linear.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
        modules += [linear, activations[activation]()]
    return nn.Sequential(*modules[:-1])


def from_module(module: nn.Sequential) -> NDArray[np.float32]:
    """Flat parameters of an `nn.Sequential`, float32."""
    import torch

    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()]).to(torch.float32).numpy()
