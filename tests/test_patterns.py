"""Patterns: sizes against brute force and the published counts.

Predicates against plain Python, and uniform draws.
"""

import itertools

import numpy as np
import pytest

from muat_exp.errors import ConfigurationError
from muat_exp.sequences.patterns import DEFAULT_NAMES, NAMES, Pattern, build_patterns
from muat_exp.sequences.space import decode, draw_members, encode, matches, members

SIZES = {
    "palindrome": 1000,
    "sorted_ascending": 2002,
    "sorted_descending": 2002,
    "alternating": 90,
    "contains_abc": 300,
    "starts_with": 10000,
    "ends_with": 10000,
    "no_repeats": 30240,
    "has_majority": 8560,
    "increasing_pairs": 20250,
    "decreasing_pairs": 20250,
    "vowel_consonant": 4410,
    "first_last_match": 10000,
    "mountain_pattern": 6168,
}


def pairs(t):
    return list(zip(t[0::2], t[1::2], strict=False))


def unimodal(t):
    return any(
        list(t[:k]) == sorted(t[:k]) and list(t[k:]) == sorted(t[k:], reverse=True)
        for k in range(len(t) + 1)
    )


def mountain(t):
    rises = [b > a for a, b in itertools.pairwise(t)]
    level = any(a == b for a, b in itertools.pairwise(t))
    return not level and rises[0] and not rises[-1] and rises == sorted(rises, reverse=True)


def in_turn(t):
    kinds = ["ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i] in "AEIOU" for i in t]
    return all(a != b for a, b in itertools.pairwise(kinds))


REFERENCE = {
    "all_same": lambda t: len(set(t)) == 1,
    "palindrome": lambda t: list(t) == list(t)[::-1],
    "sorted_ascending": lambda t: list(t) == sorted(t),
    "sorted_descending": lambda t: list(t) == sorted(t, reverse=True),
    "alternating": lambda t: t[0] != t[1] and all(t[i] == t[i % 2] for i in range(len(t))),
    "contains_abc": lambda t: "ABC" in decode(np.array([t], np.uint8))[0],
    "starts_with": lambda t: t[0] == 0,
    "ends_with": lambda t: t[-1] == 1,
    "no_repeats": lambda t: len(set(t)) == len(t),
    "has_majority": lambda t: max(list(t).count(x) for x in t) * 2 > len(t),
    "increasing_pairs": lambda t: all(a < b for a, b in pairs(t)),
    "decreasing_pairs": lambda t: all(a > b for a, b in pairs(t)),
    "vowel_consonant": in_turn,
    "first_last_match": lambda t: t[0] == t[-1],
    "mountain_pattern": mountain,
    "contains_repeat_pair": lambda t: any(a == b for a, b in itertools.pairwise(t)),
}
PUBLISHED = REFERENCE | {
    "increasing_pairs": REFERENCE["sorted_ascending"],
    "decreasing_pairs": REFERENCE["sorted_descending"],
    "mountain_pattern": unimodal,
}


def test_default_patterns_have_the_published_sizes():
    assert {p.name: p.size for p in build_patterns(DEFAULT_NAMES, "distinct", 10, 5)} == SIZES


@pytest.mark.parametrize("definitions", ["distinct", "published"])
@pytest.mark.parametrize(("vocabulary", "length"), [(6, 4), (7, 5)])
def test_predicates_and_sizes_agree_with_plain_python(definitions, vocabulary, length):
    everything = np.array(list(itertools.product(range(vocabulary), repeat=length)), np.uint8)
    reference = REFERENCE if definitions == "distinct" else PUBLISHED
    for pattern in build_patterns(NAMES, definitions, vocabulary, length):
        expected = np.array([bool(reference[pattern.name](row)) for row in everything.tolist()])
        assert np.array_equal(matches(pattern, everything), expected), pattern.name
        assert pattern.size == expected.sum(), pattern.name
        assert np.array_equal(members(pattern), everything[expected]), pattern.name


@pytest.mark.parametrize("definitions", ["distinct", "published"])
def test_draws_by_construction_are_uniform_members(definitions):
    for pattern in build_patterns(NAMES, definitions, 6, 5):
        rows = draw_members(pattern, 40 * pattern.size, 1)
        assert matches(pattern, rows).all()
        _, counts = np.unique(rows, axis=0, return_counts=True)
        assert len(counts) == pattern.size, pattern.name
        chi2 = ((counts - 40) ** 2 / 40).sum()
        assert abs(chi2 - (pattern.size - 1)) < 5 * (2 * pattern.size) ** 0.5, pattern.name


@pytest.mark.parametrize(("vocabulary", "length"), [(26, 20), (20, 12), (26, 5)])
def test_large_spaces_draw_members_of_every_pattern(vocabulary, length):
    for pattern in build_patterns(NAMES, "distinct", vocabulary, length):
        rows = draw_members(pattern, 500, 2)
        assert matches(pattern, rows).all(), pattern.name
        if pattern.size > 10**9:
            assert len(np.unique(rows, axis=0)) == 500, pattern.name


def test_small_patterns_of_large_spaces_are_listed_completely():
    (pattern,) = build_patterns(["alternating"], "distinct", 26, 20)
    found = members(pattern)
    assert len(found) == 26 * 25 == len(np.unique(found, axis=0))


@pytest.mark.parametrize(
    ("names", "vocabulary", "length", "words"),
    [
        (["palindrom"], 10, 5, "Did you mean 'palindrome'?"),
        (["unimodal"], 10, 5, "unknown pattern 'unimodal'"),
        (["no_repeats"], 6, 8, "no_repeats"),
        (["mountain_pattern"], 5, 20, "mountain_pattern"),
        (["palindrome", "palindrome"], 10, 5, "more than once"),
    ],
)
def test_patterns_that_do_not_fit_are_refused(names, vocabulary, length, words):
    with pytest.raises(ConfigurationError, match=words.replace("?", r"\?")):
        build_patterns(names, "distinct", vocabulary, length)


@pytest.mark.parametrize(("vocabulary", "length"), [(5, 4), (10, 5), (26, 20)])
def test_what_holds_no_repeat_pair_is_counted_token_by_token(vocabulary, length):
    (pattern,) = build_patterns(["contains_repeat_pair"], "distinct", vocabulary, length)
    without = vocabulary * (vocabulary - 1) ** (length - 1)
    assert pattern.size == vocabulary**length - without


def test_the_first_repeat_pair_of_a_large_space_is_where_chance_puts_it():
    (pattern,) = build_patterns(["contains_repeat_pair"], "distinct", 26, 20)
    rows = draw_members(pattern, 20_000, 3)
    first = np.argmax(rows[:, 1:] == rows[:, :-1], axis=1)
    shares = (25 / 26) ** np.arange(19)
    expected = 20_000 * shares / shares.sum()
    assert ((np.bincount(first, minlength=19) - expected) ** 2 / expected).sum() < 45


def test_letters_round_trip():
    assert decode(encode(["ABCJ", "ZZZA"])) == ["ABCJ", "ZZZA"]


def test_descriptions_name_the_configured_token():
    (pattern,) = build_patterns(["starts_with"], "distinct", 10, 5, {"starts_with": "C"})
    assert isinstance(pattern, Pattern)
    assert pattern.description == "the first token is C"
