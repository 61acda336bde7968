"""What the command prints at the end of a run: a table, or one line per job of a sweep."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

_ACCURACIES = (
    ("validation accuracy", "degraded_accuracy", "improved_accuracy"),
    ("test accuracy", "degraded_test_accuracy", "test_accuracy"),
)


def print_summary(summary: Mapping[str, Any], dataset: str) -> None:
    """The closing table, where the dataset is, and the line of Python that loads it."""
    table = Table(title="Run", show_header=False, title_justify="left")
    table.add_row("accepted", f"{summary['accepted']} of {summary['asked']} asked")
    table.add_row("attempts", _attempts_text(summary))
    rejected = [f"{reason} {count}" for reason, count in summary["rejected"].items()]
    table.add_row("rejected", ", ".join(rejected))
    for name, degraded, improved in _ACCURACIES:
        before = summary["accuracy"][degraded]
        after = summary["accuracy"][improved]
        if before is not None:
            table.add_row(name, f"degraded {before:.3f}, improved {after:.3f}")
    if "fitting" in summary:
        table.add_row("fitting", _fitting_text(summary))
    table.add_row("seconds", _seconds_text(summary))
    console = Console(soft_wrap=True)
    console.print(table)
    first_split = next(iter(summary["splits"]), "train")
    print_location(dataset, first_split)


def _attempts_text(summary: Mapping[str, Any]) -> str:
    """Attempts, the share that was accepted, and those that nobody needed."""
    text = f"{summary['attempts']} (acceptance {summary['acceptance']:.1%})"
    if summary["surplus"]:
        text += f", and {summary['surplus']} surplus"
    return text


def _fitting_text(summary: Mapping[str, Any]) -> str:
    """How many examples have as few tokens as was asked for, by task."""
    counts = dict(summary["fitting"])
    limit = counts.pop("max_tokens")
    parts = [f"{task} {count / max(1, summary['accepted']):.1%}" for task, count in counts.items()]
    return f"{', '.join(parts)} with up to {limit} tokens"


def _seconds_text(summary: Mapping[str, Any]) -> str:
    """How long it took, and what came before where kernels were compiled."""
    seconds = summary["seconds"]
    text = f"{seconds['total']:.1f} ({summary['attempts_per_second']:.0f} attempts/s)"
    compiling = seconds.get("compilation", 0.0)
    if compiling > 1:
        text += f", after {compiling:.0f} of compiling"
    return text


def print_location(dataset: str, split: str = "train") -> None:
    """Where a dataset is, and the line of Python that loads it."""
    print(f"dataset: {dataset}")
    print(f'load it: datasets.load_dataset("{dataset}", split="{split}")')


def print_brief(summary: Mapping[str, Any]) -> None:
    """One line for a job of a sweep."""
    text = f"  accepted {summary['accepted']} of {summary['attempts']} attempts"
    improvement = summary["accuracy"]["improvement"]
    if improvement is not None:
        text += f", improvement {improvement:.3f}"
    print(f"{text}, {summary['seconds']['total']:.1f} s", flush=True)
