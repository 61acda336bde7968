"""Imports the heavy packages: PyTorch, Lightning and what comes with them."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

from muat_exp.environment import require_numba_threads

_BACKEND = "MPLBACKEND"


@contextmanager
def heavy_imports() -> Iterator[None]:
    """A block of imports without garbage collection, which would take a quarter of their time.

    What was imported is never looked at by the collector again.

    Raises:
        ConfigurationError: the environment would reach the data. It is said before the slow part.
    """
    require_numba_threads()
    import muat_exp.kernels.compiled  # noqa: F401

    gc.disable()
    try:
        with _no_backend():
            yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _no_backend() -> Iterator[None]:
    """Has Matplotlib, which comes with Lightning, ignore a backend that is not there."""
    backend = os.environ.pop(_BACKEND, None)
    try:
        yield
    finally:
        if backend is not None:
            os.environ[_BACKEND] = backend
