"""What a person sees of a run while it works."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
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


class _NotebookLine:
    """One line that is written over and over, for the output of a notebook's cell."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.description = "starting"
        self.width = 0

    def note(self, text: str) -> None:
        """See `Reporter`."""
        self.description = text
        self._write(text)

    def update(self, accepted: int, attempts: int, seconds: float) -> None:
        """See `Reporter`."""
        detail = _progress_text(accepted, self.target, attempts, seconds)
        done = f"{_bar(accepted, self.target)} {accepted}/{self.target} examples"
        self._write(f"{self.description}: {done}  {detail}")

    def _write(self, text: str) -> None:
        """Spaces wipe out what a longer text left."""
        print("\r" + text.ljust(self.width), end="", flush=True)
        self.width = len(text)

    def remark(self, text: str) -> None:
        """See `Reporter`."""
        self._write(text)
        self.close()

    def close(self) -> None:
        """Ends the line."""
        print(flush=True)
        self.width = 0


def _bar(done: int, target: int) -> str:
    """How far it is, in 20 characters.

    >>> _bar(1, 4)
    '█████░░░░░░░░░░░░░░░'
    """
    full = min(20, 20 * done // target)
    return "█" * full + "░" * (20 - full)


@contextmanager
def reporter(target: int, shown: bool) -> Iterator[Reporter]:
    """The display that suits the output of a command."""
    if not shown:
        yield _Remarks()
    elif _is_terminal():
        with _live(target) as display:
            yield display
    else:
        yield _Lines(target)


@contextmanager
def callers_reporter(given: Reporter | None, target: int, shown: bool) -> Iterator[Reporter]:
    """The caller's own reporter, or the display that suits his output.

    That is none where nobody looks at it.
    """
    if given is not None:
        yield given
    elif not shown:
        yield Silent()
    elif _is_notebook():
        line = _NotebookLine(target)
        try:
            yield line
        finally:
            line.close()
    elif _is_terminal():
        with _live(target) as display:
            yield display
    else:
        yield Silent()


@contextmanager
def _live(target: int) -> Iterator[_Live]:
    """A line with a bar that vanishes at the end."""
    description = TextColumn("{task.description}")
    detail = TextColumn("{task.fields[detail]}")
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), detail)
    # A console of its own, as the caller may have a display on the one that rich shares.
    with Progress(*columns, transient=True, console=Console()) as progress:
        yield _Live(target, progress)


def _is_terminal() -> bool:
    """Whether somebody looks at the output; nobody does where it is absent or closed."""
    try:
        return sys.stdout.isatty()
    except (AttributeError, ValueError):
        return False


def _is_notebook() -> bool:
    """Whether the output is that of a notebook's cell: Jupyter, Colab and others have a kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")
