"""What a person sees of a run: a display while it works, a short table at the end."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

_ACCURACIES = (
    ("validation accuracy", "degraded_accuracy", "improved_accuracy"),
    ("test accuracy", "degraded_test_accuracy", "test_accuracy"),
)


class Reporter(Protocol):
    """Told of a run's progress."""

    def note(self, text: str) -> None:
        """Says what is being done."""

    def update(self, accepted: int, attempts: int, seconds: float) -> None:
        """Tells examples found, attempts made, and seconds of work so far."""


def _progress_text(accepted: int, target: int, attempts: int, seconds: float) -> str:
    """Attempts per second, acceptance, and time left, as far as they are known."""
    if not attempts or not seconds:
        return ""
    text = f"{attempts / seconds:.0f} attempts/s, acceptance {accepted / attempts:.0%}"
    if accepted:
        text += f", {max(0, target - accepted) * seconds / accepted:.0f} s left"
    return text


class Silent:
    """Says nothing."""

    def note(self, text: str) -> None:
        """See `Reporter`."""

    def update(self, accepted: int, attempts: int, seconds: float) -> None:
        """See `Reporter`."""


class _Lines:
    """Plain lines, at most one per second, for outputs that are not a terminal."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.last = 0.0

    def note(self, text: str) -> None:
        """See `Reporter`."""
        print(text, flush=True)

    def update(self, accepted: int, attempts: int, seconds: float) -> None:
        """See `Reporter`."""
        if accepted < self.target and time.monotonic() - self.last < 1:
            return
        self.last = time.monotonic()
        known = _progress_text(accepted, self.target, attempts, seconds)
        print(f"{accepted}/{self.target} examples" + (f", {known}" if known else ""), flush=True)


class _Live:
    """One live line on a terminal."""

    def __init__(self, target: int, progress: Progress) -> None:
        self.target = target
        self.progress = progress
        self.task = progress.add_task("starting", total=target, detail="")

    def note(self, text: str) -> None:
        """See `Reporter`."""
        self.progress.update(self.task, description=text)

    def update(self, accepted: int, attempts: int, seconds: float) -> None:
        """See `Reporter`."""
        self.progress.update(
            self.task,
            completed=accepted,
            detail=_progress_text(accepted, self.target, attempts, seconds),
        )


@contextmanager
def reporter(target: int, shown: bool) -> Iterator[Reporter]:
    """The display that suits the output."""
    if not shown:
        yield Silent()
    elif not sys.stdout.isatty():
        yield _Lines(target)
    else:
        description = TextColumn("{task.description}")
        detail = TextColumn("{task.fields[detail]}")
        columns = (description, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), detail)
        with Progress(*columns, transient=True) as progress:
            yield _Live(target, progress)


def print_summary(summary: Mapping[str, Any], dataset: str) -> None:
    """The closing table, where the dataset is, and the line of Python that loads it."""
    table = Table(title="Run", show_header=False, title_justify="left")
    table.add_row("accepted", f"{summary['accepted']} of {summary['asked']} asked")
    surplus = f", and {summary['surplus']} surplus" if summary["surplus"] else ""
    table.add_row(
        "attempts", f"{summary['attempts']} (acceptance {summary['acceptance']:.1%}){surplus}"
    )
    table.add_row(
        "rejected", ", ".join(f"{reason} {count}" for reason, count in summary["rejected"].items())
    )
    for name, degraded, improved in _ACCURACIES:
        before = summary["accuracy"][degraded]
        after = summary["accuracy"][improved]
        if before is not None:
            table.add_row(name, f"degraded {before:.3f}, improved {after:.3f}")
    compiling = summary["seconds"].get("compilation", 0.0)
    before = f", after {compiling:.0f} of compiling" if compiling > 1 else ""
    table.add_row(
        "seconds",
        f"{summary['seconds']['total']:.1f} "
        f"({summary['attempts_per_second']:.0f} attempts/s){before}",
    )
    console = Console(soft_wrap=True)
    console.print(table)
    print_location(dataset, next(iter(summary["splits"]), "train"))


def print_location(dataset: str, split: str = "train") -> None:
    """Where a dataset is, and the line of Python that loads it."""
    print(f"dataset: {dataset}")
    print(f'load it: datasets.load_dataset("{dataset}", split="{split}")')


def print_brief(summary: Mapping[str, Any]) -> None:
    """One line for a job of a sweep."""
    improvement = summary["accuracy"]["improvement"]
    gained = "" if improvement is None else f", improvement {improvement:.3f}"
    print(
        f"  accepted {summary['accepted']} of {summary['attempts']} attempts{gained}, "
        f"{summary['seconds']['total']:.1f} s",
        flush=True,
    )
