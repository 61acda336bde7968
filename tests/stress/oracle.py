"""What must hold of every command, whatever was done to it."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from stress.processes import Done

_TRACEBACK = "Traceback (most recent call last)"
_FRAME = re.compile(r'File "[^"]*?/(muat_exp/[^"]+)", line (\d+), in (\S+)')
_SENTENCE = re.compile(r"^(error: |\S+: error: |interrupted: |job \d+ failed: ).+", re.MULTILINE)
_INTERNALS = ("Error executing job", "Error in call to target", "Fatal Python error")
ENDS = (0, 1, 2)  # exit codes of a command that nobody interrupted


def faults_of(done: Done, ends: tuple[int, ...] = ENDS) -> Iterator[str]:
    """A line for each way in which a command did not end as it should."""
    if done.ended_by_us:
        yield f"took too much {done.ended_by_us}"
        return
    if _TRACEBACK in done.err or _TRACEBACK in done.out:
        yield f"traceback: {_summary(done.err + done.out)}"
    elif any(text in done.err for text in _INTERNALS):
        yield f"shows its internals: {done.err.strip().splitlines()[0][:120]}"
    elif done.code not in ends:
        yield f"exit code {done.code}{_last_line(done.err)}"
    elif done.code != 0 and not _SENTENCE.search(done.err):
        yield f"exit code {done.code} without a sentence"


def _last_line(text: str) -> str:
    """The last line of what was said, to be added to a fault; empty where nothing was."""
    lines = text.strip().splitlines()
    return f": {lines[-1][:160]}" if lines else ""


def _summary(text: str) -> str:
    """The error of the last traceback, and the last line of ours that it passed through."""
    last = text.rpartition(_TRACEBACK)[2]
    frames = _FRAME.findall(last)
    error = ""
    for line in last.splitlines()[1:]:
        if line and not line.startswith((" ", "\t")):
            error = line
            break
    place = ""
    if frames:
        file, line, function = frames[-1]
        place = f" ({file}:{line} {function})"
    return f"{error[:140]}{place}"


def fingerprint(folder: Path) -> dict[str, str]:
    """Everything below a folder by name: what it is, and a digest of what a file holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_dir():
            found[name] = "folder"
        elif path.is_file():
            found[name] = _digest(path)
        else:
            found[name] = "something else"
    return found


def _digest(path: Path) -> str:
    """The digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """A word on every name that is new, missing or not what it was."""
    told = []
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            told.append(f"{name} is gone")
        elif name not in before:
            told.append(f"{name} is new")
        elif before[name] != after[name]:
            told.append(f"{name} has changed")
    return told
