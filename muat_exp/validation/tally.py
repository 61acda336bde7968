"""What is known of all examples of a dataset together."""

from collections import Counter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import SPLITS, Config
from muat_exp.dataset.faults import Faults
from muat_exp.dataset.figures import ExampleFigures
from muat_exp.dataset.splits import assign_splits
from muat_exp.prompts.tokens import TokenStatistics
from muat_exp.validation.duplicates import FunctionalDuplicates
from muat_exp.validation.equal_weights import DistinctWeights
from muat_exp.validation.examples import Checked

_ROUNDING = 1e-9  # accuracies are multiples of 1 / rows, but their differences are rounded


class Tally:
    """Counts and means of the examples seen so far.

    Args:
        config: the dataset's configuration.

    Attributes:
        figures: means of the scores, and what explains the examples, by target pattern.
        tokens: counts by task, where there is a tokenizer.
        meets_thresholds: whether all examples are such as the run accepts.
        measured: examples whose networks were run again.
        duplicates: those of them that answer every sequence alike.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.figures = ExampleFigures(config)
        limit = config.dataset.max_tokens
        self.tokens = {task: TokenStatistics(limit) for task in config.dataset.tasks}
        self.meets_thresholds = True
        self.measured = 0
        self._examples: list[tuple[int, str, str]] = []  # number, split, target pattern
        self._distinct = DistinctWeights()
        self.duplicates = FunctionalDuplicates()

    @property
    def count(self) -> int:
        """Examples."""
        return len(self._examples)

    @property
    def patterns(self) -> Counter[str]:
        """Examples of each target pattern."""
        return Counter(target for _, _, target in self._examples)

    @property
    def splits(self) -> dict[str, int]:
        """Examples of each split that has any, in the order of `SPLITS`."""
        counts = Counter(split for _, split, _ in self._examples)
        filled = [split for split in SPLITS if counts[split]]
        return {split: counts[split] for split in filled}

    def add(self, split: str, checked: Checked, faults: Faults) -> None:
        """Takes in some examples; no two subjects may have the same weights."""
        faults.extend(checked.faults)
        records = checked.records
        numbers = records["example_id"].to_pylist()
        targets = records["target_pattern"].to_pylist()
        for number, target, digest in zip(numbers, targets, checked.digests, strict=True):
            self._distinct.add(number, digest, faults)
            self._examples.append((number, split, target))
        self.figures.add(records)
        self.measured += int(checked.measured.sum())
        for digest in checked.answers:
            self.duplicates.add(split, digest)
        self.meets_thresholds &= self._accepts(records)
        for task, counts in checked.tokens.items():
            self.tokens[task].add(counts)

    def _accepts(self, records: pa.Table) -> bool:
        """Whether a run of the configuration accepts all these examples."""
        recipe = self.config.training
        gains = records["improvement"].to_numpy()
        tests = records["test_accuracy"].to_numpy()
        improved = gains >= recipe.min_improvement - _ROUNDING
        learned = tests >= recipe.min_test_accuracy
        return bool(np.all(improved & learned))

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The examples' numbers, int64 `(N,)`."""
        return np.array([number for number, _, _ in self._examples], np.int64)

    def check_ids(self, faults: Faults) -> None:
        """Checks that example numbers are unique, and ascending in each split."""
        latest: dict[str, int] = {}
        for number, split, _ in self._examples:
            before = latest.get(split, -1)
            if number < before:
                faults.add("ids", f"the examples of {split} are not in the order of their numbers.")
                break
            latest[split] = number
        numbers = {number for number, _, _ in self._examples}
        if len(numbers) < len(self._examples):
            faults.add("ids", "an example_id occurs more than once.")

    def check_splits(self, faults: Faults) -> None:
        """Checks that every example is in the split that its rank in its pattern gives it."""
        examples = sorted(self._examples)
        enabled = self.config.patterns.enabled
        targets = [enabled.index(target) for _, _, target in examples]
        assigned = assign_splits(self.config, np.array(targets, np.int64))
        for (number, split, _), right in zip(examples, assigned, strict=True):
            if split != SPLITS[right]:
                sentence = "it is not in the split that it belongs to."
                faults.add("splits", f"example {number}: {sentence}")
