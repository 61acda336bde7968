"""The registry of corruption kinds, and the damage that they do to training labels.

A kind says which rows it may damage and what their labels become. How many are damaged, and which
of them come first, is the same for all kinds. NumPy is imported by what computes, so that a wrong
configuration is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TrainingRows(NamedTuple):
    """The training side of S subjects, whose rows are positives first.

    Attributes:
        labels: float32 `(rows,)`, the true labels.
        from_target: bool `(S, rows)`, whether a row was drawn from the subject's target pattern.
        fractions: float64 `(S, rows)`, uniform in [0, 1), for kinds that draw labels.
    """

    labels: NDArray[np.float32]
    from_target: NDArray[np.bool_]
    fractions: NDArray[np.float64]


@dataclass(frozen=True)
class CorruptionKind:
    """One way to damage labels.

    Attributes:
        doc: what it does, as a clause.
        candidates: bool, to be broadcast to `(S, rows)`: the rows that it may damage.
        damaged: numbers, to be broadcast to `(S, rows)`: the labels of damaged rows.
    """

    doc: str
    candidates: Callable[[TrainingRows], NDArray[np.bool_]]
    damaged: Callable[[TrainingRows], NDArray[np.generic]]


def _any_row(rows: TrainingRows) -> NDArray[np.bool_]:
    """All training rows."""
    return rows.from_target | True


def _flipped(rows: TrainingRows) -> NDArray[np.float32]:
    """The opposite labels."""
    return 1 - rows.labels


CORRUPTION_KINDS = {
    "flip_target": CorruptionKind(
        doc="positives of the target pattern become negatives",
        candidates=lambda rows: rows.from_target,
        damaged=_flipped,
    ),
    "flip_any": CorruptionKind(
        doc="any labels are flipped",
        candidates=_any_row,
        damaged=_flipped,
    ),
    "random_label": CorruptionKind(
        doc="any labels are drawn anew, half of them positive",
        candidates=_any_row,
        damaged=lambda rows: rows.fractions < 0.5,
    ),
    "flip_negatives": CorruptionKind(
        doc="negatives become positives",
        candidates=lambda rows: rows.labels == 0,
        damaged=_flipped,
    ),
}


def corrupt(
    kind: CorruptionKind, rate: float, rows: TrainingRows, priorities: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The labels of the degraded stage.

    A subject's candidates are damaged in the order of their priorities, the first `rate` of them. A
    higher rate damages the same rows and more.

    Args:
        kind: out of `CORRUPTION_KINDS`.
        rate: share of each subject's candidates, 0 to 1.
        rows: the training side of S subjects.
        priorities: float64 `(S, rows)` in [0, 1), the lower the earlier.

    Returns:
        Labels float32 `(S, rows)`, and how many candidates each subject has, int64 `(S,)`.
    """
    import numpy as np

    mask = np.broadcast_to(kind.candidates(rows), priorities.shape)
    candidates = mask.sum(axis=1)
    last = 2.0  # beyond every candidate's priority
    ranks = np.argsort(np.argsort(np.where(mask, priorities, last), axis=1), axis=1)
    damaged = ranks < np.rint(rate * candidates)[:, None]
    labels = np.where(damaged, kind.damaged(rows), rows.labels)
    return labels.astype(np.float32), candidates
