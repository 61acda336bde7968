"""Counter-based random numbers: named streams keyed by (seed, subject, stream), no state shared by anybody.

A stream is SplitMix64 (Steele, Lea, Flood 2014) started at a mixed key: one 64-bit word of state, a few instructions a
number. Adding a stream or drawing more from one never moves another.
"""

import numpy as np
from numpy.typing import NDArray

from muat_exp.kernels.compiled import compiled

SPECIFICATION, DATA, CORRUPTION, WEIGHTS, ORDER, TESTS, RESPONSES, PROBES, SPLITS, BENCHMARK = (
    range(10)
)

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FACTOR_1 = np.uint64(0xBF58476D1CE4E5B9)
FACTOR_2 = np.uint64(0x94D049BB133111EB)
S27 = np.uint64(27)
S30 = np.uint64(30)
S31 = np.uint64(31)
S11 = np.uint64(11)
TO_UNIT = 2.0**-53


@compiled(inline=True)
def mix(word):
    """Bijective 64-bit finaliser of SplitMix64."""
    word = (word ^ (word >> S30)) * FACTOR_1
    word = (word ^ (word >> S27)) * FACTOR_2
    return word ^ (word >> S31)


@compiled()
def derive(key, number):
    """A new key from a key and a number: the way from seed to subject to stream to epoch."""
    return mix(key + GOLDEN) ^ mix(np.uint64(number) * FACTOR_1 + GOLDEN)


@compiled()
def stream_key(seed, subject, stream):
    """Key of one named stream of one subject."""
    return mix(derive(derive(np.uint64(seed), subject), stream))


@compiled()
def stream_keys(seed, subjects, stream):
    """Keys of one named stream for many subjects, uint64 `(subjects,)`."""
    keys = np.empty(subjects.shape[0], np.uint64)
    for i in range(subjects.shape[0]):
        keys[i] = stream_key(seed, subjects[i], stream)
    return keys


@compiled(inline=True)
def uniform(state):
    """A float64 in [0, 1); advances `state`, uint64 `(1,)`."""
    state[0] += GOLDEN
    return np.float64(mix(state[0]) >> S11) * TO_UNIT


@compiled(inline=True)
def below(state, bound):
    """An integer in [0, bound), bound up to 2^31: the bias of the scaled 53-bit fraction is under 1e-6 relative."""
    return np.int64(uniform(state) * bound)


@compiled()
def shuffle(state, values, count):
    """Fisher-Yates over the first `count` entries of a one-dimensional array, in place."""
    for i in range(count - 1, 0, -1):
        j = below(state, i + 1)
        values[i], values[j] = values[j], values[i]


@compiled()
def uniforms(keys, count):
    """The first `count` numbers of each stream, float64 `(keys, count)`."""
    numbers = np.empty((keys.shape[0], count))
    state = np.empty(1, np.uint64)
    for i in range(keys.shape[0]):
        state[0] = keys[i]
        for j in range(count):
            numbers[i, j] = uniform(state)
    return numbers


def generator_keys(seed: int, subjects: NDArray[np.int64], stream: int) -> NDArray[np.uint64]:
    """`stream_keys` for Python callers: any non-negative seed below 2^63."""
    return stream_keys(np.uint64(seed), np.ascontiguousarray(subjects, np.int64), stream)  # type: ignore[no-any-return]
