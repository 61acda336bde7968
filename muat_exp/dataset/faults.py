"""What is wrong with a dataset, as sentences."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MAX_LISTED = 20  # faults of one kind


class Faults:
    """What was found, at most `_MAX_LISTED` of each kind with their examples.

    >>> faults = Faults()
    >>> faults.add("labels", "example 3: a label is wrong")
    >>> faults.sentences()
    ['example 3: a label is wrong']
    """

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, kind: str, sentence: str) -> None:
        """Notes a fault."""
        self.found.setdefault(kind, []).append(sentence)

    def compare(
        self, kind: str, ids: NDArray[np.int64], wrong: NDArray[np.bool_], sentence: str
    ) -> None:
        """Notes a fault for each example that is wrong."""
        for example in ids[wrong]:
            self.add(kind, f"example {example}: {sentence}")

    def extend(self, others: "Faults") -> None:
        """Takes over what was found elsewhere."""
        for kind, sentences in others.found.items():
            for sentence in sentences:
                self.add(kind, sentence)

    def sentences(self) -> list[str]:
        """All faults; of a kind with many, the first and how many more there are."""
        listed = []
        for kind, sentences in self.found.items():
            listed += sentences[:_MAX_LISTED]
            more = len(sentences) - _MAX_LISTED
            if more > 0:
                listed.append(f"and {more} more faults of this kind ({kind})")
        return listed


def unequal(values: Sequence[object], expected: Sequence[object]) -> NDArray[np.bool_]:
    """Where two sequences of one length n differ, bool `(n,)`."""
    pairs = zip(values, expected, strict=True)
    return np.array([value != wanted for value, wanted in pairs], np.bool_)
