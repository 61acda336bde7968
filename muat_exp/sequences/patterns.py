"""The patterns: names, descriptions, sizes, and what a uniform draw of a member needs. Pure Python, no arrays.

A pattern is a property of short token sequences, true or false for each; `kernels.rules` holds the compiled predicates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb, perm

from muat_exp.errors import ConfigurationError, nearest

_DISTINCT = "distinct"
PUBLISHED = "published"
DEFINITIONS = (_DISTINCT, PUBLISHED)
_VOWELS = "AEIOU"

# The order is that of `kernels.rules`: a pattern's rule is its place here, but for the published twins below.
_RULES = (
    "all_same",
    "palindrome",
    "sorted_ascending",
    "sorted_descending",
    "alternating",
    "contains_abc",
    "starts_with",
    "ends_with",
    "no_repeats",
    "has_majority",
    "increasing_pairs",
    "decreasing_pairs",
    "vowel_consonant",
    "first_last_match",
    "mountain_pattern",
    "unimodal",
)
NAMES = _RULES[:-1]
DEFAULT_NAMES = NAMES[1:]
_PUBLISHED_RULES = {
    "increasing_pairs": "sorted_ascending",
    "decreasing_pairs": "sorted_descending",
    "mountain_pattern": "unimodal",
}
_DESCRIPTIONS = {
    "all_same": "all tokens are the same",
    "palindrome": "the sequence reads the same forwards and backwards",
    "sorted_ascending": "tokens never decrease from one position to the next",
    "sorted_descending": "tokens never increase from one position to the next",
    "alternating": "exactly two different tokens take turns",
    "contains_abc": "A, B, C stand next to each other in this order",
    "starts_with": "the first token is {token}",
    "ends_with": "the last token is {token}",
    "no_repeats": "all tokens are different",
    "has_majority": "one token fills more than half of the positions",
    "increasing_pairs": "in each disjoint pair of neighbours the second token is larger",
    "decreasing_pairs": "in each disjoint pair of neighbours the second token is smaller",
    "vowel_consonant": "vowels and consonants take turns",
    "first_last_match": "the first and the last token are the same",
    "mountain_pattern": "tokens strictly increase up to an inner peak, then strictly decrease",
    "unimodal": "tokens never decrease up to a peak, then never increase",
}


@dataclass(frozen=True)
class Pattern:
    """One pattern in one sequence space.

    Attributes:
        name: as in the configuration.
        rule: index of its predicate in `kernels.rules`.
        token: index of the token that `starts_with` and `ends_with` ask for, else -1.
        vocab_size: V, number of tokens, 5 to 26.
        length: L, tokens in a sequence, 4 to 20.
    """

    name: str
    rule: int
    token: int
    vocab_size: int
    length: int

    @property
    def description(self) -> str:
        """What makes the pattern true, as half a sentence."""
        return _DESCRIPTIONS[_RULES[self.rule]].format(token=chr(ord("A") + self.token))

    @property
    def size(self) -> int:
        """Exact number of sequences of the space that satisfy the pattern."""
        return _COUNTS[_RULES[self.rule]](self.vocab_size, self.length)


def build_patterns(
    names: Sequence[str],
    definitions: str,
    vocab_size: int,
    length: int,
    starts_with: str = "A",
    ends_with: str = "B",
) -> tuple[Pattern, ...]:
    """The named patterns in one sequence space.

    Raises:
        ConfigurationError: an unknown or repeated name, a token outside the vocabulary, or a pattern with too few
            members there to train, validate and test on (`no_repeats` with L > V among them).
    """
    tokens = {"starts_with": starts_with, "ends_with": ends_with}
    patterns = []
    for name in names:
        if name not in NAMES:
            hint = nearest(name, NAMES) or f" Known patterns: {', '.join(NAMES)}."
            raise ConfigurationError(f"patterns.enabled has the unknown pattern '{name}'.{hint}")
        if names.count(name) > 1:
            raise ConfigurationError(
                f"patterns.enabled names '{name}' more than once; each pattern may stand there once."
            )
        rule = _RULES.index(_PUBLISHED_RULES.get(name, name) if definitions == PUBLISHED else name)
        token = _token_index(tokens[name], name, vocab_size) if name in tokens else -1
        patterns.append(_check_size(Pattern(name, rule, token, vocab_size, length)))
    return tuple(patterns)


def _token_index(letter: str, name: str, vocab_size: int) -> int:
    """Index of a pattern's letter; raises `ConfigurationError` where it is not in the vocabulary."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:vocab_size]
    if len(letter) != 1 or letter not in alphabet:
        raise ConfigurationError(
            f"patterns.{name}_token is '{letter}', which is not one of the {vocab_size} tokens {alphabet[0]} to {alphabet[-1]}."
        )
    return alphabet.index(letter)


def _check_size(pattern: Pattern) -> Pattern:
    """The pattern itself; raises `ConfigurationError` where it has fewer than 5 members."""
    if pattern.size >= 5:
        return pattern
    place = (
        f"patterns.vocab_size={pattern.vocab_size} and patterns.sequence_length={pattern.length}"
    )
    if pattern.name == "no_repeats":
        raise ConfigurationError(
            f"patterns.enabled has no_repeats, which needs sequence_length <= vocab_size, but it has no members at {place}."
        )
    raise ConfigurationError(
        f"patterns.enabled has {pattern.name}, which has {pattern.size} members at {place}; at least 5 are needed."
    )


def _vowels_in(vocab_size: int) -> int:
    """How many of the first `vocab_size` letters are vowels."""
    return sum(ord(vowel) - ord("A") < vocab_size for vowel in _VOWELS)


def _multisets(tokens: int, count: int) -> int:
    """Multisets of `count` out of `tokens` kinds."""
    return comb(tokens + count - 1, count) if tokens else int(count == 0)


def _abc_completions(v: int, n: int) -> list[list[int]]:
    """`[position][matched]`: ways to fill the positions from `position` on so that ABC occurs, `matched` letters in."""
    ways = [[0, 0, 0, 1]]
    for _ in range(n):
        after = ways[0]
        ways.insert(
            0,
            [
                sum(times * after[state] for times, state in _abc_steps(v, matched))
                for matched in range(4)
            ],
        )
    return ways


def _abc_steps(v: int, matched: int) -> list[tuple[int, int]]:
    """(number of tokens, next state) for A, B, C and all other tokens."""
    if matched == 3:
        return [(1, 3), (1, 3), (1, 3), (v - 3, 3)]
    return [(1, matched + 1 if kind == matched else int(kind == 0)) for kind in range(3)] + [
        (v - 3, 0)
    ]


def _majority_ways(v: int, n: int) -> list[int]:
    """Ways for one token to occur n//2+1, ..., n times."""
    return [comb(n, count) * (v - 1) ** (n - count) for count in range(n // 2 + 1, n + 1)]


def _mountain_ways(v: int, n: int) -> list[int]:
    """Members by (peak token, peak position), flattened."""
    inner = range(1, n - 1)
    return [
        comb(peak, k) * comb(peak, n - 1 - k) * (k in inner) for peak in range(v) for k in range(n)
    ]


def _unimodal_ways(v: int, n: int) -> list[int]:
    """Members by (highest token, tokens before its block, tokens after it), flattened."""
    return [
        _multisets(peak, before) * _multisets(peak, after) * (before + after < n)
        for peak in range(v)
        for before in range(n)
        for after in range(n)
    ]


def _vowel_ways(v: int, n: int) -> list[int]:
    """Members that start with a vowel, members that start with a consonant."""
    vowels = _vowels_in(v)
    long = (n + 1) // 2
    short = n // 2
    consonants = v - vowels
    return [vowels**long * consonants**short, consonants**long * vowels**short]


_COUNTS: dict[str, Callable[[int, int], int]] = {
    "all_same": lambda v, n: v,
    "palindrome": lambda v, n: v ** ((n + 1) // 2),
    "sorted_ascending": _multisets,
    "sorted_descending": _multisets,
    "alternating": lambda v, n: v * (v - 1),
    "contains_abc": lambda v, n: _abc_completions(v, n)[0][0],
    "starts_with": lambda v, n: v ** (n - 1),
    "ends_with": lambda v, n: v ** (n - 1),
    "no_repeats": perm,
    "has_majority": lambda v, n: v * sum(_majority_ways(v, n)),
    "increasing_pairs": lambda v, n: comb(v, 2) ** (n // 2) * v ** (n % 2),
    "decreasing_pairs": lambda v, n: comb(v, 2) ** (n // 2) * v ** (n % 2),
    "vowel_consonant": lambda v, n: sum(_vowel_ways(v, n)),
    "first_last_match": lambda v, n: v ** (n - 1),
    "mountain_pattern": lambda v, n: sum(_mountain_ways(v, n)),
    "unimodal": lambda v, n: sum(_unimodal_ways(v, n)),
}


def draw_weights(pattern: Pattern) -> list[float]:
    """Cumulative probabilities of the choices that a uniform draw of a member makes, as its kernel reads them."""
    v = pattern.vocab_size
    n = pattern.length
    rule = _RULES[pattern.rule]
    if rule == "contains_abc":
        ways = _abc_completions(v, n)
        rows = [
            [times * ways[i + 1][state] for times, state in _abc_steps(v, matched)]
            for i in range(n)
            for matched in range(4)
        ]
        return [share for row in rows for share in _cumulative(row)[:3]]
    choices = {
        "has_majority": _majority_ways,
        "mountain_pattern": _mountain_ways,
        "unimodal": _unimodal_ways,
        "vowel_consonant": _vowel_ways,
    }
    return _cumulative(choices[rule](v, n)) if rule in choices else []


def _cumulative(ways: Sequence[int]) -> list[float]:
    """Running shares of the total, each rounded once from exact integers; zeros where the total is zero.

    >>> _cumulative([1, 2, 1])
    [0.25, 0.75, 1.0]
    """
    total = max(1, sum(ways))
    running = 0
    shares = []
    for count in ways:
        running += count
        shares.append(running / total)
    return shares
