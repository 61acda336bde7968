"""Stored weights against plain numpy and torch, neuron by neuron."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from muat_exp.config.groups import ArchitectureConfig
from muat_exp.kernels.quantization import quantize_row
from muat_exp.sequences.patterns import PUBLISHED
from muat_exp.subjects.architecture import split_parameters, zero_networks
from muat_exp.subjects.population import Population
from muat_exp.subjects.quantization import as_stored, rounded
from muat_exp.subjects.schemes import PUBLISHED_SCHEMES, SCHEMES, scheme_code

WEIGHTS = arrays(
    np.float32, st.integers(1, 20), elements=st.floats(-1e3, 1e3, width=32, allow_subnormal=False)
)


def quantized(row, scheme, definitions="muat_exp", largest=None):
    """A neuron's weights, of a layer that has no larger ones unless they are given."""
    own = row.copy()
    size = np.float32(np.abs(row).max() if largest is None else largest)
    quantize_row(own, scheme_code(scheme, definitions), size)
    return own


def zeros(shape, depths, widths):
    codes = np.zeros(len(depths), np.int64)
    return Population(zero_networks(shape, 5, np.array(depths), np.array(widths), codes))


@pytest.mark.parametrize("code", [-1, len(SCHEMES) + len(PUBLISHED_SCHEMES)])
def test_a_quantization_that_the_kernels_do_not_know_is_refused(code):
    with pytest.raises(ValueError, match="quantization"):
        quantize_row(np.ones(4, np.float32), code, np.float32(1))


@given(
    arrays(np.float32, 30, elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    st.sampled_from(["bfloat16", "float16"]),
)
def test_numbers_are_rounded_as_torch_rounds_them(values, precision):
    expected = torch.from_numpy(values).to(getattr(torch, precision)).float().numpy()
    assert np.array_equal(rounded(values, precision), expected)


@pytest.mark.parametrize(("scheme", "levels"), [("int8", 127), ("int4", 7)])
@given(row=WEIGHTS)
def test_integers_are_the_nearest_of_evenly_spaced_levels(scheme, levels, row):
    scale = np.abs(row).max() / np.float32(levels)
    got = quantized(row, scheme)
    assert (np.abs(got - row) <= 0.5001 * scale + 1e-30).all()
    assert len(np.unique(np.rint(got / scale))) <= 2 * levels + 1 if scale > 0 else not got.any()


@given(WEIGHTS)
def test_binary_weights_are_signs_times_the_mean_size(row):
    scale = np.abs(row.astype(float)).mean()
    assert np.allclose(quantized(row, "binary"), np.where(row >= 0, scale, -scale), rtol=1e-6)


@given(WEIGHTS)
def test_ternary_weights_are_zero_in_the_dead_zone(row):
    size = np.abs(row.astype(float))
    kept = np.abs(row) > np.float32(0.7 * size.mean())
    scale = size[kept].mean() if kept.any() else 0
    assert np.allclose(
        quantized(row, "ternary"), np.where(kept, np.sign(row) * scale, 0), rtol=1e-6
    )


@given(WEIGHTS)
def test_published_binary_weights_are_plain_signs(row):
    assert np.array_equal(quantized(row, "binary", PUBLISHED), np.where(row >= 0, 1, -1))


@given(WEIGHTS, st.floats(1, 3))
def test_published_ternary_weights_are_plain_signs_beyond_a_fifth_of_the_largest(row, factor):
    largest = np.float32(np.abs(row).max() * factor)
    kept = (np.abs(row) >= np.float32(0.2) * largest) & (largest > 0)
    expected = np.where(kept, np.sign(row), 0)
    assert np.array_equal(quantized(row, "ternary", PUBLISHED, largest), expected)


@pytest.mark.parametrize("scheme", PUBLISHED_SCHEMES)
def test_published_levels_are_those_of_a_layer(scheme):
    population = zeros("pyramid", [3, 1], [6, 4])
    population.parameters[:] = np.random.default_rng(0).normal(size=len(population.parameters))
    stored = as_stored(population, ArchitectureConfig(quantization=scheme), PUBLISHED)
    again = as_stored(stored, ArchitectureConfig(quantization=scheme), PUBLISHED)
    assert np.array_equal(again.parameters, stored.parameters)
    for i in range(2):
        layers = population.layers(i)
        weights = [weight for weight, _ in split_parameters(population.subject(i), layers)]
        found = [weight for weight, _ in split_parameters(stored.subject(i), layers)]
        for weight, levels in zip(weights, found, strict=True):
            kept = np.abs(weight) >= np.float32(0.2) * np.abs(weight).max()
            assert np.array_equal(levels, np.sign(weight) * (kept | (scheme == "binary")))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_neuron_has_its_own_levels_and_biases_stay(scheme):
    population = zeros("pyramid", [3, 1], [6, 4])
    population.parameters[:] = np.random.default_rng(0).normal(size=len(population.parameters))
    stored = as_stored(population, ArchitectureConfig(quantization=scheme), "muat_exp")
    for i in range(2):
        layers = population.layers(i)
        pairs = zip(
            split_parameters(population.subject(i), layers),
            split_parameters(stored.subject(i), layers),
            strict=True,
        )
        for (weight, bias), (stored_weight, stored_bias) in pairs:
            assert np.array_equal(bias, stored_bias)
            assert np.array_equal(
                stored_weight, np.stack([quantized(row, scheme) for row in weight])
            )


def test_float32_without_quantization_is_what_was_trained():
    population = zeros("uniform", [3], [6])
    population.parameters[:] = 0.1
    stored = as_stored(population, ArchitectureConfig(), "muat_exp")
    assert stored.parameters is population.parameters
