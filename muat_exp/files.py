"""Files written whole or not at all, and digests of files and of bytes."""

import glob
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"  # of a folder that a command works in
_PARTIAL = ".muat-partial"  # how the names of half-written files end, and no file of anybody else


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a whole file or nothing: under a temporary name beside it, then renamed."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and vanishes otherwise.

    The content is on the disk before the name is; a link at `path` is replaced, never followed.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_PARTIAL)
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.chmod(0o644)
        yield temporary
        flush_file(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_partial_files(folder: Path, name: str = "") -> None:
    """Removes what a killed process left half-written in a folder, or of one file there."""
    beginning = f".{glob.escape(name)}." if name else "."
    for leftover in folder.glob(f"{beginning}*{_PARTIAL}"):
        leftover.unlink()


def flush_file(path: Path) -> None:
    """Has the content of a file on the disk when this returns."""
    with path.open("rb+") as file:  # Windows flushes only what may be written
        os.fsync(file.fileno())


def file_digest(path: Path) -> str:
    """BLAKE2b of a file's bytes, hexadecimal: the faster one, for files that only we read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal: the one that others can check."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256(content: bytes) -> str:
    """SHA-256 of some bytes, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def short_sha256(content: bytes) -> str:
    """The first 16 hexadecimal digits of a SHA-256: enough to tell configurations apart.

    >>> short_sha256(b"")
    'e3b0c44298fc1c14'
    """
    return sha256(content)[:16]
