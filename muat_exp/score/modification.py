"""Scores of modification answers: do the predicted weights behave better than the degraded ones?"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from muat_exp.errors import PromptError
from muat_exp.evaluation.measurement import bounded
from muat_exp.prompts.parsing import parse_weights
from muat_exp.score.behaviour import BATCH, Behaviour, Bench
from muat_exp.score.intervals import Interval, normal, wilson

Weights = NDArray[np.float32]
_MISSING, _UNPARSEABLE, _MEASURED = range(3)


@dataclass(frozen=True)
class Summary:
    """How well some networks were repaired.

    Attributes:
        examples: how many.
        missing: those without an answer; they count as left as they were.
        unparseable: answers without weights of the subject's shape, or with weights beyond measure; they count the same.
        before: mean balanced accuracy of the degraded networks on the benchmark set.
        after: the same of the answers.
        gain: after - before.
        gain_interval: its 95 % interval, from the standard error over examples.
        improved: share of the examples with a positive gain.
        improved_interval: its 95 % interval (Wilson).
        recovered: the gain as a share of the true improvement; None where that is 0.
        changed_from_degraded, changed_from_improved: damage to other behaviour, the mean absolute difference to the degraded
            and to the truly improved network in the share called positive of the other patterns' members; None where there
            are no other patterns.
    """

    examples: int
    missing: int
    unparseable: int
    before: float
    after: float
    gain: float
    gain_interval: Interval | None
    improved: float
    improved_interval: Interval | None
    recovered: float | None
    changed_from_degraded: float | None
    changed_from_improved: float | None


@dataclass(frozen=True)
class ModificationScore:
    """Everything about one file's modification answers.

    Attributes:
        sequences: number of sequences in the benchmark set.
        overall: of all examples.
        patterns: by target pattern.
        splits: by split, where there are several.
        baselines: the degraded weights again ("copy"), and the improved weights ("truth").
    """

    sequences: int
    overall: Summary
    patterns: dict[str, Summary]
    splits: dict[str, Summary]
    baselines: dict[str, Summary]


@dataclass(frozen=True)
class _Measured:
    """The behaviour of N subjects before and after, and of the truth.

    Attributes:
        status: int64 `(N,)`, MISSING, UNPARSEABLE or MEASURED.
        degraded, answered, improved: behaviour; an answer that was not measured behaves as the degraded network.
    """

    status: NDArray[np.int64]
    degraded: Behaviour
    answered: Behaviour
    improved: Behaviour

    def summary(self, rows: NDArray[np.bool_]) -> Summary:
        """The summary of some examples."""
        before, after, true = (
            part.accuracy[rows] for part in (self.degraded, self.answered, self.improved)
        )
        gain = after - before
        possible = float((true - before).mean())
        better = int((gain > 0).sum())
        return Summary(
            examples=len(gain),
            missing=int((self.status[rows] == _MISSING).sum()),
            unparseable=int((self.status[rows] == _UNPARSEABLE).sum()),
            before=float(before.mean()),
            after=float(after.mean()),
            gain=float(gain.mean()),
            gain_interval=normal(gain),
            improved=better / len(gain),
            improved_interval=wilson(better, len(gain)),
            recovered=float(gain.mean()) / possible if possible else None,
            changed_from_degraded=mean(self.answered.change(self.degraded)[rows]),
            changed_from_improved=mean(self.answered.change(self.improved)[rows]),
        )


def mean(values: NDArray[np.float64]) -> float | None:
    """The mean of the values that are numbers; None where there are none."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else None


def score_modification(
    bench: Bench,
    places: dict[str, int],
    splits: tuple[str, ...],
    answers: Iterable[tuple[str, str]],
) -> ModificationScore:
    """Judges answers (example_id, completion); `places` are the subjects' rows by example_id, `splits` their splits."""
    degraded = bench.stored("degraded_weights")
    improved = bench.stored("weights")
    status, answered = _measure_answers(bench, places, degraded, answers)
    measured = _Measured(status, degraded, answered, improved)
    targets = np.array(bench.targets, object)
    parts = np.array(splits, object)
    everything = np.full(len(status), _MEASURED)
    rows = np.ones(len(status), np.bool_)
    return ModificationScore(
        sequences=len(bench.groups.tokens),
        overall=measured.summary(rows),
        patterns={
            name: measured.summary(targets == name)
            for name in bench.enabled
            if name in bench.targets
        },
        splits={
            name: measured.summary(parts == name)
            for name in dict.fromkeys(splits)
            if len(set(splits)) > 1
        },
        baselines={
            "copy": _Measured(everything, degraded, degraded, improved).summary(rows),
            "truth": _Measured(everything, degraded, improved, improved).summary(rows),
        },
    )


def _measure_answers(
    bench: Bench, places: dict[str, int], degraded: Behaviour, answers: Iterable[tuple[str, str]]
) -> tuple[NDArray[np.int64], Behaviour]:
    """Status `(N,)` and behaviour of the answers."""
    status = np.full(len(places), _MISSING)
    answered = degraded.copy()
    for batch in _batched(answers, BATCH):
        weights = {
            places[example]: read_network(completion, bench.shapes(places[example]))
            for example, completion in batch
        }
        sound = {row: flat for row, flat in weights.items() if flat is not None}
        status[list(weights)] = _UNPARSEABLE
        status[list(sound)] = _MEASURED
        if sound:
            rows = np.array(list(sound), np.int64)
            answered.put(rows, bench.measure(rows, list(sound.values())))
    return status, answered


def _batched(answers: Iterable[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    """Lists of up to `size` answers."""
    iterator = iter(answers)
    while batch := list(islice(iterator, size)):
        yield batch


def read_network(completion: str, shapes: dict[str, tuple[int, ...]]) -> Weights | None:
    """Flat weights of a completion; None where it holds none of these shapes, or such that can't be measured."""
    try:
        weights = parse_weights(completion)
    except PromptError:
        return None
    layers = zip(*[iter(weights.values())] * 2, strict=True)
    if {name: values.shape for name, values in weights.items()} != shapes or not bounded(layers):
        return None
    return np.concatenate([values.ravel() for values in weights.values()])
