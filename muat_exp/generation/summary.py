"""What a run says of itself: counts, accuracies, seconds, memory."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from muat_exp.config.groups import Config
from muat_exp.config.identity import config_signature
from muat_exp.dataset.writing import (
    Means,
    Written,
)
from muat_exp.generation.ledger import Ledger
from muat_exp.generation.outcomes import REASONS

_PACKAGES = (
    "muat_exp",
    "torch",
    "pytorch-lightning",
    "numba",
    "numpy",
    "scipy",
    "pyarrow",
    "hydra-core",
)


class Stopwatch:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time of a block to its phase."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def restart(self) -> None:
        """Counts the total from here on: what is done once for all runs is none of this one's time."""
        self.start = time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds since the start, or the restart."""
        return time.perf_counter() - self.start


def describe(config: Config, ledger: Ledger, means: Means, written: Written) -> dict[str, Any]:
    """Counts and accuracies: what is the same however the run was made."""

    def row(name: str) -> dict[str, Any]:
        attempts = ledger.attempts[name]
        rejected = {reason: ledger.rejected[name, reason] for reason in REASONS}
        accepted = attempts - sum(rejected.values())
        return {
            "attempts": attempts,
            "accepted": accepted,
            "rejected": rejected,
        } | means.by_pattern(name)

    quotas = ledger.quotas
    return {
        "config_signature": config_signature(config),
        "asked": config.dataset.num_examples,
        "accepted": quotas.taken,
        "attempts": quotas.needed,
        "acceptance": quotas.taken / max(1, quotas.needed),
        "rejected": {
            reason: sum(ledger.rejected[name, reason] for name in config.patterns.enabled)
            for reason in REASONS
        },
        "accuracy": means.overall(),
        "patterns": {name: row(name) for name in config.patterns.enabled},
        "splits": written.splits,
        "origin": "",
        "versions": {"python": sys.version.split()[0]}
        | {name: version(name) for name in _PACKAGES},
    }


def performance(config: Config, watch: Stopwatch, trained: int, accepted: int) -> dict[str, Any]:
    """Seconds, rates and memory of this process: what differs between two runs of one configuration."""
    return {
        "attempts_trained": trained,
        "seconds": {"total": watch.total, **watch.seconds},
        "attempts_per_second": trained / watch.total,
        "accepted_per_second": accepted / watch.total if trained else 0.0,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "workers": config.threads,
    }
