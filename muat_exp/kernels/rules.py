"""The patterns compiled: of each a predicate on one sequence, and a uniform draw of one member.

A rule is the integer that stands for a pattern, its code in `sequences.patterns`. A sequence is a
row of token indices, `(length,)`. `choices` are the cumulative probabilities of a draw's unequal
choices, as `Rule.choices` lays them out.
"""

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.random import below, shuffle, uniform
from muat_exp.sequences.alphabet import ALPHABET, VOWELS
from muat_exp.sequences.patterns import rule_code

_ALL_SAME = rule_code("all_same")
_PALINDROME = rule_code("palindrome")
_SORTED_ASCENDING = rule_code("sorted_ascending")
_SORTED_DESCENDING = rule_code("sorted_descending")
_ALTERNATING = rule_code("alternating")
_CONTAINS_ABC = rule_code("contains_abc")
_STARTS_WITH = rule_code("starts_with")
_ENDS_WITH = rule_code("ends_with")
_NO_REPEATS = rule_code("no_repeats")
_HAS_MAJORITY = rule_code("has_majority")
_INCREASING_PAIRS = rule_code("increasing_pairs")
_DECREASING_PAIRS = rule_code("decreasing_pairs")
_VOWEL_CONSONANT = rule_code("vowel_consonant")
_FIRST_LAST_MATCH = rule_code("first_last_match")
_MOUNTAIN = rule_code("mountain_pattern")
_UNIMODAL = rule_code("unimodal")
_CONTAINS_REPEAT_PAIR = rule_code("contains_repeat_pair")

_VOWELS = tuple(ALPHABET.index(vowel) for vowel in VOWELS)  # in ascending order
_ONE = np.uint64(1)


@compiled()
def draw_any(state, vocabulary, row):
    """A uniform sequence of the whole space."""
    for i in range(len(row)):
        row[i] = below(state, vocabulary)


@compiled()
def _draw_other(state, vocabulary, token):
    """A uniform token other than `token`."""
    other = below(state, vocabulary - 1)
    return other + (other >= token)


@compiled()
def _choose(state, choices):
    """An index drawn with the probabilities that `choices` cumulates."""
    return np.searchsorted(choices, uniform(state), side="right")


@compiled()
def _step(row, i):
    """How far the token at a position is above the one before it."""
    return np.int64(row[i]) - np.int64(row[i - 1])


@compiled()
def _draw_subset(state, size, count):
    """A uniform subset of `count` numbers below `size` (at most 64), as a bit mask (Floyd 1987)."""
    mask = np.uint64(0)
    for top in range(size - count, size):
        drawn = below(state, top + 1)
        bit = _ONE << np.uint64(drawn)
        if mask & bit:  # it is in already: the top one is taken for it
            bit = _ONE << np.uint64(top)
        mask |= bit
    return mask


@compiled()
def _unpack(mask, row, start, step, repeated):
    """Writes a mask's bits in ascending order to row[start], row[start + step], ...

    `repeated` subtracts 1 from each further one (stars and bars): strictly ascending bits become a
    multiset. The mask 0b110100, bits 2, 4 and 5, gives 2 4 5, and with `repeated` 2 3 3.
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
def _most_frequent(row):
    """How often the most frequent token of the row occurs."""
    best = 0
    for i in range(len(row)):
        count = 0
        for j in range(len(row)):
            count += row[i] == row[j]
        best = max(best, count)
    return best


@compiled()
def _draw_all_same(state, vocabulary, row):
    """All positions repeat the first one's token."""
    draw_any(state, vocabulary, row)
    row[:] = row[0]


@compiled()
def _is_palindrome(row):
    """Whether the row equals its reverse."""
    last = len(row) - 1
    for i in range(len(row) // 2):
        if row[i] != row[last - i]:
            return False
    return True


@compiled()
def _draw_palindrome(state, vocabulary, row):
    """The second half mirrors the first."""
    draw_any(state, vocabulary, row)
    last = len(row) - 1
    for i in range(len(row) // 2):
        row[last - i] = row[i]


@compiled()
def _never_steps(row, direction):
    """Whether no token moves in `direction` (+1 up, -1 down) from one position to the next."""
    for i in range(1, len(row)):
        if _step(row, i) * direction > 0:
            return False
    return True


@compiled()
def _draw_sorted(state, vocabulary, row, descending):
    """A uniform multiset of tokens in order."""
    length = len(row)
    mask = _draw_subset(state, vocabulary + length - 1, length)
    if descending:
        _unpack(mask, row, length - 1, -1, 1)
    else:
        _unpack(mask, row, 0, 1, 1)


@compiled()
def _takes_turns(row):
    """Whether exactly two tokens take turns."""
    for i in range(2, len(row)):
        if row[i] != row[i - 2]:
            return False
    return row[0] != row[1]


@compiled()
def _draw_turns(state, vocabulary, row):
    """Two different tokens in turn."""
    draw_any(state, vocabulary, row)
    row[1] = _draw_other(state, vocabulary, row[0])
    for i in range(2, len(row)):
        row[i] = row[i - 2]


@compiled()
def _holds_abc(row):
    """Whether tokens 0, 1, 2 stand next to each other in this order."""
    for i in range(len(row) - 2):
        if row[i] == 0 and row[i + 1] == 1 and row[i + 2] == 2:
            return True
    return False


@compiled()
def _draw_abc(state, vocabulary, choices, row):
    """Walks the automaton of `ABC`.

    `choices[position, matched]` are those of A, B and C; beyond them, any other token.
    """
    length = len(row)
    matched = 0  # how many letters of ABC the last positions hold; 3 once all of it stood anywhere
    table = choices.reshape(length, 4, 3)
    for i in range(length):
        kind = _choose(state, table[i, matched])
        row[i] = kind if kind < 3 else 3 + below(state, vocabulary - 3)
        if matched == 3:
            continue
        if kind == matched:
            matched += 1
        else:  # an A begins anew
            matched = np.int64(kind == 0)


@compiled()
def _draw_with(state, vocabulary, position, token, row):
    """`token` at one position, anything elsewhere."""
    draw_any(state, vocabulary, row)
    row[position] = token


@compiled()
def _draw_different(state, vocabulary, row):
    """A uniform set of tokens in random order."""
    length = len(row)
    tokens = _draw_subset(state, vocabulary, length)
    _unpack(tokens, row, 0, 1, 0)
    shuffle(state, row, length)


@compiled()
def _draw_majority(state, vocabulary, choices, row):
    """`choices` are how often the majority token occurs, from just over half upwards."""
    length = len(row)
    token = below(state, vocabulary)
    least = length // 2 + 1
    count = least + _choose(state, choices)
    for i in range(length):
        row[i] = token if i < count else _draw_other(state, vocabulary, token)
    shuffle(state, row, length)


@compiled()
def _pairs_step(row, direction):
    """Whether each disjoint pair moves in `direction` (+1 up, -1 down).

    A last odd token is free.
    """
    for second in range(1, len(row), 2):
        if _step(row, second) * direction <= 0:
            return False
    return True


@compiled()
def _draw_pairs(state, vocabulary, row, direction):
    """Disjoint pairs of two different tokens, each in `direction`; a last odd token is free."""
    length = len(row)
    for i in range(0, length - 1, 2):
        one = below(state, vocabulary)
        other = _draw_other(state, vocabulary, one)
        low = min(one, other)
        high = max(one, other)
        row[i] = low if direction > 0 else high
        row[i + 1] = high if direction > 0 else low
    if length % 2:
        row[length - 1] = below(state, vocabulary)


@compiled()
def _vowels_take_turns(row):
    """Whether vowels and consonants take turns, starting with either."""
    for i in range(1, len(row)):
        if (row[i] in _VOWELS) == (row[i - 1] in _VOWELS):
            return False
    return True


@compiled()
def _consonant(rank):
    """The token of a consonant, from its rank among the consonants.

    It is larger by the vowels before it.
    """
    token = rank
    for vowel in _VOWELS:
        token += token >= vowel
    return token


@compiled()
def _draw_vowels_in_turn(state, vocabulary, choices, row):
    """`choices[0]` is the probability that a member starts with a vowel."""
    vowels = 0
    for vowel in _VOWELS:
        vowels += vowel < vocabulary
    vowel_next = uniform(state) < choices[0]
    for i in range(len(row)):
        if vowel_next:
            row[i] = _VOWELS[below(state, vowels)]
        else:
            row[i] = _consonant(below(state, vocabulary - vowels))
        vowel_next = not vowel_next


@compiled()
def _draw_ends_alike(state, vocabulary, row):
    """The last token repeats the first."""
    draw_any(state, vocabulary, row)
    row[len(row) - 1] = row[0]


@compiled()
def _run_end(row, start, direction, least):
    """The first position from `start` on whose step in `direction` is smaller than `least`.

    The length of the row where there is none.
    """
    i = start
    while i < len(row) and _step(row, i) * direction >= least:
        i += 1
    return i


@compiled()
def _has_peak(row, strict):
    """Whether tokens go up, then down.

    Strict: with an inner peak and no level step; otherwise a side may be empty.
    """
    length = len(row)
    least = 1 if strict else 0
    behind = _run_end(row, 1, 1, least)
    peak = behind - 1
    inner = 0 < peak < length - 1
    whole = _run_end(row, behind, -1, least) == length
    return whole and (inner or not strict)


@compiled()
def _draw_mountain(state, choices, row):
    """`choices` are the peak's token and position; each side is a subset of the lower tokens."""
    length = len(row)
    last = length - 1
    choice = _choose(state, choices)
    peak = choice // length
    before = choice % length
    row[before] = peak
    ascent = _draw_subset(state, peak, before)
    _unpack(ascent, row, 0, 1, 0)
    descent = _draw_subset(state, peak, last - before)
    _unpack(descent, row, last, -1, 0)


@compiled()
def _draw_unimodal(state, choices, row):
    """`choices` are the highest token and how many stand before and after its block.

    Each side is a multiset of the lower tokens.
    """
    length = len(row)
    choice = _choose(state, choices)
    peak = choice // (length * length)
    before = choice // length % length
    after = choice % length
    row[:] = peak
    if before:
        ascent = _draw_subset(state, peak + before - 1, before)
        _unpack(ascent, row, 0, 1, 1)
    if after:
        descent = _draw_subset(state, peak + after - 1, after)
        _unpack(descent, row, length - 1, -1, 1)


@compiled()
def _holds_repeat(row):
    """Whether two neighbours are equal."""
    for i in range(1, len(row)):
        if row[i] == row[i - 1]:
            return True
    return False


@compiled()
def _draw_repeat(state, vocabulary, choices, row):
    """`choices` are the position of the first repeat; what stands before it has none."""
    first = 1 + _choose(state, choices)
    draw_any(state, vocabulary, row)
    for i in range(1, first):
        row[i] = _draw_other(state, vocabulary, row[i - 1])
    row[first] = row[first - 1]


@compiled()
def satisfies(rule, token, row):
    """Whether the row satisfies the rule; `token` is the parameter of the rules that have one."""
    last = len(row) - 1
    if rule == _ALL_SAME:
        return _most_frequent(row) == len(row)
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
        return 2 * _most_frequent(row) > len(row)
    if rule == _INCREASING_PAIRS:
        return _pairs_step(row, 1)
    if rule == _DECREASING_PAIRS:
        return _pairs_step(row, -1)
    if rule == _VOWEL_CONSONANT:
        return _vowels_take_turns(row)
    if rule == _FIRST_LAST_MATCH:
        return row[0] == row[last]
    if rule == _MOUNTAIN:
        return _has_peak(row, True)
    if rule == _UNIMODAL:
        return _has_peak(row, False)
    if rule == _CONTAINS_REPEAT_PAIR:
        return _holds_repeat(row)
    raise ValueError("no predicate for this rule")


@compiled()
def draw_member(state, vocabulary, rule, token, choices, row):
    """A uniform member of the rule, by construction."""
    if rule == _ALL_SAME:
        _draw_all_same(state, vocabulary, row)
    elif rule == _PALINDROME:
        _draw_palindrome(state, vocabulary, row)
    elif rule == _SORTED_ASCENDING:
        _draw_sorted(state, vocabulary, row, False)
    elif rule == _SORTED_DESCENDING:
        _draw_sorted(state, vocabulary, row, True)
    elif rule == _ALTERNATING:
        _draw_turns(state, vocabulary, row)
    elif rule == _CONTAINS_ABC:
        _draw_abc(state, vocabulary, choices, row)
    elif rule == _STARTS_WITH:
        _draw_with(state, vocabulary, 0, token, row)
    elif rule == _ENDS_WITH:
        _draw_with(state, vocabulary, len(row) - 1, token, row)
    elif rule == _NO_REPEATS:
        _draw_different(state, vocabulary, row)
    elif rule == _HAS_MAJORITY:
        _draw_majority(state, vocabulary, choices, row)
    elif rule == _INCREASING_PAIRS:
        _draw_pairs(state, vocabulary, row, 1)
    elif rule == _DECREASING_PAIRS:
        _draw_pairs(state, vocabulary, row, -1)
    elif rule == _VOWEL_CONSONANT:
        _draw_vowels_in_turn(state, vocabulary, choices, row)
    elif rule == _FIRST_LAST_MATCH:
        _draw_ends_alike(state, vocabulary, row)
    elif rule == _MOUNTAIN:
        _draw_mountain(state, choices, row)
    elif rule == _UNIMODAL:
        _draw_unimodal(state, choices, row)
    elif rule == _CONTAINS_REPEAT_PAIR:
        _draw_repeat(state, vocabulary, choices, row)
    else:
        raise ValueError("no draw for this rule")


@compiled()
def match_rows(rule, token, rows):
    """`satisfies` for each row of `(n, length)`: bool `(n,)`."""
    matches = np.empty(len(rows), np.bool_)
    for i in range(len(rows)):
        matches[i] = satisfies(rule, token, rows[i])
    return matches


@compiled()
def _advance(row, vocabulary):
    """Makes the row its successor in lexicographic order; False where that is the first again."""
    position = len(row) - 1
    while position >= 0 and row[position] == vocabulary - 1:
        row[position] = 0
        position -= 1
    if position < 0:
        return False
    row[position] += 1
    return True


@compiled()
def _count_members(rule, token, vocabulary, row):
    """Members of a rule among all sequences; `row` is the first of these, before and after."""
    count = 0
    more = True
    while more:
        count += satisfies(rule, token, row)
        more = _advance(row, vocabulary)
    return count


@compiled()
def match_space(rule, token, vocabulary, length):
    """All members of a rule, by trying every sequence of the space.

    uint8 `(members, length)`, in lexicographic order.
    """
    row = np.zeros(length, np.uint8)
    count = _count_members(rule, token, vocabulary, row)
    members = np.empty((count, length), np.uint8)
    found = 0
    while found < count:
        if satisfies(rule, token, row):
            members[found] = row
            found += 1
        _advance(row, vocabulary)
    return members


@compiled()
def draw_rows(key, vocabulary, length, rule, token, choices, count):
    """Independent uniform members: uint8 `(count, length)`."""
    rows = np.empty((count, length), np.uint8)
    state = np.array([key])
    for i in range(count):
        draw_member(state, vocabulary, rule, token, choices, rows[i])
    return rows
