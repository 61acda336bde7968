"""Vectors of 16 lanes against numpy."""

import numpy as np
import pytest
from numba import njit
from scipy.stats import norm

from muat_exp.kernels.network import cross_entropy, exp, normal
from muat_exp.kernels.vector import (
    broadcast,
    load,
    nearest,
    power_of_two,
    store,
    store_totals,
    total,
    where_above,
)

GENERATOR = np.random.default_rng(0)
A, B = (GENERATOR.normal(size=16).astype(np.float32) for _ in range(2))


@njit
def arithmetic(a, b, out):
    x, y = load(a, 0), load(b, 0)
    x += y * 2.0
    store(out, 0, (x - y) / (y * y + 1.0))


@njit
def choose(a, b, out):
    x, y = load(a, 0), load(b, 0)
    store(out, 0, where_above(x, y, x, y))


@njit
def rounded_power(a, out):
    store(out, 0, power_of_two(nearest(load(a, 0) * 5.0)))


@njit
def first_everywhere(a, out):
    store(out, 0, broadcast(a, 0))


@njit
def apply_exp(x, out):
    for k in range(0, x.shape[0], 16):
        store(out, k, exp(load(x, k)))


@njit
def sum_lanes(rows, out):
    a, b, c, d = load(rows, (0, 0)), load(rows, (1, 0)), load(rows, (2, 0)), load(rows, (3, 0))
    e, f, g, h = load(rows, (4, 0)), load(rows, (5, 0)), load(rows, (6, 0)), load(rows, (7, 0))
    store_totals(out, 0, 9, a, b, c, d, e, f, g, h)
    out[4] = total(a)


def filled(kernel, *arguments):
    out = np.zeros(16, np.float32)
    kernel(*arguments, out)
    return out


def test_operators():
    assert np.allclose(filled(arithmetic, A, B), (A + B) / (B * B + 1), atol=1e-6)


def test_choices():
    assert np.array_equal(filled(choose, A, B), np.maximum(A, B))


def test_powers_of_two():
    assert np.array_equal(filled(rounded_power, A), 2.0 ** np.rint(A * np.float32(5)))


def test_broadcast():
    assert np.array_equal(filled(first_everywhere, A), np.full(16, A[0]))


def test_totals():
    rows = GENERATOR.normal(size=(8, 16)).astype(np.float32)
    sums = filled(sum_lanes, rows)
    assert sums[:4] == pytest.approx(rows[:4].sum(axis=1), abs=1e-5)
    assert sums[9:13] == pytest.approx(rows[4:].sum(axis=1), abs=1e-5)
    assert sums[4] == pytest.approx(sums[0], abs=1e-5)
    assert not sums[5:9].any()


def test_exp_is_accurate():
    x = np.linspace(-80, 80, 2048, dtype=np.float32)
    ours = np.zeros_like(x)
    apply_exp(x, ours)
    assert np.abs(ours / np.exp(x.astype(np.float64)) - 1).max() < 3e-7


@pytest.mark.parametrize("examples", [1, 16, 1000])
def test_cross_entropy_agrees_with_float64(examples):
    lanes = -(-examples // 16) * 16
    out, residual = (np.zeros((1, 1, lanes), np.float32) for _ in range(2))
    y, live = np.zeros(lanes, np.float32), (np.arange(lanes) < examples).astype(np.float32)
    z = GENERATOR.normal(size=examples).astype(np.float32) * 10
    out[0, 0, :examples], y[:examples] = z, GENERATOR.random(examples) < 0.5
    out[0, 0, examples:] = 50
    loss, right = cross_entropy(out, y, live, lanes, np.float32(1 / examples), residual)
    exact, label = z.astype(np.float64), y[:examples]
    assert loss == pytest.approx((np.logaddexp(0, exact) - exact * label).sum(), rel=1e-5, abs=1e-5)
    assert right == ((z > 0) == (label > 0.5)).sum()
    assert np.allclose(
        residual[0, 0, :examples], (1 / (1 + np.exp(-exact)) - label) / examples, atol=1e-6
    )
    assert not residual[0, 0, examples:].any()


@njit
def apply_normal(x, distribution, density):
    for k in range(0, x.shape[0], 16):
        c, e = normal(load(x, k))
        store(distribution, k, c)
        store(density, k, e)


def test_the_normal_distribution_is_accurate():
    x = np.linspace(-12, 12, 1600).astype(np.float32)
    distribution, density = np.zeros_like(x), np.zeros_like(x)
    apply_normal(x, distribution, density)
    assert np.abs(distribution - norm.cdf(x.astype(np.float64))).max() < 1.5e-7
    assert np.allclose(
        density, np.sqrt(2 * np.pi) * norm.pdf(x.astype(np.float64)), rtol=2e-5, atol=1e-7
    )
