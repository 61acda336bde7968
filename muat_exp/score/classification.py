"""Scores of classification answers: which patterns does a network call positive?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from muat_exp.prompts.sections import TASK
from muat_exp.score.intervals import Interval, wilson
from muat_exp.score.truth import Truth, split_names

_MAX_CONFUSIONS = 10  # that are listed
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
        macro_f1: mean F1 of the patterns that occur in the truth or in an answer; None where it
            was not computed.
    """

    examples: int
    missing: int
    unparseable: int
    exact_match: float
    exact_match_interval: Interval | None
    macro_f1: float | None


@dataclass(frozen=True)
class PatternScore:
    """How well one pattern was recognised.

    Attributes:
        precision, recall, f1: 0 where undefined.
        support: examples that have it.
        answers: answers that name it.
    """

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
        baselines: the most common completion for every example ("majority"), one pattern at random
            ("uniform"), and the true completions ("truth").
    """

    overall: Summary
    patterns: dict[str, PatternScore]
    splits: dict[str, Summary]
    confusions: tuple[_Confusion, ...]
    baselines: dict[str, Summary]


def score_classification(truth: Truth, completions: Mapping[str, str]) -> ClassificationScore:
    """Judges completions by example_id; examples without one count as wrong."""
    known = frozenset(truth.patterns)
    given: list[_Answer] = []
    for example in truth.rows:
        completion = completions.get(example)
        given.append(None if completion is None else read_answer(completion, known))
    answered = np.array([example in completions for example in truth.rows])
    answers = _Answers(truth.answers, given, answered, truth.patterns)
    return ClassificationScore(
        overall=answers.summary(),
        patterns=answers.by_pattern(),
        splits=_by_split(answers, truth.splits),
        confusions=answers.confusions(),
        baselines=_baselines(truth.answers, truth.patterns),
    )


def read_answer(text: str, known: frozenset[str]) -> _Answer:
    """The patterns that a completion names; None where it is no list of known names.

    A prompt that is repeated before the answer is passed over: the last line answers it.

    >>> read_answer("Alternating", frozenset({"alternating"}))
    frozenset({'alternating'})
    """
    repeated = f"## {TASK}\n" in text
    answer = text.strip().rpartition("\n")[2] if repeated else text
    names = frozenset(split_names(answer))
    return names if names <= known else None


def membership(answers: Sequence[_Answer], patterns: Sequence[str]) -> NDArray[np.bool_]:
    """Which patterns each answer names, bool `(N, P)`; none of them for an unparseable one."""
    columns = {name: column for column, name in enumerate(patterns)}
    named = np.zeros((len(answers), len(patterns)), np.bool_)
    for row, answer in enumerate(answers):
        for name in answer or ():
            column = columns[name]
            named[row, column] = True
    return named


@dataclass(frozen=True)
class _Answers:
    """N answers beside the true ones.

    Attributes:
        right: the true answers.
        given: the answers; None where there is none, or an unparseable one.
        answered: bool `(N,)`, whether there is an answer.
        patterns: the names of all P patterns.
    """

    right: Sequence[_Answer]
    given: Sequence[_Answer]
    answered: NDArray[np.bool_]
    patterns: Sequence[str]

    def part(self, chosen: NDArray[np.bool_]) -> _Answers:
        """Those of some examples, `chosen` `(N,)`."""
        right = list(compress(self.right, chosen))
        given = list(compress(self.given, chosen))
        return _Answers(right, given, self.answered[chosen], self.patterns)

    def summary(self) -> Summary:
        """Exact match and macro F1."""
        count = len(self.right)
        exact = self.exact_matches()
        missing = count - int(self.answered.sum())
        unread = self.given.count(None)
        return Summary(
            examples=count,
            missing=missing,
            unparseable=unread - missing,
            exact_match=exact / count,
            exact_match_interval=wilson(exact, count),
            macro_f1=self.macro_f1(),
        )

    def exact_matches(self) -> int:
        """Answers that name just the true patterns."""
        exact = 0
        for true, answer in zip(self.right, self.given, strict=True):
            if answer is not None and answer == true:
                exact += 1
        return exact

    def macro_f1(self) -> float:
        """Mean F1 of the patterns that occur in the truth or in an answer; 0 where none does."""
        scores = self.by_pattern().values()
        occurring = [score.f1 for score in scores if score.support or score.answers]
        return float(np.mean(occurring)) if occurring else 0.0

    def by_pattern(self) -> dict[str, PatternScore]:
        """Precision, recall and F1 of every pattern."""
        true = membership(self.right, self.patterns)
        said = membership(self.given, self.patterns)
        hits = (true & said).sum(axis=0).tolist()
        support = true.sum(axis=0).tolist()
        answers = said.sum(axis=0).tolist()
        columns = zip(hits, support, answers, strict=True)
        scores = [_pattern_score(*column) for column in columns]
        return dict(zip(self.patterns, scores, strict=True))

    def confusions(self) -> tuple[_Confusion, ...]:
        """The most frequent pairs of a true and a wrong answer, missing ones left out."""
        pairs = sorted(self.wrong_pairs())  # equally frequent ones stay in this order
        confusions = []
        for (truth, answer), count in Counter(pairs).most_common(_MAX_CONFUSIONS):
            confusions.append(_Confusion(truth, answer, count))
        return tuple(confusions)

    def wrong_pairs(self) -> Iterator[tuple[str, str]]:
        """The true and the given answer, as texts, of each example that was answered wrongly."""
        rows = zip(self.right, self.given, self.answered, strict=True)
        for true, answer, answered in rows:
            if answered and true != answer:
                yield self.shown(true), self.shown(answer)

    def shown(self, answer: _Answer) -> str:
        """An answer as text, its names in the order of the patterns."""
        if answer is None:
            return _UNPARSEABLE
        names = [name for name in self.patterns if name in answer]
        return ", ".join(names)


def _pattern_score(hits: int, support: int, answers: int) -> PatternScore:
    """The scores of a pattern that `support` examples have and `answers` answers name."""
    return PatternScore(
        precision=hits / max(1, answers),
        recall=hits / max(1, support),
        f1=2 * hits / max(1, answers + support),
        support=support,
        answers=answers,
    )


def _by_split(answers: _Answers, splits: Sequence[str]) -> dict[str, Summary]:
    """The summary of each split, where there are several."""
    names = list(dict.fromkeys(splits))
    if len(names) < 2:
        return {}
    split_of_row = np.array(splits)
    summaries = {}
    for name in names:
        part = answers.part(split_of_row == name)
        summaries[name] = part.summary()
    return summaries


def _baselines(right: Sequence[_Answer], patterns: Sequence[str]) -> dict[str, Summary]:
    """What answers without any interpreting score."""
    answered = np.ones(len(right), np.bool_)
    most_common = [_most_common(right)] * len(right)
    majority = _Answers(right, most_common, answered, patterns)
    truth = _Answers(right, right, answered, patterns)
    return {
        "majority": majority.summary(),
        "uniform": _uniform(right, len(patterns)),
        "truth": truth.summary(),
    }


def _most_common(answers: Sequence[_Answer]) -> _Answer:
    """The most common answer, of several the first by name."""
    in_order = sorted(answers, key=lambda answer: sorted(answer or ()))
    [(answer, _)] = Counter(in_order).most_common(1)
    return answer


def _uniform(right: Sequence[_Answer], patterns: int) -> Summary:
    """What one of so many patterns scores on average, named at random."""
    single = [answer for answer in right if answer is not None and len(answer) == 1]
    return Summary(
        examples=len(right),
        missing=0,
        unparseable=0,
        exact_match=len(single) / len(right) / patterns,
        exact_match_interval=None,
        macro_f1=None,
    )
