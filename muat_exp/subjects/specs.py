"""What subjects are: pure functions of (configuration, seed, subject index)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.kernels import random
from muat_exp.subjects.activations import activation_code

_NUMBERS = 6  # drawn for each subject: layers, width, activation, rate, target, selected patterns


@dataclass(frozen=True)
class Specs:
    """What is drawn for each of S subjects before any training.

    Attributes:
        indices: int64 `(S,)`, the subjects' numbers: all their randomness follows from these.
        targets: int64 `(S,)`, the pattern whose labels are corrupted, as an index into
            `patterns.enabled`.
        selected: bool `(S, P)`, all patterns that the subject learns to call positive.
        depths: int64 `(S,)`, hidden layers.
        widths: int64 `(S,)`, drawn widths, those of the first hidden layers; see `architecture` for
            the others.
        activations: int64 `(S,)`, codes of the hidden layers' activations.
        rates: float32 `(S,)`, learning rates.
    """

    indices: NDArray[np.int64]
    targets: NDArray[np.int64]
    selected: NDArray[np.bool_]
    depths: NDArray[np.int64]
    widths: NDArray[np.int64]
    activations: NDArray[np.int64]
    rates: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indices)


def _draw_integers(fractions: NDArray[np.float64], low: int, high: int) -> NDArray[np.int64]:
    """Uniform integers of [low, high] from fractions in [0, 1)."""
    count = high - low + 1
    return low + (fractions * count).astype(np.int64)


def draw_specs(config: Config, indices: NDArray[np.int64]) -> Specs:
    """The specifications of the subjects with these numbers.

    Every subject has a row of fractions of its own: one column for each number that is drawn, and
    one for each pattern.
    """
    architecture = config.architecture
    depths = architecture.num_layers
    widths = architecture.neurons_per_layer
    rates = config.training.learning_rate
    keys = random.generator_keys(config.seed, indices, random.SPECIFICATION)
    fractions = random.uniforms(keys, _NUMBERS + len(config.patterns.enabled))
    depth, width, activation, rate, target, patterns = fractions[:, :_NUMBERS].T
    weights = fractions[:, _NUMBERS:]  # of the patterns
    codes = np.array([activation_code(name) for name in architecture.activations])
    choices = _draw_integers(activation, 0, len(codes) - 1)
    span = rates.max / rates.min
    targets = _draw_targets(config, indices, target)
    return Specs(
        indices=indices,
        targets=targets,
        selected=_draw_selected(config, targets, patterns, weights),
        depths=_draw_integers(depth, depths.min, depths.max),
        widths=_draw_integers(width, widths.min, widths.max),
        activations=codes[choices],
        rates=(rates.min * span**rate).astype(np.float32),
    )


def _draw_targets(
    config: Config, indices: NDArray[np.int64], fractions: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Target patterns, int64 `(S,)`.

    In turn by the subjects' numbers where they are balanced, else drawn.
    """
    patterns = len(config.patterns.enabled)
    if config.dataset.balance:
        return indices % patterns
    return _draw_integers(fractions, 0, patterns - 1)


def _draw_selected(
    config: Config,
    targets: NDArray[np.int64],
    fractions: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Selected patterns, bool `(S, P)`: the target, and those of the smallest weights `(S, P)`.

    How many follows from the fractions `(S,)`.
    """
    counts = config.patterns.per_subject
    chosen = _draw_integers(fractions, counts.min, counts.max)
    order = weights.copy()
    order[np.arange(len(targets)), targets] = -1  # the target is always among the first
    ranks = np.argsort(np.argsort(order, axis=1), axis=1)
    return ranks < chosen[:, None]
