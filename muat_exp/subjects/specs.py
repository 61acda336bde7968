"""What subjects are: pure functions of (configuration, seed, subject index)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import ACTIVATIONS, Config
from muat_exp.kernels import random


@dataclass(frozen=True)
class Specs:
    """What is drawn for each of S subjects before any training.

    Attributes:
        indices: int64 `(S,)`, the subjects' numbers: all their randomness follows from these.
        targets: int64 `(S,)`, the pattern whose labels are corrupted, as an index into `patterns.enabled`.
        selected: bool `(S, P)`, all patterns that the subject learns to call positive.
        depths, widths, kinds: int64 `(S,)`.
        rates: float32 `(S,)`, learning rates.
    """

    indices: NDArray[np.int64]
    targets: NDArray[np.int64]
    selected: NDArray[np.bool_]
    depths: NDArray[np.int64]
    widths: NDArray[np.int64]
    kinds: NDArray[np.int64]
    rates: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indices)


def _draw_integers(fractions: NDArray[np.float64], low: int, high: int) -> NDArray[np.int64]:
    """Uniform integers of [low, high] from fractions in [0, 1)."""
    return low + (fractions * (high - low + 1)).astype(np.int64)


def draw_specs(config: Config, indices: NDArray[np.int64]) -> Specs:
    """The specifications of the subjects with these numbers."""
    architecture = config.architecture
    patterns = config.patterns
    rates = config.training.learning_rate
    count = len(patterns.enabled)
    numbers = random.uniforms(
        random.generator_keys(config.seed, indices, random.SPECIFICATION), 6 + count
    )
    targets = (
        indices % count if config.dataset.balance else _draw_integers(numbers[:, 4], 0, count - 1)
    )
    chosen = _draw_integers(numbers[:, 5], patterns.per_subject.min, patterns.per_subject.max)
    ranks = numbers[:, 6:].copy()
    ranks[np.arange(len(indices)), targets] = -1  # the target is always among the first
    return Specs(
        indices=indices,
        targets=targets,
        selected=np.argsort(np.argsort(ranks, axis=1), axis=1) < chosen[:, None],
        depths=_draw_integers(
            numbers[:, 0], architecture.num_layers.min, architecture.num_layers.max
        ),
        widths=_draw_integers(
            numbers[:, 1], architecture.neurons_per_layer.min, architecture.neurons_per_layer.max
        ),
        kinds=np.array([ACTIVATIONS.index(name) for name in architecture.activations])[
            _draw_integers(numbers[:, 2], 0, len(architecture.activations) - 1)
        ],
        rates=(rates.min * (rates.max / rates.min) ** numbers[:, 3]).astype(np.float32),
    )
