"""The inverse of `prompts.compact`: numbers from the lines of a compact text."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from muat_exp.errors import PromptError
from muat_exp.prompts.codings import CENTRE, DECIMAL, DIGITS, INTEGER, SPAN, Coding
from muat_exp.prompts.sections import LARGEST, METHODS

_LINE = re.compile(
    rf"^Coding: (?:({DIGITS})|({DECIMAL}|{INTEGER}), ([1-6]) decimals?)$", re.MULTILINE
)
_BLOCKS = re.compile(r"^### ", re.MULTILINE)
_END = re.compile(r"^(?!###|[-+\d]|largest: |$)", re.MULTILINE)  # of what an answer can go on with
_SEPARATOR = re.compile(r"[ ,\t]+")
_FORMS = {
    DECIMAL: re.compile(r"[-+]?\d{1,24}(?:\.\d{1,24})?"),
    INTEGER: re.compile(r"[-+]?\d{1,24}"),
    DIGITS: re.compile(r"(?:\d{3})+"),
}
_WORDS = {
    DECIMAL: "numbers with a space between them",
    INTEGER: "whole numbers with a space between them",
    DIGITS: "three digits for each number",
}
_METHODS = re.compile(rf"^{METHODS}: (.+)$", re.MULTILINE)
_METHOD = re.compile(r"([a-z_]{1,40}) (\d{1,5})")
_MAGNITUDE = re.compile(r"\d{1,40}(?:\.\d{1,24})?(?:e[-+]?\d{1,2})?")

Row = tuple[int, str]  # a line of a text: its number and its characters


class Coded(NamedTuple):
    """What the line of the coding says, and what is behind it.

    Attributes:
        coding: how numbers are spelled.
        line: the number of the first line of `blocks`.
        blocks: the text from the first layer's heading on.
    """

    coding: Coding
    line: int
    blocks: str


def find_coded(text: str, line: int) -> Coded | None:
    """The blocks of weights in a text that begins on a line; None where no coding is told."""
    told = _LINE.search(text)
    if told is None:
        return None
    start = told.end()
    heading = _BLOCKS.search(text, start)
    if heading is None:
        raise PromptError(f"line {_line_at(text, start, line)}: no layer follows.")
    start = heading.start()
    coding = Coding(told[1] or told[2], int(told[3] or 3))
    return Coded(coding, _line_at(text, start, line), text[start:])


def without_rest(coded: Coded) -> Coded:
    """The blocks of an answer without what follows them, which may be anything."""
    end = _END.search(coded.blocks)
    return coded._replace(blocks=coded.blocks[: end.start()]) if end else coded


def _line_at(text: str, place: int, line: int) -> int:
    """The number of the line at a place of a text that begins on a line."""
    return line + text.count("\n", 0, place)


def read_methods(text: str, line: int) -> tuple[list[tuple[str, int]], int, str]:
    """The methods of a signature with their columns; the line and the text of its blocks."""
    told = _METHODS.search(text)
    heading = _BLOCKS.search(text)
    found = [_METHOD.fullmatch(part) for part in told[1].split(", ")] if told else []
    methods = [(match[1], int(match[2])) for match in found if match]
    names = {name for name, columns in methods if columns}
    if heading is None or not found or len(names) < len(found):
        raise PromptError(
            f"line {line}: the section must begin with the line '{METHODS}: ...', each with its "
            "number of columns, and have a block for each layer."
        )
    start = heading.start()
    return methods, _line_at(text, start, line), text[start:]


def read_rows(
    coding: Coding, rows: Sequence[Row], columns: Sequence[int], module: int, line: int
) -> list[list[float]]:
    """The numbers of a layer's block, a list per neuron.

    Args:
        coding: how they are spelled.
        rows: the block's lines that are not empty, its heading left out.
        columns: how many numbers of a neuron in turn have a largest magnitude of their own; empty
            where all have the same, however many there are.
        module: the layer, for an error.
        line: of the section.

    Raises:
        PromptError: a line is not spelled so, or there is none.
    """
    neurons = rows[1:] if coding.name == DIGITS else rows
    if not neurons:
        raise PromptError(f"line {line}: layer {module} has no neuron.")
    numbers = [_read_row(coding, row) for row in neurons]
    if coding.name != DIGITS:
        return numbers
    scales = _read_scales(rows[0], max(1, len(columns)), module)
    if not columns:
        return [[share * scales[0] for share in shares] for shares in numbers]
    return [
        _scaled(row, shares, scales, columns) for row, shares in zip(neurons, numbers, strict=True)
    ]


def _read_scales(row: Row, count: int, module: int) -> list[float]:
    """So many largest magnitudes, with which a block by digits begins."""
    line, text = row
    name, _, rest = text.partition(": ")
    parts = rest.split(", ")
    if name != LARGEST or len(parts) != count or not all(map(_MAGNITUDE.fullmatch, parts)):
        raise PromptError(
            f"line {line}: layer {module} must begin with the line '{LARGEST}: ...' of its "
            "largest magnitudes."
        )
    with np.errstate(over="ignore"):
        return [float(np.float32(part)) for part in parts]


def _scaled(
    row: Row, shares: Sequence[float], scales: Sequence[float], columns: Sequence[int]
) -> list[float]:
    """Shares of the largest magnitudes as numbers."""
    expected = sum(columns)
    if len(shares) != expected:
        raise PromptError(
            f"line {row[0]}: there are {len(shares)} numbers, but the methods have {expected}."
        )
    own = np.repeat(scales, columns)
    return [share * scale for share, scale in zip(shares, own.tolist(), strict=True)]


def _read_row(coding: Coding, row: Row) -> list[float]:
    """The numbers of one line; by digits as shares of the largest magnitude."""
    line, text = row
    text = text.strip()
    parts = [text] if coding.name == DIGITS else _SEPARATOR.split(text)
    if not all(map(_FORMS[coding.name].fullmatch, parts)):
        raise PromptError(f"line {line}: '{text[:40]}' is no line of {_WORDS[coding.name]}.")
    if coding.name == DIGITS:
        numbers = [int(text[place : place + 3]) for place in range(0, len(text), 3)]
        return [(number - CENTRE) / SPAN for number in numbers]
    if coding.name == INTEGER:
        return [float(part) / coding.unit for part in parts]
    return list(map(float, parts))


def weights_and_biases(
    blocks: Mapping[int, Sequence[Row]], coded: Coded
) -> dict[int, tuple[object, object]]:
    """Weights `(out, in)` and biases `(out,)` of each layer, as lists."""
    layers: dict[int, tuple[object, object]] = {}
    for module, rows in blocks.items():
        neurons = read_rows(coded.coding, rows, (), module, coded.line)
        layers[module] = [row[:-1] for row in neurons], [row[-1] for row in neurons]
    return layers
