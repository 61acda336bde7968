"""Variables of the environment that would reach the data: refused by name."""

import os
import re

from muat_exp.errors import ConfigurationError

# They choose the instructions that libraries compute with, as another processor would.
_CHOOSE_INSTRUCTIONS = (
    "ATEN_CPU_CAPABILITY",
    "BLIS_ARCH_TYPE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "NUMBA_ENABLE_AVX",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
)


def require_own_instructions() -> None:
    """Raises `ConfigurationError` where a variable chooses the instructions that are computed with.

    Numbers would be rounded as on another processor.
    """
    for name in _CHOOSE_INSTRUCTIONS:
        if os.environ.get(name):
            _refuse(name)
    if "hwcaps" in os.environ.get("GLIBC_TUNABLES", ""):
        _refuse("GLIBC_TUNABLES")


def require_numba_threads() -> None:
    """Raises `ConfigurationError` where Numba is given a number of threads that ends its import.

    (What is no number Numba names itself, and takes its own.)
    """
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    if re.fullmatch(r"\s*(-\d+|0+)\s*", given):
        raise ConfigurationError(
            f"NUMBA_NUM_THREADS={given} is set in the environment: it must be 1 or more."
        )


def _refuse(name: str) -> None:
    """Raises the sentence about a variable."""
    raise ConfigurationError(
        f"{name}={os.environ[name]} is set in the environment: numbers would be rounded otherwise "
        f"than this processor does it, and the data would differ. Unset {name}."
    )
