"""How every kernel is compiled: without the GIL, cached on disk, with vectorisable arithmetic."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import llvmlite.binding
import numba
from filelock import FileLock
from numba import njit

from muat_exp.files import short_sha256

_Function = TypeVar("_Function", bound=Callable[..., Any])

# No `afn`: approximate library functions differ between builds. `nnan`/`ninf` let reductions
# vectorise; they also mean that a kernel must never test for NaN itself, so callers look for
# blown-up numbers in what a kernel returns.
_FAST_MATH = {"contract", "reassoc", "nsz", "arcp", "nnan", "ninf"}


# Modules outside this folder whose constants and types the kernels are compiled with.
REGISTRIES = (
    "sequences/alphabet.py",
    "sequences/patterns.py",
    "signatures/methods.py",
    "subjects/activations.py",
    "subjects/architecture.py",
    "subjects/schemes.py",
)


def _source_digest() -> str:
    """Hash of all sources that kernels are compiled from, the key of the compilation cache."""
    kernels = Path(__file__).parent
    registries = [kernels.parent / name for name in REGISTRIES]
    sources = [*sorted(kernels.glob("*.py")), *registries]
    return short_sha256(b"".join(path.read_bytes() for path in sources))


def _cache_folder() -> Path:
    """Where compiled kernels are kept.

    Beside the sources, or in the user's cache where that folder is read-only.
    Numba notices a change in a cached function's own file only, not in the files of the functions
    that it calls; a folder named after all sources makes every change a miss.
    """
    package = Path(__file__).parent
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "muat_exp"
    base = package / "__pycache__" if os.access(package, os.W_OK) else user
    return base / f"kernels-{_source_digest()}"


def kernels_are_cached() -> bool:
    """Whether an earlier run compiled all kernels that a run calls.

    If not, the first call compiles for seconds.
    """
    return _compiled_marker().is_file()


def compile_once(run: Callable[[], None], note: Callable[[str], None]) -> None:
    """Has a run compile the kernels where none did before; another process that does is waited for.

    Args:
        run: calls every kernel.
        note: told that it takes a while.
    """
    if kernels_are_cached():
        return
    note("compiling kernels (once, about a minute)")
    marker = _compiled_marker()
    marker.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(marker.with_suffix(".lock")):
        if not kernels_are_cached():
            run()
            marker.touch()


def _compiled_marker() -> Path:
    """The file that says so: for all that Numba looks at before it reads its cache.

    These sources with their times, this version of Python and of Numba, processors of this kind.
    """
    stamps = [path.stat().st_mtime_ns for path in sorted(Path(__file__).parent.glob("*.py"))]
    versions = f"{sys.implementation.cache_tag} {numba.__version__}"
    processor = f"{llvmlite.binding.get_host_cpu_name()} {llvmlite.binding.get_host_cpu_features()}"
    kind = short_sha256(f"{versions} {processor} {stamps}".encode())
    return Path(CACHE_FOLDER) / f"compiled-{_source_digest()}-{kind}"


settings: Any = numba.config
CACHE_FOLDER = settings.CACHE_DIR or str(_cache_folder())


def compiled(fast: bool = False, inline: bool = False) -> Callable[[_Function], _Function]:
    """Decorator: compile with Numba in nopython mode, GIL released, result cached.

    Args:
        fast: relax floating-point rules so that reductions vectorise (see `_FAST_MATH`).
        inline: always inline into the caller.
    """

    def decorate(function: _Function) -> _Function:
        outside = settings.CACHE_DIR
        settings.CACHE_DIR = CACHE_FOLDER
        try:
            # error_model="numpy": a zero check on every division would stop vectorisation.
            return njit(  # type: ignore[no-any-return, return-value]
                nogil=True,
                cache=True,
                error_model="numpy",
                fastmath=_FAST_MATH if fast else False,
                inline="always" if inline else "never",
            )(function)
        finally:
            settings.CACHE_DIR = outside

    return decorate
