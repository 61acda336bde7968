"""Checks what lies in a dataset's folder: files that can be read, and each of them within it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from muat_exp.dataset.checksums import CHECKSUMS, FOREIGN
from muat_exp.dataset.column_names import PARTS
from muat_exp.dataset.faults import Faults

_TEXTS = ("README.md", "config.yaml", "probe_set.json", "summary.json", CHECKSUMS)
_MAX_TEXT = 2**26  # bytes of one of them
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_places(folder: Path, faults: Faults) -> None:
    """Checks that a folder has nothing but files and folders, and no link that leads out of it.

    Args:
        folder: the dataset's.
        faults: takes what is wrong.
    """
    for path in _entries(folder):
        name = path.relative_to(folder).as_posix()
        oddity = _oddity(path, folder)
        if oddity:
            faults.add("places", f"{name} is {oddity}.")


def text_problem(path: Path) -> str:
    """Why one of a dataset's texts can't be read, as the end of a sentence; empty where it can."""
    if not os.path.lexists(path):
        return "is missing"
    if path.is_dir():
        return "is a folder"
    if not path.is_file():
        return "is no file"
    if not os.access(path, os.R_OK):
        return "may not be read"
    if path.stat().st_size > _MAX_TEXT:
        return f"has over {_MAX_TEXT:,} bytes, which is more than a dataset's has"
    return ""


def strangers(folder: Path) -> list[str]:
    """Names of the files that no dataset of this program has."""
    names = [path.relative_to(folder) for path in _entries(folder) if path.is_file()]
    return [name.as_posix() for name in names if not _is_known(name)]


def _is_known(name: Path) -> bool:
    """Whether a dataset of this program may have a file of this name."""
    if len(name.parts) == 1:
        return name.name in _TEXTS
    return len(name.parts) == 2 and name.parts[0] in PARTS and name.suffix == ".parquet"


def _entries(folder: Path) -> Iterator[Path]:
    """All that lies below a folder, without what git and the Hub's client put there."""
    for path in sorted(folder.rglob("*")):
        name = f"{path.relative_to(folder).as_posix()}/"
        if not any(name.startswith(f"{part}/") for part in FOREIGN):
            yield path


def _oddity(path: Path, folder: Path) -> str:
    """What is odd about a place, as the end of a sentence; empty where nothing is."""
    if path.is_symlink():
        if not os.path.exists(path):
            return "a link that leads nowhere"
        if not _leads_within(path, _root(folder)):
            return "a link out of the dataset's folder"
    mode = os.stat(path).st_mode
    kind = _KINDS.get(stat.S_IFMT(mode))
    return f"{kind}, which is not read" if kind else ""


def _root(folder: Path) -> str:
    """The folder that links may lead to.

    The Hub's client keeps snapshots of links beside the files that they lead to.
    """
    real = os.path.realpath(folder)
    snapshots = os.path.dirname(real)
    if os.path.basename(snapshots) == "snapshots":
        return os.path.dirname(snapshots)
    return real


def _leads_within(path: Path, root: str) -> bool:
    """Whether a link leads to a place below a folder."""
    target = os.path.realpath(path)
    return os.path.commonpath([target, root]) == root
