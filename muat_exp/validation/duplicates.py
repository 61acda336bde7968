"""Finds networks that answer every sequence alike: other weights, but the same function."""

from collections import Counter
from itertools import combinations

from muat_exp.config.groups import SPLITS


class FunctionalDuplicates:
    """How many networks of each split have the same answers, by digests of these."""

    def __init__(self) -> None:
        self._splits: dict[bytes, Counter[str]] = {}  # networks of each split by their answers

    def add(self, split: str, answers: bytes) -> None:
        """Takes in a network of a split, by a digest of its answers."""
        self._splits.setdefault(answers, Counter())[split] += 1

    @property
    def within(self) -> dict[str, int]:
        """Networks that answer as an earlier one of the same split does, by split."""
        repeated: Counter[str] = Counter()
        for counts in self._splits.values():
            repeated.update({split: count - 1 for split, count in counts.items() if count > 1})
        return {split: repeated[split] for split in SPLITS if repeated[split]}

    @property
    def across(self) -> dict[tuple[str, str], int]:
        """Functions that networks of both splits have, by pairs of splits."""
        shared: Counter[tuple[str, str]] = Counter()
        for counts in self._splits.values():
            present = [split for split in SPLITS if counts[split]]
            shared.update(combinations(present, 2))
        return dict(shared)

    def clause(self) -> str:
        """What was found, as a clause of a report.

        >>> duplicates = FunctionalDuplicates()
        >>> for split in ("train", "train", "test"):
        ...     duplicates.add(split, b"same")
        >>> duplicates.clause()
        'every answer of 3 networks; functional duplicates: 1 within train, 1 across train and test'
        """
        count = sum(counts.total() for counts in self._splits.values())
        found = [f"{number} within {split}" for split, number in self.within.items()]
        found += [f"{number} across {a} and {b}" for (a, b), number in self.across.items()]
        return f"every answer of {count} networks; functional duplicates: {_listed(found)}"


def _listed(found: list[str]) -> str:
    """Clauses in a row, or that there are none."""
    return ", ".join(found) or "none"
