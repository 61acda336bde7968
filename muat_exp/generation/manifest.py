"""The manifest of a run: which cohorts were planned, which are finished, and their checksums.

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

from muat_exp.files import file_digest


def _to_line(entry: dict[str, Any]) -> bytes:
    """An entry as a line that carries its own checksum."""
    content = orjson.dumps(entry)
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _parse_line(line: bytes) -> dict[str, Any] | None:
    """The entry of a line, or None where a byte of it is wrong.

    >>> _parse_line(_to_line({"cohort": 0}))
    {'cohort': 0}
    >>> _parse_line(_to_line({"cohort": 0})[:-3])
    """
    checksum, _, content = line.removesuffix(b"\n").partition(b" ")
    expected = b"%08x" % zlib.crc32(content)
    if not line.endswith(b"\n") or checksum != expected:
        return None
    return orjson.loads(content)  # type: ignore[no-any-return]


class Manifest:
    """The manifest file at a path; safe to write from several threads.

    Attributes:
        plans: attempts of each queue, one list per cohort in the order of their numbers.
        digests: checksums of the finished cohorts' files by number.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.plans: list[list[int]] = []
        self.digests: dict[int, str] = {}
        self.sound = 0  # bytes that are whole lines; what follows them is cut off by the next one
        content = path.read_bytes() if path.exists() else b""
        for line in content.splitlines(keepends=True):
            entry = _parse_line(line)
            if entry is None:
                break
            self.sound += len(line)
            self.note(entry)

    def note(self, entry: dict[str, Any]) -> None:
        """Takes in one entry."""
        if "attempts" in entry:
            self.plans.append(entry["attempts"])
        else:
            self.digests[entry["cohort"]] = entry["blake2b"]

    def append(self, entry: dict[str, Any]) -> None:
        """Adds an entry, on the disk when this returns."""
        with self.lock:
            line = _to_line(entry)
            with self.path.open("ab") as file:
                file.truncate(self.sound)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            self.sound += len(line)
            self.note(entry)

    def plan(self, counts: Iterable[int]) -> None:
        """Notes that the next cohort makes so many attempts of each queue."""
        attempts = [int(count) for count in counts]
        self.append({"cohort": len(self.plans), "attempts": attempts})

    def finish(self, number: int, path: Path) -> None:
        """Notes that a cohort's file is complete."""
        digest = file_digest(path)
        self.append({"cohort": number, "file": path.name, "blake2b": digest})

    def vouches_for(self, number: int, path: Path) -> bool:
        """Whether a cohort's file is there with the bytes that were written."""
        digest = self.digests.get(number)
        if digest is None or not path.is_file():
            return False
        return file_digest(path) == digest
