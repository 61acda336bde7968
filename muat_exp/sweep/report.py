"""What the terminal shows of a gathered sweep, and the same as Markdown."""

import os
import sys
from collections.abc import Sequence
from html import escape as escape_html
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from muat_exp.sweep.folder import PLOTS, TABLES
from muat_exp.sweep.gather import Row, Sweep
from muat_exp.sweep.jobs import FINISHED, MISSING, RUNNING, Job
from muat_exp.sweep.labels import Value, names, printable, shown
from muat_exp.sweep.results import Mean
from muat_exp.tables import number

_STATES = {
    RUNNING: "did not finish: it was stopped, or is still at work",
    MISSING: "was planned, but never began",
}
_COLUMNS = ("accepted", "acceptance", "degraded", "improved", "improvement", "paired", "attempts/s")
_LEGEND = (
    "± is half of a 95 % interval over subjects; "
    "paired: against the first value of the axis, over attempts trained in both"
)
_MARKDOWN_SIGNS = r"\`*_{}[]()#|~$"


def _with_half(mean: Mean) -> str:
    """A mean with half of the width of its interval."""
    text = number(mean.value)
    half = (mean.high - mean.low) / 2
    return text if text == "-" else f"{text} ± {number(half)}"


def _found(row: Row) -> list[str]:
    """The cells of what a job found."""
    result = row.result
    is_reference = row.pair.reference == row.job.number
    speed = result.attempts_per_second  # 0 where nothing was trained: continued
    return [
        f"{result.accepted} of {result.attempts}",
        f"{result.acceptance:.1%}",
        number(result.accuracies["degraded_accuracy"]),
        number(result.accuracies["improved_accuracy"]),
        _with_half(result.improvement),
        "-" if is_reference else _with_half(row.pair.difference),
        f"{speed:.0f}" if speed else "-",
    ]


def _swept(job: Job, sweep: Sweep) -> list[str]:
    """The cells of what was set for a job."""
    labels = sweep.labels
    values = job.swept(sweep.keys)
    return [_label(labels[key], value) for key, value in values.items()]


def _label(labels: dict[Value, str], value: Value) -> str:
    """The label of a swept value; of one that only a damaged file has, the value."""
    return labels.get(value, shown(value))


def markdown(sweep: Sweep) -> str:
    """The table of the jobs with results as Markdown, and what became of the others."""
    columns = ["job", *sweep.keys, *_COLUMNS]
    header = [_escape_markdown(column) for column in columns]
    right_aligned = ["---:"] * len(columns)
    lines = [header, right_aligned]
    for row in sweep.rows:
        cells = [*_swept(row.job, sweep), *_found(row)]
        lines.append([_linked(row.job), *map(_escape_markdown, cells)])
    table = "".join(_markdown_line(line) for line in lines) if sweep.rows else ""
    notes = "".join(f"- {_escape_markdown(sentence)}\n" for sentence in _sentences(sweep))
    parts = [table, f"{_LEGEND}.\n" if table else "", notes]
    return "\n".join(part for part in parts if part)


def _linked(job: Job) -> str:
    """A job's number, which leads to its folder."""
    return f"[{job.number}]({quote(os.fsencode(job.folder))})"


def _escape_markdown(text: str) -> str:
    r"""A text that Markdown shows as it stands.

    >>> _escape_markdown("a|b <i>")
    'a\\|b &lt;i&gt;'
    """
    html = escape_html(text, quote=False)
    return "".join(f"\\{sign}" if sign in _MARKDOWN_SIGNS else sign for sign in html)


def _markdown_line(cells: Sequence[str]) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(cells)} |\n"


def print_sweep(sweep: Sweep) -> None:
    """The table of the jobs with results, and what became of the others."""
    if sweep.rows:
        _print_table(sweep)
    for sentence in _sentences(sweep):
        print(sentence)


def print_place(sweep: Sweep, plots: int) -> None:
    """Where the files of a gathered sweep are, of whose plots so many were drawn."""
    told = {0: "no plots", len(PLOTS): "plots"}
    made = ", ".join([*TABLES, told.get(plots, f"{plots} of {len(PLOTS)} plots")])
    print(f"sweep: {os.path.relpath(sweep.folder)} ({made})", flush=True)


def _print_table(sweep: Sweep) -> None:
    """The table and its legend; of a search the best job, too."""
    width = None if sys.stdout.isatty() else 140
    console = Console(width=width)
    console.print(_table(sweep))
    console.print(_LEGEND)
    if sweep.searched:
        _print_best(sweep)


def _sentences(sweep: Sweep) -> list[str]:
    """What is wrong with the sweep, and what became of each job that did not finish well."""
    unfinished = [job for job in sweep.jobs if job.status != FINISHED]
    return [*map(printable, sweep.faults), *(_unfinished(job, sweep) for job in unfinished)]


def _unfinished(job: Job, sweep: Sweep) -> str:
    """What became of a job that did not finish."""
    reason = job.error or _STATES.get(job.status, "")
    cells = zip(sweep.keys, _swept(job, sweep), strict=True)
    swept = ", ".join(f"{key}={cell}" for key, cell in cells)
    return f"job {job.number} ({swept}) {job.status}: {reason}"


def _table(sweep: Sweep) -> Table:
    """The table of the jobs with results for the terminal."""
    swept = ", ".join(sweep.keys) or "nothing"
    table = Table(title=escape(f"Sweep over {swept}"), title_justify="left")
    many = len(sweep.keys) > 2
    short = names(sweep.keys, taken=["job", *_COLUMNS])
    keys = [short[key] if many else key for key in sweep.keys]
    for column in ["job", *keys, *_COLUMNS]:
        table.add_column(escape(column), justify="right")
    for row in sweep.rows:
        cells = [str(row.job.number), *_swept(row.job, sweep), *_found(row)]
        table.add_row(*map(escape, cells))
    return table


def _print_best(sweep: Sweep) -> None:
    """The job of a search with the highest objective."""
    best = max(sweep.rows, key=lambda row: row.result.objective)
    found = " ".join(f"{key}={value}" for key, value in best.swept.items())
    value = number(best.result.objective)
    print(f"best: job {best.job.number}, acceptance x improvement {value}: {found}")
