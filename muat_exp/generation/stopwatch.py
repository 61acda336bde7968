"""Seconds of a run, by phase."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds since a start, and by phase.

    Attributes:
        seconds: of each phase, in the order in which they began.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time of a block to its phase."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def restart(self) -> None:
        """Counts the total from here on: what is done once for all runs is not this one's time."""
        self._start = time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds since the start, or the restart."""
        return time.perf_counter() - self._start
