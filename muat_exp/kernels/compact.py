"""Numbers as short text, without the GIL: a line per neuron, see `prompts.compact`.

A number is first a whole number of units: all of a line at a time, which the processor does many
of at once. Its characters then come from tables of words, each with the text of a number in its
lower bytes, that are stored whole; what is stored behind the text is written over by what follows.
All writers take the buffer and where to begin, and return the place behind what they wrote.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.network import layer_at
from muat_exp.kernels.text import (
    DOT,
    MINUS,
    NEWLINE,
    SPACE,
    ZERO,
    write_byte,
    write_digits,
    write_text,
)
from muat_exp.prompts.codings import CENTRE, LARGEST, SPAN, coding_code

_DECIMAL = coding_code("decimal")
_INTEGER = coding_code("integer")
_DIGITS = coding_code("digits")
_THOUSAND = 1000
_MILLION = 1_000_000
_NUMBER_BYTES = 32  # at most, with its sign, the space behind it, and what a word has besides
_SHIFTS = np.array([0, 8, 16], np.uint64)  # of the three characters in a word
_TEN = np.int64(10)
_TWO_BYTES = np.uint64(16)
_FIVE_BYTES = np.uint64(40)
_ZERO_AND_POINT = np.uint64(ZERO) | (np.uint64(DOT) << np.uint64(8))


def _words(texts: list[str]) -> Any:
    """Words with the three characters of each text in their lower bytes, uint64 `(texts,)`."""
    characters = np.array([list(text.encode()) for text in texts], np.uint64)
    return (characters << _SHIFTS).sum(axis=1, dtype=np.uint64)


_TRIPLES = _words([f"{number:03d}" for number in range(_THOUSAND)])
_SHORTEST = _words([f"{number:<3d}" for number in range(_THOUSAND)])
_LENGTHS = np.array([len(str(number)) for number in range(_THOUSAND)], np.int64)


class Spelling(NamedTuple):
    """How numbers are written.

    Attributes:
        coding: the code of its name.
        decimals: behind the point.
        unit: of the last decimal, in 1.
        padding: units times this are millionths.
    """

    coding: int
    decimals: int
    unit: int
    padding: int


class Blocks(NamedTuple):
    """How the blocks of layers begin.

    Attributes:
        text: uint8, the headings of all layers, one after another.
        lines: of each heading.
        largest: float32 `(layers, methods)`, by digits the largest magnitudes.
        methods: int64 `(columns,)`, the method that each of a neuron's numbers is of, and so which
            magnitude is its own.
    """

    text: Any
    lines: int
    largest: Any
    methods: Any


@intrinsic
def _store_word(typing_context, buffer, at, word):
    """Writes the eight bytes of a word, the lowest first, to a buffer of uint8."""

    def codegen(context, builder, signature, arguments):
        buffer_type = signature.args[0]
        buffer, at, word = arguments
        array = context.make_array(buffer_type)(context, builder, buffer)
        entry = cgutils.get_item_pointer(
            context, builder, buffer_type, array, [at], wraparound=False
        )
        address = builder.bitcast(entry, ir.IntType(64).as_pointer())
        builder.store(word, address).align = 1
        return context.get_dummy_value()

    return types.void(buffer, types.int64, types.uint64), codegen


@compiled()
def _factor(largest, spelling):
    """What numbers are multiplied by to be whole numbers of units."""
    if spelling.coding != _DIGITS:
        return np.float64(spelling.unit)
    return SPAN / np.float64(largest) if largest > 0 else 0.0


@compiled()
def _to_units(values, start, stop, factor, spelling, units):
    """Some numbers times a factor as whole ones, ties to even; whether all can be written."""
    bound = LARGEST * spelling.unit
    sound = True
    for i in range(start, stop):
        scaled = np.float64(values[i]) * factor
        sound &= abs(scaled) < bound
        units[i] = np.int64(np.rint(scaled))
    return sound


@compiled()
def _write_whole(buffer, at, number):
    """A non-negative integer without leading zeros."""
    if number < _THOUSAND:
        _store_word(buffer, at, _SHORTEST[number])
        return at + _LENGTHS[number]
    if number >= _MILLION:
        return write_digits(buffer, at, number, 1)
    high = number // _THOUSAND
    _store_word(buffer, at, _SHORTEST[high])
    at += _LENGTHS[high]
    _store_word(buffer, at, _TRIPLES[number - high * _THOUSAND])
    return at + 3


@compiled()
def _write_sign(buffer, at, negative):
    """A minus in any case, which is written over where it does not count."""
    buffer[at] = MINUS
    return at + np.int64(negative)


@compiled()
def _write_integers(buffer, at, units, start, stop):
    """Whole numbers, a space behind each."""
    for i in range(start, stop):
        at = _write_sign(buffer, at, units[i] < 0)
        at = _write_whole(buffer, at, abs(units[i]))
        at = write_byte(buffer, at, SPACE)
    return at


@compiled()
def _write_decimals(buffer, at, units, start, stop, spelling):
    """Numbers with all their decimals, a space behind each; no minus before a zero."""
    inverse = 1.0 / spelling.unit
    for i in range(start, stop):
        number = abs(units[i])
        # One off where the product is rounded up: a division would take several times as long.
        whole = np.int64(np.float64(number) * inverse)
        whole -= np.int64(whole * spelling.unit > number)
        rest = np.uint32((number - whole * spelling.unit) * spelling.padding)
        high = rest // np.uint32(_THOUSAND)
        low = rest - high * np.uint32(_THOUSAND)
        decimals = (_TRIPLES[high] << _TWO_BYTES) | (_TRIPLES[low] << _FIVE_BYTES)
        at = _write_sign(buffer, at, units[i] < 0)
        if whole >= _TEN:
            at = write_digits(buffer, at, whole // _TEN, 1)
            whole %= _TEN
        _store_word(buffer, at, np.uint64(whole) + _ZERO_AND_POINT | decimals)
        at = write_byte(buffer, at + 2 + spelling.decimals, SPACE)
    return at


@compiled()
def _write_triples(buffer, at, units, start, stop):
    """Three digits for each number, nothing between them."""
    for i in range(start, stop):
        _store_word(buffer, at, _TRIPLES[units[i] + CENTRE])
        at += 3
    return at


@compiled()
def _write_numbers(buffer, at, units, start, stop, spelling):
    """Some numbers of a line."""
    if spelling.coding == _INTEGER:
        return _write_integers(buffer, at, units, start, stop)
    if spelling.coding == _DECIMAL:
        return _write_decimals(buffer, at, units, start, stop, spelling)
    if spelling.coding == _DIGITS:
        return _write_triples(buffer, at, units, start, stop)
    raise ValueError("there is no kernel for this coding of numbers")


@compiled()
def _end_line(buffer, at, spelling):
    """The line break behind a neuron's numbers; it takes the place of a space behind the last."""
    return write_byte(buffer, at - np.int64(spelling.coding != _DIGITS), NEWLINE)


@compiled()
def _write_heading(buffer, at, blocks, place):
    """The heading at a place of the blocks' text; also returns the place of the next one."""
    for _ in range(blocks.lines):
        while blocks.text[place] != NEWLINE:
            at = write_byte(buffer, at, blocks.text[place])
            place += 1
        at = write_byte(buffer, at, NEWLINE)
        place += 1
    return at, place


@compiled()
def _write_weights(buffer, at, parameters, layers, blocks, spelling):
    """A block for each layer, in it a line for each neuron: its weights, then its bias.

    Returns a place before the buffer where a number is too large.
    """
    units = np.empty(parameters.shape[0], np.int64)
    place = 0
    for index in range(layers.shape[0]):
        layer = layer_at(layers, index)
        biases = layer.offset + layer.fan_in * layer.fan_out
        factor = _factor(blocks.largest[index, 0], spelling)
        stop = biases + layer.fan_out
        if not _to_units(parameters, layer.offset, stop, factor, spelling, units):
            return -1
        at, place = _write_heading(buffer, at, blocks, place)
        for neuron in range(layer.fan_out):
            start = layer.offset + neuron * layer.fan_in
            at = _write_numbers(buffer, at, units, start, start + layer.fan_in, spelling)
            bias = biases + neuron
            at = _write_numbers(buffer, at, units, bias, bias + 1, spelling)
            at = _end_line(buffer, at, spelling)
    return at


@compiled()
def _profile_units(signature, neuron, behind, index, blocks, spelling, units):
    """The numbers of a layer's neurons as whole ones; whether all can be written."""
    columns = signature.shape[1]
    bound = LARGEST * spelling.unit
    sound = True
    for column in range(columns):
        factor = _factor(blocks.largest[index, blocks.methods[column]], spelling)
        for row in range(neuron, behind):
            scaled = np.float64(signature[row, column]) * factor
            sound &= abs(scaled) < bound
            units[row * columns + column] = np.int64(np.rint(scaled))
    return sound


@compiled()
def _write_signature(buffer, at, signature, layers, blocks, spelling):
    """A block for each layer, in it a line for each neuron with the numbers of all methods.

    Returns a place before the buffer where a number is too large.
    """
    columns = signature.shape[1]
    units = np.empty(signature.size, np.int64)
    neuron = 0
    place = 0
    for index in range(layers.shape[0]):
        behind = neuron + layer_at(layers, index).fan_out
        if not _profile_units(signature, neuron, behind, index, blocks, spelling, units):
            return -1
        at, place = _write_heading(buffer, at, blocks, place)
        for start in range(neuron * columns, behind * columns, columns):
            at = _write_numbers(buffer, at, units, start, start + columns, spelling)
            at = _end_line(buffer, at, spelling)
        neuron = behind
    return at


@compiled()
def largest_weights(parameters, layers):
    """The largest magnitude of each layer's weights and biases, float32 `(layers, 1)`."""
    largest = np.zeros((layers.shape[0], 1), np.float32)
    for index in range(layers.shape[0]):
        layer = layer_at(layers, index)
        stop = layer.offset + (layer.fan_in + 1) * layer.fan_out
        for i in range(layer.offset, stop):
            largest[index, 0] = max(largest[index, 0], abs(parameters[i]))
    return largest


@compiled()
def largest_profiles(signature, layers, methods):
    """The largest magnitude of each method's numbers in each layer, float32 `(layers, methods)`."""
    largest = np.zeros((layers.shape[0], methods[-1] + 1), np.float32)
    neuron = 0
    for index in range(layers.shape[0]):
        behind = neuron + layer_at(layers, index).fan_out
        for row in range(neuron, behind):
            for column in range(signature.shape[1]):
                method = methods[column]
                size = abs(signature[row, column])
                largest[index, method] = max(largest[index, method], size)
        neuron = behind
    return largest


@compiled()
def write_compact(parameters, layers, weights, signature, profiles, sections, spelling):
    """A subject's prompt, or its weights alone, as bytes.

    No bytes at all where a number is too large for the coding.

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
    if at >= 0 and signature.shape[0] > 0:
        at = write_text(buffer, at, sections.between)
        at = _write_signature(buffer, at, signature, layers, profiles, spelling)
    if at < 0:
        return buffer[:0]
    end = write_text(buffer, at, sections.footer)
    return buffer[:end]
