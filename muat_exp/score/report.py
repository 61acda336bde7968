"""What a person sees of a score: tables in the terminal."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from muat_exp.score import classification, modification
from muat_exp.score.intervals import Interval
from muat_exp.score.judge import Score
from muat_exp.tables import number, terminal_table

_Summary = TypeVar("_Summary", classification.Summary, modification.Summary)
_Rows = Sequence[tuple[str, Callable[[_Summary], str]]]  # what stands before each, and its cells

# What stands above each column, and whose summary it shows: the answers' own ("") or a baseline's.
_CLASSIFICATION_COLUMNS = {
    "predictions": "",
    "majority": "majority",
    "uniform": "uniform",
    "truth": "truth",
}
_MODIFICATION_COLUMNS = {"predictions": "", "copied": "copy", "truth": "truth"}

# The rows of the first table of each kind.
_CLASSIFICATION_ROWS: _Rows[classification.Summary] = (
    ("exact match", lambda summary: _figure(summary.exact_match)),
    ("  95 % interval", lambda summary: between(summary.exact_match_interval)),
    ("macro F1", lambda summary: _figure(summary.macro_f1)),
    ("examples", lambda summary: str(summary.examples)),
)
_MODIFICATION_ROWS: _Rows[modification.Summary] = (
    ("balanced accuracy before", lambda summary: _figure(summary.before)),
    ("balanced accuracy after", lambda summary: _figure(summary.after)),
    ("mean gain", lambda summary: _figure(summary.gain)),
    ("  95 % interval", lambda summary: between(summary.gain_interval)),
    ("share improved", lambda summary: _figure(summary.improved)),
    ("  95 % interval", lambda summary: between(summary.improved_interval)),
    ("improvement recovered", lambda summary: _figure(summary.recovered)),
    ("other behaviour changed", lambda summary: _figure(summary.changed_from_degraded)),
    ("  apart from improved", lambda summary: _figure(summary.changed_from_improved)),
    ("examples", lambda summary: str(summary.examples)),
)


def print_score(score: Score) -> None:
    """Prints the tables of a score."""
    console = Console(soft_wrap=True)
    tables: list[Table] = []
    if score.classification:
        tables += _classification_tables(score.classification)
    if score.modification:
        tables += _modification_tables(score.modification)
    for table in tables:
        console.print(table)


def _figure(value: float | None) -> str:
    """A number; nothing where there is none."""
    return number(value, absent="")


def between(interval: Interval | None) -> str:
    """An interval; nothing where there is none.

    >>> between((0.4, 0.6))
    '0.40 to 0.60'
    """
    if interval is None:
        return ""
    low, high = interval
    return f"{low:.2f} to {high:.2f}"


def _classification_tables(score: classification.ClassificationScore) -> list[Table]:
    """Overall figures beside the baselines, patterns, splits, confusions."""
    tables = [_classification_overview(score), _pattern_table(score.patterns)]
    if score.splits:
        tables.append(_split_table(score.splits))
    if score.confusions:
        tables.append(_confusion_table(score))
    return tables


def _overview(
    title: str, columns: Mapping[str, str], rows: _Rows[_Summary], all_of: Mapping[str, _Summary]
) -> Table:
    """Overall figures beside the baselines; `all_of` holds the summaries by whose they are."""
    shown = [all_of[name] for name in columns.values()]
    table = terminal_table(title, [""], list(columns))
    for label, cell in rows:
        table.add_row(label, *map(cell, shown))
    return table


def _classification_overview(score: classification.ClassificationScore) -> Table:
    """Overall figures beside the baselines, and what was not answered."""
    overall = score.overall
    summaries = {"": overall, **score.baselines}
    table = _overview("Classification", _CLASSIFICATION_COLUMNS, _CLASSIFICATION_ROWS, summaries)
    table.add_row("missing (wrong)", str(overall.missing))
    table.add_row("unparseable (wrong)", str(overall.unparseable))
    return table


def _pattern_table(patterns: Mapping[str, classification.PatternScore]) -> Table:
    """One row per pattern."""
    columns = ("precision", "recall", "F1", "examples", "answers")
    table = terminal_table("By pattern", ["pattern"], columns)
    for name, score in patterns.items():
        figures = map(_figure, (score.precision, score.recall, score.f1))
        counts = map(str, (score.support, score.answers))
        table.add_row(name, *figures, *counts)
    return table


def _split_table(splits: Mapping[str, classification.Summary]) -> Table:
    """One row per split."""
    columns = ("examples", "missing", "exact match", "95 % interval", "macro F1")
    table = terminal_table("By split", ["split"], columns)
    for name, summary in splits.items():
        table.add_row(
            name,
            str(summary.examples),
            str(summary.missing),
            _figure(summary.exact_match),
            between(summary.exact_match_interval),
            _figure(summary.macro_f1),
        )
    return table


def _confusion_table(score: classification.ClassificationScore) -> Table:
    """One row per pair of a true and a wrong answer."""
    table = terminal_table("Most frequent wrong answers", ["truth", "answer", "times"], [])
    for confusion in score.confusions:
        table.add_row(confusion.truth, confusion.answer, str(confusion.count))
    return table


def _modification_tables(score: modification.ModificationScore) -> list[Table]:
    """Overall figures beside the baselines, patterns, splits."""
    tables = [
        _modification_overview(score),
        _modification_parts("By target pattern", score.patterns),
    ]
    if score.splits:
        tables.append(_modification_parts("By split", score.splits))
    return tables


def _modification_overview(score: modification.ModificationScore) -> Table:
    """Overall figures beside the baselines, and what was not answered."""
    overall = score.overall
    summaries = {"": overall, **score.baselines}
    title = f"Modification, tested on {score.sequences} sequences"
    table = _overview(title, _MODIFICATION_COLUMNS, _MODIFICATION_ROWS, summaries)
    table.add_row("missing (no change)", str(overall.missing))
    table.add_row("unparseable (no change)", str(overall.unparseable))
    return table


def _modification_parts(title: str, parts: Mapping[str, modification.Summary]) -> Table:
    """One row per pattern or split."""
    columns = ("examples", "before", "after", "gain", "improved", "recovered")
    table = terminal_table(title, [""], columns)
    for name, part in parts.items():
        values = (part.before, part.after, part.gain, part.improved, part.recovered)
        figures = map(_figure, values)
        table.add_row(name, str(part.examples), *figures)
    return table
