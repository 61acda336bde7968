"""The same subject comes out bit by bit.

Whoever trains beside it, in whatever order, on however many threads.
"""

from dataclasses import fields, replace

import numpy as np
import pytest
from conftest import small_config

from muat_exp.app.compose import load_config
from muat_exp.config.groups import (
    ArchitectureConfig,
    DatasetConfig,
    PatternsConfig,
    Range,
)
from muat_exp.evaluation.measurement import RunContext
from muat_exp.executors.threads import worker_threads
from muat_exp.generation.cohort import run_cohort
from muat_exp.subjects.activations import ACTIVATIONS

EVERYONE = np.arange(48)


def subject_values(result, i):
    """Everything that is known of the i-th subject of a cohort, as plain arrays."""
    values = {"degraded weights": result.degraded.subject(i), "weights": result.improved.subject(i)}
    for field in fields(result):
        value = getattr(result, field.name)
        if not field.name.startswith(("signature", "degraded_sig")) and isinstance(
            value, np.ndarray
        ):
            values[field.name] = value[i]
    for stage in (
        "degraded_history",
        "clean_history",
    ):  # a cohort has as many epochs as its slowest subject
        values[stage] = values[stage][~np.isnan(values[stage][:, 0])]
    values |= {field.name: getattr(result.specs, field.name)[i] for field in fields(result.specs)}
    values |= {"tokens": result.data.tokens[i], "corrupted": result.data.corrupted[i]}
    place = np.flatnonzero(result.accepted == i)
    if len(place):
        own = slice(*result.signature_offsets[place[0] : place[0] + 2])
        values |= {
            "signature": result.signatures[own],
            "degraded signature": result.degraded_signatures[own],
        }
    return values


SHAPES = [
    ArchitectureConfig(Range(1, 3), Range(4, 9), ACTIVATIONS, dropout=0.1, precision="bfloat16"),
    ArchitectureConfig(Range(8, 12), Range(10, 17)),
    ArchitectureConfig(Range(2, 4), Range(30, 64), precision="float16", quantization="int8"),
]


@pytest.mark.parametrize("recipe", ["robust", "published"])
@pytest.mark.parametrize("architecture", SHAPES)
def test_a_subject_is_the_same_alone_among_others_and_in_any_order(recipe, architecture):
    config = replace(
        small_config(architecture=architecture, patterns=PatternsConfig(per_subject=Range(1, 3))),
        training=load_config([f"training={recipe}"]).training,
        dataset=DatasetConfig(num_examples=28, columns=("training_metrics", "degraded_signature")),
    )
    task = RunContext.build(config)
    with worker_threads(3) as many, worker_threads(1) as one:
        together = run_cohort(task, EVERYONE, many, [])
        shuffled = EVERYONE[::-1][5:]
        backwards = run_cohort(task, shuffled, one, [])
        alone = {number: run_cohort(task, np.array([number]), one, []) for number in (0, 11, 30)}
    assert len(together.accepted) > 2
    others = [(number, backwards, place) for place, number in enumerate(shuffled)]
    for number, result, place in [
        *others,
        *((number, result, 0) for number, result in alone.items()),
    ]:
        here, there = subject_values(together, number), subject_values(result, place)
        assert here.keys() == there.keys()
        for name, value in here.items():
            np.testing.assert_array_equal(value, there[name], err_msg=f"{name} of subject {number}")
