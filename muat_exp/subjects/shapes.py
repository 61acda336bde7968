"""Families of shapes, and their limits: which widths the hidden layers have.

Imports nothing heavy, as the configuration reads it. To add a family: a rule in `_WIDTH_RULES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MINIMUM_WIDTH = 4  # inputs of any layer: the kernels' tiles of weights are so wide
WIDTH_LIMITS = (MINIMUM_WIDTH, 256)  # of the first hidden layer
DEPTH_LIMITS = (1, 64)  # hidden layers

# A whole number, or an integer array of any shape.
Whole = TypeVar("Whole", int, "NDArray[np.int64]")


class _WidthRule(Protocol):
    """How wide each hidden layer of a family is."""

    def __call__(self, index: Whole, depth: Whole, width: Whole) -> Whole:
        """See `layer_width`."""


def _uniform_width(index: Whole, depth: Whole, width: Whole) -> Whole:
    """Every hidden layer has the drawn width."""
    return width


def _pyramid_width(index: Whole, depth: Whole, width: Whole) -> Whole:
    """Widths shrink linearly from the drawn one to `MINIMUM_WIDTH`.

    A single layer has the drawn width. What lies between is rounded to the nearest whole number,
    halves up.
    """
    single = depth == 1
    steps = depth - 1 + single  # from the first layer to the last; 1 where they are the same
    above = (width - MINIMUM_WIDTH) * (steps - index)
    # A fraction a / b so rounded is floor((2 a + b) / 2 b).
    rounded = (2 * above + steps) // (2 * steps)
    return rounded + MINIMUM_WIDTH


_WIDTH_RULES: dict[str, _WidthRule] = {
    "uniform": _uniform_width,
    "pyramid": _pyramid_width,
}
SHAPES = tuple(_WIDTH_RULES)


def layer_width(shape: str, index: Whole, depth: Whole, width: Whole) -> Whole:
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
