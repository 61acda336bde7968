"""Worker threads as an executor."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from muat_exp.executors.base import Indices
from muat_exp.shared_context import SharedContext

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


def _let_any_thread_limit_blas() -> None:
    """Newer threadpoolctl listens only to the thread that set a limit; another may leave last."""
    from threadpoolctl import OpenBLASController

    release = getattr(OpenBLASController, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)


@contextmanager
def _plain_arithmetic() -> Iterator[None]:
    """PyTorch computes as in a new process, and it, BLAS and OpenMP keep to one thread each."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    dtype = torch.get_default_dtype()
    precision = torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
        torch.use_deterministic_algorithms(False)
        with threadpool_limits(1):
            try:
                yield
            finally:
                _let_any_thread_limit_blas()
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=only_warns)
        torch.set_float32_matmul_precision(precision)
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


_PLAIN_ARITHMETIC = SharedContext(_plain_arithmetic)


@contextmanager
def worker_threads(threads: int) -> Iterator[ThreadExecutor]:
    """Workers for one run; what the caller has set of PyTorch and NumPy has no say meanwhile."""
    workers = ThreadExecutor(threads)
    # NumPy's own defaults: an underflow, say, is no error here.
    numpys_own = np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
    try:
        with _PLAIN_ARITHMETIC, numpys_own:
            yield workers
    finally:
        workers.close()
