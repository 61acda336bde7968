"""Checks of what a dataset says of all its examples: its summary and its card."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from muat_exp.dataset.card import NOT_COUNTED, render_card
from muat_exp.dataset.checksums import shards_digest
from muat_exp.dataset.faults import Faults
from muat_exp.dataset.reading import read_summary
from muat_exp.dataset.writing import Written
from muat_exp.errors import DatasetError
from muat_exp.prompts.forms import Forms
from muat_exp.prompts.rendering import Renderer
from muat_exp.validation.figures import Recount, wrong_figures
from muat_exp.validation.places import text_problem
from muat_exp.validation.tally import Tally

_TOKEN_SECTION = re.compile(r"\n## Token counts\n.*?(?=\n## )", re.DOTALL)
_FORM_SECTION = re.compile(r"\n## Forms of the prompts\n.*?(?=\n## )", re.DOTALL)
_MAX_SHOWN = 120  # characters of a line of the card


class Compared(NamedTuple):
    """What was compared of the statements: the summary, the card, the card's token counts."""

    summary: bool = False
    card: bool = False
    tokens: bool = False


def check_statements(
    folder: Path,
    tally: Tally,
    recount: Recount,
    renderer: Renderer,
    faults: Faults,
    forms: Forms | None = None,
) -> Compared:
    """Checks that the summary and the card say of all examples what they are.

    The card's figures of the forms of the prompts are compared where `forms` tells them.
    """
    summary = readable_summary(folder, faults)
    if summary is None:
        return Compared()
    for sentence in (*_broken_rules(tally, summary), *wrong_figures(tally, recount, summary)):
        faults.add("summary", sentence)
    if "summary" in faults.found:
        return Compared(summary=True)
    return _check_card(folder, tally, summary, renderer, forms, faults)


def readable_summary(folder: Path, faults: Faults) -> dict[str, Any] | None:
    """The summary of a dataset; None where there is none, which is a fault."""
    problem = text_problem(folder / "summary.json")
    if problem:
        faults.add("summary", f"summary.json {problem}.")
        return None
    try:
        return read_summary(folder)
    except DatasetError as error:
        faults.add("summary", str(error))
        return None


def _broken_rules(tally: Tally, summary: dict[str, Any]) -> Iterator[str]:
    """A sentence for each rule of the configuration that the examples do not meet."""
    dataset = tally.config.dataset
    asked = dataset.num_examples
    short = tally.count < asked
    too_short = short and dataset.on_shortfall == "error"
    if too_short or tally.count > asked:
        yield f"there are {tally.count} examples; the configuration asks for {asked}."
    derived = summary["origin"]  # its networks were accepted by another configuration
    if not derived and not tally.meets_thresholds:
        yield "an example has less improvement or test accuracy than the configuration accepts."


def _check_card(
    folder: Path,
    tally: Tally,
    summary: dict[str, Any],
    renderer: Renderer,
    forms: Forms | None,
    faults: Faults,
) -> Compared:
    """Checks that the card is what the figures make of it.

    Token counts are compared where this machine can count them as well.
    """
    path = folder / "README.md"
    problem = text_problem(path)
    if problem:
        faults.add("card", f"README.md {problem}.")
        return Compared(summary=True)
    written = _as_written(folder, tally, renderer, forms)
    expected = render_card(tally.config, summary, written, summary["origin"])
    card = path.read_text("utf-8", "replace")
    counted = _counts_all(written, tally) and NOT_COUNTED not in card
    if not counted:
        card = _TOKEN_SECTION.sub("", card)
        expected = _TOKEN_SECTION.sub("", expected)
    if not counted or forms is None:
        card = _FORM_SECTION.sub("", card)
        expected = _FORM_SECTION.sub("", expected)
    for sentence in _card_differences(card, expected):
        faults.add("card", sentence)
    return Compared(summary=True, card=True, tokens=counted)


def _as_written(folder: Path, tally: Tally, renderer: Renderer, forms: Forms | None) -> Written:
    """What the writer of the dataset knew of it, found again."""
    counter = renderer.counter
    tokens = tally.tokens if counter else {}
    name = counter.name if counter else ""
    return Written(tally.splits, tokens, name, shards_digest(folder), forms)


def _counts_all(written: Written, tally: Tally) -> bool:
    """Whether the tokens of every example were counted, for every task."""
    counts = [statistics.count for statistics in written.tokens.values()]
    return bool(counts) and set(counts) == {tally.count}


def _card_differences(card: str, expected: str) -> list[str]:
    """A sentence for each line that a card lacks, or one about lines that it has too many."""
    lines = set(card.splitlines())
    absent = [line for line in expected.splitlines() if line not in lines]
    if absent:
        told = "README.md does not have the line that the data give"
        return [f"{told}: {line[:_MAX_SHOWN]}" for line in dict.fromkeys(absent)]
    if card != expected:
        return ["README.md has lines that the data do not give."]
    return []
