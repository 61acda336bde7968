"""The registry of patterns: what each means, how large it is, and what a uniform draw of it needs.

A pattern is a property of short token sequences, true or false of each. `kernels.rules` holds its
compiled predicate and draw, and takes its code from here: the pattern's place in `RULES`, which
nothing else may rely on. Pure Python without arrays, so that a wrong configuration is refused at
once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb, perm

from muat_exp.errors import ConfigurationError, nearest
from muat_exp.sequences.alphabet import ALPHABET, VOWELS

PUBLISHED = "published"
DEFINITIONS = {
    "distinct": "every pattern is a set of sequences of its own",
    PUBLISHED: "increasing_pairs, decreasing_pairs and mountain_pattern as in the published data",
}
_FEWEST_MEMBERS = 5  # to train, validate and test on

_Count = Callable[[int, int], int]
_Choices = Callable[[int, int], list[float]]


def _no_choices(v: int, n: int) -> list[float]:
    """For draws that choose among equally likely tokens only."""
    return []


@dataclass(frozen=True)
class Rule:
    """One pattern, whatever the sequence space.

    `size` and `choices` are functions of the number of tokens in the vocabulary and of the length
    of a sequence.

    Attributes:
        description: what makes it true, as half a sentence; `{token}` stands for the letter that it
            asks for.
        size: exact number of members.
        choices: cumulative probabilities of the unequal choices that a uniform draw of a member
            makes, in the layout that its kernel reads.
        token: the letter that it asks for unless the configuration names another; empty where it
            asks for none.
        published: the rule that stands for it where `patterns.definitions` is `published`; empty
            for itself.
        default: whether it is enabled by default.
        choosable: whether a configuration may enable it; otherwise it only stands for another.
    """

    description: str
    size: _Count
    choices: _Choices = _no_choices
    token: str = ""
    published: str = ""
    default: bool = False
    choosable: bool = True


def _multisets(tokens: int, count: int) -> int:
    """Multisets of `count` out of `tokens` kinds."""
    return comb(tokens + count - 1, count) if tokens else int(count == 0)


def _pairs_size(v: int, n: int) -> int:
    """Each disjoint pair is a set of two tokens in one order; a last odd token is free."""
    pairs = comb(v, 2) ** (n // 2)
    return pairs * v if n % 2 else pairs


def _cumulative(ways: Sequence[int]) -> list[float]:
    """Running shares of the total, each rounded once from exact integers; zeros of a zero total.

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


def _abc_steps(v: int, matched: int) -> list[tuple[int, int]]:
    """(number of tokens, letters of ABC matched after it) for A, B, C and all other tokens."""
    if matched == 3:
        return [(1, 3), (1, 3), (1, 3), (v - 3, 3)]
    steps = []
    for letter in range(3):
        starts_again = int(letter == 0)
        steps.append((1, matched + 1 if letter == matched else starts_again))
    return [*steps, (v - 3, 0)]


def _abc_completions(v: int, n: int) -> list[list[int]]:
    """Ways to fill the rest so that ABC occurs: `[first open position][letters matched before]`."""
    ways = [[0, 0, 0, 1]]
    for _ in range(n):
        after = ways[0]
        before = [
            sum(tokens * after[then] for tokens, then in _abc_steps(v, matched))
            for matched in range(4)
        ]
        ways.insert(0, before)
    return ways


def _abc_choices(v: int, n: int) -> list[float]:
    """Cumulative probabilities of A, B and C: `[position][letters matched before]`, flattened."""
    completions = _abc_completions(v, n)
    choices = []
    for position in range(n):
        for matched in range(4):
            steps = _abc_steps(v, matched)
            ways = [tokens * completions[position + 1][then] for tokens, then in steps]
            choices += _cumulative(ways)[:3]
    return choices


def _majority_ways(v: int, n: int) -> list[int]:
    """Ways for one token to occur n//2+1, ..., n times."""
    return [comb(n, count) * (v - 1) ** (n - count) for count in range(n // 2 + 1, n + 1)]


def _vowel_ways(v: int, n: int) -> list[int]:
    """Members that start with a vowel, members that start with a consonant."""
    vowels = sum(ALPHABET.index(vowel) < v for vowel in VOWELS)
    consonants = v - vowels
    firsts = (n + 1) // 2
    seconds = n // 2
    return [vowels**firsts * consonants**seconds, consonants**firsts * vowels**seconds]


def _mountain_ways(v: int, n: int) -> list[int]:
    """Members by (peak token, peak position), flattened; none where the peak is at an end."""
    ways = []
    for peak in range(v):
        for before in range(n):
            after = n - 1 - before
            inner = before > 0 and after > 0
            ways.append(comb(peak, before) * comb(peak, after) if inner else 0)
    return ways


def _unimodal_ways(v: int, n: int) -> list[int]:
    """Members by (highest token, tokens before its block, tokens after it), flattened."""
    ways = []
    for peak in range(v):
        for before in range(n):
            for after in range(n):
                fits = before + after < n
                ways.append(_multisets(peak, before) * _multisets(peak, after) if fits else 0)
    return ways


def _repeat_ways(v: int, n: int) -> list[int]:
    """Members by the position of the first token that repeats the one before it: 1, ..., n - 1."""
    ways = []
    for position in range(1, n):
        before = v * (v - 1) ** (position - 1)
        after = v ** (n - 1 - position)
        ways.append(before * after)
    return ways


RULES: dict[str, Rule] = {
    "all_same": Rule(
        description="all tokens are the same",
        size=lambda v, n: v,
    ),
    "palindrome": Rule(
        description="the sequence reads the same forwards and backwards",
        size=lambda v, n: v ** ((n + 1) // 2),
        default=True,
    ),
    "sorted_ascending": Rule(
        description="tokens never decrease",
        size=_multisets,
        default=True,
    ),
    "sorted_descending": Rule(
        description="tokens never increase",
        size=_multisets,
        default=True,
    ),
    "alternating": Rule(
        description="exactly two different tokens take turns",
        size=lambda v, n: v * (v - 1),
        default=True,
    ),
    "contains_abc": Rule(
        description="A, B, C stand next to each other in this order",
        size=lambda v, n: _abc_completions(v, n)[0][0],
        choices=_abc_choices,
        default=True,
    ),
    "starts_with": Rule(
        description="the first token is {token}",
        size=lambda v, n: v ** (n - 1),
        token="A",
        default=True,
    ),
    "ends_with": Rule(
        description="the last token is {token}",
        size=lambda v, n: v ** (n - 1),
        token="B",
        default=True,
    ),
    "no_repeats": Rule(
        description="all tokens are different",
        size=perm,
        default=True,
    ),
    "has_majority": Rule(
        description="one token fills more than half of the positions",
        size=lambda v, n: v * sum(_majority_ways(v, n)),
        choices=lambda v, n: _cumulative(_majority_ways(v, n)),
        default=True,
    ),
    "increasing_pairs": Rule(
        description="in each disjoint pair of neighbours the second token is larger",
        size=_pairs_size,
        published="sorted_ascending",
        default=True,
    ),
    "decreasing_pairs": Rule(
        description="in each disjoint pair of neighbours the second token is smaller",
        size=_pairs_size,
        published="sorted_descending",
        default=True,
    ),
    "vowel_consonant": Rule(
        description="vowels and consonants take turns",
        size=lambda v, n: sum(_vowel_ways(v, n)),
        choices=lambda v, n: _cumulative(_vowel_ways(v, n)),
        default=True,
    ),
    "first_last_match": Rule(
        description="the first and the last token are the same",
        size=lambda v, n: v ** (n - 1),
        default=True,
    ),
    "mountain_pattern": Rule(
        description="tokens strictly increase up to an inner peak, then strictly decrease",
        size=lambda v, n: sum(_mountain_ways(v, n)),
        choices=lambda v, n: _cumulative(_mountain_ways(v, n)),
        published="unimodal",
        default=True,
    ),
    "unimodal": Rule(
        description="tokens never decrease up to a peak, then never increase",
        size=lambda v, n: sum(_unimodal_ways(v, n)),
        choices=lambda v, n: _cumulative(_unimodal_ways(v, n)),
        choosable=False,
    ),
    "contains_repeat_pair": Rule(
        description="two neighbours are the same token",
        size=lambda v, n: sum(_repeat_ways(v, n)),
        choices=lambda v, n: _cumulative(_repeat_ways(v, n)),
    ),
}
NAMES = tuple(name for name, rule in RULES.items() if rule.choosable)
DEFAULT_NAMES = tuple(name for name, rule in RULES.items() if rule.default)


def rule_code(name: str) -> int:
    """The integer that stands for a rule in the kernels."""
    return tuple(RULES).index(name)


@dataclass(frozen=True)
class Pattern:
    """One pattern in one sequence space.

    Attributes:
        name: as in the configuration.
        definition: name of the rule that defines it, another than its own for some published
            patterns.
        token: index of the token that the rule asks for, else -1.
        vocab_size: V, number of tokens.
        length: L, tokens in a sequence.
    """

    name: str
    definition: str
    token: int
    vocab_size: int
    length: int

    @property
    def rule(self) -> int:
        """The code of its rule."""
        return rule_code(self.definition)

    @property
    def description(self) -> str:
        """What makes the pattern true, as half a sentence."""
        return RULES[self.definition].description.format(token=ALPHABET[self.token])

    @property
    def size(self) -> int:
        """Exact number of sequences of the space that satisfy the pattern."""
        return RULES[self.definition].size(self.vocab_size, self.length)

    @property
    def choices(self) -> list[float]:
        """Cumulative probabilities of the choices that a uniform draw of a member makes."""
        return RULES[self.definition].choices(self.vocab_size, self.length)


def build_patterns(
    names: Sequence[str],
    definitions: str,
    vocab_size: int,
    length: int,
    tokens: Mapping[str, str] | None = None,
) -> tuple[Pattern, ...]:
    """The named patterns in one sequence space.

    Args:
        names: the patterns, each once.
        definitions: one of `DEFINITIONS`.
        vocab_size: number of tokens.
        length: tokens in a sequence.
        tokens: letters that patterns ask for, by pattern, where they are not the rules' own.

    Raises:
        ConfigurationError: an unknown or repeated name, a token outside the vocabulary, or a
            pattern with too few members there to train, validate and test on (`no_repeats` with L >
            V among them).
    """
    letters = {name: rule.token for name, rule in RULES.items()} | dict(tokens or {})
    patterns = []
    for name in names:
        _check_name(name, names)
        definition = name
        if definitions == PUBLISHED:
            definition = RULES[name].published or name
        token = _token_index(letters[name], name, vocab_size) if RULES[name].token else -1
        pattern = Pattern(name, definition, token, vocab_size, length)
        _check_size(pattern)
        patterns.append(pattern)
    return tuple(patterns)


def _check_name(name: str, names: Sequence[str]) -> None:
    """Raises `ConfigurationError` where a name is unknown, or is among the names more than once."""
    if name not in NAMES:
        hint = nearest(name, NAMES) or f" Known patterns: {', '.join(NAMES)}."
        raise ConfigurationError(f"patterns.enabled has the unknown pattern '{name}'.{hint}")
    if names.count(name) > 1:
        raise ConfigurationError(
            f"patterns.enabled names '{name}' more than once; each pattern may stand there once."
        )


def _token_index(letter: str, name: str, vocab_size: int) -> int:
    """Index of a pattern's letter; raises `ConfigurationError` where the vocabulary lacks it."""
    vocabulary = ALPHABET[:vocab_size]
    if len(letter) != 1 or letter not in vocabulary:
        raise ConfigurationError(
            f"patterns.{name}_token is '{letter}', which is not one of the {vocab_size} tokens "
            f"{vocabulary[0]} to {vocabulary[-1]}."
        )
    return vocabulary.index(letter)


def _check_size(pattern: Pattern) -> None:
    """Raises `ConfigurationError` where a pattern has too few members."""
    if pattern.size >= _FEWEST_MEMBERS:
        return
    space = (
        f"patterns.vocab_size={pattern.vocab_size} and patterns.sequence_length={pattern.length}"
    )
    if pattern.name == "no_repeats":
        raise ConfigurationError(
            "patterns.enabled has no_repeats, which needs sequence_length <= vocab_size, "
            f"but it has no members at {space}."
        )
    raise ConfigurationError(
        f"patterns.enabled has {pattern.name}, which has {pattern.size} members at {space}; "
        f"at least {_FEWEST_MEMBERS} are needed."
    )
