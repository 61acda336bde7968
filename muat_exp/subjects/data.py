"""What subjects learn from: pure functions of (configuration, seed, subject index)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.errors import ConfigurationError
from muat_exp.kernels import data as kernels
from muat_exp.kernels import random
from muat_exp.sequences.space import SpaceArrays
from muat_exp.subjects.corruption import CORRUPTION_KINDS, TrainingRows, corrupt
from muat_exp.subjects.specs import Specs


@dataclass(frozen=True)
class SubjectData:
    """Training and validation sequences of S subjects.

    Attributes:
        tokens: uint8 `(S, rows, L)`, the training rows before the validation rows, positives first
            on each side.
        labels: float32 `(rows,)`, the true labels, the same for all subjects.
        corrupted: float32 `(S, training rows)`, the labels of the degraded stage.
        training_rows: how many rows train.
        target_rows: int64 `(S,)`, rows at the head of `tokens` that were drawn from the target
            pattern.
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


def draw_data(config: Config, space: SpaceArrays, specs: Specs) -> SubjectData:
    """The subjects' sequences and labels.

    Raises:
        ConfigurationError: a subject's patterns leave no sequence that could be a negative.
    """
    training, validation = config.patterns.sides
    positives = (training[0], validation[0])
    negatives = (training[1], validation[1])
    keys = random.generator_keys(config.seed, specs.indices, random.DATA)
    tokens, target_rows, found = kernels.draw_subjects(
        space,
        specs.selected,
        specs.targets,
        keys,
        positives,
        negatives,
        config.patterns.sequence_length,
    )
    if not found.all():
        first = np.argmin(found)  # of those for whom none was found
        selected = np.flatnonzero(specs.selected[first])
        names = [config.patterns.enabled[i] for i in selected]
        raise ConfigurationError(
            f"patterns.per_subject lets {', '.join(names)} be selected together, which leaves too "
            "few other sequences as negatives; lower patterns.per_subject.max or enlarge "
            "patterns.vocab_size or patterns.sequence_length."
        )
    labels = np.repeat([1, 0, 1, 0], [*training, *validation]).astype(np.float32)
    corrupted, candidates = _corrupt(config, specs, labels[: sum(training)], target_rows)
    return SubjectData(tokens, labels, corrupted, sum(training), target_rows, candidates)


def _corrupt(
    config: Config, specs: Specs, labels: NDArray[np.float32], target_rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Corrupted training labels `(S, rows)`, and the rows that could be chosen, `(S,)`.

    The damage follows from each subject's corruption stream: first the rows' priorities, then the
    numbers of kinds that draw labels.
    """
    rows = len(labels)
    keys = random.generator_keys(config.seed, specs.indices, random.CORRUPTION)
    numbers = random.uniforms(keys, 2 * rows)
    training = TrainingRows(
        labels=labels,
        from_target=np.arange(rows) < target_rows[:, None],
        fractions=numbers[:, rows:],
    )
    kind = CORRUPTION_KINDS[config.corruption.kind]
    return corrupt(kind, config.corruption.rate, training, numbers[:, :rows])
