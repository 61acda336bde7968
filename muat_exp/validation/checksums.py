"""Compares the files of a dataset with its SHA256SUMS."""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from muat_exp.dataset.checksums import CHECKSUMS, dataset_files
from muat_exp.dataset.faults import Faults
from muat_exp.files import file_sha256
from muat_exp.validation.places import text_problem

_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")  # as `sha256sum` writes it, of a text or in binary


def check_checksums(folder: Path, faults: Faults, complete: bool = True) -> int:
    """Compares the files with their checksums; returns how many were compared.

    Args:
        folder: the dataset's.
        faults: takes what is wrong.
        complete: whether every file must be listed; else only those that hold examples.
    """
    path = folder / CHECKSUMS
    problem = text_problem(path)
    if problem:
        faults.add("checksums", f"{CHECKSUMS} {problem}: files can't be checked.")
        return 0
    noted = _read(path, faults)
    there = {name: file for name, file in dataset_files(folder).items() if name != CHECKSUMS}
    for name in _unlisted(noted, there, complete):
        faults.add("checksums", f"{name} is not in {CHECKSUMS}.")
    compared = 0
    for name, digest in sorted(noted.items()):
        if name not in there:
            state = "is no file" if os.path.lexists(folder / name) else "is missing"
            faults.add("checksums", f"{name} {state}.")
            continue
        compared += 1
        if not _has_digest(there[name], digest):
            sentence = "does not have its checksum: it was changed or damaged."
            faults.add("checksums", f"{name} {sentence}")
    return compared


def _read(path: Path, faults: Faults) -> dict[str, str]:
    """The checksums by name; a line that is none, or names nothing in the folder, is a fault."""
    noted: dict[str, str] = {}
    # Names of files need not be UTF-8, and may hold what `splitlines` takes for the end of a line.
    lines = path.read_text("utf-8", "surrogateescape").split("\n")
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        if found is None:
            if line:
                faults.add("checksums", f"{CHECKSUMS}, line {number}: it is no checksum.")
            continue
        digest, name = found.groups()
        if _leads_out(name):
            sentence = f"{name} is not a file within the dataset."
            faults.add("checksums", f"{CHECKSUMS}, line {number}: {sentence}")
        elif name in noted:
            faults.add("checksums", f"{CHECKSUMS}, line {number}: {name} is listed twice.")
        else:
            noted[name] = digest
    return noted


def _leads_out(name: str) -> bool:
    """Whether a name is not one of a file below the folder."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or name == CHECKSUMS


def _unlisted(noted: dict[str, str], there: dict[str, Path], complete: bool) -> Iterator[str]:
    """Names of the files that should be listed and are not."""
    for name in sorted(there.keys() - noted.keys()):
        if complete or name.endswith(".parquet"):
            yield name


def _has_digest(path: Path, digest: str) -> bool:
    """Whether a file can be read and has this SHA-256."""
    try:
        return file_sha256(path) == digest
    except OSError:
        return False
