"""Which split an example belongs to: fixed when it is found, whatever is found after it."""

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import SPLITS, Config, SplitsConfig
from muat_exp.kernels import random

_GOLDEN_RATIO = (5**0.5 - 1) / 2


def assign_splits(config: Config, targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Split of every example as an index into `SPLITS`, int64 `(N,)`.

    Stratified by pattern: the j-th example of a pattern takes the point frac(start + j * golden
    ratio) between 0 and 1, which the splits divide among them by their shares; such points are
    spread so evenly that the shares of each pattern are right to an example or two at any size.
    The start is a hash of (seed, pattern). An example's split depends on none after it.

    Args:
        config: for the seed and the shares.
        targets: int64 `(N,)`, target pattern of each example as an index into `patterns.enabled`,
            in the order of the examples.
    """
    starts = _starts(config)[targets]
    points = (starts + _ranks(targets) * _GOLDEN_RATIO) % 1.0
    bounds = _bounds(config.dataset.splits)
    return np.searchsorted(bounds, points, side="right")


def _starts(config: Config) -> NDArray[np.float64]:
    """The point of the first example of each pattern, float64 `(P,)`."""
    patterns = np.arange(len(config.patterns.enabled))
    keys = random.generator_keys(config.seed, patterns, random.SPLITS)
    return random.uniforms(keys, 1)[:, 0]


def _ranks(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many examples of its pattern are before each example, int64 `(N,)`."""
    ranks = np.zeros(len(targets), np.int64)
    for pattern in np.unique(targets):
        own = targets == pattern
        ranks[own] = np.arange(own.sum())
    return ranks


def _bounds(splits: SplitsConfig) -> NDArray[np.float64]:
    """Where each split but the last ends between 0 and 1."""
    shares = [getattr(splits, name) for name in SPLITS]
    ends = np.cumsum(shares)
    return ends[:-1].clip(max=1.0)
