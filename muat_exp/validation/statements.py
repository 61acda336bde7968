"""Checks of what a dataset says of all its examples: its summary and its card."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from muat_exp.config.identity import config_signature
from muat_exp.dataset.card import NOT_COUNTED, render_card
from muat_exp.dataset.checksums import shards_digest
from muat_exp.dataset.faults import Faults
from muat_exp.dataset.reading import read_summary
from muat_exp.dataset.writing import Written
from muat_exp.errors import DatasetError
from muat_exp.prompts.rendering import Renderer
from muat_exp.validation.tally import Tally

_TOKEN_SECTION = re.compile(r"\n## Token counts\n.*?(?=\n## )", re.DOTALL)
_TOLERANCE = 1e-9  # of means, which may be summed in another order
_MAX_SHOWN = 120  # characters of a line of the card
# What reading a summary from anywhere raises where it lacks the form that a run gives it.
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError)


def check_statements(folder: Path, tally: Tally, renderer: Renderer, faults: Faults) -> None:
    """Checks that the summary and the card say of all examples what they are."""
    try:
        summary = read_summary(folder)
    except DatasetError as error:
        faults.add("summary", str(error))
        return
    for sentence in (*_wrong_figures(tally, summary), *_contradictions(tally, summary)):
        faults.add("summary", sentence)
    if "summary" not in faults.found:
        _check_card(folder, tally, summary, renderer, faults)


def _wrong_figures(tally: Tally, summary: dict[str, Any]) -> Iterator[str]:
    """A sentence for each figure of a summary that is not the data's."""
    figures = _figures(tally)
    for key, value in figures.items():
        said = _look_up(summary, key)
        if not _agree(said, value):
            yield f"summary.json: {key} is {said}, but the data give {value}."


def _figures(tally: Tally) -> dict[str, Any]:
    """What the data give for the figures of a summary, by their keys, dots between levels."""
    figures: dict[str, Any] = {
        "accepted": tally.count,
        "config_signature": config_signature(tally.config),
        "splits": tally.splits,
    }
    for key, value in tally.means.overall().items():
        figures[f"accuracy.{key}"] = value
    for name in tally.config.patterns.enabled:
        figures[f"patterns.{name}.accepted"] = tally.patterns[name]
        for key, value in tally.means.by_pattern(name).items():
            figures[f"patterns.{name}.{key}"] = value
    return figures


def _agree(said: object, value: object) -> bool:
    """Whether two figures are the same, but for the rounding of a mean."""
    if isinstance(said, float) and isinstance(value, float):
        return abs(said - value) < _TOLERANCE
    return said == value


def _look_up(summary: dict[str, Any], key: str) -> object:
    """The value of a key with dots between levels; None where there is none."""
    value: object = summary
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _contradictions(tally: Tally, summary: dict[str, Any]) -> Iterator[str]:
    """A sentence for each way in which the figures of a run contradict each other or its rules."""
    try:
        yield from _wrong_sums(tally, summary)
        yield from _broken_rules(tally, summary)
    except _MALFORMED:
        yield "summary.json lacks figures, or they are no numbers."


def _wrong_sums(tally: Tally, summary: dict[str, Any]) -> Iterator[str]:
    """A sentence for each way in which the counts of a run do not add up."""
    names = tally.config.patterns.enabled
    rows = [summary["patterns"][name] for name in names]
    for name, row in zip(("all", *names), (summary, *rows), strict=True):
        judged = row["accepted"] + sum(row["rejected"].values())
        if row["attempts"] != judged:
            yield f"summary.json: the attempts of {name} are not its accepted and rejected ones."
    counts = [_counts(row) for row in rows]
    for key, total in _counts(summary).items():
        over_patterns = sum(row[key] for row in counts)
        if total != over_patterns:
            yield f"summary.json: {key} of all is not the sum over the patterns."


def _counts(row: dict[str, Any]) -> dict[str, Any]:
    """Attempts, and rejections by reason."""
    return {"attempts": row["attempts"], **row["rejected"]}


def _broken_rules(tally: Tally, summary: dict[str, Any]) -> Iterator[str]:
    """A sentence for each rule of the configuration that the examples do not meet."""
    dataset = tally.config.dataset
    asked = dataset.num_examples
    short = tally.count < asked
    too_short = short and dataset.on_shortfall == "error"
    if too_short or tally.count > asked:
        yield f"there are {tally.count} examples; the configuration asks for {asked}."
    if dataset.balance and not short and not _is_balanced(tally):
        yield f"the patterns are not balanced: {dict(tally.patterns)}."
    derived = summary["origin"]  # its networks were accepted by another configuration
    if not derived and not tally.meets_thresholds:
        yield "an example has less improvement or test accuracy than the configuration accepts."


def _is_balanced(tally: Tally) -> bool:
    """Whether all patterns have as many examples, to one."""
    counts = [tally.patterns[name] for name in tally.config.patterns.enabled]
    return max(counts) - min(counts) <= 1


def _check_card(
    folder: Path, tally: Tally, summary: dict[str, Any], renderer: Renderer, faults: Faults
) -> None:
    """Checks that the card is what the figures make of it.

    Token counts are compared where this machine can count them as well.
    """
    written = _as_written(folder, tally, renderer)
    try:
        expected = render_card(tally.config, summary, written, summary["origin"])
    except _MALFORMED:
        wanted = "figures that a card is made of, or they are no numbers"
        faults.add("summary", f"summary.json lacks {wanted}.")
        return
    path = folder / "README.md"
    card = path.read_text("utf-8", "replace") if path.is_file() else ""
    if not _counts_all(written, tally) or NOT_COUNTED in card:
        card = _TOKEN_SECTION.sub("", card)
        expected = _TOKEN_SECTION.sub("", expected)
    for sentence in _card_differences(card, expected):
        faults.add("card", sentence)


def _as_written(folder: Path, tally: Tally, renderer: Renderer) -> Written:
    """What the writer of the dataset knew of it, found again."""
    counter = renderer.counter
    tokens = tally.tokens if counter else {}
    name = counter.name if counter else ""
    return Written(tally.splits, tokens, name, shards_digest(folder))


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
        return [f"{told}: {line[:_MAX_SHOWN]}" for line in absent]
    if card != expected:
        return ["README.md has lines that the data do not give."]
    return []
