"""What a person sees of a score: tables in the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from muat_exp.score import classification, modification
from muat_exp.score.intervals import Interval
from muat_exp.score.judge import Score

_CLASSIFICATION_COLUMNS = {
    "predictions": "",
    "majority": "majority",
    "uniform": "uniform",
    "truth": "truth",
}
_MODIFICATION_COLUMNS = {"predictions": "", "copied": "copy", "truth": "truth"}


def print_score(score: Score) -> None:
    """Prints the tables of a score."""
    console = Console(soft_wrap=True)
    if score.classification:
        for table in _classification_tables(score.classification):
            console.print(table)
    if score.modification:
        for table in _modification_tables(score.modification):
            console.print(table)


def _table_of(title: str, first: str, *columns: str) -> Table:
    """A table whose columns but the first are numbers."""
    table = Table(first, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def number(value: float | None) -> str:
    """A number; nothing where there is none."""
    return "" if value is None else f"{value:.3f}"


def between(interval: Interval | None) -> str:
    """An interval.

    >>> between((0.4, 0.6))
    '0.40 to 0.60'
    """
    return f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else ""


def _classification_tables(score: classification.ClassificationScore) -> list[Table]:
    """Overall figures beside the baselines, patterns, splits, confusions."""
    every = {"": score.overall, **score.baselines}
    shown = [every[name] for name in _CLASSIFICATION_COLUMNS.values()]
    head = _table_of("Classification", "", *_CLASSIFICATION_COLUMNS)
    head.add_row("exact match", *(number(s.exact_match) for s in shown))
    head.add_row("  95 % interval", *(between(s.exact_match_interval) for s in shown))
    head.add_row("macro F1", *(number(s.macro_f1) for s in shown))
    head.add_row("examples", *(str(s.examples) for s in shown))
    head.add_row("missing (wrong)", str(score.overall.missing))
    head.add_row("unparseable (wrong)", str(score.overall.unparseable))
    patterns = _table_of(
        "By pattern", "pattern", "precision", "recall", "F1", "examples", "answers"
    )
    for name, p in score.patterns.items():
        patterns.add_row(
            name,
            number(p.precision),
            number(p.recall),
            number(p.f1),
            str(p.support),
            str(p.answers),
        )
    tables = [head, patterns]
    if score.splits:
        splits = _table_of(
            "By split", "split", "examples", "missing", "exact match", "95 % interval", "macro F1"
        )
        for name, s in score.splits.items():
            numbers = number(s.exact_match), between(s.exact_match_interval), number(s.macro_f1)
            splits.add_row(name, str(s.examples), str(s.missing), *numbers)
        tables.append(splits)
    if score.confusions:
        wrong = Table(
            "truth", "answer", "times", title="Most frequent wrong answers", title_justify="left"
        )
        for confusion in score.confusions:
            wrong.add_row(confusion.truth, confusion.answer, str(confusion.count))
        tables.append(wrong)
    return tables


def _modification_tables(score: modification.ModificationScore) -> list[Table]:
    """Overall figures beside the baselines, patterns, splits."""
    every = {"": score.overall, **score.baselines}
    shown = [every[name] for name in _MODIFICATION_COLUMNS.values()]
    head = _table_of(
        f"Modification, tested on {score.sequences} sequences", "", *_MODIFICATION_COLUMNS
    )
    head.add_row("balanced accuracy before", *(number(s.before) for s in shown))
    head.add_row("balanced accuracy after", *(number(s.after) for s in shown))
    head.add_row("mean gain", *(number(s.gain) for s in shown))
    head.add_row("  95 % interval", *(between(s.gain_interval) for s in shown))
    head.add_row("share improved", *(number(s.improved) for s in shown))
    head.add_row("  95 % interval", *(between(s.improved_interval) for s in shown))
    head.add_row("improvement recovered", *(number(s.recovered) for s in shown))
    head.add_row("other behaviour changed", *(number(s.changed_from_degraded) for s in shown))
    head.add_row("  apart from improved", *(number(s.changed_from_improved) for s in shown))
    head.add_row("examples", *(str(s.examples) for s in shown))
    head.add_row("missing (no change)", str(score.overall.missing))
    head.add_row("unparseable (no change)", str(score.overall.unparseable))
    tables = [head, _modification_rows("By target pattern", score.patterns)]
    return [*tables, _modification_rows("By split", score.splits)] if score.splits else tables


def _modification_rows(title: str, parts: Mapping[str, modification.Summary]) -> Table:
    """One row a pattern or split."""
    columns = ("examples", "before", "after", "gain", "improved", "recovered")
    table = _table_of(title, "", *columns)
    for name, s in parts.items():
        numbers = (number(value) for value in (s.before, s.after, s.gain, s.improved, s.recovered))
        table.add_row(name, str(s.examples), *numbers)
    return table
