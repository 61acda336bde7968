"""The manifest of a run: which cohorts were planned, which are finished, by whom, their checksums.

One line per event, appended and flushed to the disk: a CRC-32 of the rest of the line, then a JSON
object. What follows a torn or damaged line is passed over: those cohorts are planned and made
again, with the same result.
"""

import os
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from muat_exp.errors import RunFolderError
from muat_exp.files import file_digest
from muat_exp.maker import Maker


def _to_line(entry: dict[str, Any]) -> bytes:
    """An entry as a line that carries its own checksum."""
    content = orjson.dumps(entry)
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _parse_line(line: bytes) -> object:
    """The entry of a line, or None where a byte of it is wrong.

    >>> _parse_line(_to_line({"cohort": 0}))
    {'cohort': 0}
    >>> _parse_line(_to_line({"cohort": 0})[:-3])
    """
    checksum, _, content = line.removesuffix(b"\n").partition(b" ")
    expected = b"%08x" % zlib.crc32(content)
    if not line.endswith(b"\n") or checksum != expected:
        return None
    return orjson.loads(content)


class Manifest:
    """The manifest file at a path; safe to write from several threads.

    Attributes:
        plans: attempts of each queue, one list per cohort in the order of their numbers.
        digests: checksums of the finished cohorts' files by number.
        makers: who made the finished cohorts by number.
    """

    def __init__(self, path: Path) -> None:
        """Reads what is there.

        Raises:
            RunFolderError: something else than a file is at the path.
        """
        self.path = path
        self.lock = threading.Lock()
        self.plans: list[list[int]] = []
        self.digests: dict[int, str] = {}
        self.makers: dict[int, Maker] = {}
        self._known: list[Maker] = []  # lines of finished cohorts refer to these by their places
        self._sound = 0  # bytes that are whole lines; what follows them is cut off by the next one
        for line in _read(path).splitlines(keepends=True):
            entry = _parse_line(line)
            if entry is None or not self._note(entry):
                break
            self._sound += len(line)

    def _note(self, entry: object) -> bool:
        """Takes in one entry; returns whether it is one that this class writes."""
        match entry:
            case {"cohort": int(), "attempts": list(attempts)}:
                self.plans.append(attempts)
            case {"versions": dict(versions), "processor": str(processor)}:
                self._known.append(Maker(versions, processor))
            case {"cohort": int(number), "blake2b": str(digest), "maker": int(place)} if (
                0 <= place < len(self._known)
            ):
                self.digests[number] = digest
                self.makers[number] = self._known[place]
            case _:
                return False
        return True

    def _append(self, entry: dict[str, Any]) -> None:
        """Adds an entry, on the disk when this returns; the lock is held."""
        line = _to_line(entry)
        with self.path.open("ab") as file:
            file.truncate(self._sound)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._sound += len(line)
        self._note(entry)

    def plan(self, counts: Iterable[int]) -> None:
        """Notes that the next cohort makes so many attempts of each queue."""
        attempts = [int(count) for count in counts]
        with self.lock:
            self._append({"cohort": len(self.plans), "attempts": attempts})

    def finish(self, number: int, path: Path, maker: Maker) -> None:
        """Notes that a cohort's file is complete, and who made it."""
        digest = file_digest(path)
        entry = {"cohort": number, "file": path.name, "blake2b": digest}
        with self.lock:
            if maker not in self._known:
                self._append(maker.to_dict())
            self._append({**entry, "maker": self._known.index(maker)})

    def vouches_for(self, number: int, path: Path) -> bool:
        """Whether a cohort's file is there with the bytes that were written."""
        digest = self.digests.get(number)
        if digest is None or not path.is_file():
            return False
        return file_digest(path) == digest


def _read(path: Path) -> bytes:
    """The bytes of a manifest; none where it is missing.

    Raises:
        RunFolderError: something else than a file is in its place.
    """
    if not os.path.lexists(path):
        return b""
    if not path.is_file():
        raise RunFolderError(f"{path} is no file, but the list of a run's cohorts is to go there.")
    return path.read_bytes()
