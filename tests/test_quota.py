"""Quotas: the first accepted of each pattern in index order, whatever the cohorts."""

import numpy as np
import pytest
from conftest import small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from muat_exp.config.groups import DatasetConfig
from muat_exp.errors import ShortfallError
from muat_exp.generation.quota import Quotas


def accepted(index):
    return (index * 2654435761 % 97) < 40


def filled(config, size):
    quotas = Quotas(config)
    while len(indices := quotas.take(quotas.plan(size))):
        quotas.record(indices, np.array([accepted(i) for i in indices]))
    return quotas


@settings(max_examples=20, deadline=None)
@given(st.integers(14, 120), st.integers(1, 300), st.booleans())
def test_the_same_examples_are_taken_whatever_the_cohort_size(examples, size, balance):
    config = small_config(dataset=DatasetConfig(num_examples=examples, balance=balance))
    ours, reference = filled(config, size), filled(config, 64)
    assert [q.taken for q in ours.queues] == [q.taken for q in reference.queues]
    assert ours.needed == reference.needed
    assert ours.taken == examples
    counts = [len(q.taken) for q in ours.queues]
    assert max(counts) - min(counts) <= 1


def test_no_attempt_is_planned_twice_or_left_out():
    quotas, seen = Quotas(small_config()), []
    while len(indices := quotas.take(quotas.plan(10))):
        seen += indices.tolist()
        quotas.record(indices, np.array([accepted(i) for i in indices]))
    assert len(seen) == len(set(seen))
    for queue in quotas.queues:
        assert [i for i in sorted(seen) if i % 14 == queue.offset] == [
            queue.offset + 14 * k for k in range(queue.attempts)
        ]


@settings(max_examples=20, deadline=None)
@given(st.integers(14, 120), st.integers(1, 300), st.integers(2, 4))
def test_cohorts_under_way_together_change_nothing_that_is_taken(examples, size, flight):
    config = small_config(dataset=DatasetConfig(num_examples=examples))
    quotas = Quotas(config)
    under_way: list[NDArray[np.int64]] = []
    while True:
        while len(under_way) < flight and len(indices := quotas.take(quotas.plan(size))):
            under_way.append(indices)
        if not under_way:
            break
        indices = under_way.pop(0)
        quotas.record(indices, np.array([accepted(i) for i in indices]))
    assert [q.taken for q in quotas.queues] == [q.taken for q in filled(config, 64).queues]


def test_a_pattern_that_cannot_fill_its_quota_is_named_with_its_acceptance():
    config = small_config(dataset=DatasetConfig(num_examples=28, max_attempts_per_example=3))
    quotas = Quotas(config)

    def fill_all_but_palindrome():
        while len(indices := quotas.take(quotas.plan(64))):
            quotas.record(indices, indices % 14 != 0)

    sentence = "palindrome filled 0 of its 2 examples in 6 attempts"
    with pytest.raises(ShortfallError, match=sentence):
        fill_all_but_palindrome()


def test_a_shortfall_can_be_accepted():
    config = small_config(
        dataset=DatasetConfig(num_examples=28, max_attempts_per_example=3, on_shortfall="accept")
    )
    quotas = Quotas(config)
    while len(indices := quotas.take(quotas.plan(64))):
        quotas.record(indices, indices % 14 != 0)
    assert quotas.taken == 26
