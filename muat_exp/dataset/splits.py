"""Which split an example belongs to: fixed when it is found, whatever is found after it."""

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import SPLITS, Config, SplitsConfig
from muat_exp.kernels import random

_GOLDEN_RATIO = (5**0.5 - 1) / 2


def assign_splits(config: Config, targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Split of every example as an index into `SPLITS`, int64 `(N,)`.

    Stratified by pattern: the j-th example of a pattern takes the place frac(start + j * golden ratio) between 0 and 1, which
    the splits divide among them by their shares; such places are spread so evenly that the shares of each pattern are right
    to an example or two at any size. The start is a hash of (seed, pattern). An example's split depends on none after it.

    Args:
        config: for the seed and the shares.
        targets: int64 `(N,)`, target pattern of each example as an index into `patterns.enabled`, in the order of the examples.
    """
    starts = random.uniforms(
        random.generator_keys(config.seed, np.arange(len(config.patterns.enabled)), random.SPLITS),
        1,
    )
    ranks = np.zeros(len(targets), np.int64)
    for pattern in np.unique(targets):
        own = targets == pattern
        ranks[own] = np.arange(own.sum())
    places = (starts[targets, 0] + ranks * _GOLDEN_RATIO) % 1.0
    return np.searchsorted(_bounds(config.dataset.splits), places, side="right")


def _bounds(splits: SplitsConfig) -> NDArray[np.float64]:
    """Where each split but the last ends between 0 and 1."""
    return np.cumsum([getattr(splits, name) for name in SPLITS])[:-1].clip(max=1.0)
