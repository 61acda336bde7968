"""The rules behind the patterns, compiled: a predicate on one sequence and a uniform draw of one member.

A rule is a small integer; `patterns` maps pattern names to rules. Sequences are rows of token indices, `(length,)`.
`weights` are the cumulative probabilities that a draw by construction needs (`patterns.draw_weights`).
"""

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.random import below, shuffle, uniform

(
    _ALL_SAME,
    _PALINDROME,
    _SORTED_ASCENDING,
    _SORTED_DESCENDING,
    _ALTERNATING,
    _CONTAINS_ABC,
    _STARTS_WITH,
    _ENDS_WITH,
    _NO_REPEATS,
    _HAS_MAJORITY,
    _INCREASING_PAIRS,
    _DECREASING_PAIRS,
    _VOWEL_CONSONANT,
    _FIRST_LAST_MATCH,
    _MOUNTAIN,
    _UNIMODAL,
) = range(16)

_VOWELS = np.array([0, 4, 8, 14, 20])  # A E I O U
_ONE = np.uint64(1)


@compiled()
def _is_vowel(token):
    """Whether the letter of this index is A, E, I, O or U."""
    return token in (0, 4, 8, 14, 20)


@compiled()
def _never_steps(row, direction):
    """Whether no token moves in `direction` (+1 up, -1 down) from one position to the next."""
    for i in range(1, row.shape[0]):
        if (np.int64(row[i]) - np.int64(row[i - 1])) * direction > 0:
            return False
    return True


@compiled()
def _pairs_step(row, direction):
    """Whether each disjoint pair moves strictly in `direction`; a last odd token is free."""
    for i in range(0, row.shape[0] - 1, 2):
        if (np.int64(row[i + 1]) - np.int64(row[i])) * direction <= 0:
            return False
    return True


@compiled()
def _most_frequent(row):
    """How often the most frequent token of the row occurs."""
    best = 0
    for i in range(row.shape[0]):
        count = 0
        for j in range(row.shape[0]):
            count += row[i] == row[j]
        best = max(best, count)
    return best


@compiled()
def _has_peak(row, strict):
    """Up, then down. Strict: an inner peak and strict steps; otherwise steps may be level and a side empty."""
    length = row.shape[0]
    slack = 0 if strict else 1
    i = 1
    while i < length and np.int64(row[i]) - np.int64(row[i - 1]) + slack > 0:
        i += 1
    peak = i - 1
    while i < length and np.int64(row[i - 1]) - np.int64(row[i]) + slack > 0:
        i += 1
    return i == length and (not strict or 0 < peak < length - 1)


@compiled()
def _takes_turns(row):
    """Exactly two tokens in turn."""
    for i in range(2, row.shape[0]):
        if row[i] != row[i - 2]:
            return False
    return row[0] != row[1]


@compiled()
def _holds_abc(row):
    """Tokens 0, 1, 2 next to each other in this order, anywhere."""
    for i in range(row.shape[0] - 2):
        if row[i] == 0 and row[i + 1] == 1 and row[i + 2] == 2:
            return True
    return False


@compiled()
def _vowels_take_turns(row):
    """Vowels and consonants in turn, starting with either."""
    for i in range(1, row.shape[0]):
        if _is_vowel(row[i]) == _is_vowel(row[i - 1]):
            return False
    return True


@compiled()
def _is_palindrome(row):
    """The row equals its reverse."""
    for i in range(row.shape[0] // 2):
        if row[i] != row[row.shape[0] - 1 - i]:
            return False
    return True


@compiled()
def satisfies(rule, token, row):
    """Whether the row satisfies the rule; `token` is the parameter of the rules that have one."""
    last = row.shape[0] - 1
    if rule == _ALL_SAME:
        return _most_frequent(row) == row.shape[0]
    if rule == _PALINDROME:
        return _is_palindrome(row)
    if rule == _SORTED_ASCENDING:
        return _never_steps(row, -1)
    if rule == _SORTED_DESCENDING:
        return _never_steps(row, 1)
    if rule == _ALTERNATING:
        return _takes_turns(row)
    if rule == _CONTAINS_ABC:
        return _holds_abc(row)
    if rule == _STARTS_WITH:
        return row[0] == token
    if rule == _ENDS_WITH:
        return row[last] == token
    if rule == _NO_REPEATS:
        return _most_frequent(row) == 1
    if rule == _HAS_MAJORITY:
        return 2 * _most_frequent(row) > row.shape[0]
    if rule == _INCREASING_PAIRS:
        return _pairs_step(row, 1)
    if rule == _DECREASING_PAIRS:
        return _pairs_step(row, -1)
    if rule == _VOWEL_CONSONANT:
        return _vowels_take_turns(row)
    if rule == _FIRST_LAST_MATCH:
        return row[0] == row[last]
    return _has_peak(row, rule == _MOUNTAIN)


@compiled()
def draw_any(state, vocabulary, row):
    """A uniform sequence of the whole space."""
    for i in range(row.shape[0]):
        row[i] = below(state, vocabulary)


@compiled()
def _draw_subset(state, size, count):
    """A uniform subset of `count` of the numbers below `size` (at most 64), as a bit mask (Floyd 1987)."""
    mask = np.uint64(0)
    for top in range(size - count, size):
        bit = _ONE << np.uint64(below(state, top + 1))
        mask |= _ONE << np.uint64(top) if mask & bit else bit
    return mask


@compiled()
def _unpack(mask, row, start, step, repeated):
    """Writes a mask's bits in ascending order to row[start], row[start + step], ...

    `repeated` subtracts 1 from each further one (stars and bars): strictly ascending bits become a multiset.
    """
    position = start
    value = 0
    rank = 0
    while mask:
        if mask & _ONE:
            row[position] = value - rank
            position += step
            rank += repeated
        mask >>= _ONE
        value += 1


@compiled()
def _draw_sorted(state, vocabulary, row, descending):
    """A uniform multiset of tokens in order."""
    length = row.shape[0]
    mask = _draw_subset(state, vocabulary + length - 1, length)
    if descending:
        _unpack(mask, row, length - 1, -1, 1)
    else:
        _unpack(mask, row, 0, 1, 1)


@compiled()
def _draw_other(state, vocabulary, token):
    """A uniform token other than `token`."""
    other = below(state, vocabulary - 1)
    return other + (other >= token)


@compiled()
def _draw_majority(state, vocabulary, weights, row):
    """`weights` chooses how often the majority token occurs, from just over half upwards."""
    length = row.shape[0]
    token = below(state, vocabulary)
    count = length // 2 + 1 + np.searchsorted(weights, uniform(state), side="right")
    for i in range(length):
        row[i] = token if i < count else _draw_other(state, vocabulary, token)
    shuffle(state, row, length)


@compiled()
def _draw_pairs(state, vocabulary, row, direction):
    """Disjoint pairs of two different tokens, each in `direction`; a last odd token is free."""
    for i in range(0, row.shape[0] - 1, 2):
        first = below(state, vocabulary)
        second = _draw_other(state, vocabulary, first)
        low = min(first, second)
        high = max(first, second)
        row[i], row[i + 1] = (low, high) if direction > 0 else (high, low)
    if row.shape[0] % 2:
        row[row.shape[0] - 1] = below(state, vocabulary)


@compiled()
def _draw_vowels_in_turn(state, vocabulary, weights, row):
    """`weights[0]` is the probability that a member starts with a vowel."""
    vowels = 0
    for vowel in _VOWELS:
        vowels += vowel < vocabulary
    vowel_next = uniform(state) < weights[0]
    for i in range(row.shape[0]):
        if vowel_next:
            row[i] = _VOWELS[below(state, vowels)]
        else:
            token = below(state, vocabulary - vowels)
            for vowel in _VOWELS:  # skip the vowels at or below the consonant's place
                token += token >= vowel
            row[i] = token
        vowel_next = not vowel_next


@compiled()
def _draw_abc(state, vocabulary, weights, row):
    """Walks the automaton of `ABC`; `weights[position, matched]` are cumulative over A, B, C and any other token."""
    length = row.shape[0]
    matched = 0
    table = weights.reshape(length, 4, 3)
    for i in range(length):
        kind = np.searchsorted(table[i, matched], uniform(state), side="right")
        row[i] = kind if kind < 3 else 3 + below(state, vocabulary - 3)
        if matched < 3:
            matched = matched + 1 if kind == matched else (1 if kind == 0 else 0)


@compiled()
def _draw_mountain(state, weights, row):
    """`weights` chooses the peak's token and place; each side is a subset of the tokens below the peak."""
    length = row.shape[0]
    choice = np.searchsorted(weights, uniform(state), side="right")
    peak = choice // length
    place = choice % length
    row[place] = peak
    _unpack(_draw_subset(state, peak, place), row, 0, 1, 0)
    _unpack(_draw_subset(state, peak, length - 1 - place), row, length - 1, -1, 0)


@compiled()
def _draw_unimodal(state, weights, row):
    """`weights` chooses the highest token and how many stand before and after its block; each side is a multiset."""
    length = row.shape[0]
    choice = np.searchsorted(weights, uniform(state), side="right")
    peak = choice // (length * length)
    before = choice // length % length
    after = choice % length
    row[:] = peak
    if before:
        _unpack(_draw_subset(state, peak + before - 1, before), row, 0, 1, 1)
    if after:
        _unpack(_draw_subset(state, peak + after - 1, after), row, length - 1, -1, 1)


@compiled()
def _draw_free(state, vocabulary, rule, token, row):
    """The rules that only tie positions to each other or to a token: draw all freely, then tie."""
    length = row.shape[0]
    draw_any(state, vocabulary, row)
    if rule == _ALL_SAME:
        row[:] = row[0]
    elif rule == _PALINDROME:
        for i in range(length // 2):
            row[length - 1 - i] = row[i]
    elif rule == _ALTERNATING:
        row[1] = _draw_other(state, vocabulary, row[0])
        for i in range(2, length):
            row[i] = row[i - 2]
    elif rule == _STARTS_WITH:
        row[0] = token
    elif rule == _ENDS_WITH:
        row[length - 1] = token
    else:  # FIRST_LAST_MATCH
        row[length - 1] = row[0]


@compiled()
def draw_member(state, vocabulary, rule, token, weights, row):
    """A uniform member of the rule, by construction."""
    if rule == _SORTED_ASCENDING or rule == _SORTED_DESCENDING:
        _draw_sorted(state, vocabulary, row, rule == _SORTED_DESCENDING)
    elif rule == _CONTAINS_ABC:
        _draw_abc(state, vocabulary, weights, row)
    elif rule == _NO_REPEATS:
        _unpack(_draw_subset(state, vocabulary, row.shape[0]), row, 0, 1, 0)
        shuffle(state, row, row.shape[0])
    elif rule == _HAS_MAJORITY:
        _draw_majority(state, vocabulary, weights, row)
    elif rule == _INCREASING_PAIRS or rule == _DECREASING_PAIRS:
        _draw_pairs(state, vocabulary, row, 1 if rule == _INCREASING_PAIRS else -1)
    elif rule == _VOWEL_CONSONANT:
        _draw_vowels_in_turn(state, vocabulary, weights, row)
    elif rule == _MOUNTAIN:
        _draw_mountain(state, weights, row)
    elif rule == _UNIMODAL:
        _draw_unimodal(state, weights, row)
    else:
        _draw_free(state, vocabulary, rule, token, row)


@compiled()
def match_rows(rule, token, rows):
    """`satisfies` for each row of `(n, length)`: bool `(n,)`."""
    matches = np.empty(rows.shape[0], np.bool_)
    for i in range(rows.shape[0]):
        matches[i] = satisfies(rule, token, rows[i])
    return matches


@compiled()
def match_space(rule, token, vocabulary, length):
    """All members of a rule by trying every sequence of the space in lexicographic order: uint8 `(members, length)`."""
    row = np.zeros(length, np.uint8)
    found = 0
    for attempt in range(2):  # count, then write
        members = np.empty((found, length), np.uint8)
        found = 0
        row[:] = 0
        position = 0
        while position >= 0:
            if satisfies(rule, token, row):
                if attempt:
                    members[found] = row
                found += 1
            position = length - 1
            while position >= 0 and row[position] == vocabulary - 1:
                row[position] = 0
                position -= 1
            if position >= 0:
                row[position] += 1
    return members


@compiled()
def draw_rows(key, vocabulary, length, rule, token, weights, count):
    """Independent uniform members: uint8 `(count, length)`."""
    rows = np.empty((count, length), np.uint8)
    state = np.array([key])
    for i in range(count):
        draw_member(state, vocabulary, rule, token, weights, rows[i])
    return rows
