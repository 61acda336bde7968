"""The calling thread as an executor."""

from collections.abc import Callable
from typing import TypeVar

from muat_exp.executors.base import Indices

_Output = TypeVar("_Output")


class SerialExecutor:
    """Runs kernels in the calling thread, which may be a worker itself."""

    def map_chunks(self, subjects: Indices, kernel: Callable[[Indices], _Output]) -> list[_Output]:
        """See `Executor`: one chunk."""
        return [kernel(subjects)]
