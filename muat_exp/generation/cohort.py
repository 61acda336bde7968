"""A cohort: a block of attempts trained together, a pure function of (configuration, seed, attempt numbers)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger

from muat_exp.evaluation.measurement import (
    RunContext,
    extract_signatures,
    measure_responses,
    measure_tests,
)
from muat_exp.executors.threads import Workers
from muat_exp.generation.outcomes import (
    ACCEPTED,
    DIVERGED,
    NEVER_LEARNED,
    NO_IMPROVEMENT,
    UNLEARNED,
)
from muat_exp.subjects.data import SubjectData, draw_data
from muat_exp.subjects.population import Population
from muat_exp.subjects.specs import Specs, draw_specs
from muat_exp.training.stages import train_clean, train_degraded


@dataclass(frozen=True)
class CohortResult:
    """What became of S attempts.

    Attributes:
        specs: what the attempts were.
        outcomes: object `(S,)`, "accepted" or one of `REASONS`.
        data: their sequences.
        degraded, improved: folded weights of both stages.
        degraded_accuracy, improved_accuracy: float64 `(S,)`, validation accuracies.
        test_accuracy: float64 `(S, 2)`, balanced accuracy on fresh sequences, degraded and improved; NaN if untested.
        responses: float64 `(S, P)`, share of each pattern's members called positive; NaN if not accepted.
        switch_epoch, clean_epoch: int64 `(S,)`, the epochs that the weights are from.
        signatures, signature_offsets: of the accepted subjects, as `signature.profile` returns them.
        degraded_signatures: the same of their degraded weights; empty where nothing that is written shows them.
        degraded_history, clean_history: float32 `(S, epochs, 4)`, see `training.History`.
    """

    specs: Specs
    outcomes: NDArray[np.object_]
    data: SubjectData
    degraded: Population
    improved: Population
    degraded_accuracy: NDArray[np.float64]
    improved_accuracy: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    responses: NDArray[np.float64]
    switch_epoch: NDArray[np.int64]
    clean_epoch: NDArray[np.int64]
    signatures: NDArray[np.float32]
    signature_offsets: NDArray[np.int64]
    degraded_signatures: NDArray[np.float32]
    degraded_history: NDArray[np.float32]
    clean_history: NDArray[np.float32]

    @property
    def accepted(self) -> NDArray[np.int64]:
        """Positions of the accepted subjects."""
        return np.flatnonzero(self.outcomes == ACCEPTED)


def run_cohort(
    task: RunContext, indices: NDArray[np.int64], workers: Workers, loggers: list[Logger]
) -> CohortResult:
    """Trains, judges and profiles the attempts with these numbers."""
    config = task.config
    recipe = task.config.training
    specs = draw_specs(config, indices)
    data = draw_data(config, task.space, specs)
    degraded = train_degraded(config, specs, data, workers, loggers)
    clean = train_clean(config, specs, data, degraded, workers, loggers)
    outcomes = np.full(len(specs), NEVER_LEARNED, object)
    outcomes[degraded.diverged | clean.diverged] = DIVERGED
    improvement = clean.accuracy - degraded.accuracy
    improved = improvement >= recipe.min_improvement - 1e-9  # accuracies are multiples of 1 / rows
    outcomes[clean.passed & ~improved] = NO_IMPROVEMENT
    candidates = np.flatnonzero(clean.passed & improved)
    tests = measure_tests(
        task, specs, data, degraded.population, clean.population, candidates, workers
    )
    learned = tests[candidates, 1] >= recipe.min_test_accuracy
    outcomes[candidates] = np.where(learned, ACCEPTED, UNLEARNED)
    accepted = candidates[learned]
    responses = measure_responses(task, clean.population, accepted, workers)
    signatures, offsets = extract_signatures(task, clean.population, accepted, workers)
    before = accepted if config.dataset.needs_degraded_signature else accepted[:0]
    degraded_signatures, _ = extract_signatures(task, degraded.population, before, workers)
    return CohortResult(
        specs, outcomes, data, degraded.population, clean.population, degraded.accuracy, clean.accuracy, tests,
        responses, degraded.epoch, clean.epoch, signatures, offsets, degraded_signatures, degraded.history, clean.history,
    )  # fmt: skip
