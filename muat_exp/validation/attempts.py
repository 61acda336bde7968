"""Which attempts a run made to find the examples of a dataset: their numbers tell."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.faults import Faults
from muat_exp.generation.quota import Quotas
from muat_exp.subjects.specs import draw_specs

_BLOCK = 100_000  # attempts whose targets are drawn at a time
_MAX_COUNTED = 100_000_000  # attempts whose targets are drawn at all


@dataclass(frozen=True)
class QueueAttempts:
    """The attempts that one queue of a run needed: the numbers offset, offset + stride, ...

    Attributes:
        name: of its pattern, or of all together.
        needed: attempts up to the one that filled its quota, or all that were allowed.
    """

    name: str
    offset: int
    stride: int
    needed: int

    def numbers(self, first: int, last: int) -> NDArray[np.int64]:
        """Numbers of the attempts from `first` up to `last` in the queue, as far as it goes."""
        places = np.arange(first, min(last, self.needed), dtype=np.int64)
        return self.offset + self.stride * places


@dataclass(frozen=True)
class Attempts:
    """All attempts that a run needed.

    Attributes:
        queues: those of each queue.
        examples: the accepted ones, ascending: int64 `(N,)`.
    """

    queues: Sequence[QueueAttempts]
    examples: NDArray[np.int64]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(queue.needed for queue in self.queues)

    @property
    def rejected(self) -> int:
        """How many of them came to nothing."""
        return self.total - len(self.examples)

    def blocks(self, size: int) -> Iterator[NDArray[np.int64]]:
        """The numbers of all attempts, about `size` at a time, each block ascending."""
        places = max(1, size // len(self.queues))
        longest = max(queue.needed for queue in self.queues)
        for first in range(0, longest, places):
            parts = [queue.numbers(first, first + places) for queue in self.queues]
            yield np.sort(np.concatenate(parts))

    def rejected_blocks(self, size: int) -> Iterator[NDArray[np.int64]]:
        """The numbers of the rejected attempts, from `size` to twice as many at a time."""
        waiting = np.empty(0, np.int64)
        for numbers in self.blocks(size):
            left = numbers[~_contained(numbers, self.examples)]
            waiting = np.concatenate([waiting, left])
            if len(waiting) >= size:
                yield waiting
                waiting = waiting[:0]
        if len(waiting):
            yield waiting

    def by_pattern(self, config: Config) -> Counter[str] | None:
        """How many attempts had each pattern as their target; None where they are too many."""
        if self.total > _MAX_COUNTED:
            return None
        counts: Counter[str] = Counter()
        names = config.patterns.enabled
        for numbers in self.blocks(_BLOCK):
            targets = draw_specs(config, numbers).targets
            found = np.bincount(targets, minlength=len(names))
            counts.update(dict(zip(names, found.tolist(), strict=True)))
        return counts


def find_attempts(config: Config, examples: NDArray[np.int64], faults: Faults) -> Attempts | None:
    """The attempts that it took to find these examples.

    Args:
        config: the dataset's.
        examples: their numbers, int64 `(N,)`, distinct and not negative.
        faults: takes what no run of the configuration could have found.

    Returns:
        The attempts; None where there is such a fault.
    """
    found = []
    sound = True
    quotas = Quotas(config)
    for queue in quotas.queues:
        own = examples[examples % quotas.stride == queue.offset]
        last = int(own.max()) // quotas.stride if len(own) else -1
        if len(own) > queue.quota:
            asked = f"the configuration asks for {queue.quota}"
            faults.add("counts", f"{queue.name} has {len(own)} examples; {asked}.")
            sound = False
        elif last >= queue.limit:
            allowed = f"the {queue.limit} attempts that the configuration allows {queue.name}"
            faults.add("ids", f"example {own.max()} is beyond {allowed}.")
            sound = False
        full = len(own) == queue.quota
        needed = last + 1 if full else queue.limit
        found.append(QueueAttempts(queue.name, queue.offset, quotas.stride, needed))
    return Attempts(found, np.sort(examples)) if sound else None


def _contained(values: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which values are among others, which ascend."""
    if not len(among):
        return np.zeros(len(values), np.bool_)
    places = np.searchsorted(among, values).clip(max=len(among) - 1)
    return among[places] == values
