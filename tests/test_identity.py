"""The same subject comes out bit by bit, whoever trains beside it, in whatever order, on however many threads."""

from dataclasses import fields, replace

import numpy as np
import pytest
from conftest import small_config

from muat_exp.cohort import Task, run_cohort
from muat_exp.compose import load_config
from muat_exp.config import ArchitectureConfig, PatternsConfig, Range
from muat_exp.engine import worker_threads

EVERYONE = np.arange(48)


def subject_values(result, i):
    """Everything that is known of the i-th subject of a cohort, as plain arrays."""
    values = {"degraded weights": result.degraded.subject(i), "weights": result.improved.subject(i)}
    for field in fields(result):
        value = getattr(result, field.name)
        if not field.name.startswith("signature") and isinstance(value, np.ndarray):
            values[field.name] = value[i]
    values |= {field.name: getattr(result.specs, field.name)[i] for field in fields(result.specs)}
    values |= {"tokens": result.data.tokens[i], "corrupted": result.data.corrupted[i]}
    place = np.flatnonzero(result.accepted == i)
    if len(place):
        values["signature"] = result.signatures[slice(*result.signature_offsets[place[0] : place[0] + 2])]
    return values


@pytest.mark.parametrize("recipe", ["robust", "published"])
@pytest.mark.parametrize("shape", [(Range(1, 3), Range(4, 9)), (Range(8, 12), Range(10, 17)), (Range(2, 4), Range(30, 64))])
def test_a_subject_is_the_same_alone_among_others_and_in_any_order(recipe, shape):
    config = replace(
        small_config(architecture=ArchitectureConfig(*shape), patterns=PatternsConfig(per_subject=Range(1, 3))),
        training=load_config([f"training={recipe}"]).training,
    )
    task = Task.build(config)
    with worker_threads(3) as many, worker_threads(1) as one:
        together = run_cohort(task, EVERYONE, many, [])
        shuffled = EVERYONE[::-1][5:]
        backwards = run_cohort(task, shuffled, one, [])
        alone = {number: run_cohort(task, np.array([number]), one, []) for number in (0, 11, 30)}
    assert len(together.accepted) > 2
    others = [(number, backwards, place) for place, number in enumerate(shuffled)]
    for number, result, place in [*others, *((number, result, 0) for number, result in alone.items())]:
        here, there = subject_values(together, number), subject_values(result, place)
        assert here.keys() == there.keys()
        for name, value in here.items():
            np.testing.assert_array_equal(value, there[name], err_msg=f"{name} of subject {number}")
