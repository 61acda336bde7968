"""What the terminal shows of a gathered sweep."""

import os
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from muat_exp.sweep.gather import Row, Sweep
from muat_exp.sweep.jobs import FINISHED, MISSING, RUNNING, Job, read_plan, shown
from muat_exp.sweep.plots import short
from muat_exp.tables import number

_STATES = {
    RUNNING: "did not finish: it was stopped, or is still at work",
    MISSING: "was planned, but never began",
}


def _with_half(row: Row, mean: str, interval: str) -> str:
    """A mean with half of the width of its interval."""
    low = row[f"{interval}_low"]
    high = row[f"{interval}_high"]
    half = (high - low) / 2
    return f"{number(row[mean])} ± {number(half)}"


def _cells(row: Row, keys: list[str]) -> list[str]:
    """One row of the table."""
    is_reference = row["paired_with"] == row["job"]
    speed = row["attempts_per_second"]  # 0 where nothing was trained: continued
    return [
        str(row["job"]),
        *(shown(row[key]) for key in keys),
        f"{row['accepted']} of {row['attempts']}",
        f"{row['acceptance']:.1%}",
        number(row["degraded_accuracy"]),
        number(row["improved_accuracy"]),
        _with_half(row, "improvement", "improvement"),
        "-" if is_reference else _with_half(row, "paired_difference", "paired"),
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
    right_aligned = ["---:"] * len(columns)
    rows = [_cells(row, sweep.keys) for row in sweep.rows]
    table = "".join(_markdown_line(line) for line in [columns, right_aligned, *rows])
    return f"{table}\n{_LEGEND}.\n"


def _markdown_line(cells: list[str]) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(cells)} |\n"


def print_sweep(sweep: Sweep) -> None:
    """The table of the finished jobs, what became of the others, and where the plots are."""
    if sweep.rows:
        _print_table(sweep)
    for job in sweep.jobs:
        if job.status != FINISHED:
            print(_unfinished(job, sweep.keys))
    drawn = "plots" if sweep.rows else "no plots"
    print(f"sweep: {os.path.relpath(sweep.folder)} (sweep.csv, sweep.json, {drawn})")


def _print_table(sweep: Sweep) -> None:
    """The table of the finished jobs and its legend; of a search the best job, too."""
    width = None if sys.stdout.isatty() else 140
    console = Console(width=width)
    console.print(_table(sweep))
    console.print(_LEGEND)
    is_search = not read_plan(sweep.folder)
    if is_search:
        _print_best(sweep)


def _unfinished(job: Job, keys: list[str]) -> str:
    """What became of a job that did not finish."""
    reason = job.error or _STATES.get(job.status, "")
    values = job.values
    swept = ", ".join(f"{key}={values.get(key, '')}" for key in keys)
    return f"job {job.number} ({swept}) {job.status}: {reason}"


def _table(sweep: Sweep) -> Table:
    """The table of the finished jobs for the terminal."""
    swept = ", ".join(sweep.keys) or "nothing"
    table = Table(title=f"Sweep over {swept}", title_justify="left")
    many = len(sweep.keys) > 2
    keys = [short(key) for key in sweep.keys] if many else sweep.keys
    for column in ["job", *keys, *_COLUMNS]:
        table.add_column(column, justify="right")
    for row in sweep.rows:
        cells = _cells(row, sweep.keys)
        table.add_row(*map(escape, cells))
    return table


def _print_best(sweep: Sweep) -> None:
    """The job of a search with the highest objective."""
    best = max(sweep.rows, key=lambda row: row["objective"])
    found = " ".join(f"{key}={best[key]}" for key in sweep.keys)
    value = number(best["objective"])
    print(f"best: job {best['job']}, acceptance x improvement {value}: {found}")
