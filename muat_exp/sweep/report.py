"""What the terminal shows of a gathered sweep."""

import os
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from muat_exp.sweep.gather import Row, Sweep
from muat_exp.sweep.jobs import FINISHED, MISSING, RUNNING, read_plan, shown
from muat_exp.sweep.plots import short
from muat_exp.tables import number

_STATES = {
    RUNNING: "did not finish: it was stopped, or is still at work",
    MISSING: "was planned, but never began",
}


def _half(row: Row, name: str) -> str:
    """Half of the width of an interval."""
    low = row[f"{name}_low"]
    high = row[f"{name}_high"]
    return number((high - low) / 2)


def _cells(row: Row, keys: list[str]) -> list[str]:
    """One row of the table."""
    difference = "-"
    if row["paired_with"] != row["job"]:
        difference = f"{number(row['paired_difference'])} ± {_half(row, 'paired')}"
    speed = row["attempts_per_second"]  # 0 where nothing was trained: continued
    return [
        str(row["job"]),
        *(shown(row[key]) for key in keys),
        f"{row['accepted']} of {row['attempts']}",
        f"{row['acceptance']:.1%}",
        number(row["degraded_accuracy"]),
        number(row["improved_accuracy"]),
        f"{number(row['improvement'])} ± {_half(row, 'improvement')}",
        difference,
        f"{speed:.0f}" if speed else "-",
    ]


_COLUMNS = ("accepted", "acceptance", "degraded", "improved", "improvement", "paired", "attempts/s")
_LEGEND = (
    "± is half of a 95 % interval over subjects; "
    "paired: against the first value of the axis, over attempts trained in both"
)


def markdown(sweep: Sweep) -> str:
    """The table of the finished jobs as Markdown."""
    columns = ["job", *sweep.keys, *_COLUMNS]
    lines = [columns, ["---:"] * len(columns)]
    for row in sweep.rows:
        lines.append(_cells(row, sweep.keys))
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{table}\n{_LEGEND}.\n"


def print_sweep(sweep: Sweep) -> None:
    """The table of the finished jobs, what became of the others, and where the plots are."""
    if sweep.rows:
        console = Console(width=None if sys.stdout.isatty() else 140)
        console.print(_table(sweep))
        console.print(_LEGEND)
    if sweep.rows and not read_plan(sweep.folder):  # a search
        _print_best(sweep)
    for job in sweep.jobs:
        if job.status != FINISHED:
            reason = job.error or _STATES.get(job.status, "")
            values = ", ".join(f"{key}={job.values.get(key, '')}" for key in sweep.keys)
            print(f"job {job.number} ({values}) {job.status}: {reason}")
    drawn = "plots" if sweep.rows else "no plots"
    print(f"sweep: {os.path.relpath(sweep.folder)} (sweep.csv, sweep.json, {drawn})")


def _table(sweep: Sweep) -> Table:
    """The table of the finished jobs for the terminal."""
    table = Table(title=f"Sweep over {', '.join(sweep.keys) or 'nothing'}", title_justify="left")
    keys = sweep.keys if len(sweep.keys) < 3 else [short(key) for key in sweep.keys]
    for column in ["job", *keys, *_COLUMNS]:
        table.add_column(column, justify="right")
    for row in sweep.rows:
        table.add_row(*map(escape, _cells(row, sweep.keys)))
    return table


def _print_best(sweep: Sweep) -> None:
    """The job of a search with the highest objective."""
    best = max(sweep.rows, key=lambda row: row["objective"])
    found = " ".join(f"{key}={best[key]}" for key in sweep.keys)
    value = number(best["objective"])
    print(f"best: job {best['job']}, acceptance x improvement {value}: {found}")
