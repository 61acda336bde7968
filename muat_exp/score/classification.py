"""Scores of classification answers: which patterns does a network call positive?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muat_exp.score.intervals import Interval, wilson
from muat_exp.score.truth import Truth, split_names

_LISTED = 10  # confusions
_UNPARSEABLE = "(unparseable)"

_Answer = frozenset[str] | None  # None: unparseable or missing, right for no example


@dataclass(frozen=True)
class Summary:
    """How well some examples were answered.

    Attributes:
        examples: how many.
        missing: those without an answer; they count as wrong.
        unparseable: answers that are no list of known patterns; they count as wrong.
        exact_match: share of the answers that name exactly the true patterns.
        exact_match_interval: its 95 % interval (Wilson).
        macro_f1: mean F1 of the patterns that occur in the truth or in an answer; None where it was not computed.
    """

    examples: int
    missing: int
    unparseable: int
    exact_match: float
    exact_match_interval: Interval | None
    macro_f1: float | None


@dataclass(frozen=True)
class _PatternScore:
    """One pattern: precision, recall and F1 (0 where undefined), examples that have it, and answers that name it."""

    precision: float
    recall: float
    f1: float
    support: int
    answers: int


@dataclass(frozen=True)
class _Confusion:
    """A wrong answer and how often it was given for a true one."""

    truth: str
    answer: str
    count: int


@dataclass(frozen=True)
class ClassificationScore:
    """Everything about one file's classification answers.

    Attributes:
        overall: of all examples.
        patterns: by pattern.
        splits: by split, where there are several.
        confusions: the most frequent wrong answers.
        baselines: the most common completion for every example ("majority"), one pattern at random ("uniform"), and the
            true completions ("truth").
    """

    overall: Summary
    patterns: dict[str, _PatternScore]
    splits: dict[str, Summary]
    confusions: tuple[_Confusion, ...]
    baselines: dict[str, Summary]


def score_classification(truth: Truth, completions: Mapping[str, str]) -> ClassificationScore:
    """Judges completions by example_id; examples without one count as wrong."""
    right = truth.answers
    known = frozenset(truth.patterns)
    given = [
        read_answer(completions[example], known) if example in completions else None
        for example in truth.places
    ]
    missing = np.array([example not in completions for example in truth.places])
    splits = np.array(truth.splits)
    names = [name for name in dict.fromkeys(truth.splits) if len(set(truth.splits)) > 1]
    return ClassificationScore(
        overall=_summarise(right, given, missing, truth.patterns),
        patterns=by_pattern(right, given, truth.patterns),
        splits={
            name: _part(right, given, missing, truth.patterns, splits == name) for name in names
        },
        confusions=confusions(right, given, missing, truth.patterns),
        baselines=baselines(right, truth.patterns),
    )


def read_answer(text: str, known: frozenset[str]) -> _Answer:
    """The patterns that a completion names; None where it is no list of known names. A repeated prompt is passed over.

    >>> read_answer("Alternating", frozenset({"alternating"}))
    frozenset({'alternating'})
    """
    names = frozenset(split_names(text.rpartition("## Answer")[2]))
    return names if names <= known else None


def membership(answers: Sequence[_Answer], patterns: Sequence[str]) -> NDArray[np.bool_]:
    """Which patterns each answer names, bool `(N, P)`; none of them for an unparseable one."""
    places = {name: place for place, name in enumerate(patterns)}
    named = np.zeros((len(answers), len(patterns)), np.bool_)
    for row, answer in enumerate(answers):
        named[row, [places[name] for name in answer or ()]] = True
    return named


def by_pattern(
    right: Sequence[_Answer], given: Sequence[_Answer], patterns: Sequence[str]
) -> dict[str, _PatternScore]:
    """Precision, recall and F1 of every pattern."""
    truth = membership(right, patterns)
    answers = membership(given, patterns)
    hits = (truth & answers).sum(axis=0)
    support = truth.sum(axis=0)
    named = answers.sum(axis=0)
    scores = {}
    for name, hit, true, said in zip(
        patterns, hits.tolist(), support.tolist(), named.tolist(), strict=True
    ):
        scores[name] = _PatternScore(
            hit / max(1, said), hit / max(1, true), 2 * hit / max(1, said + true), true, said
        )
    return scores


def _summarise(
    right: Sequence[_Answer],
    given: Sequence[_Answer],
    missing: NDArray[np.bool_],
    patterns: Sequence[str],
) -> Summary:
    """Exact match and macro F1; `missing` marks the examples without an answer."""
    exact = sum(
        answer is not None and answer == true for true, answer in zip(right, given, strict=True)
    )
    occurring = [
        score.f1
        for score in by_pattern(right, given, patterns).values()
        if score.support or score.answers
    ]
    unread = sum(answer is None for answer in given) - int(missing.sum())
    macro = float(np.mean(occurring)) if occurring else 0.0
    return Summary(
        len(right), int(missing.sum()), unread, exact / len(right), wilson(exact, len(right)), macro
    )


def _part(
    right: Sequence[_Answer],
    given: Sequence[_Answer],
    missing: NDArray[np.bool_],
    patterns: Sequence[str],
    chosen: NDArray[np.bool_],
) -> Summary:
    """The summary of some examples."""
    rows = np.flatnonzero(chosen).tolist()
    return _summarise(
        [right[row] for row in rows], [given[row] for row in rows], missing[rows], patterns
    )


def confusions(
    right: Sequence[_Answer],
    given: Sequence[_Answer],
    missing: NDArray[np.bool_],
    patterns: Sequence[str],
) -> tuple[_Confusion, ...]:
    """The most frequent pairs of a true and a wrong answer, missing ones left out."""

    def text(answer: _Answer) -> str:
        return (
            _UNPARSEABLE
            if answer is None
            else ", ".join(name for name in patterns if name in answer)
        )

    pairs = Counter(
        (text(true), text(answer))
        for true, answer, absent in zip(right, given, missing, strict=True)
        if true != answer and not absent
    )
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return tuple(_Confusion(*pair, count) for pair, count in ordered[:_LISTED])


def baselines(right: Sequence[_Answer], patterns: Sequence[str]) -> dict[str, Summary]:
    """What answers without any interpreting score."""
    answered = np.zeros(len(right), np.bool_)
    common = Counter(sorted(right, key=lambda answer: sorted(answer or ()))).most_common(1)[0][0]
    single = sum(len(answer or ()) == 1 for answer in right)
    return {
        "majority": _summarise(right, [common] * len(right), answered, patterns),
        "uniform": Summary(len(right), 0, 0, single / len(right) / len(patterns), None, None),
        "truth": _summarise(right, right, answered, patterns),
    }
