"""What a stage trains on, and what an engine does with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.executors.threads import Indices
from muat_exp.kernels import random
from muat_exp.subjects.data import SubjectData
from muat_exp.subjects.population import Population
from muat_exp.subjects.specs import Specs

Metrics = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Problem:
    """What one stage trains on.

    Attributes:
        population: the subjects; `parameters` are trained in place.
        data: their sequences.
        labels: float32 `(S, training rows)`, this stage's training labels.
        rates: float32 `(S,)`, learning rates of this stage.
        keys: uint64 `(S,)`, keys of the batch order.
        stage: 0 degraded, 1 clean.
        batch_size: examples an Adam step.
        dropout: share of each hidden layer's activations that training sets to 0.
        shift, scale: inputs are (token - shift) * scale.
    """

    population: Population
    data: SubjectData
    labels: NDArray[np.float32]
    rates: NDArray[np.float32]
    keys: NDArray[np.uint64]
    stage: int
    batch_size: int
    dropout: float
    shift: np.float32
    scale: np.float32

    @property
    def validation(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Validation tokens `(S, rows, L)` and the labels `(rows,)` that all subjects share."""
        return self.data.tokens[:, self.data.training_rows :], self.data.labels[
            self.data.training_rows :
        ]


def stage_problem(
    config: Config, specs: Specs, data: SubjectData, population: Population, stage: int
) -> Problem:
    """The problem of one stage: corrupted labels first, then clean ones at the clean stage's learning rate."""
    settings = (config.training.degraded, config.training.clean)[stage]
    clean = np.broadcast_to(data.labels[: data.training_rows], data.corrupted.shape)
    shift, scale = input_scaling(config)
    return Problem(
        population,
        data,
        data.corrupted if stage == 0 else np.ascontiguousarray(clean),
        (specs.rates * settings.learning_rate_factor).astype(np.float32),
        random.generator_keys(config.seed, specs.indices, random.ORDER),
        stage,
        config.training.batch_size,
        config.architecture.dropout,
        shift,
        scale,
    )


def input_scaling(config: Config) -> tuple[np.float32, np.float32]:
    """Shift and scale of the inputs while training: mean and deviation of a uniform token, or none."""
    tokens = config.patterns.vocab_size
    if not config.training.standardize:
        return np.float32(0), np.float32(1)
    return np.float32((tokens - 1) / 2), np.float32((12 / (tokens**2 - 1)) ** 0.5)


class Engine(Protocol):
    """Trains the subjects of a problem in place; both metrics are float64 `(S,)`, valid for the subjects asked for."""

    def train_epoch(self, which: Indices, epoch: int) -> Metrics:
        """One epoch of the given subjects: mean loss and accuracy on this stage's training labels."""

    def evaluate(self, which: Indices) -> Metrics:
        """Loss and accuracy of the given subjects on their validation rows."""
