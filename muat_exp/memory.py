"""How much memory this process took, and giving back what it needs no more."""

import ctypes
import re
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")  # of Linux
_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes that `ru_maxrss` counts in


def peak_memory_mib() -> float | None:
    """The most memory that this process ever held, in MiB; None on Windows, which does not say."""
    with suppress(OSError):
        # Of this program alone: `ru_maxrss` is never below what the process that began it held.
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text("utf-8"), re.MULTILINE)
        if found:
            return int(found[1]) / 1024
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT / 2**20


def give_back_memory() -> None:
    """Returns freed memory to the system, of which Arrow and the C library keep some for later."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
        if trim is not None:
            trim(0)
