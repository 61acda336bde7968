"""The compiled engine against plain PyTorch, finite differences, and itself alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from muat_exp.config.groups import ArchitectureConfig, Config, Range, TrainingConfig
from muat_exp.kernels.training import backward, forward, make_scratch
from muat_exp.subjects.activations import ACTIVATIONS, GAINS, activation_of
from muat_exp.subjects.architecture import from_module, zero_networks
from muat_exp.subjects.data import draw_data
from muat_exp.subjects.initialization import draw_population
from muat_exp.subjects.population import Population
from muat_exp.subjects.shapes import MINIMUM_WIDTH, SHAPES
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


@pytest.mark.parametrize(
    ("standardize", "dropout", "shape"),
    [
        (True, 0.0, "uniform"),
        (False, 0.0, "uniform"),
        (True, 0.3, "uniform"),
        (True, 0.0, "pyramid"),
        (True, 0.3, "pyramid"),
    ],
)
def test_weights_agree_with_torch_in_float64_as_closely_as_float32_does(
    space, workers, standardize, dropout, shape
):
    architecture = replace(CONFIG.architecture, dropout=dropout, shape=shape)
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


def one_network(shape, code):
    """A network with small weights, and its layers."""
    networks = zero_networks(
        shape, FEATURES, np.array([DEPTH]), np.array([WIDTH]), np.array([code])
    )
    weights = np.random.default_rng(0).random(len(networks.parameters)) - 0.5
    return networks._replace(parameters=weights.astype(np.float32))


def run_forward(networks, x, dropout):
    size = len(networks.parameters)
    scratch = make_scratch(networks, np.array([0]), BATCH, size)
    scratch.h[0, :FEATURES] = x
    state = np.array([3], np.uint64)
    forward(networks.parameters, networks.layers, BATCH, BATCH, dropout, state, scratch)
    return scratch, float(scratch.out.astype(np.float64).sum())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("code", range(len(ACTIVATIONS)))
def test_gradients_agree_with_finite_differences(code, dropout, shape):
    networks = one_network(shape, code)
    subject = networks.parameters
    x = np.random.default_rng(5).normal(size=(FEATURES, BATCH)).astype(np.float32)
    scratch, _ = run_forward(networks, x, dropout)
    scratch.residual[:] = 1
    backward(subject, networks.layers, BATCH, dropout, scratch)
    for j in range(0, len(subject), 7):
        step = np.zeros_like(subject)
        step[j] = 1e-3  # small: hardly any crosses the kink of a rectifier
        ahead, behind = (
            run_forward(networks._replace(parameters=moved), x, dropout)[1]
            for moved in (subject + step, subject - step)
        )
        difference = (ahead - behind) / 2e-3
        assert difference == pytest.approx(scratch.gradient[j], rel=0.05, abs=0.02)


@pytest.mark.parametrize("code", range(len(ACTIVATIONS)))
def test_every_activation_is_what_torch_computes(code):
    networks = one_network("uniform", code)
    x = np.random.default_rng(2).normal(size=(FEATURES, BATCH)).astype(np.float32)
    scratch, _ = run_forward(networks, x, 0.0)
    module = Population(networks).to_module(0)
    assert type(module[1]).__name__ == activation_of(code).module
    with torch.no_grad():
        expected = module(torch.from_numpy(x.T)).numpy()
    assert np.allclose(scratch.out[0, 0], expected[:, 0], atol=1e-5)


def test_the_gain_of_silu_keeps_the_variance_of_a_standard_normal():
    z = np.linspace(-12, 12, 100_001)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    second_moment = np.trapezoid((z / (1 + np.exp(-z))) ** 2 * density, z)
    [gain] = [gain for name, gain in zip(ACTIVATIONS, GAINS, strict=True) if name == "silu"]
    assert gain**2 * second_moment == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("code", [len(ACTIVATIONS), -2])
def test_an_activation_that_the_kernels_do_not_know_is_refused(space, workers, code):
    wrong = problem(CONFIG, space)
    wrong.population.networks.layers[:-1, 3] = code
    engine = CompiledEngine(wrong, workers)
    with pytest.raises(ValueError, match="activation"):
        engine.train_epoch(EVERYONE, 0)
    with pytest.raises(ValueError, match="activation"):
        engine.evaluate(EVERYONE)
    with pytest.raises(ValueError, match="activation"):
        wrong.population.to_module(0)


def test_every_shape_has_layers_as_wide_as_the_kernels_need():
    depth, width = np.meshgrid(np.arange(1, 20), np.arange(4, 40))
    for shape in SHAPES:
        codes = np.zeros(depth.size, np.int64)
        layers = zero_networks(shape, FEATURES, depth.ravel(), width.ravel(), codes).layers
        assert layers[:, 0].min() == MINIMUM_WIDTH


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
    shift, scale = scaled.scaling
    inputs = torch.from_numpy((tokens.astype(np.float32) - shift) * scale)
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
