"""Counter-based random numbers: streams keyed by (seed, subject, stream), no shared state.

A stream is SplitMix64 (Steele, Lea, Flood 2014) started at a mixed key: one 64-bit word of state, a
few instructions per number. Adding a stream or drawing more from one never moves another.
"""

import numpy as np
from numpy.typing import NDArray

from muat_exp.kernels.compiled import compiled

# The named streams. A stream's number is part of what a seed stands for: none may ever change.
SPECIFICATION = 0
DATA = 1
CORRUPTION = 2
WEIGHTS = 3
ORDER = 4
TESTS = 5
RESPONSES = 6
PROBES = 7
SPLITS = 8
BENCHMARK = 9
ANYWHERE = 10

# SplitMix64: the golden ratio's step, the finaliser's factors and shifts.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FACTOR_1 = np.uint64(0xBF58476D1CE4E5B9)
_FACTOR_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_1 = np.uint64(30)
_SHIFT_2 = np.uint64(27)
_SHIFT_3 = np.uint64(31)
_TO_53_BITS = np.uint64(11)  # what a float64 holds of a word
_TO_UNIT = 2.0**-53


@compiled(inline=True)
def mix(word):
    """Bijective 64-bit finaliser of SplitMix64."""
    word = (word ^ (word >> _SHIFT_1)) * _FACTOR_1
    word = (word ^ (word >> _SHIFT_2)) * _FACTOR_2
    return word ^ (word >> _SHIFT_3)


@compiled()
def derive(key, number):
    """A new key from a key and a number: the way from seed to subject to stream to epoch."""
    mixed_key = mix(key + _GOLDEN)
    mixed_number = mix(np.uint64(number) * _FACTOR_1 + _GOLDEN)
    return mixed_key ^ mixed_number


@compiled()
def stream_key(seed, subject, stream):
    """Key of one named stream of one subject."""
    of_subject = derive(np.uint64(seed), subject)
    return mix(derive(of_subject, stream))


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
    state[0] += _GOLDEN
    bits = mix(state[0]) >> _TO_53_BITS
    return np.float64(bits) * _TO_UNIT


@compiled(inline=True)
def below(state, bound):
    """An integer in [0, bound), bound up to 2^31.

    It is a scaled 53-bit fraction, whose relative bias is under 1e-6.
    """
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
    numbers = np.ascontiguousarray(subjects, np.int64)
    return stream_keys(np.uint64(seed), numbers, stream)  # type: ignore[no-any-return]
