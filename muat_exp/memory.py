"""How much memory this process took."""

import sys

_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes that `ru_maxrss` counts in


def peak_memory_mib() -> float | None:
    """The most memory that this process ever held, in MiB; None on Windows, which does not say."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT / 2**20
