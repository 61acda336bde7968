"""Worker threads as an executor."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from muat_exp.executors.base import Indices

_Item = TypeVar("_Item")
_Output = TypeVar("_Output")
SMALLEST = 8  # subjects per call of a kernel, at least
_UNDER_WAY = 3  # items per thread that `stream` hands out before it waits


def _flush_denormals() -> None:
    """Makes this thread round numbers below 1e-38 to 0.

    The faint gradients of saturated units would slow it down sixfold.
    """
    import torch

    torch.set_flush_denormal(True)


def _guided_chunks(subjects: Indices, threads: int) -> list[Indices]:
    """Chunks that shrink towards the end: few calls, and threads that finish together.

    This is guided self-scheduling.

    >>> import numpy as np
    >>> [len(chunk) for chunk in _guided_chunks(np.arange(100), 2)]
    [25, 18, 14, 10, 8, 8, 8, 8, 1]
    """
    chunks = []
    while len(subjects):
        size = max(SMALLEST, len(subjects) // (2 * threads))
        chunks.append(subjects[:size])
        subjects = subjects[size:]
    return chunks


class ThreadExecutor:
    """Threads that run GIL-free kernels over chunks of a cohort's subjects.

    Attributes:
        threads: how many.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix="muat-worker", initializer=_flush_denormals
        )

    def map_chunks(self, subjects: Indices, kernel: Callable[[Indices], _Output]) -> list[_Output]:
        """See `Executor`."""
        return list(self._pool.map(kernel, _guided_chunks(subjects, self.threads)))

    def stream(
        self, function: Callable[[_Item], _Output], items: Iterable[_Item], limit: int | None = None
    ) -> Iterator[_Output]:
        """Results in the items' order; few items are under way at a time, so memory stays flat.

        Args:
            function: called on each item, in some thread.
            items: taken one by one.
            limit: how many may be under way, where memory has no room for three per thread.
        """
        most = min(_UNDER_WAY * self.threads, limit or sys.maxsize)
        pending: deque[Future[_Output]] = deque()
        for item in items:
            pending.append(self._pool.submit(function, item))
            if len(pending) >= most:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def close(self) -> None:
        """Ends the threads after what is running."""
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def worker_threads(threads: int) -> Iterator[ThreadExecutor]:
    """Workers for one run; torch, BLAS and OpenMP keep to one thread each meanwhile."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    workers = ThreadExecutor(threads)
    try:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            yield workers
    finally:
        workers.close()
        torch.set_num_threads(before)
