"""What a run says of itself: counts, accuracies, seconds, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from muat_exp.config.groups import Config
from muat_exp.config.identity import config_signature
from muat_exp.dataset.column_names import SCORES
from muat_exp.generation.outcomes import REASONS
from muat_exp.generation.stopwatch import Stopwatch
from muat_exp.maker import Maker, describe_makers
from muat_exp.memory import peak_memory_mib

if TYPE_CHECKING:
    from muat_exp.dataset.figures import ExampleFigures
    from muat_exp.dataset.writing import Written
    from muat_exp.generation.ledger import Ledger

_FIGURES = ("asked", "accepted", "attempts", "acceptance", "surplus", "attempts_per_second")
COUNTED = ("attempts", "accepted", "rejected")  # of the attempts at a pattern
_GROUPS = {  # of figures, with those that each must have; an accuracy is null where none is known
    "rejected": set(REASONS),
    "accuracy": set(SCORES),
    "seconds": {"total"},
    "splits": set[str](),
}


def describe(
    config: Config,
    ledger: Ledger,
    figures: ExampleFigures,
    written: Written,
    makers: Sequence[Maker],
) -> dict[str, Any]:
    """Counts and accuracies: what is the same however the run was made.

    Args:
        config: of the run.
        ledger: all its attempts.
        figures: of its examples.
        written: its files.
        makers: who made its cohorts, and who writes the dataset.
    """
    quotas = ledger.quotas
    names = config.patterns.enabled
    rejected = {reason: sum(ledger.rejected[name, reason] for name in names) for reason in REASONS}
    return {
        "config_signature": config_signature(config),
        "asked": config.dataset.num_examples,
        "accepted": quotas.taken,
        "attempts": quotas.needed,
        "acceptance": quotas.taken / max(1, quotas.needed),
        "rejected": rejected,
        "accuracy": figures.overall(),
        "patterns": {name: _pattern_row(name, ledger, figures) for name in names},
        "splits": written.splits,
        "origin": "",
        **fitting(config, written.fitting),
        **describe_makers(makers),
    }


def fitting(config: Config, counts: Mapping[str, Any]) -> dict[str, Any]:
    """How many examples fit `dataset.max_tokens`, by task; nothing where there is no limit."""
    limit = config.dataset.max_tokens
    return {"fitting": {"max_tokens": limit, **counts}} if limit else {}


def _pattern_row(name: str, ledger: Ledger, figures: ExampleFigures) -> dict[str, Any]:
    """Counts and accuracies of the attempts at one target pattern."""
    attempts = ledger.attempts[name]
    rejected = {reason: ledger.rejected[name, reason] for reason in REASONS}
    counts = {
        "attempts": attempts,
        "accepted": attempts - sum(rejected.values()),
        "rejected": rejected,
    }
    return counts | figures.by_pattern(name)


def performance(config: Config, watch: Stopwatch, trained: int, accepted: int) -> dict[str, Any]:
    """Seconds, rates and memory: what differs between two runs of one configuration.

    Args:
        config: for the number of workers.
        watch: the run's seconds.
        trained: attempts that were trained here, not read from finished cohorts.
        accepted: examples in the dataset.
    """
    seconds = watch.total
    return {
        "attempts_trained": trained,
        "seconds": {"total": seconds, **watch.seconds},
        "attempts_per_second": trained / seconds,
        "accepted_per_second": accepted / seconds if trained else 0.0,
        "peak_memory_mib": peak_memory_mib(),
        "workers": config.threads,
    }


def is_whole(values: object) -> bool:
    """Whether some JSON has the figures that a run goes by which finds itself finished."""
    if not isinstance(values, dict):
        return False
    if None in map(values.get, _FIGURES):
        return False
    figures = [values[name] for name in _FIGURES]
    for name, required in _GROUPS.items():
        group = values.get(name)
        if not isinstance(group, dict) or not required <= group.keys():
            return False
        figures += [
            0 if number is None and name == "accuracy" else number for number in group.values()
        ]
    return all(type(number) in (int, float) for number in figures)
