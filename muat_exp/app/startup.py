"""Imports the heavy packages: PyTorch, Lightning and what comes with them."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy_imports() -> Iterator[None]:
    """A block of imports without garbage collection, which would take a quarter of their time.

    What was imported is never looked at by the collector again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
