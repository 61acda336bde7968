"""Token sequences and their space: letters, members of patterns, what the kernels read."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from muat_exp.kernels import rules
from muat_exp.sequences.alphabet import ALPHABET
from muat_exp.sequences.patterns import Pattern

_ENUMERABLE = 4_000_000  # sequences in a space that is searched exhaustively
_TABLED = 1 << 16  # members of a pattern kept as a table; larger patterns are drawn by construction
_LARGEST_SIZE = 1 << 62  # larger ones are as good as endless
_FIRST_LETTER = ord(ALPHABET[0])


class SpaceArrays(NamedTuple):
    """What the kernels read of a space with P enabled patterns.

    Attributes:
        vocabulary: V.
        rules, tokens: int64 `(P,)`, the patterns' rules and their token parameters.
        sizes: int64 `(P,)`, members of each pattern, capped at 2^62.
        table: uint8 `(rows, L)`, the members of all tabled patterns.
        table_start, table_count: int64 `(P,)`, each pattern's rows of the table; count 0 where it
            is not tabled.
        choices: float64, all patterns' `Pattern.choices` one after another.
        choice_start: int64 `(P + 1,)`, where each pattern's choices begin, and where the last one's
            end.
    """

    vocabulary: int
    rules: NDArray[np.int64]
    tokens: NDArray[np.int64]
    sizes: NDArray[np.int64]
    table: NDArray[np.uint8]
    table_start: NDArray[np.int64]
    table_count: NDArray[np.int64]
    choices: NDArray[np.float64]
    choice_start: NDArray[np.int64]


def encode(sequences: Sequence[str]) -> NDArray[np.uint8]:
    """Letters to token indices, uint8 `(n, L)`; all sequences must have one length.

    >>> encode(["ABC"]).tolist()
    [[0, 1, 2]]
    """
    letters = [list(sequence.encode("ascii")) for sequence in sequences]
    return np.array(letters, np.uint8) - _FIRST_LETTER


def decode(tokens: NDArray[np.uint8]) -> list[str]:
    """Token indices `(n, L)` to letters.

    >>> decode(np.array([[0, 1, 2]], np.uint8))
    ['ABC']
    """
    return [bytes(row).decode("ascii") for row in np.asarray(tokens, np.uint8) + _FIRST_LETTER]


def all_sequences(vocab_size: int, length: int) -> NDArray[np.uint8]:
    """Every sequence of a space in lexicographic order, uint8 `(V^L, L)`.

    The place of a sequence is the number that its tokens are the digits of, base V.

    >>> decode(all_sequences(5, 4))[:6]
    ['AAAA', 'AAAB', 'AAAC', 'AAAD', 'AAAE', 'AABA']
    """
    places = np.arange(vocab_size**length)
    tokens = np.empty((len(places), length), np.uint8)
    for position in range(length):
        weight = vocab_size ** (length - 1 - position)
        tokens[:, position] = places // weight % vocab_size
    return tokens


def matches(pattern: Pattern, tokens: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether each sequence of an integer array `(n, L)` satisfies the pattern: bool `(n,)`."""
    rows = np.ascontiguousarray(tokens)
    return rules.match_rows(pattern.rule, pattern.token, rows)  # type: ignore[no-any-return]


def members(pattern: Pattern) -> NDArray[np.uint8]:
    """All members of a pattern, `(size, L)`, in lexicographic order.

    Small spaces are searched exhaustively. In larger ones members are drawn until all of the known
    number are found, which suits patterns of up to `_TABLED` members.
    """
    vocabulary = pattern.vocab_size
    length = pattern.length
    if vocabulary**length <= _ENUMERABLE:
        return rules.match_space(  # type: ignore[no-any-return]
            pattern.rule, pattern.token, vocabulary, length
        )
    found = np.empty((0, length), np.uint8)
    key = 0
    while len(found) < pattern.size:
        more = draw_members(pattern, 4 * pattern.size, key)
        found = np.unique(np.concatenate([found, more]), axis=0)
        key += 1
    return found


def draw_members(pattern: Pattern, count: int, key: int) -> NDArray[np.uint8]:
    """`count` independent uniform members by construction, with repeats: uint8 `(count, L)`."""
    return rules.draw_rows(  # type: ignore[no-any-return]
        np.uint64(key),
        pattern.vocab_size,
        pattern.length,
        pattern.rule,
        pattern.token,
        np.array(pattern.choices),
        count,
    )


def space_arrays(patterns: Sequence[Pattern]) -> SpaceArrays:
    """The arrays that the kernels read of these patterns' space."""
    tables = [_table(pattern) for pattern in patterns]
    counts = np.array([len(table) for table in tables], np.int64)
    choices = [np.array(pattern.choices) for pattern in patterns]
    choice_counts = [len(shares) for shares in choices]
    sizes = [min(pattern.size, _LARGEST_SIZE) for pattern in patterns]
    return SpaceArrays(
        vocabulary=patterns[0].vocab_size,
        rules=np.array([pattern.rule for pattern in patterns], np.int64),
        tokens=np.array([pattern.token for pattern in patterns], np.int64),
        sizes=np.array(sizes, np.int64),
        table=np.concatenate(tables),
        table_start=np.cumsum(counts) - counts,
        table_count=counts,
        choices=np.concatenate(choices),
        choice_start=np.cumsum([0, *choice_counts]).astype(np.int64),
    )


def _table(pattern: Pattern) -> NDArray[np.uint8]:
    """The members of a pattern that is small enough to be kept as a table; none of a larger one."""
    if pattern.size <= _TABLED:
        return members(pattern)
    return np.empty((0, pattern.length), np.uint8)
