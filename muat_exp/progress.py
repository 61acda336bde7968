"""What a person sees of a run while it works."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Reporter(Protocol):
    """Told of a run's progress."""

    def note(self, text: str) -> None:
        """Says what is being done."""

    def remark(self, text: str) -> None:
        """Says what remains to be read, such as a reason to doubt the result."""

    def update(self, accepted: int, attempts: int, seconds: float) -> None:
        """Tells examples found, attempts made, and seconds of work so far."""


def _progress_text(accepted: int, target: int, attempts: int, seconds: float) -> str:
    """Attempts per second, acceptance, and time left, as far as they are known."""
    if not attempts or not seconds:
        return ""
    speed = attempts / seconds
    acceptance = accepted / attempts
    text = f"{speed:.0f} attempts/s, acceptance {acceptance:.0%}"
    if accepted:
        missing = max(0, target - accepted)
        left = missing * seconds / accepted
        text += f", {left:.0f} s left"
    return text


class Silent:
    """Says nothing."""

    def note(self, text: str) -> None:
        """See `Reporter`."""

    def remark(self, text: str) -> None:
        """See `Reporter`."""

    def update(self, accepted: int, attempts: int, seconds: float) -> None:
        """See `Reporter`."""


class _Remarks(Silent):
    """Says what remains to be read, and nothing else."""

    def remark(self, text: str) -> None:
        """See `Reporter`."""
        print(text, flush=True)


class _Lines:
    """Plain lines, at most one per second, for outputs that are not a terminal."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.last = 0.0

    def note(self, text: str) -> None:
        """See `Reporter`."""
        print(text, flush=True)

    def remark(self, text: str) -> None:
        """See `Reporter`."""
        print(text, flush=True)

    def update(self, accepted: int, attempts: int, seconds: float) -> None:
        """See `Reporter`."""
        moment = time.monotonic()
        if accepted < self.target and moment - self.last < 1:
            return
        self.last = moment
        text = f"{accepted}/{self.target} examples"
        known = _progress_text(accepted, self.target, attempts, seconds)
        if known:
            text += f", {known}"
        print(text, flush=True)


class _Live:
    """One live line on a terminal."""

    def __init__(self, target: int, progress: Progress) -> None:
        self.target = target
        self.progress = progress
        self.task = progress.add_task("starting", total=target, detail="")

    def note(self, text: str) -> None:
        """See `Reporter`."""
        self.progress.update(self.task, description=text)

    def remark(self, text: str) -> None:
        """See `Reporter`."""
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, accepted: int, attempts: int, seconds: float) -> None:
        """See `Reporter`."""
        detail = _progress_text(accepted, self.target, attempts, seconds)
        self.progress.update(self.task, completed=accepted, detail=detail)


@contextmanager
def reporter(target: int, shown: bool) -> Iterator[Reporter]:
    """The display that suits the output."""
    if not shown:
        yield _Remarks()
    elif not sys.stdout.isatty():
        yield _Lines(target)
    else:
        description = TextColumn("{task.description}")
        detail = TextColumn("{task.fields[detail]}")
        columns = (description, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), detail)
        with Progress(*columns, transient=True) as progress:
            yield _Live(target, progress)
