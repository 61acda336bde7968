"""How every kernel is compiled: without the GIL, cached on disk, with vectorisable arithmetic."""

import atexit
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import llvmlite.binding
import numba
from filelock import FileLock
from numba import njit

from muat_exp.environment import require_own_instructions
from muat_exp.errors import ConfigurationError
from muat_exp.files import short_sha256

_Function = TypeVar("_Function", bound=Callable[..., Any])

# No `afn`: approximate library functions differ between builds. `nnan`/`ninf` let reductions
# vectorise; they also mean that a kernel must never test for NaN itself, so callers look for
# blown-up numbers in what a kernel returns.
_FAST_MATH = {"contract", "reassoc", "nsz", "arcp", "nnan", "ninf"}

# Numba's settings that reach machine code, as they are by themselves.
_COMPILED_WITH = {
    "BOUNDSCHECK": None,
    "CPU_NAME": None,
    "CPU_FEATURES": None,
    "DEBUGINFO_DEFAULT": 0,
    "DISABLE_INTEL_SVML": 0,
    "DISABLE_JIT": 0,
    "EXTEND_VARIABLE_LIFETIMES": 0,
    "LLVM_REFPRUNE_PASS": 1,
    "LOOP_VECTORIZE": 1,
    "OPT": 3,
    "SLP_VECTORIZE": 0,
}

# Modules outside this folder whose constants and types the kernels are compiled with.
REGISTRIES = (
    "prompts/codings.py",
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


def require_plain_numba() -> None:
    """Raises `ConfigurationError` where Numba would compile other machine code than by itself.

    Its settings come from `NUMBA_...` variables, a `.numba_config.yaml` or the caller. Code of both
    kinds would also meet in one cache.
    """
    require_own_instructions()
    for name, own in _COMPILED_WITH.items():
        value = getattr(settings, name, own)
        # The level of optimisation "max" is equal to 3, but another one.
        if value != own or getattr(value, "is_opt_max", False):
            variable = f"NUMBA_{name.removesuffix('_DEFAULT')}"
            given = os.environ.get(variable, value)
            raise ConfigurationError(
                f"Numba's setting {variable} is {given}: the kernels would compute otherwise, and "
                f"the data would differ. Unset {variable} in the environment, in "
                ".numba_config.yaml, or where numba.config is changed."
            )


def _cache_folder() -> Path:
    """Where compiled kernels are kept: the first folder that can be written.

    Beside the sources, in the user's cache, or in a temporary folder; that of NUMBA_CACHE_DIR alone
    where it is set. Numba notices a change in a cached function's own file only, not in the files
    of the functions that it calls; a folder named after all sources makes every change a miss.

    Raises:
        ConfigurationError: there is none.
    """
    name = f"kernels-{_source_digest()}"
    tried = []
    for base in [settings.CACHE_DIR] if settings.CACHE_DIR else _usual_bases():
        folder = Path(base).absolute() / name
        if _is_writable(folder):
            return folder
        tried.append(str(base))
    raise ConfigurationError(
        f"Compiled kernels can't be kept in {' or '.join(tried)}; set NUMBA_CACHE_DIR to a folder "
        "that can be written."
    )


def _usual_bases() -> Iterator[Path]:
    """The folders that are tried; the temporary one is made only where no other will do."""
    yield Path(__file__).parent / "__pycache__"
    with suppress(RuntimeError):  # nobody's home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "muat_exp"
    with suppress(OSError):
        yield _temporary_base()


def _temporary_base() -> Path:
    """A temporary folder that nobody else can write: cached code is run as it is found."""
    if not hasattr(os, "getuid"):  # Windows, where each user has temporary folders of his own
        return Path(tempfile.gettempdir()) / "muat_exp"
    kept = Path(tempfile.gettempdir()) / f"muat_exp-{os.getuid()}"
    with suppress(FileExistsError):
        kept.mkdir(mode=0o700)
    found = kept.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
        return kept
    passing = tempfile.mkdtemp(prefix="muat_exp-")
    atexit.register(shutil.rmtree, passing, ignore_errors=True)
    return Path(passing)


def _is_writable(folder: Path) -> bool:
    """Whether a folder is there, or can be made, and takes files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


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
    require_plain_numba()
    note("compiling kernels (once, about a minute)")
    marker = _compiled_marker()
    marker.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(marker.with_suffix(".lock")):
        if not kernels_are_cached():
            run()
            marker.touch()


def _compiled_marker() -> Path:
    """The file that says so: for all that Numba looks at before it reads its cache.

    These sources with their times, this version of Python and of Numba, processors of this kind;
    and how Python optimises, for without docstrings a function's code is another one.
    """
    stamps = [path.stat().st_mtime_ns for path in sorted(Path(__file__).parent.glob("*.py"))]
    versions = f"{sys.implementation.cache_tag} {sys.flags.optimize} {numba.__version__}"
    processor = f"{llvmlite.binding.get_host_cpu_name()} {llvmlite.binding.get_host_cpu_features()}"
    kind = short_sha256(f"{versions} {processor} {stamps}".encode())
    return Path(CACHE_FOLDER) / f"compiled-{_source_digest()}-{kind}"


settings: Any = numba.config
require_plain_numba()
CACHE_FOLDER = str(_cache_folder())


@contextmanager
def _own_settings() -> Iterator[None]:
    """Numba's settings while a kernel is declared: its code is cached in our folder."""
    own = {"CACHE_DIR": CACHE_FOLDER, "CACHE_LOCATOR_CLASSES": ""}
    before = {name: getattr(settings, name) for name in own if hasattr(settings, name)}
    try:
        for name in before:
            setattr(settings, name, own[name])
        yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)


def compiled(fast: bool = False, inline: bool = False) -> Callable[[_Function], _Function]:
    """Decorator: compile with Numba in nopython mode, GIL released, result cached.

    Args:
        fast: relax floating-point rules so that reductions vectorise (see `_FAST_MATH`).
        inline: always inline into the caller.
    """

    def decorate(function: _Function) -> _Function:
        with _own_settings():
            # error_model="numpy": a zero check on every division would stop vectorisation.
            return njit(  # type: ignore[no-any-return, return-value]
                nogil=True,
                cache=True,
                error_model="numpy",
                fastmath=_FAST_MATH if fast else False,
                inline="always" if inline else "never",
            )(function)

    return decorate
