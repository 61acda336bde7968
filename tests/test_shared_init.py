"""Subjects that start from the same weights: `training.shared_init`."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from conftest import small_config

from muat_exp.app.compose import load_config
from muat_exp.config.groups import ArchitectureConfig, DatasetConfig, LoggerConfig, Range
from muat_exp.config.identity import config_signature
from muat_exp.generation.pipeline import generate
from muat_exp.subjects.activations import GAINS, activation_code
from muat_exp.subjects.data import draw_data
from muat_exp.subjects.initialization import draw_population
from muat_exp.subjects.specs import draw_specs
from muat_exp.validation.own_format import Depth
from muat_exp.validation.validate import validate

INDICES = np.arange(3, 200)  # without the subject 0, whose stream is shared


def shared(config, init="kaiming"):
    return replace(config, training=replace(config.training, init=init, shared_init=True))


def starts_by_shape(config):
    """The distinct initial weights of each shape: depth, width and activation."""
    specs = draw_specs(config, INDICES)
    population = draw_population(config, specs)
    starts: dict[tuple[int, ...], set[bytes]] = {}
    for i, shape in enumerate(zip(specs.depths, specs.widths, specs.activations, strict=True)):
        starts.setdefault(shape, set()).add(population.subject(i).tobytes())
    return starts


@pytest.mark.parametrize("init", ["kaiming", "default"])
@pytest.mark.parametrize("shape", ["uniform", "pyramid"])
def test_subjects_of_a_shape_start_from_the_same_weights_only_when_asked(config, init, shape):
    config = replace(config, architecture=replace(config.architecture, shape=shape))
    config = replace(config, training=replace(config.training, init=init))
    together = starts_by_shape(shared(config, init))
    assert all(len(starts) == 1 for starts in together.values())
    assert sum(map(len, starts_by_shape(config).values())) == len(INDICES)
    assert len(together) > 10


def test_the_shared_start_follows_from_the_seed_and_the_shape_alone(config):
    config = shared(config)
    some = draw_population(config, draw_specs(config, INDICES)).parameters
    other = replace(config, cohort_size=5, workers=1)
    assert np.array_equal(draw_population(other, draw_specs(other, INDICES)).parameters, some)
    reseeded = starts_by_shape(replace(config, seed=config.seed + 1))
    starts = starts_by_shape(config)
    common = starts.keys() & reseeded.keys()
    assert common
    assert not any(starts[shape] & reseeded[shape] for shape in common)


def test_another_activation_has_the_same_start_within_other_bounds():
    both = ArchitectureConfig(Range(3, 3), Range(8, 8), ("relu", "tanh"))
    starts = starts_by_shape(shared(small_config(architecture=both)))
    (relu,), (tanh,) = (
        [np.frombuffer(start, np.float32) for start in starts[3, 8, activation_code(name)]]
        for name in ("relu", "tanh")
    )
    ratio = GAINS[activation_code("tanh")] / GAINS[activation_code("relu")]
    assert np.allclose(tanh, relu * ratio, rtol=1e-6)


def test_the_start_is_pytorch_s_own_law_with_the_default_initialization():
    config = shared(small_config(), "default")
    population = draw_population(config, draw_specs(config, INDICES))
    for layer in population.to_module(0):
        if isinstance(layer, torch.nn.Linear):
            assert layer.weight.abs().max() <= layer.in_features**-0.5


def test_a_shared_start_changes_no_other_stream(config, space):
    specs, other = (draw_specs(each, INDICES) for each in (config, shared(config)))
    assert np.array_equal(specs.rates, other.rates)
    first = draw_data(config, space, specs)
    second = draw_data(shared(config), space, other)
    assert np.array_equal(first.tokens, second.tokens)
    assert np.array_equal(first.corrupted, second.corrupted)


def test_it_is_in_the_signature_hash_where_it_is_set(config):
    assert config_signature(shared(config)) != config_signature(config)
    same = replace(config, training=replace(config.training, shared_init=False))
    assert config_signature(same) == config_signature(config)


def test_a_run_says_so_in_its_card_and_is_trained_again_bit_by_bit(tmp_path, workers, run):
    config = shared(small_config(dataset=DatasetConfig(14), logger=LoggerConfig("none")))
    made = generate(config, tmp_path).dataset
    row = "| Initial weights | the same for all subjects of a shape |"
    assert row in (made / "README.md").read_text()
    assert "Initial weights" not in (run.dataset / "README.md").read_text()
    report = validate(made, workers, depth=Depth(retrain=14))
    assert not report.faults
    assert any(
        "trained again from their numbers: 14 to the last bit" in line for line in report.checked
    )


def test_the_preset_sweeps_both_ways_on_the_same_attempts():
    config = load_config(["+sweep=initialization"])
    assert config.dataset.max_attempts_per_example == 1
    for seed, start in product((0, 1), (False, True)):
        given = [f"seed={seed}", f"training.shared_init={start}"]
        assert load_config(given).training.shared_init is start
