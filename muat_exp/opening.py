"""Files of folders from anywhere: opened without waiting, and read up to a limit.

A pipe would wait for its other end, a device has no end, and a link may lead to a file that is
nobody's business: none of them is opened.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# What is no file, by the test that tells it.
_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
# Flags that some systems lack: without them nothing there can be waited for.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_file(path: Path, folder: Path | None = None) -> BinaryIO:
    """A file, open for reading.

    Args:
        path: the file, or a link to one.
        folder: where it has to be once links are followed; None for anywhere.

    Raises:
        OSError: it is absent, no file, or outside of the folder; its `strerror` says which.
    """
    if folder is not None:
        _require_within(path, folder)
    _require_file(os.stat(path).st_mode, path)
    handle = os.open(path, _FLAGS)
    try:
        _require_file(os.fstat(handle).st_mode, path)  # it may have been replaced
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_file(path: Path, most: int, folder: Path | None = None) -> bytes:
    """A file's content.

    Args:
        path: the file, or a link to one.
        most: bytes that it may have.
        folder: where it has to be once links are followed; None for anywhere.

    Raises:
        OSError: see `open_file`, or it is larger.
    """
    with open_file(path, folder) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
    return content


def reason(error: OSError) -> str:
    """Why a file can't be read, as the end of a sentence.

    >>> reason(OSError(errno.EINVAL, "it is a pipe, no file", "x"))
    'it is a pipe, no file'
    """
    return error.strerror or str(error)


def _require_file(mode: int, path: Path) -> None:
    """Raises `OSError` for the mode of what is no file."""
    for is_kind, name in _KINDS.items():
        if is_kind(mode):
            raise OSError(errno.EINVAL, f"it is {name}, no file", str(path))


def _require_within(path: Path, folder: Path) -> None:
    """Raises `OSError` for a path that leads out of a folder."""
    real = Path(os.path.realpath(path, strict=True))
    if not any(real.is_relative_to(root) for root in _roots(folder)):
        raise OSError(errno.EPERM, f"it is a link that leads out of {folder}", str(path))


def _roots(folder: Path) -> Iterator[Path]:
    """Where the files of a dataset's folder may be.

    The Hub's client keeps those of `<repository>/snapshots/<revision>` as links to
    `<repository>/blobs`.
    """
    real = Path(os.path.realpath(folder))
    yield real
    if real.parent.name == "snapshots":
        yield Path(os.path.realpath(real.parent.parent / "blobs"))
