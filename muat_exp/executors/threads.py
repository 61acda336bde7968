"""Worker threads that run GIL-free kernels over slices of a cohort's subjects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
_Item = TypeVar("_Item")
_Output = TypeVar("_Output")
_SMALLEST = 8  # subjects a kernel call at least


def _flush_denormals() -> None:
    """Makes this thread round numbers below 1e-38 to 0: the faint gradients of saturated units slow it down sixfold."""
    import torch

    torch.set_flush_denormal(True)


def _guided_chunks(which: Indices, threads: int) -> list[Indices]:
    """Chunks that shrink towards the end (guided self-scheduling): few calls, and threads that finish together.

    >>> [len(chunk) for chunk in _guided_chunks(np.arange(100), 2)]
    [25, 18, 14, 10, 8, 8, 8, 8, 1]
    """
    chunks = []
    while len(which):
        size = max(_SMALLEST, len(which) // (2 * threads))
        chunks.append(which[:size])
        which = which[size:]
    return chunks


class Parallel(Protocol):
    """Runs a kernel over slices of some subjects."""

    def over(self, which: Indices, kernel: Callable[[Indices], Any]) -> list[Any]:
        """Calls the kernel on chunks of the subjects; results in the chunks' order. Raises what a kernel raises."""


class Here:
    """Runs kernels in the calling thread, which may be a worker itself."""

    def over(self, which: Indices, kernel: Callable[[Indices], Any]) -> list[Any]:
        """See `Parallel`."""
        return [kernel(which)]


class Workers:
    """Threads that run GIL-free kernels over slices of a cohort's subjects."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pool = ThreadPoolExecutor(
            threads, thread_name_prefix="muat-worker", initializer=_flush_denormals
        )

    def over(self, which: Indices, kernel: Callable[[Indices], Any]) -> list[Any]:
        """See `Parallel`."""
        return list(self.pool.map(kernel, _guided_chunks(which, self.threads)))

    def stream(
        self, function: Callable[[_Item], _Output], items: Iterable[_Item]
    ) -> Iterator[_Output]:
        """Results in the items' order; at most three items a thread are under way, so memory stays flat."""
        pending: deque[Future[_Output]] = deque()
        for item in items:
            pending.append(self.pool.submit(function, item))
            if len(pending) >= 3 * self.threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def close(self) -> None:
        """Ends the threads after what is running."""
        self.pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def worker_threads(threads: int) -> Iterator[Workers]:
    """Workers for one run; torch, BLAS and OpenMP keep to one thread each meanwhile."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    workers = Workers(threads)
    try:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            yield workers
    finally:
        workers.close()
        torch.set_num_threads(before)
