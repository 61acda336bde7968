"""One subject's sequences: distinct members of its patterns, negatives from the others, fresh ones for the tests.

`seen` is an open-addressing set of 64-bit sequence hashes. Two sequences of one hash (never met below V^L = 2^32, and
with odds under 1e-12 a subject above) count as the same, so what is called distinct always is.
"""

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.random import below, shuffle
from muat_exp.kernels.rules import draw_any, draw_member, satisfies

_EMPTY = np.uint64(0)
_FNV_BASIS = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_FOLD = np.uint64(29)
_HELD_OUT = 0.2  # share of a small pattern's members that only its tests see
_TRIES = 50  # draws for each wanted sequence before a source is given up as exhausted


@compiled()
def _empty_set(entries):
    """A set with room for `entries` hashes at a load under one half."""
    capacity = 64
    while capacity < 2 * entries:
        capacity *= 2
    return np.zeros(capacity, np.uint64)


@compiled()
def add(seen, row):
    """Adds a sequence; False where it was there already (FNV-1a)."""
    code = _FNV_BASIS
    for i in range(row.shape[0]):
        code = (code ^ np.uint64(row[i] + 1)) * _FNV_PRIME
    code ^= code >> _FOLD
    if code == _EMPTY:
        code = _FNV_BASIS
    mask = np.uint64(seen.shape[0] - 1)
    place = code & mask
    while seen[place] != _EMPTY:
        if seen[place] == code:
            return False
        place = (place + np.uint64(1)) & mask
    seen[place] = code
    return True


@compiled()
def _satisfies_any(rules, tokens, row):
    """Whether the row satisfies any of the rules."""
    for i in range(rules.shape[0]):
        if satisfies(rules[i], tokens[i], row):
            return True
    return False


@compiled()
def _copy_row(rows, index, row):
    """row[:] = rows[index], without the counted reference that a view costs."""
    for i in range(row.shape[0]):
        row[i] = rows[index, i]


@compiled()
def _draw_distinct(space, pattern, count, excluded, seen, state, rows):
    """Fills up to `count` rows with distinct, unseen members that satisfy no excluded pattern; returns how many.

    Pattern -1 is the whole space. A pattern with few members for the count is gone through in random order, so that all
    of them can be found; others are drawn at random and drawn again on a repeat.
    """
    rules = space.rules[excluded]
    tokens = space.tokens[excluded]
    rule = np.int64(-1)
    token = np.int64(-1)
    weights = space.weights[:0]
    table = space.table[:0]
    if pattern >= 0:
        rule = np.int64(space.rules[pattern])
        token = np.int64(space.tokens[pattern])
        weights = space.weights[space.weight_start[pattern] : space.weight_start[pattern + 1]]
        table = space.table[
            space.table_start[pattern] : space.table_start[pattern] + space.table_count[pattern]
        ]
    members = table.shape[0]
    listed = 0 < members <= 4 * count
    order = np.arange(members if listed else 0)
    shuffle(state, order, order.shape[0])
    found = 0
    row = np.empty(rows.shape[1], np.uint8)
    for attempt in range(members if listed else _TRIES * count):
        if found == count:
            break
        if members > 0:
            _copy_row(table, order[attempt] if listed else below(state, members), row)
        elif pattern < 0:
            draw_any(state, space.vocabulary, row)
        else:
            draw_member(state, space.vocabulary, rule, token, weights, row)
        if not _satisfies_any(rules, tokens, row) and add(seen, row):
            for i in range(row.shape[0]):
                rows[found, i] = row[i]
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
    for pattern in range(selected.shape[0]):
        if selected[pattern] and pattern != target:
            chosen[count] = pattern
            count += 1
    return chosen


@compiled()
def _most_used(space, pattern, wanted):
    """How many distinct members training and validation may use: a small pattern keeps some for its tests."""
    return min(wanted, np.int64((1.0 - _HELD_OUT) * space.sizes[pattern]))


@compiled()
def _spread(source, found, wanted, earlier, state, rows):
    """Writes `wanted` rows: the `found` distinct ones, then repeats of these, or of earlier rows where none were found.

    `rows[:earlier]` are the rows of this side that were written before; the new ones follow them.
    """
    for i in range(wanted):
        if i < found:
            rows[earlier + i] = source[i]
        elif found > 0:
            rows[earlier + i] = source[below(state, found)]
        else:
            rows[earlier + i] = rows[below(state, earlier + i)]


@compiled()
def _draw_positives(space, selected, target, seen, state, training, validation):
    """Fills both sides with members in equal shares of the selected patterns; the sides share no sequence.

    Returns the number of target rows at the head of `training`.
    """
    chosen = _target_first(selected, target)
    nothing = np.zeros(selected.shape[0], np.bool_)
    source = np.empty((training.shape[0] + validation.shape[0], training.shape[1]), np.uint8)
    to_train = 0
    to_validate = 0
    for i in range(chosen.shape[0]):
        train = _part(training.shape[0], chosen.shape[0], i)
        validate = _part(validation.shape[0], chosen.shape[0], i)
        wanted = train + validate
        found = _draw_distinct(
            space, chosen[i], _most_used(space, chosen[i], wanted), nothing, seen, state, source
        )
        unique = train if found == wanted else min(train, (found * train + wanted - 1) // wanted)
        unique = max(min(unique, found - 1), 0) if validate > 0 else unique
        _spread(source, unique, train, to_train, state, training)
        _spread(source[unique:], found - unique, validate, to_validate, state, validation)
        to_train += train
        to_validate += validate
    return _part(training.shape[0], chosen.shape[0], 0)


@compiled()
def _draw_negatives(space, selected, seen, state, rows):
    """Fills rows evenly from the other patterns' members, then from the whole space, in random order; returns how many.

    None satisfies a selected pattern.
    """
    others = np.flatnonzero(~selected)
    shuffle(state, others, others.shape[0])
    found = 0
    for i in range(others.shape[0]):
        wanted = _most_used(space, others[i], _part(rows.shape[0], others.shape[0], i))
        found += _draw_distinct(space, others[i], wanted, selected, seen, state, rows[found:])
    found += _draw_distinct(space, -1, rows.shape[0] - found, selected, seen, state, rows[found:])
    for i in range(found - 1, 0, -1):
        j = below(state, i + 1)
        for k in range(rows.shape[1]):
            rows[i, k], rows[j, k] = rows[j, k], rows[i, k]
    return found


@compiled()
def _draw_subject(space, selected, target, key, positives, negatives, tokens):
    """One subject's rows, `(rows, L)`: training positives, training negatives, validation positives, validation negatives.

    `positives` and `negatives` are pairs (training, validation). Returns the target rows at the head, and whether
    negatives could be found at all.
    """
    state = np.array([key])
    seen = _empty_set(tokens.shape[0])
    train = positives[0] + negatives[0]
    target_rows = _draw_positives(
        space,
        selected,
        target,
        seen,
        state,
        tokens[: positives[0]],
        tokens[train : train + positives[1]],
    )
    source = np.empty((negatives[0] + negatives[1], tokens.shape[1]), np.uint8)
    found = _draw_negatives(space, selected, seen, state, source)
    unique = negatives[0] if found == source.shape[0] else found * negatives[0] // source.shape[0]
    if unique == 0 or (unique == found and negatives[1] > 0):
        return target_rows, False
    _spread(source, unique, negatives[0], positives[0], state, tokens)
    _spread(source[unique:], found - unique, negatives[1], train + positives[1], state, tokens)
    return target_rows, True


@compiled()
def draw_subjects(space, selected, targets, keys, positives, negatives, length):
    """`_draw_subject` for many: tokens uint8 `(subjects, rows, L)`, target rows int64, and success bool, `(subjects,)`."""
    count = targets.shape[0]
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
def draw_tests(space, selected, target, key, used, count):
    """Sequences of a subject's own task that are not among its `used` rows: positives, negatives, uint8 `(<= count, L)`."""
    state = np.array([key])
    seen = _empty_set(used.shape[0] + 2 * count)
    for i in range(used.shape[0]):
        add(seen, used[i])
    chosen = _target_first(selected, target)
    nothing = np.zeros(selected.shape[0], np.bool_)
    positives = np.empty((count, used.shape[1]), np.uint8)
    found = 0
    for i in range(chosen.shape[0]):
        found += _draw_distinct(
            space,
            chosen[i],
            _part(count, chosen.shape[0], i),
            nothing,
            seen,
            state,
            positives[found:],
        )
    negatives = np.empty((count, used.shape[1]), np.uint8)
    others = _draw_negatives(space, selected, seen, state, negatives)
    return positives[:found], negatives[:others]


@compiled()
def draw_evenly(space, key, count, length):
    """Up to `count` distinct members of each pattern: tokens uint8 `(rows, L)` and each row's pattern int64 `(rows,)`."""
    patterns = space.rules.shape[0]
    nothing = np.zeros(patterns, np.bool_)
    state = np.array([key])
    tokens = np.empty((patterns * count, length), np.uint8)
    origin = np.empty(patterns * count, np.int64)
    found = 0
    for pattern in range(patterns):
        seen = _empty_set(count)  # patterns overlap: a sequence may stand under several
        more = _draw_distinct(space, pattern, count, nothing, seen, state, tokens[found:])
        origin[found : found + more] = pattern
        found += more
    return tokens[:found], origin[:found]
