"""Finds subjects with the same weights: no two of a dataset may have them."""

import hashlib

from muat_exp.dataset.faults import Faults


def weights_digest(content: bytes) -> bytes:
    """A digest of a subject's weights, which equal ones share."""
    return hashlib.blake2b(content, digest_size=16).digest()


class DistinctWeights:
    """The weights of the subjects seen so far, by their digests."""

    def __init__(self) -> None:
        self._example_by_digest: dict[bytes, object] = {}

    def add(self, example: object, digest: bytes, faults: Faults) -> None:
        """Takes in a subject; notes a fault where an earlier one has the same weights."""
        if digest not in self._example_by_digest:
            self._example_by_digest[digest] = example
            return
        earlier = self._example_by_digest[digest]
        sentence = f"its weights are those of example {earlier}."
        faults.add("weights", f"example {example}: {sentence}")
