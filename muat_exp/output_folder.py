"""The folder of a command's results as it was before, so that a refused command leaves no trace."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from muat_exp.claims import LIST
from muat_exp.files import LOCK


@dataclass(frozen=True)
class OutputFolder:
    """A folder that the results of a command go to.

    Attributes:
        path: as it was typed, so that it is read from the same current folder.
        made: the folders that the command makes for it: itself, then those above it; none where it
            was there.
        held: names of the files and folders that were in it before.
    """

    path: Path
    made: tuple[Path, ...]
    held: frozenset[str] = frozenset()

    @classmethod
    def before(cls, path: Path) -> "OutputFolder":
        """A folder that the command has not touched yet."""
        return cls(path, missing_folders(path), frozenset(_names(path)))

    @classmethod
    def claim(cls, wanted: Path) -> "OutputFolder":
        """Makes a folder that no other process has; the second claim of a name is `<name>-2`."""
        above = missing_folders(wanted.parent)
        for number in count(1):
            name = wanted.name if number == 1 else f"{wanted.name}-{number}"
            claimed = wanted.with_name(name)
            try:
                claimed.mkdir(parents=True)
            except FileExistsError:
                continue
            return cls(claimed, made=(claimed, *above))
        raise AssertionError("numbers do not end")

    def restore(self, beginnings: Collection[str] = (LIST, LOCK)) -> None:
        """Takes away what a command that was refused has put there.

        Nothing is touched where the work had begun.

        Args:
            beginnings: names of the files that are written before the work begins.
        """
        written = _names(self.path) - self.held
        if not written <= set(beginnings):
            return
        for name in written:
            (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):  # something else was put into it meanwhile
            for folder in self.made:
                folder.rmdir()


def missing_folders(path: Path) -> tuple[Path, ...]:
    """A folder and those above it, as far as they do not exist."""
    return tuple(folder for folder in (path, *path.parents) if not folder.exists())


def _names(folder: Path) -> set[str]:
    """What a folder holds; nothing where there is none, or where it can't be read."""
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()
