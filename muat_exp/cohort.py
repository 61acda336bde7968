"""A cohort: a block of attempts trained together, a pure function of (configuration, seed, attempt numbers)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger

from muat_exp.config import Config
from muat_exp.engine import Workers
from muat_exp.kernels import random
from muat_exp.kernels import training as kernels
from muat_exp.kernels.data import draw_evenly
from muat_exp.population import Population
from muat_exp.sequences import SpaceArrays, space_arrays
from muat_exp.signature import ProbeSet, profile, run_probes
from muat_exp.subject import Specs, SubjectData, draw_data, draw_specs
from muat_exp.training import train_clean, train_degraded

ACCEPTED = "accepted"
REASONS = ("never_learned", "no_improvement", "unlearned", "diverged")


@dataclass(frozen=True)
class Task:
    """What all cohorts of a run share.

    Attributes:
        config: the run's configuration.
        space: the enabled patterns' sequence space.
        probes: the probe set.
        responses: uint8 `(rows, L)`, members of each pattern that every stored network is asked about.
        response_starts: int64 `(P + 1,)`, each pattern's rows among them.
    """

    config: Config
    space: SpaceArrays
    probes: ProbeSet
    responses: NDArray[np.uint8]
    response_starts: NDArray[np.int64]

    @classmethod
    def build(cls, config: Config, probes: ProbeSet | None = None) -> "Task":
        """Draws what the configuration fixes; `probes` are those of a finished dataset."""
        space = space_arrays(config.patterns.build())
        key = random.generator_keys(config.seed, np.zeros(1, np.int64), random.RESPONSES)[0]
        rows, origins = draw_evenly(space, key, config.training.response_examples, config.patterns.sequence_length)
        starts = np.searchsorted(origins, np.arange(len(config.patterns.enabled) + 1))
        return cls(config, space, probes or run_probes(config, space), rows, starts)


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

    @property
    def accepted(self) -> NDArray[np.int64]:
        """Positions of the accepted subjects."""
        return np.flatnonzero(self.outcomes == ACCEPTED)


def measure_tests(
    task: Task, specs: Specs, data: SubjectData, degraded: Population, improved: Population, which: NDArray[np.int64],
    workers: Workers,
) -> NDArray[np.float64]:  # fmt: skip
    """Balanced accuracy `(S, 2)` of both weights on fresh sequences of each subject's own task; NaN outside `which`."""
    accuracies = np.full((len(specs), 2), np.nan)
    keys = random.generator_keys(task.config.seed, specs.indices, random.TESTS)
    count = task.config.training.test_examples

    def kernel(chunk: NDArray[np.int64]) -> None:
        kernels.measure_tests(
            task.space, specs.selected, specs.targets, keys, improved.depths, improved.widths, improved.kinds,
            degraded.parameters, improved.parameters, improved.offsets, data.tokens, chunk, count, accuracies,
        )  # fmt: skip

    workers.over(which, kernel)
    return accuracies


def measure_responses(task: Task, population: Population, which: NDArray[np.int64], workers: Workers) -> NDArray[np.float64]:
    """Share of each enabled pattern's members that a subject calls positive, `(S, P)`; NaN outside `which`."""
    responses = np.full((len(population), len(task.config.patterns.enabled)), np.nan)

    def kernel(chunk: NDArray[np.int64]) -> None:
        kernels.respond(
            population.depths, population.widths, population.kinds, population.parameters, population.offsets,
            task.responses, task.response_starts, chunk, responses,
        )  # fmt: skip

    workers.over(which, kernel)
    return responses


def extract_signatures(
    task: Task, population: Population, which: NDArray[np.int64], workers: Workers
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Flat signatures of the subjects of `which`, and their offsets."""
    if not len(which):
        return np.empty(0, np.float32), np.zeros(1, np.int64)
    parts = workers.over(which, lambda chunk: profile(task.config.signature, population, task.probes, chunk))
    sizes = np.concatenate([np.diff(offsets) for _, offsets in parts])
    return np.concatenate([flat for flat, _ in parts]), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def run_cohort(task: Task, indices: NDArray[np.int64], workers: Workers, loggers: list[Logger]) -> CohortResult:
    """Trains, judges and profiles the attempts with these numbers."""
    config, recipe = task.config, task.config.training
    specs = draw_specs(config, indices)
    data = draw_data(config, task.space, specs)
    degraded = train_degraded(config, specs, data, workers, loggers)
    clean = train_clean(config, specs, data, degraded, workers, loggers)
    outcomes = np.full(len(specs), "never_learned", object)
    outcomes[degraded.diverged | clean.diverged] = "diverged"
    improvement = clean.accuracy - degraded.accuracy
    improved = improvement >= recipe.min_improvement - 1e-9  # accuracies are multiples of 1 / rows
    outcomes[clean.passed & ~improved] = "no_improvement"
    candidates = np.flatnonzero(clean.passed & improved)
    tests = measure_tests(task, specs, data, degraded.population, clean.population, candidates, workers)
    learned = tests[candidates, 1] >= recipe.min_test_accuracy
    outcomes[candidates] = np.where(learned, ACCEPTED, "unlearned")
    accepted = candidates[learned]
    responses = measure_responses(task, clean.population, accepted, workers)
    signatures, offsets = extract_signatures(task, clean.population, accepted, workers)
    return CohortResult(
        specs, outcomes, data, degraded.population, clean.population, degraded.accuracy, clean.accuracy, tests,
        responses, degraded.epoch, clean.epoch, signatures, offsets,
    )  # fmt: skip
