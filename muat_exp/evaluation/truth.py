"""What stored networks call positive, and which patterns explain it: by samples, or exactly.

A pattern explains a network as well as its predicate's balanced accuracy against the network's
answers on the whole space: the mean of the share of its members that the network calls positive,
and of the share of the other sequences that it does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import EXACT, SAMPLED, Config
from muat_exp.executors.base import Executor
from muat_exp.kernels import random
from muat_exp.kernels import training as kernels
from muat_exp.kernels.data import HELD_OUT, draw_evenly
from muat_exp.kernels.truth import ask
from muat_exp.sequences.patterns import Pattern
from muat_exp.sequences.space import SpaceArrays, all_sequences, matches
from muat_exp.subjects.population import Population
from muat_exp.subjects.specs import Specs


@dataclass(frozen=True)
class LabelledSequences:
    """N sequences in groups: those of one group satisfy the same of P patterns.

    Attributes:
        columns: uint8 `(L, N)`, the tokens.
        groups: int32 `(N,)`, each sequence's group.
        labels: bool `(G, P)`, the patterns that a group's sequences satisfy.
        sizes: int64 `(G,)`, sequences in each group.
    """

    columns: NDArray[np.uint8]
    groups: NDArray[np.int32]
    labels: NDArray[np.bool_]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, patterns: Sequence[Pattern], tokens: NDArray[np.uint8]) -> "LabelledSequences":
        """Sequences `(N, L)` by their labels, of which each is a bit of a number."""
        codes = np.zeros(len(tokens), np.int64)
        for place, pattern in enumerate(patterns):
            codes |= matches(pattern, tokens).astype(np.int64) << place
        found, groups, sizes = np.unique(codes, return_inverse=True, return_counts=True)
        labels = (found[:, None] >> np.arange(len(patterns))) & 1
        columns = np.ascontiguousarray(tokens.T)
        return cls(columns, groups.astype(np.int32), labels.astype(np.bool_), sizes)

    def ask(
        self, population: Population, which: NDArray[np.int64], workers: Executor, kept: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Positive answers of n subjects by group `(n, G)`; all answers as bits, where kept."""

        def kernel(chunk: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
            answers: tuple[NDArray[np.int64], NDArray[np.uint8]] = ask(
                population.networks, self.columns, self.groups, len(self.sizes), chunk, kept
            )
            return answers

        parts = [kernel(which[:0]), *workers.map_chunks(which, kernel)]
        counts, bits = (np.concatenate(answers) for answers in zip(*parts, strict=True))
        return counts, bits


@dataclass(frozen=True)
class ExactAnswers:
    """What n networks answer to every sequence of the space.

    Attributes:
        task_accuracy: float64 `(n,)`, balanced accuracy on what training sequences are drawn from.
        confusion: int64 `(n, 4)`, right and wrong positives, right and wrong negatives, against
            the predicate of the subject's own patterns: `column_names.CONFUSION`.
        bits: uint8 `(n, bytes)`, the answers in the sequences' order, 1 for positive, eight per
            byte; no bytes where they are not kept.
    """

    task_accuracy: NDArray[np.float64]
    confusion: NDArray[np.int64]
    bits: NDArray[np.uint8]

    def of(self, rows: NDArray[np.bool_]) -> "ExactAnswers":
        """Those of some of the networks."""
        return ExactAnswers(self.task_accuracy[rows], self.confusion[rows], self.bits[rows])


@dataclass(frozen=True)
class Behaviour:
    """What n networks call positive.

    Attributes:
        responses: float64 `(n, P)`, share of each pattern's members.
        scores: float64 `(n, P)`, how well each pattern explains it.
        own: float64 `(n,)`, how well the subject's own patterns do, taken together.
        best: int64 `(n,)`, the pattern that explains it best; on a tie the target is preferred.
        margins: float64 `(n,)`, by how much the own patterns do so better than every other one;
            infinite where there is no other.
        exact: further figures of an exact truth.
    """

    responses: NDArray[np.float64]
    scores: NDArray[np.float64]
    own: NDArray[np.float64]
    best: NDArray[np.int64]
    margins: NDArray[np.float64]
    exact: ExactAnswers | None = None

    @property
    def best_scores(self) -> NDArray[np.float64]:
        """How well the best pattern explains it, `(n,)`."""
        return np.take_along_axis(self.scores, self.best[:, None], axis=1)[:, 0]

    def of(self, rows: NDArray[np.bool_]) -> "Behaviour":
        """That of some of the networks."""
        return Behaviour(
            responses=self.responses[rows],
            scores=self.scores[rows],
            own=self.own[rows],
            best=self.best[rows],
            margins=self.margins[rows],
            exact=self.exact.of(rows) if self.exact else None,
        )


class Truth(Protocol):
    """A way to find out what stored networks do."""

    def behaviour(
        self, population: Population, specs: Specs, which: NDArray[np.int64], workers: Executor
    ) -> Behaviour:
        """What some subjects do, whose populations and specifications are those of a cohort."""


class SampledTruth:
    """Networks are asked about members of each pattern, and about sequences of the whole space.

    Attributes:
        members: uint8 `(rows, L)`, members of one pattern after those of another.
        starts: int64 `(P + 1,)`, each pattern's rows among them.
        anywhere: uniform draws of the space.
    """

    def __init__(self, config: Config, space: SpaceArrays) -> None:
        patterns = config.patterns
        # One stream for the whole run: that of the subject 0.
        first = np.zeros(1, np.int64)
        [key] = random.generator_keys(config.seed, first, random.RESPONSES)
        count = config.training.response_examples
        self.members, origins = draw_evenly(space, key, count, patterns.sequence_length)
        self.starts = np.searchsorted(origins, np.arange(len(patterns.enabled) + 1))
        keys = random.generator_keys(config.seed, first, random.ANYWHERE)
        shape = (config.evaluation.space_examples, patterns.sequence_length)
        fractions = random.uniforms(keys, shape[0] * shape[1]).reshape(shape)
        drawn = (fractions * patterns.vocab_size).astype(np.uint8)
        self.anywhere = LabelledSequences.of(patterns.build(), drawn)

    def behaviour(
        self, population: Population, specs: Specs, which: NDArray[np.int64], workers: Executor
    ) -> Behaviour:
        """See `Truth`."""
        responses = self._responses(population, which, workers)
        labels = self.anywhere.labels
        counts, _ = self.anywhere.ask(population, which, workers, kept=False)
        false = _shares(counts, self.anywhere.sizes, ~labels)
        selected = specs.selected[which]
        strange = ~_satisfy(selected, labels)  # (n, G)
        false_of_own = _ratio((counts * strange).sum(axis=1), strange @ self.anywhere.sizes)
        own = _balanced(_mean_of(responses, selected), false_of_own)
        return _explained(specs, which, responses, _balanced(responses, false), own)

    def _responses(
        self, population: Population, which: NDArray[np.int64], workers: Executor
    ) -> NDArray[np.float64]:
        """Share of each pattern's drawn members that the subjects call positive, `(n, P)`."""
        shares = np.full((len(population), len(self.starts) - 1), np.nan)

        def kernel(chunk: NDArray[np.int64]) -> None:
            kernels.respond(population.networks, self.members, self.starts, chunk, shares)

        workers.map_chunks(which, kernel)
        return shares[which]


class ExactTruth:
    """Networks are asked about every sequence of the space.

    Attributes:
        everything: these sequences, in lexicographic order.
        wanted: negatives that a subject trains and validates on.
        usable: int64 `(P,)`, members of each pattern that it may use for them.
        kept: whether the answers themselves are kept.
    """

    def __init__(self, config: Config, space: SpaceArrays) -> None:
        patterns = config.patterns
        tokens = all_sequences(patterns.vocab_size, patterns.sequence_length)
        self.everything = LabelledSequences.of(patterns.build(), tokens)
        self.wanted = sum(negatives for _, negatives in patterns.sides)
        self.usable = ((1.0 - HELD_OUT) * space.sizes).astype(np.int64)
        self.kept = config.dataset.behaviour

    def behaviour(
        self, population: Population, specs: Specs, which: NDArray[np.int64], workers: Executor
    ) -> Behaviour:
        """See `Truth`."""
        labels = self.everything.labels
        sizes = self.everything.sizes
        counts, bits = self.everything.ask(population, which, workers, self.kept)
        responses = _shares(counts, sizes, labels)
        scores = _balanced(responses, _shares(counts, sizes, ~labels))
        selected = specs.selected[which]
        own = _satisfy(selected, labels)  # (n, G)
        confusion = self._confusion(counts, own)
        right, false_alarms, rejected, missed = confusion.T
        own_score = _balanced(
            _ratio(right, right + missed), _ratio(false_alarms, false_alarms + rejected)
        )
        task = _balanced(_mean_of(responses, selected), self._alarms_of_task(counts, own, selected))
        exact = ExactAnswers(task, confusion, bits)
        return _explained(specs, which, responses, scores, own_score, exact)

    def _confusion(self, counts: NDArray[np.int64], own: NDArray[np.bool_]) -> NDArray[np.int64]:
        """See `ExactAnswers`; `own` `(n, G)` says which groups satisfy the subjects' patterns."""
        silent = self.everything.sizes - counts
        parts = [counts * own, counts * ~own, silent * ~own, silent * own]
        return np.stack([part.sum(axis=1) for part in parts], axis=1)

    def _alarms_of_task(
        self,
        counts: NDArray[np.int64],
        own: NDArray[np.bool_],
        selected: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Share of the task's negatives that are called positive, `(n,)`.

        As `kernels.data` draws them: evenly from the members of the other patterns that satisfy no
        own one, and what these lack from all such sequences.
        """
        members = self.everything.labels.astype(np.int64)  # (G, P)
        strange = self.everything.sizes * ~own  # (n, G)
        there = strange @ members  # (n, P)
        called = (counts * ~own) @ members
        others = np.maximum(1, (~selected).sum(axis=1, keepdims=True))
        drawn = np.minimum(self.wanted / others, np.minimum(self.usable, there))  # (n, P)
        anywhere = self.wanted - drawn.sum(axis=1)
        everywhere = _ratio((counts * ~own).sum(axis=1), strange.sum(axis=1))
        alarms = (drawn * _ratio(called, np.maximum(1, there))).sum(axis=1)
        return (alarms + anywhere * everywhere) / self.wanted


def truth_of(config: Config, space: SpaceArrays) -> Truth:
    """The way that `evaluation.truth` names."""
    if config.evaluation.truth == EXACT:
        return ExactTruth(config, space)
    if config.evaluation.truth == SAMPLED:
        return SampledTruth(config, space)
    raise ValueError(f"'{config.evaluation.truth}' is no way to find out what networks do")


def _explained(
    specs: Specs,
    which: NDArray[np.int64],
    responses: NDArray[np.float64],
    scores: NDArray[np.float64],
    own: NDArray[np.float64],
    exact: ExactAnswers | None = None,
) -> Behaviour:
    """A behaviour with the patterns that explain it best."""
    targets = specs.targets[which]
    rows = np.arange(len(which))
    best = scores.argmax(axis=1)
    tied = scores[rows, targets] >= scores[rows, best]
    others = np.where(specs.selected[which], -np.inf, scores).max(axis=1)
    return Behaviour(responses, scores, own, np.where(tied, targets, best), own - others, exact)


def _satisfy(selected: NDArray[np.bool_], labels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a group's sequences satisfy a selected pattern `(n, P)`, bool `(n, G)`."""
    return selected @ labels.T


def _shares(
    counts: NDArray[np.int64], sizes: NDArray[np.int64], labels: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Share called positive of the sequences that labels `(G, P)` choose, `(n, P)`."""
    chosen = labels.astype(np.int64)
    return _ratio(counts @ chosen, sizes @ chosen)


def _mean_of(values: NDArray[np.float64], selected: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean of the selected patterns' values `(n, P)`, `(n,)`."""
    return (values * selected).sum(axis=1) / selected.sum(axis=1)


def _balanced(
    recall: NDArray[np.float64], false_alarms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Balanced accuracy from the shares called positive of what is positive, and of what is not."""
    return (recall + 1.0 - false_alarms) / 2.0


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Elementwise part / whole; 0 where nothing is there that could be counted."""
    return part / np.maximum(1, whole)
