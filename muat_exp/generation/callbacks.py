"""What follows on training, as callbacks at the end of the clean stage: judge, then signatures."""

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from muat_exp.evaluation.measurement import (
    Pair,
    RunContext,
    extract_signatures,
    measure_behaviour,
    measure_tests,
)
from muat_exp.evaluation.truth import Behaviour
from muat_exp.executors.base import Executor
from muat_exp.generation.outcomes import (
    ACCEPTED,
    AMBIGUOUS,
    DIVERGED,
    NEVER_LEARNED,
    NO_IMPROVEMENT,
    UNLEARNED,
)
from muat_exp.subjects.data import SubjectData
from muat_exp.subjects.population import Population
from muat_exp.subjects.specs import Specs
from muat_exp.training.module import LitCohort, StageResult

_ROUNDING = 1e-9  # accuracies are multiples of 1 / rows


class Judge(pl.Callback):
    """Says what became of each attempt, and puts the accepted ones into `LitCohort.accepted`.

    Attributes:
        outcomes: object `(S,)`, "accepted" or one of `outcomes.REASONS`.
        tests: float64 `(S, 2)`, balanced accuracy on fresh sequences, degraded and improved; NaN if
            untested.
        behaviour: of the accepted ones, in their order.
    """

    outcomes: NDArray[np.object_]
    tests: NDArray[np.float64]
    behaviour: Behaviour

    def __init__(
        self,
        context: RunContext,
        specs: Specs,
        data: SubjectData,
        degraded: StageResult,
        executor: Executor,
    ) -> None:
        self.context = context
        self.specs = specs
        self.data = data
        self.degraded = degraded
        self.executor = executor

    def on_fit_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:
        """Compares the stages, tests who improved, and finds out what they do."""
        recipe = self.context.config.training
        clean = cohort.result
        degraded = self.degraded
        outcomes = np.full(len(self.specs), NEVER_LEARNED, object)
        outcomes[degraded.diverged | clean.diverged] = DIVERGED
        improvement = clean.accuracy - degraded.accuracy
        improved = improvement >= recipe.min_improvement - _ROUNDING
        outcomes[clean.passed & ~improved] = NO_IMPROVEMENT
        candidates = np.flatnonzero(clean.passed & improved)
        self.tests = measure_tests(
            self.context,
            self.specs,
            self.data,
            Pair(degraded.stored, clean.stored),
            candidates,
            self.executor,
        )
        learned = self.tests[candidates, 1] >= recipe.min_test_accuracy
        outcomes[candidates] = np.where(learned, ACCEPTED, UNLEARNED)
        candidates = candidates[learned]
        behaviour = measure_behaviour(
            self.context, clean.stored, self.specs, candidates, self.executor
        )
        clear = behaviour.margins >= self.context.config.dataset.min_margin
        outcomes[candidates[~clear]] = AMBIGUOUS
        self.behaviour = behaviour.of(clear)
        self.outcomes = outcomes
        cohort.accepted = candidates[clear]


class SignatureExtraction(pl.Callback):
    """Extracts the activation signatures of the accepted subjects.

    It must stand behind the `Judge`.

    Attributes:
        signatures, offsets: as `profiling.profile` returns them.
        degraded_signatures: the same of their degraded weights; empty where nothing that is
            written shows them.
    """

    signatures: NDArray[np.float32]
    offsets: NDArray[np.int64]
    degraded_signatures: NDArray[np.float32]

    def __init__(self, context: RunContext, degraded: Population, executor: Executor) -> None:
        self.context = context
        self.degraded = degraded
        self.executor = executor

    def on_fit_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:
        """Runs the probe set through the stored networks."""
        accepted = cohort.accepted
        shown = accepted if self.context.config.dataset.needs_degraded_signature else accepted[:0]
        self.signatures, self.offsets = self._extract(cohort.result.stored, accepted)
        self.degraded_signatures, _ = self._extract(self.degraded, shown)

    def _extract(
        self, population: Population, which: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Signatures of some subjects, and their offsets."""
        return extract_signatures(self.context, population, which, self.executor)
