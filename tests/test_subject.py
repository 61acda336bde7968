"""A subject's data: true labels, disjoint sides, exact corruption.

Its streams of random numbers do not touch each other.
"""

from dataclasses import replace

import numpy as np
import pytest

from muat_exp.config.groups import Config, CorruptionConfig, PatternsConfig, Range
from muat_exp.kernels import random
from muat_exp.kernels.data import draw_tests
from muat_exp.sequences.patterns import NAMES
from muat_exp.sequences.space import matches, space_arrays
from muat_exp.subjects.corruption import CORRUPTION_KINDS
from muat_exp.subjects.data import draw_data
from muat_exp.subjects.initialization import draw_population
from muat_exp.subjects.specs import draw_specs

INDICES = np.arange(60)


def drawn(config, indices=INDICES):
    space = space_arrays(config.patterns.build())
    specs = draw_specs(config, indices)
    return specs, draw_data(config, space, specs), space


def with_patterns(**changes):
    return Config(patterns=PatternsConfig(**changes))


CONFIGS = [
    Config(),
    with_patterns(per_subject=Range(1, 4)),
    with_patterns(enabled=NAMES, vocab_size=26, sequence_length=20),
    with_patterns(
        enabled=("all_same", "alternating", "palindrome"), vocab_size=5, sequence_length=4
    ),
    with_patterns(definitions="published", per_subject=Range(2, 2)),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_labels_are_true_by_predicate(config):
    specs, data, _ = drawn(config)
    for s in range(len(specs)):
        chosen = [p for p, on in zip(config.patterns.build(), specs.selected[s], strict=True) if on]
        truth = np.any([matches(p, data.tokens[s]) for p in chosen], axis=0)
        assert np.array_equal(truth, data.labels > 0.5)


@pytest.mark.parametrize("config", CONFIGS)
def test_training_and_validation_share_no_sequence(config):
    _, data, _ = drawn(config)
    for rows in data.tokens:
        sides = (
            {bytes(row) for row in rows[: data.training_rows]},
            {bytes(row) for row in rows[data.training_rows :]},
        )
        assert not sides[0] & sides[1]


def test_large_patterns_have_no_repeats():
    specs, data, _ = drawn(Config())
    big = specs.targets == list(Config().patterns.enabled).index("palindrome")
    for rows in data.tokens[big]:
        assert len(np.unique(rows, axis=0)) == 250


@pytest.mark.parametrize("rate", [0.0, 0.15, 0.45, 1.0])
def test_the_share_of_flipped_target_labels_is_exact(rate):
    _, data, _ = drawn(Config(corruption=CorruptionConfig(rate)))
    assert (data.flips == round(rate * 100)).all()
    changed = data.corrupted != data.labels[: data.training_rows]
    assert not changed[:, 100:].any()


# By kind: the rows of the 100 positives and 100 negatives of the training side that it may damage.
CANDIDATES = {
    "flip_target": range(100),
    "flip_any": range(200),
    "random_label": range(200),
    "flip_negatives": range(100, 200),
}


@pytest.mark.parametrize("kind", CORRUPTION_KINDS)
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_each_kind_damages_its_own_rows_alone(kind, rate):
    _, data, _ = drawn(Config(corruption=CorruptionConfig(rate, kind)))
    rows = CANDIDATES[kind]
    truth = data.labels[: data.training_rows]
    changed = data.corrupted != truth
    assert (data.candidates == len(rows)).all()
    assert not np.delete(changed, rows, axis=1).any()
    if kind == "random_label":
        assert abs(changed.sum() - rate * len(rows) * len(changed) / 2) <= 0.1 * changed.size * rate
    else:
        assert (data.flips == round(rate * len(rows))).all()
    assert np.isin(data.corrupted, [0, 1]).all()


@pytest.mark.parametrize("kind", CORRUPTION_KINDS)
def test_a_higher_rate_damages_the_same_labels_and_more_and_nothing_else(kind):
    low = Config(corruption=CorruptionConfig(0.1, kind))
    high = Config(corruption=CorruptionConfig(0.4, kind))
    specs, a, _ = drawn(low)
    other, b, _ = drawn(high)
    assert np.array_equal(a.tokens, b.tokens)
    assert np.array_equal(
        draw_population(low, specs).parameters, draw_population(high, other).parameters
    )
    truth = a.labels[: a.training_rows]
    assert not ((a.corrupted != truth) & ~(b.corrupted != truth)).any()


def test_targets_take_turns_when_balanced_and_are_drawn_otherwise():
    config = Config()
    assert np.array_equal(draw_specs(config, INDICES).targets, INDICES % 14)
    free = replace(config, dataset=replace(config.dataset, balance=False))
    assert not np.array_equal(draw_specs(free, INDICES).targets, INDICES % 14)


def test_a_subject_depends_on_its_number_only():
    config = Config()
    _, together, _ = drawn(config)
    _, alone, _ = drawn(config, np.array([17]))
    assert np.array_equal(alone.tokens[0], together.tokens[17])
    assert np.array_equal(alone.corrupted[0], together.corrupted[17])


def test_several_patterns_share_the_positives_equally():
    config = with_patterns(per_subject=Range(2, 2))
    specs, data, _ = drawn(config)
    assert (specs.selected.sum(axis=1) == 2).all()
    assert (data.target_rows == 50).all()


def test_tests_use_fresh_sequences_with_true_labels():
    config = Config()
    specs, data, space = drawn(config)
    keys = random.generator_keys(0, INDICES, random.TESTS)
    for s in range(len(specs)):
        positives, negatives = draw_tests(
            space, specs.selected[s], specs.targets[s], keys[s], data.tokens[s], 300
        )
        used = {bytes(row) for row in data.tokens[s]}
        assert not used & {bytes(row) for row in np.concatenate([positives, negatives])}
        pattern = config.patterns.build()[specs.targets[s]]
        assert matches(pattern, positives).all()
        assert not matches(pattern, negatives).any()
        assert len(negatives) == 300
        assert len(positives) > 0
