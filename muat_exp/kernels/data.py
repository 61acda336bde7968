"""One subject's sequences: members of its patterns, negatives, and fresh ones for its tests.

`seen` is an open-addressing set of 64-bit sequence hashes. Two sequences of one hash (never met
below V^L = 2^32, and with odds under 1e-12 per subject above) count as the same, so what is called
distinct always is.
"""

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.random import below, shuffle
from muat_exp.kernels.rules import draw_any, draw_member, satisfies

_EMPTY = np.uint64(0)  # a slot without a hash
_FNV_BASIS = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_FOLD = np.uint64(29)
_ONE = np.uint64(1)
HELD_OUT = 0.2  # share of a small pattern's members that only its tests see
_FEW = 4  # members for each wanted sequence, up to which a pattern is gone through
_TRIES = 50  # draws for each wanted sequence before a source is given up as exhausted
_WHOLE_SPACE = -1  # in the place of a pattern's index


@compiled()
def _empty_set(entries):
    """A set with room for `entries` hashes at a load under one half."""
    capacity = 64
    while capacity < 2 * entries:
        capacity *= 2
    return np.zeros(capacity, np.uint64)


@compiled()
def _sequence_hash(row):
    """FNV-1a over the tokens, its high bits folded into the low ones; never `_EMPTY`."""
    code = _FNV_BASIS
    for i in range(len(row)):
        code = (code ^ np.uint64(row[i] + 1)) * _FNV_PRIME
    code ^= code >> _FOLD
    return _FNV_BASIS if code == _EMPTY else code


@compiled()
def add(seen, row):
    """Adds a sequence to a set; False where it was there already."""
    code = _sequence_hash(row)
    mask = np.uint64(len(seen) - 1)  # the capacity is a power of two
    slot = code & mask
    while seen[slot] != _EMPTY:
        if seen[slot] == code:
            return False
        slot = (slot + _ONE) & mask
    seen[slot] = code
    return True


@compiled()
def _satisfies_any(rules, tokens, row):
    """Whether the row satisfies any of the rules."""
    for i in range(len(rules)):
        if satisfies(rules[i], tokens[i], row):
            return True
    return False


@compiled()
def _copy_row(source, index, target, position):
    """target[position] = source[index], without the counted reference that a view costs."""
    for i in range(source.shape[1]):
        target[position, i] = source[index, i]


@compiled()
def _members(space, pattern):
    """The table of a pattern's members; empty for the whole space, and where there is none."""
    if pattern == _WHOLE_SPACE:
        return space.table[:0]
    start = space.table_start[pattern]
    stop = start + space.table_count[pattern]
    return space.table[start:stop]


@compiled()
def _rule_of(space, pattern):
    """A pattern's rule, its token and its draw's choices; for the whole space they mean nothing."""
    if pattern == _WHOLE_SPACE:
        return space.rules[0], space.tokens[0], space.choices[:0]
    start = space.choice_start[pattern]
    stop = space.choice_start[pattern + 1]
    return space.rules[pattern], space.tokens[pattern], space.choices[start:stop]


@compiled()
def _draw_distinct(space, pattern, count, excluded, seen, state, rows):
    """Fills up to `count` rows with unseen members that satisfy no excluded pattern.

    Returns how many it found. A pattern with few members for the count is gone through in random
    order, so that all of them can be found; others, and the whole space, are drawn at random and
    drawn again on a repeat.
    """
    rules = space.rules[excluded]
    tokens = space.tokens[excluded]
    rule, token, choices = _rule_of(space, pattern)
    table = _members(space, pattern)
    members = len(table)
    listed = 0 < members <= _FEW * count
    attempts = members if listed else _TRIES * count
    order = np.arange(members if listed else 0)
    shuffle(state, order, len(order))
    found = 0
    drawn = np.empty((1, rows.shape[1]), np.uint8)
    row = drawn[0]
    for attempt in range(attempts):
        if found == count:
            break
        if listed:
            _copy_row(table, order[attempt], drawn, 0)
        elif members > 0:
            _copy_row(table, below(state, members), drawn, 0)
        elif pattern == _WHOLE_SPACE:
            draw_any(state, space.vocabulary, row)
        else:
            draw_member(state, space.vocabulary, rule, token, choices, row)
        if not _satisfies_any(rules, tokens, row) and add(seen, row):
            _copy_row(drawn, 0, rows, found)
            found += 1
    return found


@compiled()
def _part(total, parts, i):
    """Size of the i-th of `parts` nearly equal integer parts of a total, the larger ones first."""
    return total // parts + (i < total % parts)


@compiled()
def _target_first(selected, target):
    """Indices of the selected patterns, the target before the others."""
    chosen = np.empty(selected.sum(), np.int64)
    chosen[0] = target
    count = 1
    for pattern in range(len(selected)):
        if selected[pattern] and pattern != target:
            chosen[count] = pattern
            count += 1
    return chosen


@compiled()
def _most_used(space, pattern, wanted):
    """How many distinct members may train and validate; a small pattern keeps some for tests."""
    usable = (1.0 - HELD_OUT) * space.sizes[pattern]
    return min(wanted, np.int64(usable))


@compiled()
def _spread(source, found, wanted, earlier, state, rows):
    """Writes `wanted` rows of one side after its `earlier` ones.

    They are the `found` distinct ones of the source, then repeats of these, or of earlier rows
    where none were found.
    """
    for i in range(wanted):
        place = earlier + i
        if i < found:
            rows[place] = source[i]
        elif found > 0:
            rows[place] = source[below(state, found)]
        else:
            rows[place] = rows[below(state, place)]


@compiled()
def _distinct_to_train(found, train, validate):
    """How many of the `found` distinct members train; the others validate.

    Where fewer were found than both sides want, they share them in the proportion of what they
    want. Where validation wants any, it gets at least one.
    """
    wanted = train + validate
    share = train
    if found < wanted:
        proportion = (found * train + wanted - 1) // wanted  # rounded up
        share = min(train, proportion)
    if validate > 0:
        share = max(min(share, found - 1), 0)
    return share


@compiled()
def _draw_positives(space, selected, target, seen, state, training, validation):
    """Fills both sides with members of the selected patterns in equal shares.

    The sides share no sequence. Returns the number of target rows at the head of `training`.
    """
    chosen = _target_first(selected, target)
    parts = len(chosen)
    nothing = np.zeros(len(selected), np.bool_)
    rows = len(training) + len(validation)
    source = np.empty((rows, training.shape[1]), np.uint8)
    trained = 0
    validated = 0
    for i in range(parts):
        pattern = chosen[i]
        train = _part(len(training), parts, i)
        validate = _part(len(validation), parts, i)
        usable = _most_used(space, pattern, train + validate)
        found = _draw_distinct(space, pattern, usable, nothing, seen, state, source)
        unique = _distinct_to_train(found, train, validate)
        _spread(source, unique, train, trained, state, training)
        _spread(source[unique:], found - unique, validate, validated, state, validation)
        trained += train
        validated += validate
    return _part(len(training), parts, 0)


@compiled()
def _shuffle_rows(state, rows, count):
    """Fisher-Yates over the first `count` rows, in place."""
    for i in range(count - 1, 0, -1):
        j = below(state, i + 1)
        for k in range(rows.shape[1]):
            rows[i, k], rows[j, k] = rows[j, k], rows[i, k]


@compiled()
def _draw_negatives(space, selected, seen, state, rows):
    """Fills rows with sequences that satisfy no selected pattern, in random order.

    Returns how many it found. They come evenly from the other patterns' members, and what these
    lack from the whole space.
    """
    others = np.flatnonzero(~selected)
    shuffle(state, others, len(others))
    found = 0
    for i in range(len(others)):
        pattern = others[i]
        share = _part(len(rows), len(others), i)
        wanted = _most_used(space, pattern, share)
        found += _draw_distinct(space, pattern, wanted, selected, seen, state, rows[found:])
    missing = len(rows) - found
    found += _draw_distinct(space, _WHOLE_SPACE, missing, selected, seen, state, rows[found:])
    _shuffle_rows(state, rows, found)
    return found


@compiled()
def _draw_subject(space, selected, target, key, positives, negatives, tokens):
    """One subject's rows, `(rows, L)`: training before validation, positives before negatives.

    `positives` and `negatives` are pairs (training, validation). Returns the target rows at the
    head, and whether negatives could be found at all.
    """
    state = np.array([key])
    seen = _empty_set(len(tokens))
    training_rows = positives[0] + negatives[0]
    training = tokens[:training_rows]
    validation = tokens[training_rows:]
    target_rows = _draw_positives(
        space,
        selected,
        target,
        seen,
        state,
        training[: positives[0]],
        validation[: positives[1]],
    )
    wanted = negatives[0] + negatives[1]
    source = np.empty((wanted, tokens.shape[1]), np.uint8)
    found = _draw_negatives(space, selected, seen, state, source)
    unique = found * negatives[0] // wanted  # that train; the others validate
    if unique == 0 or (unique == found and negatives[1] > 0):
        return target_rows, False
    _spread(source, unique, negatives[0], positives[0], state, training)
    _spread(source[unique:], found - unique, negatives[1], positives[1], state, validation)
    return target_rows, True


@compiled()
def draw_subjects(space, selected, targets, keys, positives, negatives, length):
    """The sequences of many subjects, as `_draw_subject` lays them out.

    Args:
        space: `sequences.space.SpaceArrays` of P patterns.
        selected: bool `(subjects, P)`, the patterns that each learns.
        targets: int64 `(subjects,)`, the selected pattern whose members stand first.
        keys: uint64 `(subjects,)`, of each subject's own stream.
        positives: how many rows (training, validation) have of this label.
        negatives: likewise.
        length: L.

    Returns:
        Tokens uint8 `(subjects, rows, L)`; int64 `(subjects,)`, the target rows at the head of
        each; and bool `(subjects,)`, False where too few negatives exist.
    """
    count = len(targets)
    rows = positives[0] + positives[1] + negatives[0] + negatives[1]
    tokens = np.empty((count, rows, length), np.uint8)
    target_rows = np.empty(count, np.int64)
    found = np.empty(count, np.bool_)
    for i in range(count):
        target_rows[i], found[i] = _draw_subject(
            space, selected[i], targets[i], keys[i], positives, negatives, tokens[i]
        )
    return tokens, target_rows, found


@compiled()
def _draw_test_positives(space, selected, target, seen, state, rows):
    """Fills rows with unseen members of the selected patterns in equal shares.

    Returns how many it found.
    """
    chosen = _target_first(selected, target)
    nothing = np.zeros(len(selected), np.bool_)
    found = 0
    for i in range(len(chosen)):
        wanted = _part(len(rows), len(chosen), i)
        found += _draw_distinct(space, chosen[i], wanted, nothing, seen, state, rows[found:])
    return found


@compiled()
def draw_tests(space, selected, target, key, used, count):
    """Fresh positives and negatives of a subject: sequences that are not among its `used` rows.

    Returns:
        Positives and negatives, uint8 `(<= count, L)` each.
    """
    state = np.array([key])
    seen = _empty_set(len(used) + 2 * count)
    for i in range(len(used)):
        add(seen, used[i])
    length = used.shape[1]
    positives = np.empty((count, length), np.uint8)
    found = _draw_test_positives(space, selected, target, seen, state, positives)
    negatives = np.empty((count, length), np.uint8)
    others = _draw_negatives(space, selected, seen, state, negatives)
    return positives[:found], negatives[:others]


@compiled()
def draw_evenly(space, key, count, length):
    """Up to `count` distinct members of each pattern.

    Returns:
        Tokens uint8 `(rows, L)`, and the pattern that each row was drawn from, int64 `(rows,)`.
    """
    patterns = len(space.rules)
    nothing = np.zeros(patterns, np.bool_)
    state = np.array([key])
    tokens = np.empty((patterns * count, length), np.uint8)
    origin = np.empty(patterns * count, np.int64)
    found = 0
    for pattern in range(patterns):
        seen = _empty_set(count)  # patterns overlap: a sequence may stand under several
        more = _draw_distinct(space, pattern, count, nothing, seen, state, tokens[found:])
        stop = found + more
        origin[found:stop] = pattern
        found = stop
    return tokens[:found], origin[:found]
