"""The shape of a subject's network, and the way to and from `nn.Sequential`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import ACTIVATIONS

if TYPE_CHECKING:
    from torch import nn


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
    layers = []
    at = 0
    for out, fan_in in shapes:
        weight = parameters[at : at + out * fan_in].reshape(out, fan_in)
        at += out * fan_in
        layers.append((weight, parameters[at : at + out]))
        at += out
    return layers


def to_module(
    parameters: NDArray[np.float32], features: int, depth: int, width: int, activation: str
) -> nn.Sequential:
    """A plain `nn.Sequential` with these flat parameters: `0.weight`, `0.bias`, `2.weight`, ..."""
    import torch
    from torch import nn

    activations: dict[str, type[nn.Module]] = dict(
        zip(ACTIVATIONS, (nn.ReLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU), strict=True)
    )
    modules: list[nn.Module] = []
    for weight, bias in split_parameters(
        np.array(parameters, np.float32), layer_shapes(features, depth, width)
    ):
        linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta").to_empty(device="cpu")
        linear.weight.data = torch.from_numpy(weight)
        linear.bias.data = torch.from_numpy(bias)
        modules += [linear, activations[activation]()]
    return nn.Sequential(*modules[:-1])


def from_module(module: nn.Sequential) -> NDArray[np.float32]:
    """Flat parameters of an `nn.Sequential`, float32."""
    import torch

    return (
        torch.cat([parameter.detach().flatten() for parameter in module.parameters()])
        .to(torch.float32)
        .numpy()
    )
