"""The compiled engine against plain PyTorch, finite differences, and itself alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from muat_exp.config.groups import ACTIVATIONS, ArchitectureConfig, Config, Range, TrainingConfig
from muat_exp.kernels.training import backward, forward, make_scratch, parameter_count
from muat_exp.subjects.architecture import from_module
from muat_exp.subjects.data import draw_data
from muat_exp.subjects.initialization import draw_population
from muat_exp.subjects.specs import draw_specs
from muat_exp.training.engines.base import stage_problem
from muat_exp.training.engines.compiled import CompiledEngine, folded
from muat_exp.training.engines.torch import TorchEngine

CONFIG = Config(architecture=ArchitectureConfig(Range(1, 9), Range(4, 32), ACTIVATIONS))
EVERYONE = np.arange(24)


def problem(config, space, indices=EVERYONE, stage=0):
    specs = draw_specs(config, indices)
    return stage_problem(
        config, specs, draw_data(config, space, specs), draw_population(config, specs), stage
    )


@pytest.mark.parametrize(("standardize", "dropout"), [(True, 0.0), (False, 0.0), (True, 0.3)])
def test_weights_agree_with_torch_in_float64_as_closely_as_float32_does(
    space, workers, standardize, dropout
):
    architecture = replace(CONFIG.architecture, dropout=dropout)
    config = Config(architecture=architecture, training=TrainingConfig(standardize=standardize))
    ours, single, double = (problem(config, space) for _ in range(3))
    engines = (
        CompiledEngine(ours, workers),
        TorchEngine(single),
        TorchEngine(double, dtype="float64"),
    )
    for epoch in range(2):
        (loss, accuracy), _, (reference, right) = (
            engine.train_epoch(EVERYONE, epoch) for engine in engines
        )
        assert np.allclose(loss, reference, rtol=1e-3)
        assert np.mean(accuracy == right) > 0.9
    exact = [from_module(module) for module in engines[2].modules]
    gap = [np.abs(ours.population.subject(i) - exact[i]).max() for i in EVERYONE]
    usual = [np.abs(single.population.subject(i) - exact[i]).max() for i in EVERYONE]
    assert np.median(gap) < 1e-4
    assert np.median(gap) < 10 * np.median(usual) + 1e-6


DEPTH, WIDTH, FEATURES, BATCH = 3, 6, 5, 16


def run_forward(parameters, kind, x, dropout):
    scratch = make_scratch(
        np.array([DEPTH]), np.array([WIDTH]), np.array([0]), FEATURES, BATCH, len(parameters)
    )
    scratch.h[0, :FEATURES] = x
    forward(
        parameters,
        DEPTH,
        WIDTH,
        kind,
        FEATURES,
        BATCH,
        BATCH,
        dropout,
        np.array([3], np.uint64),
        scratch,
    )
    return scratch, float(scratch.out.astype(np.float64).sum())


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("kind", range(len(ACTIVATIONS)))
def test_gradients_agree_with_finite_differences(kind, dropout):
    generator = np.random.default_rng(0)
    subject = (generator.random(parameter_count(DEPTH, WIDTH, FEATURES)) - 0.5).astype(np.float32)
    x = generator.normal(size=(FEATURES, BATCH)).astype(np.float32)
    scratch, _ = run_forward(subject, kind, x, dropout)
    scratch.residual[:] = 1
    backward(subject, DEPTH, WIDTH, kind, FEATURES, BATCH, dropout, scratch)
    for j in range(0, len(subject), 7):
        step = np.zeros_like(subject)
        step[j] = 1e-2
        ahead, behind = (
            run_forward(moved, kind, x, dropout)[1] for moved in (subject + step, subject - step)
        )
        difference = (ahead - behind) / 2e-2
        assert difference == pytest.approx(scratch.gradient[j], rel=0.05, abs=0.02)


def test_a_subject_trains_to_the_same_bits_alone_and_among_others(space, workers):
    together = problem(CONFIG, space)
    engine = CompiledEngine(together, workers)
    for epoch in range(3):
        engine.train_epoch(EVERYONE, epoch)
    for number in (0, 7, 23):
        alone = problem(CONFIG, space, np.array([number]))
        single = CompiledEngine(alone, workers)
        for epoch in range(3):
            single.train_epoch(np.array([0]), epoch)
        assert np.array_equal(alone.population.parameters, together.population.subject(number))


def test_folded_subjects_compute_the_same_on_raw_tokens(space):
    scaled = problem(CONFIG, space)
    raw = folded(scaled)
    tokens = scaled.data.tokens[3]
    inputs = torch.from_numpy((tokens.astype(np.float32) - scaled.shift) * scaled.scale)
    before = scaled.population.to_module(3)(inputs)
    after = raw.to_module(3)(torch.from_numpy(tokens).float())
    assert torch.allclose(before, after, atol=1e-4)


def test_modules_round_trip(space):
    population = problem(CONFIG, space).population
    for i in range(len(population)):
        assert np.array_equal(from_module(population.to_module(i)), population.subject(i))


def test_initial_weights_stay_within_their_bounds(space):
    config = Config(training=TrainingConfig(init="default"))
    module = problem(config, space).population.to_module(0)
    for layer in module[::2]:
        bound = layer.in_features**-0.5
        assert layer.weight.abs().max() <= bound
        assert layer.bias.abs().max() <= bound
        assert layer.weight.std() > 0.4 * bound or layer.weight.numel() < 20
