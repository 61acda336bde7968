"""The figures of a dataset's summary, computed again from its examples."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from muat_exp.config.groups import Config
from muat_exp.config.identity import config_signature
from muat_exp.generation.outcomes import REASONS
from muat_exp.generation.summary import fitting
from muat_exp.validation.attempts import Attempts
from muat_exp.validation.tally import Tally

_TOLERANCE = 1e-9  # of means, which may be summed in another order
_VERSION = re.compile(r"unknown|\d[\w.+!-]*")
# What `generation.derive` says of a dataset's origin, one sentence after another.
_ORIGIN = re.compile(
    r"(Made by `task=(signature|measure|render)` from the networks of a dataset with the "
    r"config_signature `[0-9a-f]{16}`; attempts and rejections are those of its run\.( |$))+"
)
Summary = Mapping[str, Any]


class _Count:
    """Stands for a number of things that can't be counted again."""

    def __str__(self) -> str:
        return "a whole number"


_COUNT = _Count()
_ELSEWHERE = ("origin", "versions", "processors")  # keys that `_wrong_statements` checks


@dataclass(frozen=True)
class Recount:
    """What is known of a dataset's attempts.

    Attributes:
        attempts: which they were; None where the examples do not tell.
        by_pattern: how many had each pattern as their target; None where that is not known.
        rejected: by pattern and reason; None where they were not trained again.
    """

    attempts: Attempts | None = None
    by_pattern: Counter[str] | None = None
    rejected: Counter[tuple[str, str]] | None = None


def wrong_figures(tally: Tally, recount: Recount, summary: Summary) -> Iterator[str]:
    """A sentence for each figure of a summary that is not the data's, and for each sum of them."""
    expected = _expected(tally, recount, summary)
    told = {key: value for key, value in summary.items() if key not in _ELSEWHERE}
    found = [*_compare(told, expected, ""), *_wrong_statements(summary)]
    yield from found
    if not found:  # else they are not numbers that could be added
        yield from _wrong_sums(tally.config, summary)


def _expected(tally: Tally, recount: Recount, summary: Summary) -> dict[str, Any]:
    """What the summary of these examples holds, as far as it can be computed again."""
    names = tally.config.patterns.enabled
    attempts = recount.attempts.total if recount.attempts else _COUNT
    divisor = recount.attempts.total if recount.attempts else summary.get("attempts")
    acceptance = tally.count / max(1, divisor) if isinstance(divisor, int) else None
    return {
        "config_signature": config_signature(tally.config),
        "asked": tally.config.dataset.num_examples,
        "accepted": tally.count,
        "attempts": attempts,
        "acceptance": acceptance,
        "rejected": _rejections(recount, names),
        "accuracy": tally.figures.overall(),
        "patterns": {name: _expected_row(name, tally, recount) for name in names},
        "splits": tally.splits,
        **fitting(tally.config, _fitting(tally)),
    }


def _fitting(tally: Tally) -> dict[str, Any]:
    """How many examples fit `dataset.max_tokens`, by task, where their tokens were counted."""
    counts = tally.tokens.items()
    return {task: found.fitting if found.count == tally.count else _COUNT for task, found in counts}


def _expected_row(name: str, tally: Tally, recount: Recount) -> dict[str, Any]:
    """What the summary holds of one pattern."""
    counts = recount.by_pattern
    return {
        "attempts": _COUNT if counts is None else counts[name],
        "accepted": tally.patterns[name],
        "rejected": _rejections(recount, (name,)),
        **tally.figures.by_pattern(name),
    }


def _rejections(recount: Recount, names: tuple[str, ...]) -> dict[str, Any]:
    """Rejected attempts at some patterns by reason."""
    rejected = recount.rejected
    if rejected is None:
        return dict.fromkeys(REASONS, _COUNT)
    return {reason: sum(rejected[name, reason] for name in names) for reason in REASONS}


def _compare(said: object, expected: object, key: str) -> Iterator[str]:
    """A sentence for each value that is not what it should be, of the same form and type."""
    place = f"summary.json: {key}" if key else "summary.json"
    if not isinstance(expected, dict):
        if not _agree(said, expected):
            yield f"{place} is {said!r:.80}, but the data give {expected}."
        return
    if not isinstance(said, dict):
        yield f"{place} is {said!r:.80}, but must be an object."
        return
    for name, value in expected.items():
        below = f"{key}.{name}" if key else name
        if name in said:
            yield from _compare(said[name], value, below)
        else:
            yield f"summary.json lacks figures: it has no {below}."
    for name in said.keys() - expected.keys():
        yield f"{place} has {name!r:.80}, which no run writes."


def _agree(said: object, value: object) -> bool:
    """Whether two figures are of one type and the same, but for the rounding of a mean."""
    if isinstance(value, _Count):
        return type(said) is int and said >= 0
    if type(said) is not type(value):
        return False
    if isinstance(said, float) and isinstance(value, float):
        return abs(said - value) < _TOLERANCE
    return said == value


def _wrong_sums(config: Config, summary: Summary) -> Iterator[str]:
    """A sentence for each way in which the counts of a run do not add up."""
    names = config.patterns.enabled
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


def _counts(row: Summary) -> dict[str, int]:
    """Attempts, and rejections by reason."""
    return {"attempts": row["attempts"], **row["rejected"]}


def _wrong_statements(summary: Summary) -> Iterator[str]:
    """A sentence for each word on how the data were made that is not as a run writes it."""
    origin = summary.get("origin")
    if origin != "" and not (isinstance(origin, str) and _ORIGIN.fullmatch(origin)):
        yield f"summary.json: origin is {origin!r:.80}, which no task writes."
    versions = summary.get("versions")
    if not isinstance(versions, dict) or not all(_are_versions(v) for v in versions.values()):
        yield "summary.json: versions does not hold versions by name."
    elif "muat_exp" not in versions:
        yield "summary.json: versions does not tell that of muat_exp."
    processors = summary.get("processors")
    if not (_are_distinct_texts(processors) and processors):
        yield "summary.json: processors does not list the kinds of processor."


def _are_versions(value: object) -> bool:
    """Whether a value is a version, or a list of several ones."""
    found = value if isinstance(value, list) and len(value) > 1 else [value]
    return _are_distinct_texts(found) and all(_VERSION.fullmatch(str(text)) for text in found)


def _are_distinct_texts(value: object) -> bool:
    """Whether a value is a list of texts, none of them empty, none there twice."""
    if not isinstance(value, list):
        return False
    texts = all(isinstance(text, str) and text for text in value)
    return texts and len(set(value)) == len(value)
