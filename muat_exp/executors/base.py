"""What an executor is: it runs a kernel over the subjects of a cohort."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
_Output = TypeVar("_Output")


class Executor(Protocol):
    """Runs a kernel over chunks of subjects.

    A kernel computes each subject by itself, so that the chunks never change a result.
    """

    def map_chunks(self, subjects: Indices, kernel: Callable[[Indices], _Output]) -> list[_Output]:
        """Calls the kernel on chunks of the subjects.

        Args:
            subjects: int64 `(n,)`, positions of the subjects in their cohort.
            kernel: takes such positions; may be called from several threads at once.

        Returns:
            What the kernel returned, in the order of the chunks. Raises what a kernel raises.
        """
