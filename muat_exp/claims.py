"""Which files of a folder are ours: what we did not make is neither replaced nor removed.

Every folder that we write into gets a list, `.muat_exp`, of the names that we may write in it. A
name is claimed before the work begins: it is refused where something bears it that is not on the
list. So the next run in a folder, or the one that goes on after a kill, knows what is its own, and
anything else stays as it is.

A list only grows, by lines at its end: two processes that claim at once lose none of the names.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from muat_exp.errors import RunFolderError
from muat_exp.files import flush_file, remove_partial_files, write_atomically

LIST = ".muat_exp"
_HEADING = "# What muat_exp made in this folder and may replace; it leaves everything else alone."


def claim_output(*paths: Path) -> None:
    """Claims files that are going to be written, before the work whose results they take.

    What a killed process left of them half-written is removed.

    Raises:
        RunFolderError: one of them is there and not ours; nothing was claimed or made.
    """
    for folder in {path.parent for path in paths}:
        names = [path.name for path in paths if path.parent == folder]
        claim(folder, files=names)
        for name in names:
            remove_partial_files(folder, name)


def write_output(path: Path, content: bytes) -> None:
    """Claims a file and writes it atomically; makes its folder where that is missing.

    Raises:
        RunFolderError: a file that is not ours bears the name.
    """
    claim_output(path)
    write_atomically(path, content)


def claim(folder: Path, files: Iterable[str] = (), folders: Iterable[str] = ()) -> None:
    """Notes that we may write these names in a folder, which is made where it is missing.

    Raises:
        RunFolderError: one of them is there and not ours; nothing was claimed or made.
    """
    files = list(files)
    folders = list(folders)
    check_claim(folder, files, folders)
    listed = listed_names(folder)
    names = [name for name in dict.fromkeys([*files, *folders]) if name not in listed]
    if names:
        folder.mkdir(parents=True, exist_ok=True)
        _append(folder / LIST, names)


def adopt(folder: Path, names: Iterable[str]) -> None:
    """Begins the list of a folder that is ours and has none, such as a copy without dotfiles.

    Args:
        folder: where a file shows that we wrote into it.
        names: what we may have written there; those that are missing are not listed.
    """
    if os.path.lexists(folder / LIST):
        return
    there = [name for name in names if os.path.lexists(folder / name)]
    if there:
        _append(folder / LIST, there)


def _append(path: Path, names: Sequence[str]) -> None:
    """Adds names to a list by a single write, which no other process can come between."""
    with path.open("ab") as file:
        begun = file.tell() > 0
        lines = names if begun else [_HEADING, *names]
        file.write("".join(f"{line}\n" for line in lines).encode())
    flush_file(path)


def check_claim(folder: Path, files: Iterable[str] = (), folders: Iterable[str] = ()) -> None:
    """Refuses what `claim` would refuse; changes nothing.

    Raises:
        RunFolderError: something bears one of the names that we did not make, or something else
            than we made.
    """
    listed = listed_names(folder)
    for name in files:
        path = folder / name
        _require_listed(path, listed)
        if path.is_symlink() or path.is_dir():
            raise RunFolderError(f"{path} is a link or a folder where a file is to go; {_ADVICE}")
    for name in folders:
        path = folder / name
        _require_listed(path, listed)
        if os.path.lexists(path) and not path.is_dir():
            raise RunFolderError(f"{path} is no folder, but a folder is to go there; {_ADVICE}")


def listed_names(folder: Path) -> list[str]:
    """The names that were claimed in a folder.

    An empty list is one that another process is about to begin; two may begin it at once.

    Raises:
        RunFolderError: a file that is not ours bears the list's name.
    """
    path = folder / LIST
    if not os.path.lexists(path):
        return []
    is_file = path.is_file() and not path.is_symlink()
    lines = path.read_text("utf-8", "replace").splitlines() if is_file else [""]
    if lines and lines[0] != _HEADING:
        raise RunFolderError(f"{path} is not the list that muat_exp keeps there; {_ADVICE}")
    return [line for line in lines if line != _HEADING]


def _require_listed(path: Path, listed: list[str]) -> None:
    """Raises where a file, a folder or a link is at a path that was not claimed."""
    if os.path.lexists(path) and path.name not in listed:
        raise RunFolderError(f"{path} is there already, and muat_exp did not make it; {_ADVICE}")


_ADVICE = "move it away, or choose another folder for the results."
