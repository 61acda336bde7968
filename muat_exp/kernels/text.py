"""Numbers as text: weights and signatures written into a byte buffer, six decimals each, without the GIL."""

import numpy as np

from muat_exp.kernels.compiled import compiled

MILLION = 1_000_000
THOUSAND = np.uint32(1000)
TRIPLES = np.array([list(f"{number:03d}".encode()) for number in range(1000)], np.uint8)  # 000 to 999 as digits
DOT, MINUS, ZERO, COMMA, SPACE, NEWLINE = (np.uint8(ord(character)) for character in ".-0, \n")
OPEN, CLOSE = np.uint8(ord("[")), np.uint8(ord("]"))
LAYER, BLOCK = (np.frombuffer(text, np.uint8) for text in (b'  "network.', b"### "))
WEIGHT, BIAS = (np.frombuffer(text, np.uint8) for text in (b'.weight": [\n', b'.bias": [\n'))
OBJECT, OBJECT_END = (np.frombuffer(text, np.uint8) for text in (b"{\n", b"}\n"))
NUMBER_BYTES = 32  # at most, with indentation, comma and line break


@compiled()
def write_text(buffer, at, text):
    """Copies bytes; like all writers here, returns the place behind what it wrote."""
    for i in range(text.shape[0]):
        buffer[at + i] = text[i]
    return at + text.shape[0]


@compiled()
def write_digits(buffer, at, value, least):
    """A non-negative integer with at least so many digits."""
    digits, rest = 1, value // 10
    while rest > 0 or digits < least:
        digits += 1
        rest //= 10
    for i in range(digits - 1, -1, -1):
        buffer[at + i] = ZERO + np.uint8(value % 10)
        value //= 10
    return at + digits


@compiled()
def write_number(buffer, at, value):
    """A float32 with six decimals, as `f"{value:.6f}"` spells it, but never -0.000000.

    The product with a million is exact in float64 (24 bits times 14, and a power of two), so rounding it, ties to even,
    is the correct rounding of the decimal. Up to 9e12. The decimals come from a table, three at a time: a division a digit
    took three times as long.
    """
    scaled = np.int64(np.rint(np.float64(abs(value)) * MILLION))
    if value < 0 and scaled > 0:
        buffer[at] = MINUS
        at += 1
    whole = scaled // MILLION
    decimals = np.uint32(scaled - whole * MILLION)
    high = decimals // THOUSAND
    low = decimals - high * THOUSAND
    if whole < 10:
        buffer[at] = ZERO + np.uint8(whole)
        at += 1
    else:
        at = write_digits(buffer, at, whole, 1)
    buffer[at] = DOT
    for i in range(3):
        buffer[at + 1 + i] = TRIPLES[high, i]
        buffer[at + 4 + i] = TRIPLES[low, i]
    return at + 7


@compiled()
def write_list(buffer, at, values, indent):
    """Numbers of a list, one a line, and the line break behind the last."""
    for i in range(values.shape[0]):
        for _ in range(indent):
            buffer[at] = SPACE
            at += 1
        at = write_number(buffer, at, values[i])
        if i + 1 < values.shape[0]:
            buffer[at] = COMMA
            at += 1
        buffer[at] = NEWLINE
        at += 1
    return at


@compiled()
def write_close(buffer, at, indent, more):
    """The end of a list: its bracket, a comma where more follows, the line break."""
    for _ in range(indent):
        buffer[at] = SPACE
        at += 1
    buffer[at] = CLOSE
    if more:
        buffer[at + 1] = COMMA
        at += 1
    buffer[at + 1] = NEWLINE
    return at + 2


@compiled()
def layer_sizes(index, features, depth, width):
    """Inputs and outputs of one Linear layer, and where its parameters begin."""
    fan_in, fan_out = features if index == 0 else width, width if index < depth else 1
    start = 0 if index == 0 else features * width + width + (index - 1) * (width * width + width)
    return fan_in, fan_out, start


@compiled()
def write_layer(buffer, at, parameters, index, features, depth, width, more):
    """One layer's weight and bias as two entries of an indented JSON object; a comma at the end where more follow."""
    fan_in, fan_out, start = layer_sizes(index, features, depth, width)
    at = write_digits(buffer, write_text(buffer, at, LAYER), 2 * index, 1)
    at = write_text(buffer, at, WEIGHT)
    for o in range(fan_out):
        for _ in range(4):
            buffer[at] = SPACE
            at += 1
        buffer[at], buffer[at + 1] = OPEN, NEWLINE
        at = write_list(buffer, at + 2, parameters[start : start + fan_in], 6)
        at = write_close(buffer, at, 4, o + 1 < fan_out)
        start += fan_in
    at = write_close(buffer, at, 2, True)
    at = write_digits(buffer, write_text(buffer, at, LAYER), 2 * index, 1)
    at = write_list(buffer, write_text(buffer, at, BIAS), parameters[start : start + fan_out], 4)
    return write_close(buffer, at, 2, more)


@compiled()
def write_weights(buffer, at, parameters, features, depth, width):
    """Every layer's weight and bias as an indented JSON object."""
    at = write_text(buffer, at, OBJECT)
    for index in range(depth + 1):
        at = write_layer(buffer, at, parameters, index, features, depth, width, index < depth)
    return write_text(buffer, at, OBJECT_END)


@compiled()
def write_row(buffer, at, values):
    """Numbers of one line, separated by commas and spaces."""
    for i in range(values.shape[0]):
        if i > 0:
            buffer[at], buffer[at + 1] = COMMA, SPACE
            at += 2
        at = write_number(buffer, at, values[i])
    return at


@compiled()
def write_block(buffer, at, index):
    """The heading of one layer's block."""
    at = write_digits(buffer, write_text(buffer, at, BLOCK), 2 * index, 1)
    buffer[at] = NEWLINE
    return at + 1


@compiled()
def write_profiles(buffer, at, signature, names, name_starts, columns):
    """A line a method of one layer's signature (neurons, columns); method i is names[starts[i] : starts[i + 1]].

    A method of one column is a row of numbers, one of several a bracketed list a neuron.
    """
    column = 0
    for method in range(columns.shape[0]):
        at = write_text(buffer, at, names[name_starts[method] : name_starts[method + 1]])
        for neuron in range(signature.shape[0]):
            if neuron > 0:
                buffer[at], buffer[at + 1] = COMMA, SPACE
                at += 2
            if columns[method] > 1:
                buffer[at] = OPEN
                at = write_row(buffer, at + 1, signature[neuron, column : column + columns[method]])
                buffer[at] = CLOSE
                at += 1
            else:
                at = write_number(buffer, at, signature[neuron, column])
        buffer[at] = NEWLINE
        at, column = at + 1, column + columns[method]
    return at


@compiled()
def write_subject(
    parameters, signature, features, depth, width, interwoven, header, between, names, name_starts, columns, footer
):  # fmt: skip
    """A subject's whole prompt as bytes: header, weights, `between`, signature (neurons, columns), footer.

    Interwoven, each layer's weights and signature follow each other under one heading, and `between` is not used.
    """
    texts = header.shape[0] + between.shape[0] + footer.shape[0] + (depth + 1) * (names.shape[0] + 96)
    numbers = parameters.shape[0] + signature.size
    buffer = np.empty(texts + (numbers + 2 * width * (depth + 1)) * NUMBER_BYTES, np.uint8)
    at = write_text(buffer, 0, header)
    if not interwoven:
        at = write_weights(buffer, at, parameters, features, depth, width)
        at = write_text(buffer, at, between)
    for index in range(depth + 1):
        at = write_block(buffer, at, index)
        if interwoven:
            at = write_text(buffer, at, OBJECT)
            at = write_layer(buffer, at, parameters, index, features, depth, width, False)
            at = write_text(buffer, at, OBJECT_END)
        neurons = signature[index * width : min((index + 1) * width, depth * width + 1)]
        at = write_profiles(buffer, at, neurons, names, name_starts, columns)
    return buffer[: write_text(buffer, at, footer)]


@compiled()
def write_object(parameters, features, depth, width):
    """A subject's weights alone, as bytes: an indented JSON object."""
    numbers = parameters.shape[0] + 2 * width * (depth + 1)
    buffer = np.empty(numbers * NUMBER_BYTES + (depth + 1) * 96 + 8, np.uint8)
    return buffer[: write_weights(buffer, 0, parameters, features, depth, width)]
