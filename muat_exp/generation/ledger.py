"""What is known of all attempts so far."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.dataset.index import RecordLocations
from muat_exp.generation.outcomes import ACCEPTED, REASONS
from muat_exp.generation.quota import Quotas
from muat_exp.tracking.tracker import Progress


@dataclass
class Ledger:
    """What is known of all attempts so far.

    Attributes:
        quotas: which attempts are still wanted.
        patterns: names of the enabled patterns.
        rejected: (pattern, reason) of the attempts that were needed.
        attempts: needed attempts by pattern.
        locations: (example, cohort, row, target pattern) of the accepted ones, one int64 array
            `(n, 4)` per cohort.
    """

    quotas: Quotas
    patterns: tuple[str, ...]
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    locations: list[NDArray[np.int64]] = field(default_factory=list)

    @property
    def cohorts(self) -> int:
        """Cohorts that were recorded."""
        return len(self.locations)

    def record(self, number: int, table: pa.Table) -> None:
        """Takes note of a cohort's attempts."""
        ids = table["example_id"].to_numpy()
        outcomes = np.array(table["outcome"].to_pylist(), object)
        accepted = outcomes == ACCEPTED
        needed = self.quotas.record(ids, accepted)
        names = np.array(table["target_pattern"].to_pylist(), object)
        self.attempts.update(names[needed])
        failed = needed & ~accepted
        self.rejected.update(zip(names[failed], outcomes[failed], strict=True))
        rows = np.flatnonzero(accepted & needed)
        targets = [self.patterns.index(name) for name in names[rows]]
        cohorts = np.full(len(rows), number)
        locations = np.stack([ids[rows], cohorts, rows, targets], axis=1)
        self.locations.append(locations.astype(np.int64))

    def progress(self, seconds: float) -> Progress:
        """How far the run has come."""
        rejected = {reason: 0 for reason in REASONS}
        for (_, reason), count in self.rejected.items():
            rejected[reason] += count
        return Progress(self.quotas.needed, self.quotas.taken, rejected, seconds)

    def ordered(self) -> RecordLocations:
        """Where the records of all accepted examples are, ordered by example."""
        return RecordLocations.ordered(np.concatenate(self.locations))
