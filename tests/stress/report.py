"""What was tried and what failed: in the terminal, and in docs/reliability.md."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stress.case import Kind

DOCUMENT = Path(__file__).parents[2] / "docs/reliability.md"
_BEGIN = "<!-- figures: written by `make stress STRESS=--write` -->"
_END = "<!-- end of the figures -->"
_MAX_FAILURES = 40  # that the terminal shows one by one
_DETAIL = re.compile(r"\d+(\.\d+)?")


@dataclass
class Result:
    """What came of a case.

    Attributes:
        kind: its kind's name.
        number: its number.
        what: what was tried.
        group: the name under which it is counted.
        commands: what was typed where something did not hold.
        faults: what did not hold.
        seconds: how long it took.
    """

    kind: str
    number: int
    what: str = ""
    group: str = ""
    commands: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """What `--only` takes."""
        return f"{self.kind}:{self.number}"


@dataclass(frozen=True)
class Figures:
    """All results, and how they came about.

    Attributes:
        results: of all cases.
        kinds: by name.
        seed: what the cases were drawn from.
        seconds: from the first to the last.
    """

    results: Sequence[Result]
    kinds: Mapping[str, Kind]
    seed: int
    seconds: float

    def of(self, kind: str) -> list[Result]:
        """The results of a kind."""
        return [result for result in self.results if result.kind == kind]


def print_report(figures: Figures) -> None:
    """Prints the failures, each with what tries it again, and the table."""
    console = Console(soft_wrap=True, highlight=False)
    failed = [result for result in figures.results if result.faults]
    for fault, cases in _by_fault(failed):
        first = cases[0]
        console.print(f"{len(cases)} x {fault}", markup=False)
        console.print(f"    {first.name}: {first.what[:200]}", markup=False)
        for command in first.commands[:1]:
            console.print(f"    {command[:300]}", markup=False)
        names = " ".join(case.name for case in cases[:_MAX_FAILURES])
        again = f"python -m stress --seed {figures.seed} --only '{names}'"
        console.print(f"    again: {again}", markup=False)
    console.print(_table(figures))


def _by_fault(failed: Iterable[Result]) -> list[tuple[str, list[Result]]]:
    """The failed cases by what did not hold, the most frequent first."""
    cases: dict[str, list[Result]] = {}
    for result in failed:
        for fault in dict.fromkeys(result.faults):
            shown = fault if len(fault) < 300 else f"{fault[:300]}..."
            key = next((known for known in cases if _alike(known, shown)), shown)
            cases.setdefault(key, []).append(result)
    return sorted(cases.items(), key=lambda pair: -len(pair[1]))


def _alike(first: str, second: str) -> bool:
    """Whether two faults are the same but for the numbers in them."""
    return _DETAIL.sub("#", first) == _DETAIL.sub("#", second)


def _table(figures: Figures) -> Table:
    """A row for each kind that was tried."""
    table = Table("kind", "what was tried", title=f"Stress, seed {figures.seed}")
    for name in ("cases", "failed", "seconds"):
        table.add_column(name, justify="right")
    for name, kind in figures.kinds.items():
        results = figures.of(name)
        if results:
            table.add_row(name, kind.doc, *_counts(results))
    table.add_section()
    table.add_row("all", "", *_counts(figures.results))
    return table


def _counts(results: Sequence[Result]) -> tuple[str, str, str]:
    """Cases, failed ones, and seconds of all of them together."""
    failed = sum(bool(result.faults) for result in results)
    seconds = sum(result.seconds for result in results)
    return str(len(results)), str(failed), f"{seconds:.0f}"


def write_section(figures: Figures, document: Path = DOCUMENT) -> None:
    """Writes the figures into the document, between their two marks.

    Raises:
        ValueError: the document lacks the marks.
    """
    text = document.read_text("utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{document} lacks the marks {_BEGIN} and {_END}")
    document.write_text(f"{before}{begin}\n\n{_markdown(figures)}\n{end}{after}", "utf-8")


def _markdown(figures: Figures) -> str:
    """The figures as Markdown: a row for each kind, and one for each group of its cases."""
    minutes = figures.seconds / 60
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    lines = [
        f"Seed {figures.seed}, {minutes:.0f} minutes; {machine}.",
        "",
        "| Kind | What was tried | Cases | Failed |",
        "|---|---|---:|---:|",
    ]
    for name, kind in figures.kinds.items():
        results = figures.of(name)
        cases, failed, _ = _counts(results)
        lines.append(f"| {name} | {kind.doc} | {cases} | {failed} |")
    cases, failed, _ = _counts(figures.results)
    lines += [f"| all | | {cases} | {failed} |", ""]
    return "\n".join([*lines, *_groups(figures)])


def _groups(figures: Figures) -> list[str]:
    """For each kind a line that counts its groups."""
    lines = []
    for name in figures.kinds:
        counts: dict[str, list[Result]] = {}
        for result in figures.of(name):
            counts.setdefault(result.group, []).append(result)
        told = [f"{group} {_share(cases)}" for group, cases in sorted(counts.items())]
        lines += [f"- **{name}**: {'; '.join(told)}."]
    return [*lines, ""]


def _share(cases: Sequence[Result]) -> str:
    """How many cases a group has, and how many of them failed where some did."""
    failed = sum(bool(case.faults) for case in cases)
    return f"{len(cases)} ({failed} failed)" if failed else str(len(cases))
