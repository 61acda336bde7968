"""What subjects are and what they learn from: pure functions of (configuration, seed, subject index)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muat_exp.config import ACTIVATIONS, Config
from muat_exp.errors import ConfigurationError
from muat_exp.kernels import data as kernels
from muat_exp.kernels import random
from muat_exp.kernels.training import draw_weights
from muat_exp.population import Population
from muat_exp.sequences import SpaceArrays

# Bounds of initial weights, times sqrt(fan_in): sqrt(3) gains that keep an activation's variance from layer to layer, those
# of He et al. 2015 for the rectifiers, 4 for the sigmoid as in Glorot and Bengio 2010; and nn.Linear's own.
GAINS = {"relu": 2**0.5, "gelu": 2**0.5, "tanh": 5 / 3, "sigmoid": 4.0, "leaky_relu": (2 / (1 + 0.01**2)) ** 0.5}
KAIMING = 3**0.5 * np.array([GAINS[name] for name in ACTIVATIONS])
DEFAULT = 1.0


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


@dataclass(frozen=True)
class SubjectData:
    """Training and validation sequences of S subjects.

    Attributes:
        tokens: uint8 `(S, rows, L)`, the training rows before the validation rows, positives first on each side.
        labels: float32 `(rows,)`, the true labels, the same for all subjects.
        corrupted: float32 `(S, training rows)`, the labels of the degraded stage.
        training_rows: how many rows train.
        target_rows: int64 `(S,)`, rows at the head of `tokens` that were drawn from the target pattern.
        candidates: int64 `(S,)`, labels that corruption could have changed.
    """

    tokens: NDArray[np.uint8]
    labels: NDArray[np.float32]
    corrupted: NDArray[np.float32]
    training_rows: int
    target_rows: NDArray[np.int64]
    candidates: NDArray[np.int64]

    @property
    def flips(self) -> NDArray[np.int64]:
        """Training labels that differ from the truth: int64 `(S,)`."""
        return (self.corrupted != self.labels[: self.training_rows]).sum(axis=1)


def draw_integers(fractions: NDArray[np.float64], low: int, high: int) -> NDArray[np.int64]:
    """Uniform integers of [low, high] from fractions in [0, 1)."""
    return low + (fractions * (high - low + 1)).astype(np.int64)


def draw_specs(config: Config, indices: NDArray[np.int64]) -> Specs:
    """The specifications of the subjects with these numbers."""
    architecture, patterns, rates = config.architecture, config.patterns, config.training.learning_rate
    count = len(patterns.enabled)
    numbers = random.uniforms(random.generator_keys(config.seed, indices, random.SPECIFICATION), 6 + count)
    targets = indices % count if config.dataset.balance else draw_integers(numbers[:, 4], 0, count - 1)
    chosen = draw_integers(numbers[:, 5], patterns.per_subject.min, patterns.per_subject.max)
    ranks = numbers[:, 6:].copy()
    ranks[np.arange(len(indices)), targets] = -1  # the target is always among the first
    return Specs(
        indices=indices,
        targets=targets,
        selected=np.argsort(np.argsort(ranks, axis=1), axis=1) < chosen[:, None],
        depths=draw_integers(numbers[:, 0], architecture.num_layers.min, architecture.num_layers.max),
        widths=draw_integers(numbers[:, 1], architecture.neurons_per_layer.min, architecture.neurons_per_layer.max),
        kinds=np.array([ACTIVATIONS.index(name) for name in architecture.activations])[
            draw_integers(numbers[:, 2], 0, len(architecture.activations) - 1)
        ],
        rates=(rates.min * (rates.max / rates.min) ** numbers[:, 3]).astype(np.float32),
    )


def empty_population(config: Config, specs: Specs) -> Population:
    """The subjects with all weights zero."""
    return Population.zeros(config.patterns.sequence_length, specs.depths, specs.widths, specs.kinds)


def draw_population(config: Config, specs: Specs) -> Population:
    """The subjects with their initial weights."""
    population = empty_population(config, specs)
    kaiming = config.training.init == "kaiming"
    draw_weights(
        specs.depths,
        specs.widths,
        population.parameters,
        population.offsets,
        population.features,
        random.generator_keys(config.seed, specs.indices, random.WEIGHTS),
        KAIMING[specs.kinds] if kaiming else np.full(len(specs), DEFAULT),
        0.0 if kaiming else DEFAULT,
    )
    return population


def draw_data(config: Config, space: SpaceArrays, specs: Specs) -> SubjectData:
    """The subjects' sequences and labels.

    Raises:
        ConfigurationError: a subject's patterns leave no sequence that could be a negative.
    """
    training, validation = config.patterns.sides
    positives, negatives = (training[0], validation[0]), (training[1], validation[1])
    keys = random.generator_keys(config.seed, specs.indices, random.DATA)
    tokens, target_rows, found = kernels.draw_subjects(
        space, specs.selected, specs.targets, keys, positives, negatives, config.patterns.sequence_length
    )
    if not found.all():
        names = [name for name, on in zip(config.patterns.enabled, specs.selected[np.argmin(found)], strict=True) if on]
        raise ConfigurationError(
            f"patterns.per_subject lets {', '.join(names)} be selected together, which leaves too few other sequences as "
            f"negatives; lower patterns.per_subject.max or enlarge patterns.vocab_size or patterns.sequence_length."
        )
    labels = np.repeat([1, 0, 1, 0], [training[0], training[1], validation[0], validation[1]]).astype(np.float32)
    corrupted, candidates = corrupt(config, specs, labels[: sum(training)], target_rows)
    return SubjectData(tokens, labels, corrupted, sum(training), target_rows, candidates)


def corrupt(
    config: Config, specs: Specs, labels: NDArray[np.float32], target_rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Corrupted training labels `(S, rows)` and how many rows each subject's corruption could choose from, `(S,)`.

    Rows are ranked once by the subject's corruption stream and the first `rate` of the candidates are taken: a higher
    rate damages the same rows and more.
    """
    rows = len(labels)
    keys = random.generator_keys(config.seed, specs.indices, random.CORRUPTION)
    numbers = random.uniforms(keys, 2 * rows)
    anywhere = config.corruption.kind != "flip_target"
    candidates = np.full(len(specs), rows) if anywhere else target_rows
    order = np.where(np.arange(rows) < candidates[:, None], numbers[:, :rows], 2.0)
    ranks = np.argsort(np.argsort(order, axis=1), axis=1)
    damaged = ranks < np.rint(config.corruption.rate * candidates)[:, None]  # (S, rows)
    if config.corruption.kind == "random_label":
        other = (numbers[:, rows:] < 0.5).astype(np.float32)
    else:
        other = np.broadcast_to(1 - labels, damaged.shape)
    return np.where(damaged, other, labels).astype(np.float32), candidates
