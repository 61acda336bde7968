"""Numbers as text: weights and signatures written into a byte buffer, six decimals each, without the GIL."""

import numpy as np

from muat_exp.kernels.compiled import compiled

_MILLION = 1_000_000
_THOUSAND = np.uint32(1000)
_TRIPLES = np.array(
    [list(f"{number:03d}".encode()) for number in range(1000)], np.uint8
)  # 000 to 999 as digits
_DOT, _MINUS, _ZERO, _COMMA, _SPACE, _NEWLINE = (
    np.uint8(ord(character)) for character in ".-0, \n"
)
_OPEN = np.uint8(ord("["))
_CLOSE = np.uint8(ord("]"))
_LAYER, _BLOCK = (np.frombuffer(text, np.uint8) for text in (b'  "network.', b"### "))
_WEIGHT, _BIAS = (np.frombuffer(text, np.uint8) for text in (b'.weight": [\n', b'.bias": [\n'))
_OBJECT, _OBJECT_END = (np.frombuffer(text, np.uint8) for text in (b"{\n", b"}\n"))
_NUMBER_BYTES = 32  # at most, with indentation, comma and line break


@compiled()
def write_text(buffer, at, text):
    """Copies bytes; like all writers here, returns the place behind what it wrote."""
    for i in range(text.shape[0]):
        buffer[at + i] = text[i]
    return at + text.shape[0]


@compiled()
def _write_digits(buffer, at, value, least):
    """A non-negative integer with at least so many digits."""
    digits = 1
    rest = value // 10
    while rest > 0 or digits < least:
        digits += 1
        rest //= 10
    for i in range(digits - 1, -1, -1):
        buffer[at + i] = _ZERO + np.uint8(value % 10)
        value //= 10
    return at + digits


@compiled()
def write_number(buffer, at, value):
    """A float32 with six decimals, as `f"{value:.6f}"` spells it, but never -0.000000.

    The product with a million is exact in float64 (24 bits times 14, and a power of two), so rounding it, ties to even,
    is the correct rounding of the decimal. Up to 9e12. The decimals come from a table, three at a time: a division a digit
    took three times as long.
    """
    scaled = np.int64(np.rint(np.float64(abs(value)) * _MILLION))
    if value < 0 and scaled > 0:
        buffer[at] = _MINUS
        at += 1
    whole = scaled // _MILLION
    decimals = np.uint32(scaled - whole * _MILLION)
    high = decimals // _THOUSAND
    low = decimals - high * _THOUSAND
    if whole < 10:
        buffer[at] = _ZERO + np.uint8(whole)
        at += 1
    else:
        at = _write_digits(buffer, at, whole, 1)
    buffer[at] = _DOT
    for i in range(3):
        buffer[at + 1 + i] = _TRIPLES[high, i]
        buffer[at + 4 + i] = _TRIPLES[low, i]
    return at + 7


@compiled()
def _write_list(buffer, at, values, indent):
    """Numbers of a list, one a line, and the line break behind the last."""
    for i in range(values.shape[0]):
        for _ in range(indent):
            buffer[at] = _SPACE
            at += 1
        at = write_number(buffer, at, values[i])
        if i + 1 < values.shape[0]:
            buffer[at] = _COMMA
            at += 1
        buffer[at] = _NEWLINE
        at += 1
    return at


@compiled()
def _write_close(buffer, at, indent, more):
    """The end of a list: its bracket, a comma where more follows, the line break."""
    for _ in range(indent):
        buffer[at] = _SPACE
        at += 1
    buffer[at] = _CLOSE
    if more:
        buffer[at + 1] = _COMMA
        at += 1
    buffer[at + 1] = _NEWLINE
    return at + 2


@compiled()
def _layer_sizes(index, features, depth, width):
    """Inputs and outputs of one Linear layer, and where its parameters begin."""
    fan_in = features if index == 0 else width
    fan_out = width if index < depth else 1
    start = 0 if index == 0 else features * width + width + (index - 1) * (width * width + width)
    return fan_in, fan_out, start


@compiled()
def _write_layer(buffer, at, parameters, index, features, depth, width, more):
    """One layer's weight and bias as two entries of an indented JSON object; a comma at the end where more follow."""
    fan_in, fan_out, start = _layer_sizes(index, features, depth, width)
    at = _write_digits(buffer, write_text(buffer, at, _LAYER), 2 * index, 1)
    at = write_text(buffer, at, _WEIGHT)
    for o in range(fan_out):
        for _ in range(4):
            buffer[at] = _SPACE
            at += 1
        buffer[at], buffer[at + 1] = _OPEN, _NEWLINE
        at = _write_list(buffer, at + 2, parameters[start : start + fan_in], 6)
        at = _write_close(buffer, at, 4, o + 1 < fan_out)
        start += fan_in
    at = _write_close(buffer, at, 2, True)
    at = _write_digits(buffer, write_text(buffer, at, _LAYER), 2 * index, 1)
    at = _write_list(buffer, write_text(buffer, at, _BIAS), parameters[start : start + fan_out], 4)
    return _write_close(buffer, at, 2, more)


@compiled()
def _write_weights(buffer, at, parameters, features, depth, width):
    """Every layer's weight and bias as an indented JSON object."""
    at = write_text(buffer, at, _OBJECT)
    for index in range(depth + 1):
        at = _write_layer(buffer, at, parameters, index, features, depth, width, index < depth)
    return write_text(buffer, at, _OBJECT_END)


@compiled()
def _write_row(buffer, at, values):
    """Numbers of one line, separated by commas and spaces."""
    for i in range(values.shape[0]):
        if i > 0:
            buffer[at], buffer[at + 1] = _COMMA, _SPACE
            at += 2
        at = write_number(buffer, at, values[i])
    return at


@compiled()
def _write_block(buffer, at, index):
    """The heading of one layer's block."""
    at = _write_digits(buffer, write_text(buffer, at, _BLOCK), 2 * index, 1)
    buffer[at] = _NEWLINE
    return at + 1


@compiled()
def _write_profiles(buffer, at, signature, names, name_starts, columns):
    """A line a method of one layer's signature (neurons, columns); method i is names[starts[i] : starts[i + 1]].

    A method of one column is a row of numbers, one of several a bracketed list a neuron.
    """
    column = 0
    for method in range(columns.shape[0]):
        at = write_text(buffer, at, names[name_starts[method] : name_starts[method + 1]])
        for neuron in range(signature.shape[0]):
            if neuron > 0:
                buffer[at], buffer[at + 1] = _COMMA, _SPACE
                at += 2
            if columns[method] > 1:
                buffer[at] = _OPEN
                at = _write_row(
                    buffer, at + 1, signature[neuron, column : column + columns[method]]
                )
                buffer[at] = _CLOSE
                at += 1
            else:
                at = write_number(buffer, at, signature[neuron, column])
        buffer[at] = _NEWLINE
        at = at + 1
        column = column + columns[method]
    return at


@compiled()
def write_subject(
    parameters, signature, features, depth, width, interwoven, header, between, names, name_starts, columns, footer
):  # fmt: skip
    """A subject's whole prompt as bytes: header, weights, `between`, signature (neurons, columns), footer.

    Interwoven, each layer's weights and signature follow each other under one heading, and `between` is not used.
    """
    texts = (
        header.shape[0] + between.shape[0] + footer.shape[0] + (depth + 1) * (names.shape[0] + 96)
    )
    numbers = parameters.shape[0] + signature.size
    buffer = np.empty(texts + (numbers + 2 * width * (depth + 1)) * _NUMBER_BYTES, np.uint8)
    at = write_text(buffer, 0, header)
    if not interwoven:
        at = _write_weights(buffer, at, parameters, features, depth, width)
        at = write_text(buffer, at, between)
    for index in range(depth + 1):
        at = _write_block(buffer, at, index)
        if interwoven:
            at = write_text(buffer, at, _OBJECT)
            at = _write_layer(buffer, at, parameters, index, features, depth, width, False)
            at = write_text(buffer, at, _OBJECT_END)
        neurons = signature[index * width : min((index + 1) * width, depth * width + 1)]
        at = _write_profiles(buffer, at, neurons, names, name_starts, columns)
    return buffer[: write_text(buffer, at, footer)]


@compiled()
def write_object(parameters, features, depth, width):
    """A subject's weights alone, as bytes: an indented JSON object."""
    numbers = parameters.shape[0] + 2 * width * (depth + 1)
    buffer = np.empty(numbers * _NUMBER_BYTES + (depth + 1) * 96 + 8, np.uint8)
    return buffer[: _write_weights(buffer, 0, parameters, features, depth, width)]
