"""Families of shapes, and their limits: which widths the hidden layers have.

Imports nothing heavy, as the configuration reads it. To add a family: a rule in `_WIDTH_RULES`.
"""

from collections.abc import Callable
from typing import Any

MINIMUM_WIDTH = 4  # inputs of any layer: the kernels' tiles of weights are so wide
WIDTH_LIMITS = (MINIMUM_WIDTH, 256)  # of the first hidden layer
DEPTH_LIMITS = (1, 64)  # hidden layers


def _uniform_width(index: Any, depth: Any, width: Any) -> Any:
    """Every hidden layer has the drawn width."""
    return width


def _pyramid_width(index: Any, depth: Any, width: Any) -> Any:
    """Widths shrink linearly from the drawn one to `MINIMUM_WIDTH`.

    A single layer has the drawn width.
    Rounded to the nearest whole number, halves up: floor((2 a + b) / 2 b) is the fraction a / b so
    rounded.
    """
    steps = depth - 1 + (depth == 1)  # from the first layer to the last; 1 where they are the same
    above = (width - MINIMUM_WIDTH) * (steps - index)
    return MINIMUM_WIDTH + (2 * above + steps) // (2 * steps)


# (index of a hidden layer, number of hidden layers, drawn width) -> the layer's width: whole
# numbers, or integer arrays of any one shape.
_WIDTH_RULES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "uniform": _uniform_width,
    "pyramid": _pyramid_width,
}
SHAPES = tuple(_WIDTH_RULES)


def layer_width(shape: str, index: Any, depth: Any, width: Any) -> Any:
    """Neurons of hidden layers.

    Args:
        shape: one of `SHAPES`.
        index: which hidden layer, 0 the first: a whole number, or an integer array.
        depth: how many hidden layers there are, likewise.
        width: the drawn width, likewise.

    Raises:
        KeyError: there is no such shape.

    >>> [layer_width("pyramid", index, 4, 15) for index in range(4)]
    [15, 11, 8, 4]
    """
    return _WIDTH_RULES[shape](index, depth, width)


def hidden_widths(shape: str, depth: int, width: int) -> tuple[int, ...]:
    """Neurons of each hidden layer of one network.

    >>> hidden_widths("uniform", 3, 10), hidden_widths("pyramid", 1, 10)
    ((10, 10, 10), (10,))
    """
    return tuple(layer_width(shape, index, depth, width) for index in range(depth))
