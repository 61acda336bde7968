"""Numbers and tables as a person reads them, in the terminal and in Markdown."""

import math
from collections.abc import Iterable, Sequence

from rich.table import Table


def number(value: float | None, digits: int = 3, absent: str = "-") -> str:
    """A number with fixed decimals; `absent` where there is none.

    >>> number(0.5), number(None), number(float("nan"), absent="")
    ('0.500', '-', '')
    """
    if value is None or math.isnan(value):
        return absent
    return f"{value:.{digits}f}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table.

    >>> print(markdown_table(("split", "examples"), [("train", 3)]), end="")
    | split | examples |
    | --- | --- |
    | train | 3 |
    """
    rule = ["---"] * len(header)
    lines = [_markdown_row(cells) for cells in (header, rule, *rows)]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Sequence[object]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def terminal_table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    """An empty table for the terminal: columns of texts, then columns of numbers to the right."""
    made = Table(title=title, title_justify="left")
    for column in texts:
        made.add_column(column)
    for column in numbers:
        made.add_column(column, justify="right")
    return made
