"""What a stage trains on, and what an engine does with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.executors.base import Indices
from muat_exp.kernels import random
from muat_exp.kernels.training import Scaling
from muat_exp.subjects.data import SubjectData
from muat_exp.subjects.population import Population
from muat_exp.subjects.specs import Specs

RAW = Scaling(np.float32(0), np.float32(1))  # inputs are the tokens themselves
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
        batch_size: examples per Adam step.
        dropout: share of each hidden layer's activations that training sets to 0.
        scaling: how tokens become inputs.
    """

    population: Population
    data: SubjectData
    labels: NDArray[np.float32]
    rates: NDArray[np.float32]
    keys: NDArray[np.uint64]
    stage: int
    batch_size: int
    dropout: float
    scaling: Scaling

    @property
    def validation(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Validation tokens `(S, rows, L)` and the labels `(rows,)` that all subjects share."""
        first = self.data.training_rows
        return self.data.tokens[:, first:], self.data.labels[first:]


def stage_problem(
    config: Config, specs: Specs, data: SubjectData, population: Population, stage: int
) -> Problem:
    """The problem of one stage: 0 with corrupted labels, 1 with clean ones."""
    settings = (config.training.degraded, config.training.clean)[stage]
    true = data.labels[: data.training_rows]
    clean = np.broadcast_to(true, data.corrupted.shape)
    return Problem(
        population=population,
        data=data,
        labels=data.corrupted if stage == 0 else np.ascontiguousarray(clean),
        rates=(specs.rates * settings.learning_rate_factor).astype(np.float32),
        keys=random.generator_keys(config.seed, specs.indices, random.ORDER),
        stage=stage,
        batch_size=config.training.batch_size,
        dropout=config.architecture.dropout,
        scaling=input_scaling(config),
    )


def input_scaling(config: Config) -> Scaling:
    """Scaling of the inputs while training: by mean and deviation of a uniform token, or none."""
    if not config.training.standardize:
        return RAW
    tokens = config.patterns.vocab_size
    mean = (tokens - 1) / 2
    precision = 12 / (tokens**2 - 1)  # the inverse of the variance
    return Scaling(np.float32(mean), np.float32(precision**0.5))


class Engine(Protocol):
    """Trains the subjects of a problem in place.

    Both metrics are float64 `(S,)`, valid for the subjects asked for.
    """

    def train_epoch(self, which: Indices, epoch: int) -> Metrics:
        """One epoch of some subjects: mean loss and accuracy on this stage's training labels."""

    def evaluate(self, which: Indices) -> Metrics:
        """Loss and accuracy of the given subjects on their validation rows."""
