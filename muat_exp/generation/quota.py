"""Which attempts a dataset still needs: quotas per pattern, filled in index order."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.errors import ShortfallError

_EXPECTED = 0.8  # acceptance assumed before anything is known
# Attempts planned beyond what the acceptance so far asks for, so that the last cohorts are few.
_SPARE = 1.1
# Attempts per cohort where so many are wanted: below, Lightning costs more than the training.
_SMALLEST = 512


@dataclass
class _Queue:
    """The attempts offset, offset + stride, ... of which the first `quota` accepted ones are taken.

    Attributes:
        planned: how many have been handed out, always the first ones of the queue.
        attempts: how many of those have been recorded.
        taken: numbers of the accepted attempts within the quota.
        needed: attempts up to the one that filled the quota; what came after was surplus.
    """

    name: str
    offset: int
    stride: int
    quota: int
    limit: int
    planned: int = 0
    attempts: int = 0
    needed: int = 0
    taken: list[int] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Examples that the quota still lacks."""
        return self.quota - len(self.taken)

    @property
    def open(self) -> bool:
        """Whether more attempts are wanted and allowed."""
        return self.missing > 0 and self.planned < self.limit

    @property
    def short(self) -> bool:
        """Whether the quota could not be filled within the allowed attempts."""
        return self.missing > 0 and self.attempts >= self.limit

    @property
    def wanted(self) -> int:
        """Attempts to plan next, from the acceptance so far and what is under way."""
        rate = self.acceptance
        under_way = self.planned - self.attempts
        missing = self.missing - under_way * rate
        if not self.open or missing <= 0:
            return 0
        attempts = int(missing / rate * _SPARE) + 4
        allowed = self.limit - self.planned
        return min(allowed, attempts)

    @property
    def acceptance(self) -> float:
        """The share of attempts that is expected to be accepted; never 0."""
        if not self.needed:
            return _EXPECTED
        return (len(self.taken) + 0.5) / (self.needed + 1)

    def take(self, count: int) -> NDArray[np.int64]:
        """Hands out the numbers of the next `count` attempts."""
        first = self.planned
        self.planned += count
        places = np.arange(first, self.planned, dtype=np.int64)
        return self.offset + self.stride * places

    def record(self, index: int, accepted: bool) -> bool:
        """Takes note of the next attempt; returns whether it was still needed."""
        self.attempts += 1
        if self.missing <= 0 or self.needed >= self.limit:
            return False
        self.needed += 1
        if accepted:
            self.taken.append(index)
        return True


class Quotas:
    """All queues of a run: one per pattern with `dataset.balance`, else a single one."""

    def __init__(self, config: Config) -> None:
        names = config.patterns.enabled
        total = config.dataset.num_examples
        queued = names if config.dataset.balance else ("all patterns",)
        self.stride = len(queued)
        self.on_shortfall = config.dataset.on_shortfall
        self.queues = []
        share, left_over = divmod(total, self.stride)
        for offset, name in enumerate(queued):
            quota = share + 1 if offset < left_over else share
            limit = quota * config.dataset.max_attempts_per_example
            self.queues.append(_Queue(name, offset, self.stride, quota, limit))

    @property
    def taken(self) -> int:
        """Examples found so far."""
        return sum(len(queue.taken) for queue in self.queues)

    @property
    def needed(self) -> int:
        """Attempts that it took."""
        return sum(queue.needed for queue in self.queues)

    @property
    def surplus(self) -> int:
        """Attempts made in a cohort after their pattern's quota was full."""
        return sum(queue.attempts - queue.needed for queue in self.queues)

    def plan(self, size: int) -> NDArray[np.int64]:
        """How many attempts of each queue the next cohort should make, int64 `(queues,)`.

        Zeros when nothing is wanted.

        At most `size` in all, and half of what is wanted, so that cohorts shrink and those under
        way together end together.

        Raises:
            ShortfallError: a pattern could not fill its quota and `dataset.on_shortfall` is
                "error".
        """
        self.check_shortfall()
        wanted = np.array([queue.wanted for queue in self.queues])
        total = int(wanted.sum())
        half = math.ceil(total / 2)
        size = min(size, max(_SMALLEST, half))
        if total <= size:
            return wanted
        return _allot(wanted, size)

    def take(self, counts: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Hands out so many attempts of each queue: their numbers, ascending."""
        pairs = zip(self.queues, counts, strict=True)
        numbers = [queue.take(int(count)) for queue, count in pairs]
        return np.sort(np.concatenate(numbers))

    def record(self, indices: NDArray[np.int64], accepted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Takes note of a cohort's outcomes; which attempts were still needed, bool `(S,)`."""
        needed = []
        for index, passed in zip(indices.tolist(), accepted.tolist(), strict=True):
            queue = self.queues[index % self.stride]
            needed.append(queue.record(index, passed))
        return np.array(needed)

    def check_shortfall(self) -> None:
        """Raises `ShortfallError` where a quota can't be filled and that is an error."""
        short = [queue for queue in self.queues if queue.short]
        if short and self.on_shortfall == "error":
            told = "; ".join(describe(short))
            raise ShortfallError(told + _ADVICE)


_ADVICE = (
    ". Finished work is kept: run the same command with the same hydra.run.dir and "
    "dataset.on_shortfall=accept to finish with fewer, or raise dataset.max_attempts_per_example."
)


def describe(queues: list[_Queue]) -> Iterator[str]:
    """One clause per pattern that fell short."""
    for queue in queues:
        share = len(queue.taken) / max(1, queue.needed)
        yield (
            f"{queue.name} filled {len(queue.taken)} of its {queue.quota} examples "
            f"in {queue.needed} attempts (acceptance {share:.1%})"
        )


def _allot(wanted: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Scales wishes down to `size` in all, in proportion, the remainder to the largest fractions.

    >>> _allot(np.array([6, 3, 0]), 3).tolist()
    [2, 1, 0]
    """
    exact = wanted * size / wanted.sum()
    shares = np.floor(exact).astype(np.int64)
    left_over = size - shares.sum()
    largest_first = np.argsort(shares - exact, kind="stable")
    shares[largest_first[:left_over]] += 1
    return shares
