"""The inverse of the prompts: architecture, weights and signature from a text.

The text is one that an interpreter may have written.
Data is data: JSON numbers only, nothing is evaluated; a text that is not what it should be is
refused with the line of the fault. Arrays are as large as the text that they come from at most.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
import orjson
from numpy.typing import NDArray

from muat_exp.errors import PromptError
from muat_exp.subjects.activations import ACTIVATIONS
from muat_exp.subjects.architecture import Architecture, Layer, layer_names

LONGEST_TEXT = 64 * 2**20  # characters that are read of a text at most
_ARCHITECTURE = re.compile(
    r"(?P<depth>\d{1,4}) hidden layers of (?P<widths>\d{1,5}(?:, \d{1,5})*) neurons, "
    r"(?P<activation>\w{1,20}); "
    r"input: (?P<length>\d{1,4}) tokens of (?P<vocabulary>\d{1,4})(?: \([^)\n]*\))?, "
    r"output: 1 logit"
)
# The object of one layer in an interwoven prompt.
_OBJECT = re.compile(r"^\{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
_COLUMN = {"config", "weights"}  # the keys of a dataset's JSON columns of weights
_SEPARATE = ("Architecture", "Weights", "Signature")  # sections of a prompt that is read
_INTERWOVEN = ("Architecture", "Layers")


@dataclass(frozen=True)
class ParsedPrompt:
    """What a prompt says of a network.

    Attributes:
        architecture: its shape, and the inputs that it takes.
        vocab_size: number of tokens.
        weights: float32 arrays by name, as `nn.Sequential`'s state with a prefix:
            `network.<i>.weight` (out, in), `network.<i>.bias` (out,).
        signature: by Linear layer's index and method: float32 `(neurons,)`, or `(neurons,
            columns)`.
    """

    architecture: Architecture
    vocab_size: int
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


def parse_prompt(text: str) -> ParsedPrompt:
    """Reads a prompt, or a whole text with its completion.

    Raises:
        PromptError: a section is missing or malformed, or the weights do not fit the architecture;
            names the line.
    """
    sections = _split_sections(text)
    interwoven = "Layers" in sections
    _check_sections(sections, _INTERWOVEN if interwoven else _SEPARATE)
    architecture, vocab_size = _read_architecture(*sections["Architecture"])
    if interwoven:
        line, body = sections["Layers"]
        weights, profiles = _read_layers(body, line)
    else:
        line, body = sections["Weights"]
        weights = _read_weights(body, line)
        profiles = sections["Signature"]
    _check_fit(weights, architecture, line)
    signature = _read_signature(*profiles, architecture)
    return ParsedPrompt(architecture, vocab_size, weights, signature)


def _check_sections(sections: Collection[str], names: Sequence[str]) -> None:
    """Raises `PromptError` unless all sections of these names are there."""
    for name in names:
        if name not in sections:
            raise PromptError(f"line 1: there is no section '## {name}'.")


def _read_architecture(line: int, text: str) -> tuple[Architecture, int]:
    """The architecture that a section begins with on a line, and the number of tokens."""
    refusal = PromptError(
        f"line {line}: the architecture can't be read from '{text.strip()[:80]}'."
    )
    found = _ARCHITECTURE.search(text)
    if not found or found["activation"] not in ACTIVATIONS:
        raise refusal
    depth = int(found["depth"])
    widths = [int(width) for width in found["widths"].split(", ")]
    if len(widths) == 1:  # of all layers
        widths = widths * depth
    if not widths or len(widths) != depth:
        raise refusal
    architecture = Architecture(int(found["length"]), tuple(widths), found["activation"])
    return architecture, int(found["vocabulary"])


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
    """Reads weights from a prompt of either style, or from a JSON object in any text.

    Of a prompt that is followed by an answer with weights, the answer's are read. The object holds
    the weights themselves, or as a dataset's JSON columns do, `{"config": ..., "weights": ...}`.

    Returns:
        float32 arrays by name, layer by layer: `network.<i>.weight` (out, in), `network.<i>.bias`
            (out,).

    Raises:
        PromptError: there is no such object, or its layers do not fit each other; names the line.
    """
    sections = _split_sections(text)
    line, answer = sections.get("Answer", (1, ""))
    if "{" in answer:  # a prompt with its answer: the answer's weights, not the prompt's
        return _parse_object(answer, line)
    if "Layers" in sections:
        line, body = sections["Layers"]
        return _read_layers(body, line)[0]
    return _parse_object(text, 1)


def _parse_object(text: str, line: int) -> dict[str, NDArray[np.float32]]:
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
    """Sections by name: the line on which their text begins, and the text."""
    _check_length(text)
    sections: dict[str, tuple[int, str]] = {}
    heads = [*re.finditer(r"^## (\w+)\n", text, re.MULTILINE)]
    ends = [*(head.start() for head in heads[1:]), len(text)]
    for head, end in zip(heads, ends, strict=False):
        start = head.end()
        line = text.count("\n", 0, start) + 1
        sections.setdefault(head[1], (line, text[start:end]))
    return sections


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


def numbers(value: object, dimensions: int, name: str, line: int) -> NDArray[np.float32]:
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


def _read_layers(text: str, line: int) -> tuple[dict[str, NDArray[np.float32]], tuple[int, str]]:
    """Weights from the objects of an interwoven section that begins on a line.

    And the rest of the section, with its lines where they were.
    """
    values: dict[str, object] = {}

    def take(found: re.Match[str]) -> str:
        own = found[0]
        start = line + text.count("\n", 0, found.start())
        layer = _load_object(own, start)
        twice = sorted(values.keys() & layer.keys())
        if twice:
            raise PromptError(f"line {start}: {twice[0][:40]} is there twice.")
        values.update(layer)
        return "\n" * own.count("\n")

    rest = _OBJECT.sub(take, text)
    return _check_weights(values, line), (line, rest)


def _read_weights(text: str, line: int) -> dict[str, NDArray[np.float32]]:
    """Weights from a JSON object, or from its key `weights`, that begins on a line."""
    values = _load_object(text, line)
    if values.keys() == _COLUMN:
        values = _object(values["weights"], line)
    return _check_weights(values, line)


def _check_weights(values: dict[str, object], line: int) -> dict[str, NDArray[np.float32]]:
    """The entries of a JSON object as arrays, layer by layer."""
    weights = {}
    names = layer_names(len(values) // 2)
    for weight, bias in names:
        weights[weight] = _named_numbers(values, weight, 2, line)
        weights[bias] = _named_numbers(values, bias, 1, line)
    unknown = [name for name in values if name not in weights]
    if unknown or not weights:
        first = unknown[0] if unknown else ""
        raise PromptError(
            f"line {line}: '{first[:40]}' is no weight of a network of {len(names)} layers."
        )
    _check_chain(weights, line)
    return weights


def _named_numbers(
    values: dict[str, object], name: str, dimensions: int, line: int
) -> NDArray[np.float32]:
    """One entry of a JSON object as an array."""
    if name not in values:
        raise PromptError(f"line {line}: {name} is missing.")
    return numbers(values[name], dimensions, name, line)


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


def _read_signature(
    line: int, text: str, architecture: Architecture
) -> dict[int, dict[str, NDArray[np.float32]]]:
    """The signature's blocks, one per Linear layer."""
    layers = architecture.layers
    blocks: dict[int, dict[str, NDArray[np.float32]]] = {}
    for number, row in enumerate(text.split("\n"), line):
        if row.startswith("### ") and len(blocks) < len(layers):
            module = layers[len(blocks)].module
            _check_heading(row, number, module)
            blocks[module] = {}
        elif row.strip() and not blocks:
            raise _stray_line(row, number)
        elif row.strip():
            layer = layers[len(blocks) - 1]
            block = blocks[layer.module]
            name, values = _read_profile(row, number, layer)
            if name in block:
                raise _stray_line(row, number)
            block[name] = values
    if len(blocks) != len(layers):
        raise PromptError(
            f"line {line}: the signature has {len(blocks)} layers; the network has {len(layers)}."
        )
    return blocks


def _check_heading(row: str, number: int, module: int) -> None:
    """Raises `PromptError` unless a line is the heading of a module's block."""
    if row[4:] != str(module):
        raise PromptError(f"line {number}: '### {module}' must come here, not '{row[:20]}'.")


def _read_profile(row: str, number: int, layer: Layer) -> tuple[str, NDArray[np.float32]]:
    """The method and the numbers of one line of a layer's block."""
    name, colon, rest = row.partition(": ")
    if not colon or not name.isidentifier():
        raise _stray_line(row, number)
    values = _load_json(f"[{rest}]", number)
    nested = isinstance(values, list) and any(isinstance(row, list) for row in values[:1])
    array = numbers(values, 2 if nested else 1, name, number)
    if len(array) != layer.fan_out:
        raise PromptError(
            f"line {number}: {name} describes {len(array)} neurons; the layer has {layer.fan_out}."
        )
    return name, array


def _stray_line(row: str, number: int) -> PromptError:
    """What is raised of a line between the lines of a signature."""
    return PromptError(f"line {number}: '{row[:40]}' is no line of a signature.")
