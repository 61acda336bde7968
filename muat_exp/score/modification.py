"""Scores of modification answers: do the predicted weights behave better than the degraded ones?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from muat_exp.errors import PromptError
from muat_exp.evaluation.measurement import bounded
from muat_exp.prompts.parsing import parse_weights
from muat_exp.score.behaviour import BATCH, Behaviour, Bench
from muat_exp.score.intervals import Interval, student, wilson

Weights = NDArray[np.float32]
_Rows = NDArray[np.bool_]  # which of the N examples are meant
_MISSING, _UNPARSEABLE, _MEASURED = range(3)  # what became of an example's answer


@dataclass(frozen=True)
class Summary:
    """How well some networks were repaired.

    Attributes:
        examples: how many.
        missing: those without an answer; they count as left as they were.
        unparseable: answers without weights of the subject's shape, or with weights beyond measure;
            they count the same.
        before: mean balanced accuracy of the degraded networks on the benchmark set.
        after: the same of the answers.
        gain: after - before.
        gain_interval: its 95 % interval over examples (Student's t).
        improved: share of the examples with a positive gain.
        improved_interval: its 95 % interval (Wilson).
        recovered: the gain as a share of the true improvement; None where that is 0.
        changed_from_degraded, changed_from_improved: damage to other behaviour, the mean absolute
            difference to the degraded and to the truly improved network in the share called
            positive of the other patterns' members; None where there are no other patterns.
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
        status: int64 `(N,)`, _MISSING, _UNPARSEABLE or _MEASURED.
        degraded, answered, improved: behaviour; an answer that was not measured behaves as the
            degraded network.
    """

    status: NDArray[np.int64]
    degraded: Behaviour
    answered: Behaviour
    improved: Behaviour

    def overall(self) -> Summary:
        """The summary of all examples."""
        all_rows = np.ones(len(self.status), np.bool_)
        return self.summary(all_rows)

    def summary(self, rows: _Rows) -> Summary:
        """The summary of some examples, `rows` `(N,)`."""
        before = self.degraded.accuracy[rows]
        after = self.answered.accuracy[rows]
        gain = after - before
        better = int((gain > 0).sum())
        return Summary(
            examples=len(gain),
            missing=self._count(_MISSING, rows),
            unparseable=self._count(_UNPARSEABLE, rows),
            before=float(before.mean()),
            after=float(after.mean()),
            gain=float(gain.mean()),
            gain_interval=student(gain),
            improved=better / len(gain),
            improved_interval=wilson(better, len(gain)),
            recovered=self._recovered(rows),
            changed_from_degraded=self._change(self.degraded, rows),
            changed_from_improved=self._change(self.improved, rows),
        )

    def _count(self, status: int, rows: _Rows) -> int:
        """Examples whose answer became this."""
        meant = self.status[rows]
        return int((meant == status).sum())

    def _recovered(self, rows: _Rows) -> float | None:
        """The mean gain as a share of the true improvement; None where that is 0."""
        gains = self.answered.accuracy - self.degraded.accuracy
        possible_gains = self.improved.accuracy - self.degraded.accuracy
        gain = float(gains[rows].mean())
        possible = float(possible_gains[rows].mean())
        return gain / possible if possible else None

    def _change(self, other: Behaviour, rows: _Rows) -> float | None:
        """Mean difference to another behaviour, of the examples where there is one."""
        changes = self.answered.change(other)[rows]
        there = changes[~np.isnan(changes)]
        if not len(there):
            return None
        return float(there.mean())

    def by_label(self, labels: Sequence[str], names: Iterable[str]) -> dict[str, Summary]:
        """The summaries of the examples with each of some labels; `labels` are those of all."""
        label_of_row = np.array(labels, object)
        summaries = {}
        for name in names:
            rows = label_of_row == name
            summaries[name] = self.summary(rows)
        return summaries


def score_modification(
    bench: Bench,
    rows: Mapping[str, int],
    splits: Sequence[str],
    answers: Iterable[tuple[str, str]],
) -> ModificationScore:
    """Judges modification answers.

    Args:
        bench: runs the networks.
        rows: the subjects' rows by example_id.
        splits: the split of each subject.
        answers: pairs of example_id and completion.
    """
    degraded = bench.stored("degraded_weights")
    improved = bench.stored("weights")
    status, answered = _measure_answers(bench, rows, degraded, answers)
    measured = _Measured(status, degraded, answered, improved)
    targets = [name for name in bench.enabled if name in bench.targets]
    parts = list(dict.fromkeys(splits))
    return ModificationScore(
        sequences=len(bench.groups.tokens),
        overall=measured.overall(),
        patterns=measured.by_label(bench.targets, targets),
        splits=measured.by_label(splits, parts) if len(parts) > 1 else {},
        baselines=_baselines(degraded, improved),
    )


def _baselines(degraded: Behaviour, improved: Behaviour) -> dict[str, Summary]:
    """What the degraded weights again and the true improved weights score."""
    status = np.full(len(degraded.accuracy), _MEASURED)
    copy = _Measured(status, degraded, degraded, improved)
    truth = _Measured(status, degraded, improved, improved)
    return {"copy": copy.overall(), "truth": truth.overall()}


def _measure_answers(
    bench: Bench,
    rows: Mapping[str, int],
    degraded: Behaviour,
    answers: Iterable[tuple[str, str]],
) -> tuple[NDArray[np.int64], Behaviour]:
    """Status `(N,)` and behaviour of the answers."""
    status = np.full(len(rows), _MISSING)
    answered = degraded.copy()
    for batch in _batched(answers, BATCH):
        given = [rows[example] for example, _ in batch]
        sound = _read_networks(bench, rows, batch)
        measured = np.array(list(sound), np.int64)
        status[given] = _UNPARSEABLE
        status[measured] = _MEASURED
        if sound:
            behaviour = bench.measure(measured, list(sound.values()))
            answered.put(measured, behaviour)
    return status, answered


def _read_networks(
    bench: Bench, rows: Mapping[str, int], answers: Iterable[tuple[str, str]]
) -> dict[int, Weights]:
    """Flat weights by the subject's row, of the answers that hold such as can be measured."""
    networks = {}
    for example, completion in answers:
        row = rows[example]
        weights = read_network(completion, bench.shapes(row))
        if weights is not None:
            networks[row] = weights
    return networks


def _batched(answers: Iterable[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    """Lists of up to `size` answers."""
    iterator = iter(answers)
    while batch := list(islice(iterator, size)):
        yield batch


def read_network(completion: str, shapes: Mapping[str, tuple[int, ...]]) -> Weights | None:
    """Flat weights of a completion.

    None where it holds no weights of these shapes, or such that the network can't be measured.
    """
    try:
        weights = parse_weights(completion)
    except PromptError:
        return None
    given = {name: values.shape for name, values in weights.items()}
    if given != shapes:
        return None
    arrays = list(weights.values())  # each layer's weight and bias in turn
    layers = zip(arrays[0::2], arrays[1::2], strict=True)
    if not bounded(layers):
        return None
    return np.concatenate([values.ravel() for values in arrays])
