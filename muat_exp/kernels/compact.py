"""Numbers as short text, without the GIL: a line per neuron, see `prompts.compact`.

All writers take the buffer and where to begin, and return the place behind what they wrote.
"""

from typing import Any, NamedTuple

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.network import layer_at
from muat_exp.kernels.text import (
    DOT,
    MINUS,
    NEWLINE,
    SPACE,
    TRIPLES,
    ZERO,
    write_byte,
    write_digits,
    write_sign,
    write_text,
)
from muat_exp.prompts.codings import CENTRE, coding_code

_DECIMAL = coding_code("decimal")
_INTEGER = coding_code("integer")
_DIGITS = coding_code("digits")
_THOUSAND = 1000
_NUMBER_BYTES = 32  # at most, with its sign and the space behind it
_SHIFTED = np.array([list(f"{number:<3d}".encode()) for number in range(_THOUSAND)], np.uint8)
_LENGTHS = np.array([len(str(number)) for number in range(_THOUSAND)], np.int64)  # without zeros


class Spelling(NamedTuple):
    """How numbers are written.

    Attributes:
        coding: the code of its name.
        decimals: behind the point.
        unit: of the last decimal, in 1.
        padding: what makes a number of six decimals of them: 10**(6 - decimals).
    """

    coding: int
    decimals: int
    unit: int
    padding: int


class Blocks(NamedTuple):
    """How the blocks of layers begin.

    Attributes:
        text: uint8, the headings of all layers, one after another.
        starts: int64 `(layers + 1,)`, each layer's part of `text`.
        factors: float64 `(layers, columns)`, what the numbers of a column are multiplied by before
            they are rounded; with a single column, all numbers.
    """

    text: Any
    starts: Any
    factors: Any


@compiled()
def _write_whole(buffer, at, number):
    """A non-negative integer without leading zeros.

    Up to three digits come from a table and are written in any case: to branch on their number,
    which nothing foretells, took longer.
    """
    if number >= _THOUSAND:
        return write_digits(buffer, at, number, 1)
    for i in range(3):
        buffer[at + i] = _SHIFTED[number, i]
    return at + _LENGTHS[number]


@compiled()
def _write_triple(buffer, at, number):
    """A number from 0 to 999 with all three digits."""
    for i in range(3):
        buffer[at + i] = TRIPLES[number, i]
    return at + 3


@compiled()
def _write_decimal(buffer, at, units, spelling):
    """A number of units of the last decimal, as Python's `f"{value:.<decimals>f}"` spells it."""
    whole = units // spelling.unit
    rest = np.uint32((units - whole * spelling.unit) * spelling.padding)  # in millionths
    high = rest // np.uint32(_THOUSAND)
    if whole < 10:
        at = write_byte(buffer, at, ZERO + np.uint8(whole))
    else:
        at = write_digits(buffer, at, whole, 1)
    start = write_byte(buffer, at, DOT)
    end = _write_triple(buffer, start, high)
    _write_triple(buffer, end, rest - high * np.uint32(_THOUSAND))
    return start + spelling.decimals


@compiled()
def _write_value(buffer, at, value, factor, spelling):
    """One number by any coding, rounded to a whole one after it is multiplied; ties to even."""
    scaled = np.rint(np.float64(value) * factor)
    if spelling.coding == _DIGITS:
        return _write_triple(buffer, at, np.int64(scaled) + CENTRE)
    units = np.int64(abs(scaled))
    if spelling.coding == _INTEGER:
        buffer[at] = MINUS
        at = _write_whole(buffer, at + np.int64(scaled < 0), units)
    elif spelling.coding == _DECIMAL:
        at = write_sign(buffer, at, value)
        at = _write_decimal(buffer, at, units, spelling)
    else:
        raise ValueError("there is no kernel for this coding of numbers")
    return write_byte(buffer, at, SPACE)


@compiled()
def _end_line(buffer, at, spelling):
    """The line break behind a neuron's numbers; it takes the place of the last space."""
    spaced = np.int64(spelling.coding != _DIGITS)
    return write_byte(buffer, at - spaced, NEWLINE)


@compiled()
def _write_heading(buffer, at, blocks, index):
    """What a layer's block begins with."""
    return write_text(buffer, at, blocks.text[blocks.starts[index] : blocks.starts[index + 1]])


@compiled()
def _write_layer(buffer, at, parameters, layer, factor, spelling):
    """A line for each neuron of a layer: its weights, then its bias."""
    biases = layer.offset + layer.fan_in * layer.fan_out
    for neuron in range(layer.fan_out):
        start = layer.offset + neuron * layer.fan_in
        for i in range(start, start + layer.fan_in):
            at = _write_value(buffer, at, parameters[i], factor, spelling)
        at = _write_value(buffer, at, parameters[biases + neuron], factor, spelling)
        at = _end_line(buffer, at, spelling)
    return at


@compiled()
def _write_weights(buffer, at, parameters, layers, blocks, spelling):
    """A block for each layer."""
    for index in range(layers.shape[0]):
        layer = layer_at(layers, index)
        at = _write_heading(buffer, at, blocks, index)
        at = _write_layer(buffer, at, parameters, layer, blocks.factors[index, 0], spelling)
    return at


@compiled()
def _write_signature(buffer, at, signature, layers, blocks, spelling):
    """A block for each layer, in it a line for each neuron with the numbers of all methods."""
    neuron = 0
    for index in range(layers.shape[0]):
        at = _write_heading(buffer, at, blocks, index)
        behind = neuron + layer_at(layers, index).fan_out
        for row in range(neuron, behind):
            for column in range(signature.shape[1]):
                factor = blocks.factors[index, column]
                at = _write_value(buffer, at, signature[row, column], factor, spelling)
            at = _end_line(buffer, at, spelling)
        neuron = behind
    return at


@compiled()
def write_compact(parameters, layers, weights, signature, profiles, sections, spelling):
    """A subject's prompt, or its weights alone, as bytes.

    Args:
        parameters: float32, the network's.
        layers: its table of layers.
        weights: the `Blocks` of its weights.
        signature: float32 `(neurons, columns)`; `(0, 0)` where none is shown.
        profiles: the `Blocks` of its signature.
        sections: what stands before the weights, before the signature, and at the end; the second
            only where there is a signature.
        spelling: of all numbers.
    """
    size = (
        sections.header.shape[0]
        + sections.between.shape[0]
        + sections.footer.shape[0]
        + weights.text.shape[0]
        + profiles.text.shape[0]
        + (parameters.shape[0] + signature.size + 1) * _NUMBER_BYTES
    )
    buffer = np.empty(size, np.uint8)
    at = write_text(buffer, 0, sections.header)
    at = _write_weights(buffer, at, parameters, layers, weights, spelling)
    if signature.shape[0] > 0:
        at = write_text(buffer, at, sections.between)
        at = _write_signature(buffer, at, signature, layers, profiles, spelling)
    end = write_text(buffer, at, sections.footer)
    return buffer[:end]
