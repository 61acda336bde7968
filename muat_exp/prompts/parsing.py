"""The inverse of the prompts: architecture, weights and signature from a text.

The text is one that an interpreter may have written.
Data is data: JSON numbers only, nothing is evaluated; a text that is not what it should be is
refused with the line of the fault. Arrays are as large as the text that they come from at most.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, TypeGuard

import numpy as np
import orjson
from numpy.typing import NDArray

from muat_exp.errors import PromptError
from muat_exp.prompts.compact_parsing import (
    Coded,
    find_coded,
    read_methods,
    read_rows,
    weights_and_biases,
    without_rest,
)
from muat_exp.prompts.sections import (
    ACTIVATION_FUNCTION,
    ARCHITECTURE,
    COMPACT,
    DROPOUT_RATE,
    HIDDEN_LAYERS,
    INPUT_SIZE,
    LAYERS,
    NEURONS_PER_LAYER,
    SIGNATURE,
    TASK,
    WEIGHTS,
)
from muat_exp.subjects.activations import ACTIVATIONS
from muat_exp.subjects.architecture import Architecture, Layer, layer_names, parameter_names

LONGEST_TEXT = 64 * 2**20  # characters that are read of a text at most
_LONGEST_VALUE = 100_000  # characters of a property of the architecture: widths of all layers
_SEPARATE = (ARCHITECTURE, WEIGHTS, SIGNATURE)  # sections of a prompt that is read
_INTERWOVEN = (ARCHITECTURE, LAYERS)
_COMPACT = (ARCHITECTURE, COMPACT)
# The lines of the architecture, and the form of what each says.
_PROPERTIES = {
    INPUT_SIZE: r"(\d{1,4}) \([^)]{0,99}vocab[^)\d]{0,99}(\d{1,4})[^)]{0,99}\)",
    HIDDEN_LAYERS: r"\d{1,4}",
    NEURONS_PER_LAYER: r"\d{1,5}(?:, \d{1,5})*",
    ACTIVATION_FUNCTION: "|".join(ACTIVATIONS),
    DROPOUT_RATE: r"0(?:\.\d{1,24})?|\d(?:\.\d{1,17})?e-\d{1,3}",
}
_BLOCK = re.compile(r"### (?:layer_)?(\d{1,5})")  # the heading of a layer
_LINES_OF_WEIGHTS = 3  # of an interwoven layer, before the lines of its signature
_COLUMN = {"config", "weights"}  # the keys of a dataset's JSON columns of weights


@dataclass(frozen=True)
class ParsedPrompt:
    """What a prompt says of a network.

    Attributes:
        architecture: its shape, and the inputs that it takes.
        vocab_size: number of tokens.
        dropout: that the network was trained with.
        weights: float32 arrays by name, as `nn.Sequential`'s state with a prefix:
            `network.<i>.weight` (out, in), `network.<i>.bias` (out,).
        signature: by Linear layer's index and method: float32 `(neurons,)`, or `(neurons,
            columns)`; empty where the prompt shows none.
    """

    architecture: Architecture
    vocab_size: int
    dropout: float
    weights: dict[str, NDArray[np.float32]]
    signature: dict[int, dict[str, NDArray[np.float32]]]

    @property
    def num_layers(self) -> int:
        """Hidden layers."""
        return self.architecture.num_layers

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of each hidden layer."""
        return self.architecture.widths

    @property
    def neurons_per_layer(self) -> int:
        """Neurons of the first hidden layer, and of all others in a uniform network."""
        return self.architecture.neurons_per_layer

    @property
    def activation(self) -> str:
        """Name of the hidden layers' activation."""
        return self.architecture.activation

    @property
    def sequence_length(self) -> int:
        """Tokens of an input."""
        return self.architecture.features

    @property
    def parameters(self) -> NDArray[np.float32]:
        """All weights flat, `(parameters,)`, each Linear's weight and bias in turn."""
        return np.concatenate([values.ravel() for values in self.weights.values()])


class _Row(NamedTuple):
    """A line of a text that is not empty: its number and its characters."""

    line: int
    text: str


class _Entry(NamedTuple):
    """The JSON value of a weight or a bias, and the line that it is named by."""

    line: int
    value: object


_Profiles = dict[str, NDArray[np.float32]]  # a layer's numbers by method


def parse_prompt(text: str) -> ParsedPrompt:
    """Reads a prompt, or a whole text with its completion.

    Raises:
        PromptError: a section is missing or malformed, or the weights do not fit the architecture;
            names the line.
    """
    sections = _split_sections(text)
    if COMPACT in sections:
        return _parse_compact(sections)
    interwoven = LAYERS in sections
    _check_sections(sections, _INTERWOVEN if interwoven else _SEPARATE)
    architecture, vocab_size, dropout = _read_architecture(*sections[ARCHITECTURE])
    if interwoven:
        line, body = sections[LAYERS]
        blocks = _split_blocks(body, line)
        weights = _read_layers(blocks, line)
        profiles = {module: rows[_LINES_OF_WEIGHTS:] for module, rows in blocks.items()}
        profiles_line = line
    else:
        line, body = sections[WEIGHTS]
        weights = _read_object(body, line)
        profiles_line, body = sections[SIGNATURE]
        profiles = _split_blocks(body, profiles_line)
    _check_fit(weights, architecture, line)
    _check_layers(profiles, architecture, profiles_line)
    signature = {
        layer.module: _read_profiles(profiles[layer.module], layer) for layer in architecture.layers
    }
    return ParsedPrompt(architecture, vocab_size, dropout, weights, signature)


def _parse_compact(sections: dict[str, tuple[int, str]]) -> ParsedPrompt:
    """What a prompt of the style `compact` says; it may lack the signature."""
    _check_sections(sections, _COMPACT)
    architecture, vocab_size, dropout = _read_architecture(*sections[ARCHITECTURE])
    coded = _require_coded(*sections[COMPACT])
    weights = _read_coded(coded)
    _check_fit(weights, architecture, coded.line)
    signature: dict[int, _Profiles] = {}
    if SIGNATURE in sections:
        signature = _read_coded_signature(*sections[SIGNATURE], coded, architecture)
    return ParsedPrompt(architecture, vocab_size, dropout, weights, signature)


def _require_coded(line: int, body: str) -> Coded:
    """The blocks of a section of weights that begins on a line."""
    coded = find_coded(body, line)
    if coded is None:
        raise PromptError(f"line {line}: there is no line 'Coding: ...' that tells of the numbers.")
    return coded


def _read_coded(coded: Coded) -> dict[str, NDArray[np.float32]]:
    """Weights from blocks of a line per neuron."""
    entries: dict[str, _Entry] = {}
    layers = weights_and_biases(_split_blocks(coded.blocks, coded.line), coded)
    for module, values in layers.items():
        for name, value in zip(parameter_names(module), values, strict=True):
            entries[name] = _Entry(coded.line, value)
    return _check_weights(entries, coded.line)


def _read_coded_signature(
    line: int, body: str, coded: Coded, architecture: Architecture
) -> dict[int, _Profiles]:
    """The section of the signature that begins on a line, coded as the weights are."""
    methods, start, text = read_methods(body, line)
    blocks = _split_blocks(text, start)
    _check_layers(blocks, architecture, line)
    columns = [width for _, width in methods]
    ends = list(accumulate(columns))
    signature = {}
    for layer in architecture.layers:
        rows = read_rows(coded.coding, blocks[layer.module], columns, layer.module, start)
        values = _numbers(rows, 2, f"the signature of layer {layer.module}", start)
        if values.shape != (layer.fan_out, ends[-1]):
            raise PromptError(
                f"line {start}: the signature of layer {layer.module} has the shape "
                f"{values.shape}; the layer and the methods need {(layer.fan_out, ends[-1])}."
            )
        signature[layer.module] = {
            name: values[:, end - 1] if width == 1 else values[:, end - width : end]
            for (name, width), end in zip(methods, ends, strict=True)
        }
    return signature


def _check_sections(sections: Collection[str], names: Sequence[str]) -> None:
    """Raises `PromptError` unless all sections of these names are there."""
    for name in names:
        if name not in sections:
            raise PromptError(f"line 1: there is no section '## {name}'.")


def _read_architecture(line: int, text: str) -> tuple[Architecture, int, float]:
    """The architecture that a section begins with on a line, the number of tokens, the dropout."""
    found = _read_properties(line, text)
    depth = int(found[HIDDEN_LAYERS][0])
    widths = [int(width) for width in found[NEURONS_PER_LAYER][0].split(", ")]
    if len(widths) == 1:  # of all layers
        widths = widths * depth
    if not widths or len(widths) != depth:
        raise PromptError(
            f"line {line}: {depth} hidden layers can't have "
            f"'{NEURONS_PER_LAYER}: {found[NEURONS_PER_LAYER][0][:40]}'."
        )
    length = int(found[INPUT_SIZE][1])
    architecture = Architecture(length, tuple(widths), found[ACTIVATION_FUNCTION][0])
    return architecture, int(found[INPUT_SIZE][2]), float(found[DROPOUT_RATE][0])


def _read_properties(line: int, text: str) -> dict[str, re.Match[str]]:
    """What the lines of the architecture say, by their names."""
    found: dict[str, re.Match[str]] = {}
    for number, row in enumerate(text.split("\n"), line):
        name, _, value = row.partition(": ")
        if name not in _PROPERTIES:
            continue
        match = re.fullmatch(_PROPERTIES[name], value) if len(value) < _LONGEST_VALUE else None
        if match is None or name in found:
            raise PromptError(f"line {number}: the architecture can't be read from '{row[:80]}'.")
        found[name] = match
    for name in _PROPERTIES:
        if name not in found:
            raise PromptError(f"line {line}: the architecture has no line '{name}: ...'.")
    return found


def _check_fit(
    weights: dict[str, NDArray[np.float32]], architecture: Architecture, line: int
) -> None:
    """Raises `PromptError` unless the weights are those of the architecture, with their shapes."""
    expected = architecture.shapes
    given = {name: values.shape for name, values in weights.items()}
    for name in {**expected, **given}:
        here = given.get(name)
        needed = expected.get(name)
        if here != needed:
            raise PromptError(
                f"line {line}: {name} has shape {here}; "
                f"{architecture.num_layers} hidden layers of {architecture.widths_text} neurons "
                f"on {architecture.features} tokens need {needed}."
            )


def parse_weights(text: str) -> dict[str, NDArray[np.float32]]:
    """Reads weights from a prompt of any style, or from an answer with them in any text.

    Of a prompt that is followed by an answer with weights, the answer's are read. It is a JSON
    object of the weights themselves, or as a dataset's JSON columns have them, `{"config": ...,
    "weights": ...}`; or it has the form of the style `compact`, from its line `Coding: ...` on.

    Returns:
        float32 arrays by name, layer by layer: `network.<i>.weight` (out, in), `network.<i>.bias`
            (out,).

    Raises:
        PromptError: there are none, or their layers do not fit each other; names the line.
    """
    sections = _split_sections(text)
    line, answer = sections.get(TASK, (1, ""))
    coded = find_coded(answer, line)
    if coded is not None:
        return _read_coded(without_rest(coded))
    if "{" in answer:  # a prompt with its answer: the answer's weights, not the prompt's
        return _read_object(answer, line)
    if LAYERS in sections:
        line, body = sections[LAYERS]
        return _read_layers(_split_blocks(body, line), line)
    if COMPACT in sections:
        return _read_coded(_require_coded(*sections[COMPACT]))
    coded = find_coded(text, 1)
    if coded is not None:
        return _read_coded(without_rest(coded))
    return _read_object(text, 1)


def _read_object(text: str, line: int) -> dict[str, NDArray[np.float32]]:
    """Weights from the JSON object in a text that begins on a line."""
    start = text.find("{")
    end = text.rfind("}") + 1
    if start < 0 or end <= start:
        raise PromptError(f"line {line}: there is no JSON object of weights.")
    skipped = text.count("\n", 0, start)
    return _read_weights(text[start:end], line + skipped)


def _check_length(text: str) -> None:
    """Raises `PromptError` for a text that is too long to be a prompt."""
    if len(text) > LONGEST_TEXT:
        raise PromptError(
            f"line 1: the text has {len(text)} characters; at most {LONGEST_TEXT} are read."
        )


def _split_sections(text: str) -> dict[str, tuple[int, str]]:
    """Sections by name: the line on which their text begins, and the text.

    The task is the last one: whatever follows it belongs to it.
    """
    _check_length(text)
    sections: dict[str, tuple[int, str]] = {}
    heads = [*re.finditer(r"^## (\w[\w ]*)\n", text, re.MULTILINE)]
    ends = [*(head.start() for head in heads[1:]), len(text)]
    line = 1
    counted = 0  # characters whose lines are counted
    for head, end in zip(heads, ends, strict=False):  # without heads there is one end
        start = head.end()
        line += text.count("\n", counted, start)
        counted = start
        if head[1] == TASK:
            sections.setdefault(TASK, (line, text[start:]))
            break
        sections.setdefault(head[1], (line, text[start:end]))
    return sections


def _split_blocks(text: str, line: int) -> dict[int, list[_Row]]:
    """The rows below each `### <i>` or `### layer_<i>` of a section, by i."""
    blocks: dict[int, list[_Row]] = {}
    rows: list[_Row] | None = None
    for number, row in enumerate(text.split("\n"), line):
        if row.startswith("### "):
            heading = _BLOCK.fullmatch(row)
            if not heading or int(heading[1]) in blocks:
                raise PromptError(f"line {number}: '{row[:40]}' is no heading of a further layer.")
            rows = blocks[int(heading[1])] = []
        elif row.strip():
            if rows is None:
                raise _stray_line(_Row(number, row))
            rows.append(_Row(number, row))
    return blocks


def _check_layers(blocks: Collection[int], architecture: Architecture, line: int) -> None:
    """Raises `PromptError` unless there is a block of each of the architecture's layers."""
    modules = [layer.module for layer in architecture.layers]
    for module in (*modules, *blocks):
        if module not in blocks:
            raise PromptError(f"line {line}: the signature has no layer {module}.")
        if module not in modules:
            raise PromptError(f"line {line}: the network has no layer {module}.")


def _load_json(text: str, line: int) -> object:
    """A JSON value; a fault is named by its line."""
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError) as error:
        place = line + getattr(error, "lineno", 1) - 1
        reason = getattr(error, "msg", error)
        raise PromptError(f"line {place}: this is not JSON: {reason}.") from error


def _load_object(text: str, line: int) -> dict[str, object]:
    """A JSON object; a fault is named by its line."""
    return _object(_load_json(text, line), line)


def _object(value: object, line: int) -> dict[str, object]:
    """A JSON value that must be an object of weights."""
    if not isinstance(value, dict):
        raise PromptError(f"line {line}: the weights must be a JSON object.")
    return value


def _is_row(value: object) -> TypeGuard[list[float]]:
    """Whether a JSON value is a list of numbers that is not empty."""
    return isinstance(value, list) and bool(value) and all(type(x) in (int, float) for x in value)


def _is_matrix(value: object) -> TypeGuard[list[list[float]]]:
    """Whether a JSON value is a list of equally long rows that is not empty."""
    if not isinstance(value, list) or not all(_is_row(row) for row in value):
        return False
    lengths = {len(row) for row in value}
    return len(lengths) == 1


def _numbers(value: object, dimensions: int, name: str, line: int) -> NDArray[np.float32]:
    """An array of finite numbers, of one dimension or of two."""
    rows = value if dimensions == 2 else [value]
    if not _is_matrix(rows):
        shapes = ("a list of numbers", "a list of equally long lists of numbers")
        raise PromptError(f"line {line}: {name} must be {shapes[dimensions - 1]}.")
    with np.errstate(over="ignore"):
        array = np.array(rows, np.float64).astype(np.float32)
    if not np.isfinite(array).all():
        raise PromptError(f"line {line}: {name} has a number that float32 can't hold.")
    return array if dimensions == 2 else array[0]


def _read_layers(blocks: dict[int, list[_Row]], line: int) -> dict[str, NDArray[np.float32]]:
    """Weights from the blocks of an interwoven section that begins on a line."""
    entries: dict[str, _Entry] = {}
    for module, rows in blocks.items():
        here = rows[:_LINES_OF_WEIGHTS]
        marks = [row.text.partition(": ")[0] for row in here]
        if marks != ["weight", "bias", "Signature:"]:
            number = here[0].line if here else line
            raise PromptError(
                f"line {number}: layer {module} must begin with the lines 'weight: ...', "
                "'bias: ...' and 'Signature:'."
            )
        for name, row in zip(parameter_names(module), here, strict=False):
            _, _, value = row.text.partition(": ")
            entries[name] = _Entry(row.line, _load_json(value, row.line))
    return _check_weights(entries, line)


def _read_weights(text: str, line: int) -> dict[str, NDArray[np.float32]]:
    """Weights from a JSON object, or from its key `weights`, that begins on a line."""
    values = _load_object(text, line)
    if values.keys() == _COLUMN:
        values = _object(values["weights"], line)
    entries = {name: _Entry(line, value) for name, value in values.items()}
    return _check_weights(entries, line)


def _check_weights(entries: dict[str, _Entry], line: int) -> dict[str, NDArray[np.float32]]:
    """Weights and biases by name as arrays, layer by layer."""
    weights = {}
    names = layer_names(len(entries) // 2)
    for weight, bias in names:
        weights[weight] = _named_numbers(entries, weight, 2, line)
        weights[bias] = _named_numbers(entries, bias, 1, line)
    unknown = [name for name in entries if name not in weights]
    if unknown or not weights:
        first = unknown[0] if unknown else ""
        raise PromptError(
            f"line {line}: '{first[:40]}' is no weight of a network of {len(names)} layers."
        )
    _check_chain(weights, line)
    return weights


def _named_numbers(
    entries: dict[str, _Entry], name: str, dimensions: int, line: int
) -> NDArray[np.float32]:
    """A weight or a bias as an array."""
    if name not in entries:
        raise PromptError(f"line {line}: {name} is missing.")
    entry = entries[name]
    return _numbers(entry.value, dimensions, name, entry.line)


def _check_chain(weights: dict[str, NDArray[np.float32]], line: int) -> None:
    """Raises `PromptError` unless the layers fit each other and the last gives one logit."""
    before: int | None = None
    for weight, bias in layer_names(len(weights) // 2):
        fan_out, fan_in = weights[weight].shape
        if before not in (None, fan_in):
            raise PromptError(
                f"line {line}: {weight} takes {fan_in} inputs, but the layer before gives {before}."
            )
        biases = len(weights[bias])
        if biases != fan_out:
            raise PromptError(f"line {line}: {bias} has {biases} numbers for {fan_out} neurons.")
        before = fan_out
    if before != 1:
        raise PromptError(f"line {line}: the last layer gives {before} outputs; it must give 1.")


def _read_profiles(rows: Sequence[_Row], layer: Layer) -> _Profiles:
    """A layer's numbers by method, one per line."""
    profiles: _Profiles = {}
    for row in rows:
        name, values = _read_profile(row, layer)
        if name in profiles:
            raise _stray_line(row)
        profiles[name] = values
    return profiles


def _read_profile(row: _Row, layer: Layer) -> tuple[str, NDArray[np.float32]]:
    """The method and the numbers of one line of a layer's block."""
    name, colon, rest = row.text.strip().partition(": ")
    if not colon or not name.isidentifier():
        raise _stray_line(row)
    values = _load_json(rest, row.line)
    nested = isinstance(values, list) and any(isinstance(first, list) for first in values[:1])
    array = _numbers(values, 2 if nested else 1, name, row.line)
    if len(array) != layer.fan_out:
        raise PromptError(
            f"line {row.line}: {name} describes {len(array)} neurons; "
            f"the layer has {layer.fan_out}."
        )
    return name, array


def _stray_line(row: _Row) -> PromptError:
    """What is raised of a line between the lines of a signature."""
    return PromptError(f"line {row.line}: '{row.text[:40]}' is no line of a signature.")
