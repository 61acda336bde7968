"""What is said of all examples of a dataset: means of their accuracies, and what explains them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.schema import score_names

EXPLAINED_BETTER = "explained_better_by"  # key of a pattern's row in the summary


class ExampleFigures:
    """The figures of a dataset's examples, over tables seen one after another.

    Args:
        config: the dataset's.
    """

    def __init__(self, config: Config) -> None:
        self._means = Means(score_names(config))
        self._explanations = Explanations(config.patterns.enabled) if config.exact else None

    @property
    def count(self) -> int:
        """Examples seen."""
        return self._means.count

    def add(self, table: pa.Table) -> None:
        """Adds a table's examples."""
        self._means.add(table)
        if self._explanations is not None:
            self._explanations.add(table)

    def by_pattern(self, name: str) -> dict[str, Any]:
        """The figures of the examples with one target pattern."""
        figures = self._means.by_pattern(name)
        if self._explanations is not None:
            figures[EXPLAINED_BETTER] = self._explanations.by_pattern(name)
        return figures

    def overall(self) -> dict[str, Any]:
        """Mean accuracies of all examples; None where there are none."""
        return self._means.overall()


class Explanations:
    """How often another pattern explains a subject better than the patterns that it learned.

    Args:
        enabled: names of the patterns.
    """

    def __init__(self, enabled: Sequence[str]) -> None:
        self._enabled = enabled
        self._counts: Counter[tuple[str, str]] = Counter()  # (target, what explains it better)

    def add(self, table: pa.Table) -> None:
        """Adds a table's subjects, which were measured on the whole space."""
        better = table["best_pattern_score"].to_numpy() > table["exact_accuracy"].to_numpy()
        targets = table["target_pattern"].to_pylist()
        bests = table["best_pattern"].to_pylist()
        learned = table["selected_patterns"].to_pylist()
        for row in np.flatnonzero(better).tolist():
            if bests[row] not in learned[row]:
                self._counts[targets[row], bests[row]] += 1

    def by_pattern(self, target: str) -> dict[str, int]:
        """How many subjects of a target each other pattern explains better."""
        counts = {name: self._counts[target, name] for name in self._enabled}
        return {name: count for name, count in counts.items() if count}


class Means:
    """Means of some columns by target pattern, over tables seen one after another.

    >>> means = Means(["score"])
    >>> means.add(pa.table({"target_pattern": ["a", "a"], "score": [1.0, 2.0]}))
    >>> means.by_pattern("a")
    {'score': 1.5}
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns
        self.sums: dict[str, NDArray[np.float64]] = {}
        self.counts: dict[str, int] = {}

    @property
    def count(self) -> int:
        """Rows seen."""
        return sum(self.counts.values())

    def add(self, table: pa.Table) -> None:
        """Adds a table's rows."""
        names = np.array(table["target_pattern"].to_pylist(), object)
        columns = [table[column].to_numpy() for column in self.columns]
        values = np.stack(columns, axis=1)  # (rows, columns)
        nothing = np.zeros(len(columns))
        for name in np.unique(names):
            own = values[names == name]
            self.sums[name] = self.sums.get(name, nothing) + own.sum(axis=0)
            self.counts[name] = self.counts.get(name, 0) + len(own)

    def by_pattern(self, name: str) -> dict[str, Any]:
        """Means of one pattern's examples; None where there are none."""
        count = self.counts.get(name, 0)
        return self._means(self.sums.get(name), count)

    def overall(self) -> dict[str, Any]:
        """Means of all examples; None where there are none."""
        count = self.count
        total = sum(self.sums.values(), np.zeros(len(self.columns)))
        return self._means(total, count)

    def _means(self, sums: NDArray[np.float64] | None, count: int) -> dict[str, Any]:
        """Sums over so many rows as means by column; None where there are none."""
        if sums is None or not count:
            return dict.fromkeys(self.columns)
        means = (sums / count).tolist()
        return dict(zip(self.columns, means, strict=True))
