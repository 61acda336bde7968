"""Numbers as text, without the GIL: weights and signatures, rounded to six decimals.

Weights are spelled as JSON spells numbers, signatures with all of their six decimals.

A network is its flat parameters and its table of layers (layers, 5), see `subjects.architecture`.
All writers take the buffer and where to begin, and return the place behind what they wrote.
"""

from typing import Any, NamedTuple

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.network import layer_at

_MILLION = 1_000_000
_FIRST_WITHOUT_EXPONENT = 100  # millionths
_THOUSAND = np.uint32(1000)
TRIPLES = np.array([list(f"{number:03d}".encode()) for number in range(1000)], np.uint8)  # digits
DOT = np.uint8(ord("."))
MINUS = np.uint8(ord("-"))
ZERO = np.uint8(ord("0"))
_COMMA = np.uint8(ord(","))
SPACE = np.uint8(ord(" "))
NEWLINE = np.uint8(ord("\n"))
_OPEN = np.uint8(ord("["))
_CLOSE = np.uint8(ord("]"))
_ENTRY = np.frombuffer(b'  "network.', np.uint8)
_WEIGHT_ENTRY = np.frombuffer(b'.weight": [\n', np.uint8)
_BIAS_ENTRY = np.frombuffer(b'.bias": [\n', np.uint8)
_BLOCK = np.frombuffer(b"### ", np.uint8)
_LAYER_BLOCK = np.frombuffer(b"### layer_", np.uint8)
_WEIGHT_LINE = np.frombuffer(b"weight: [", np.uint8)
_BIAS_LINE = np.frombuffer(b"bias: ", np.uint8)
_SIGNATURE_LINE = np.frombuffer(b"Signature:\n", np.uint8)
_OBJECT = np.frombuffer(b"{\n", np.uint8)
_OBJECT_END = np.frombuffer(b"}", np.uint8)
_MILLIONTHS = np.frombuffer(b"e-06", np.uint8)
_HUNDRED_THOUSANDTHS = np.frombuffer(b"e-05", np.uint8)
_NUMBER_BYTES = 32  # at most, with indentation, comma and line break
_NEURON_BYTES = 32  # at most, of the brackets around a neuron's weights, with their line breaks
_LAYER_BYTES = 96  # at most, of a layer's names, brackets and headings


class Sections(NamedTuple):
    """A prompt's fixed parts, uint8: `between` stands between weights and signature."""

    header: Any
    between: Any
    footer: Any


class Labels(NamedTuple):
    """How the lines of a signature begin.

    Attributes:
        text: uint8, the labels of all methods, one after another.
        starts: int64 `(methods + 1,)`, each method's part of `text`.
        columns: int64 `(methods,)`, each method's numbers per neuron.
    """

    text: Any
    starts: Any
    columns: Any


@compiled()
def write_text(buffer, at, text):
    """Copies bytes."""
    for i in range(text.shape[0]):
        buffer[at + i] = text[i]
    return at + text.shape[0]


@compiled()
def write_byte(buffer, at, byte):
    """One byte."""
    buffer[at] = byte
    return at + 1


@compiled()
def _write_spaces(buffer, at, count):
    """The indentation of a line."""
    for i in range(count):
        buffer[at + i] = SPACE
    return at + count


@compiled()
def _write_separator(buffer, at):
    """What stands between two values of one line."""
    buffer[at] = _COMMA
    buffer[at + 1] = SPACE
    return at + 2


@compiled()
def write_digits(buffer, at, value, least):
    """A non-negative integer with at least so many digits."""
    digits = 1
    rest = value // 10
    while rest > 0 or digits < least:
        digits += 1
        rest //= 10
    for i in range(digits - 1, -1, -1):
        buffer[at + i] = ZERO + np.uint8(value % 10)
        value //= 10
    return at + digits


@compiled()
def _millionths(value):
    """The size of a float32 in millionths, rounded to a whole number, ties to even. Up to 9e12.

    The product is exact in float64 (24 bits times 14, and a power of two), so rounding it is the
    correct rounding to six decimals.
    """
    exact = np.float64(abs(value)) * _MILLION
    return np.int64(np.rint(exact))


@compiled()
def write_sign(buffer, at, value):
    """A minus for what is negative, -0 included.

    It is written in any case, and written over where it does not count: to branch on a sign that
    nothing foretells took longer.
    """
    buffer[at] = MINUS
    return at + np.int64(np.signbit(value))


@compiled()
def _write_decimals(buffer, at, millionths):
    """A number of millionths with all six decimals.

    They come from a table, three at a time: one division per digit took three times as long.
    """
    whole = millionths // _MILLION
    decimals = np.uint32(millionths - whole * _MILLION)
    high = decimals // _THOUSAND
    low = decimals - high * _THOUSAND
    if whole < 10:
        at = write_byte(buffer, at, ZERO + np.uint8(whole))
    else:
        at = write_digits(buffer, at, whole, 1)
    at = write_byte(buffer, at, DOT)
    for i in range(3):
        buffer[at + i] = TRIPLES[high, i]
        buffer[at + 3 + i] = TRIPLES[low, i]
    return at + 6


@compiled()
def write_number(buffer, at, value):
    """A float32 with six decimals, as Python's `f"{value:.6f}"` spells it."""
    at = write_sign(buffer, at, value)
    return _write_decimals(buffer, at, _millionths(value))


@compiled()
def _write_power(buffer, at, millionths):
    """1 to 99 millionths as a JSON number with an exponent: 7e-06, 2e-05, 3.5e-05."""
    if millionths < 10:
        at = write_digits(buffer, at, millionths, 1)
        return write_text(buffer, at, _MILLIONTHS)
    tens = millionths // 10
    rest = millionths - 10 * tens
    at = write_digits(buffer, at, tens, 1)
    if rest > 0:
        at = write_byte(buffer, at, DOT)
        at = write_digits(buffer, at, rest, 1)
    return write_text(buffer, at, _HUNDRED_THOUSANDTHS)


@compiled()
def write_json_number(buffer, at, value):
    """A float32 rounded to six decimals, as Python's `json.dumps(round(value, 6))` spells it.

    No zeros at the end but one behind the point; an exponent below 0.0001.
    """
    at = write_sign(buffer, at, value)
    millionths = _millionths(value)
    if 0 < millionths < _FIRST_WITHOUT_EXPONENT:
        return _write_power(buffer, at, millionths)
    end = _write_decimals(buffer, at, millionths)
    first = end - 5  # behind the first decimal, which stays
    while end > first and buffer[end - 1] == ZERO:
        end -= 1
    return end


@compiled()
def _write_list(buffer, at, values, indent):
    """Numbers of a JSON list, one per line, and the line break behind the last."""
    last = values.shape[0] - 1
    for i in range(values.shape[0]):
        at = _write_spaces(buffer, at, indent)
        at = write_json_number(buffer, at, values[i])
        if i < last:
            at = write_byte(buffer, at, _COMMA)
        at = write_byte(buffer, at, NEWLINE)
    return at


@compiled()
def _write_close(buffer, at, indent, more):
    """The end of a list: its bracket, a comma where more follows, the line break."""
    at = _write_spaces(buffer, at, indent)
    at = write_byte(buffer, at, _CLOSE)
    if more:
        at = write_byte(buffer, at, _COMMA)
    return write_byte(buffer, at, NEWLINE)


@compiled()
def _write_neuron(buffer, at, weights, more):
    """One neuron's weights as a list inside the list of its layer's weights."""
    at = _write_spaces(buffer, at, 4)
    at = write_byte(buffer, at, _OPEN)
    at = write_byte(buffer, at, NEWLINE)
    at = _write_list(buffer, at, weights, 6)
    return _write_close(buffer, at, 4, more)


@compiled()
def _write_entries(buffer, at, parameters, layer, more):
    """One layer's weight and bias as two entries of an indented JSON object.

    A comma stands at the end where more follow.
    """
    biases = layer.offset + layer.fan_in * layer.fan_out
    end = biases + layer.fan_out
    at = write_text(buffer, at, _ENTRY)
    at = write_digits(buffer, at, layer.module, 1)
    at = write_text(buffer, at, _WEIGHT_ENTRY)
    for start in range(layer.offset, biases, layer.fan_in):
        stop = start + layer.fan_in
        at = _write_neuron(buffer, at, parameters[start:stop], stop < biases)
    at = _write_close(buffer, at, 2, True)
    at = write_text(buffer, at, _ENTRY)
    at = write_digits(buffer, at, layer.module, 1)
    at = write_text(buffer, at, _BIAS_ENTRY)
    at = _write_list(buffer, at, parameters[biases:end], 4)
    return _write_close(buffer, at, 2, more)


@compiled()
def _write_weights(buffer, at, parameters, layers):
    """Every layer's weight and bias as an indented JSON object."""
    at = write_text(buffer, at, _OBJECT)
    last = layers.shape[0] - 1
    for index in range(layers.shape[0]):
        layer = layer_at(layers, index)
        at = _write_entries(buffer, at, parameters, layer, index < last)
    return write_text(buffer, at, _OBJECT_END)


@compiled()
def _weight_bytes(parameters, layers):
    """Bytes that a network's weights may take."""
    neurons = 0
    for index in range(layers.shape[0]):
        neurons += layer_at(layers, index).fan_out
    return (
        parameters.shape[0] * _NUMBER_BYTES
        + neurons * _NEURON_BYTES
        + layers.shape[0] * _LAYER_BYTES
        + _OBJECT.shape[0]
        + _OBJECT_END.shape[0]
    )


@compiled()
def _write_json_row(buffer, at, values):
    """Numbers of a JSON list in one line."""
    at = write_byte(buffer, at, _OPEN)
    for i in range(values.shape[0]):
        if i > 0:
            at = _write_separator(buffer, at)
        at = write_json_number(buffer, at, values[i])
    return write_byte(buffer, at, _CLOSE)


@compiled()
def _write_lines(buffer, at, parameters, layer):
    """One layer's weight and bias as two lines, a list each."""
    biases = layer.offset + layer.fan_in * layer.fan_out
    at = write_text(buffer, at, _WEIGHT_LINE)
    for start in range(layer.offset, biases, layer.fan_in):
        if start > layer.offset:
            at = _write_separator(buffer, at)
        at = _write_json_row(buffer, at, parameters[start : start + layer.fan_in])
    at = write_byte(buffer, at, _CLOSE)
    at = write_byte(buffer, at, NEWLINE)
    at = write_text(buffer, at, _BIAS_LINE)
    at = _write_json_row(buffer, at, parameters[biases : biases + layer.fan_out])
    return write_byte(buffer, at, NEWLINE)


@compiled()
def _write_row(buffer, at, values):
    """A bracketed row of a signature's numbers."""
    at = write_byte(buffer, at, _OPEN)
    for i in range(values.shape[0]):
        if i > 0:
            at = _write_separator(buffer, at)
        at = write_number(buffer, at, values[i])
    return write_byte(buffer, at, _CLOSE)


@compiled()
def _write_profile(buffer, at, profile):
    """One method's numbers (neurons, columns) of a layer: a list of numbers, or of rows."""
    if profile.shape[1] == 1:
        return _write_row(buffer, at, profile[:, 0])
    at = write_byte(buffer, at, _OPEN)
    for neuron in range(profile.shape[0]):
        if neuron > 0:
            at = _write_separator(buffer, at)
        at = _write_row(buffer, at, profile[neuron])
    return write_byte(buffer, at, _CLOSE)


@compiled()
def _write_profiles(buffer, at, signature, labels):
    """One line per method of one layer's signature (neurons, columns).

    A method of one column has a number per neuron, one of several has a list per neuron.
    """
    start = 0
    for method in range(labels.columns.shape[0]):
        stop = start + labels.columns[method]
        label = labels.text[labels.starts[method] : labels.starts[method + 1]]
        at = write_text(buffer, at, label)
        at = _write_profile(buffer, at, signature[:, start:stop])
        at = write_byte(buffer, at, NEWLINE)
        start = stop
    return at


@compiled()
def _signature_bytes(signature, layers, labels):
    """Bytes that a signature may take, with the headings of its layers."""
    around = labels.text.shape[0] + labels.columns.shape[0] * _NUMBER_BYTES + _LAYER_BYTES
    neurons = signature.shape[0] * labels.columns.shape[0]
    return signature.size * _NUMBER_BYTES + neurons * _NEURON_BYTES + layers.shape[0] * around


@compiled()
def _write_heading(buffer, at, start, layer):
    """The heading of one layer's block."""
    at = write_text(buffer, at, start)
    at = write_digits(buffer, at, layer.module, 1)
    return write_byte(buffer, at, NEWLINE)


@compiled()
def _write_block(buffer, at, parameters, layer, signature, interwoven, labels):
    """One layer's heading and its part of the signature, interwoven its weights between them."""
    if interwoven:
        at = _write_heading(buffer, at, _LAYER_BLOCK, layer)
        at = _write_lines(buffer, at, parameters, layer)
        at = write_text(buffer, at, _SIGNATURE_LINE)
    else:
        at = _write_heading(buffer, at, _BLOCK, layer)
    return _write_profiles(buffer, at, signature, labels)


@compiled()
def write_subject(parameters, layers, signature, interwoven, sections, labels):
    """A subject's whole prompt as bytes.

    Header, weights, `between`, signature (neurons, columns), footer.
    Interwoven, each layer's weights and signature follow each other under one heading, and
    `between` is not used.
    """
    size = (
        sections.header.shape[0]
        + _weight_bytes(parameters, layers)
        + sections.between.shape[0]
        + _signature_bytes(signature, layers, labels)
        + sections.footer.shape[0]
    )
    buffer = np.empty(size, np.uint8)
    at = write_text(buffer, 0, sections.header)
    if not interwoven:
        at = _write_weights(buffer, at, parameters, layers)
        at = write_text(buffer, at, sections.between)
    neuron = 0
    for index in range(layers.shape[0]):
        layer = layer_at(layers, index)
        behind = neuron + layer.fan_out
        own = signature[neuron:behind]
        at = _write_block(buffer, at, parameters, layer, own, interwoven, labels)
        neuron = behind
    end = write_text(buffer, at, sections.footer)
    return buffer[:end]


@compiled()
def write_object(parameters, layers):
    """A subject's weights alone, as bytes: an indented JSON object."""
    buffer = np.empty(_weight_bytes(parameters, layers), np.uint8)
    end = _write_weights(buffer, 0, parameters, layers)
    return buffer[:end]
