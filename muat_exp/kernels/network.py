"""Arithmetic of one small MLP: linear layers, activations, their gradients, Adam.

All matrices are `[features, examples]`: the innermost loop runs over contiguous examples, where it vectorises, and a
plain triple loop reaches a third to a half of the machine's matrix speed at widths of 10 to 60. A network's parameters
lie in one flat float32 array: weight (out, in) and bias (out) of each Linear layer in turn, as PyTorch orders them.
"""

import math

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from muat_exp.kernels.compiled import compiled

f4 = np.float32
RELU, GELU = 0, 1


@intrinsic
def float_from_bits(typing_context, bits):
    """Reads an int32's bits as a float32."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), codegen


@compiled(fast=True, inline=True)
def fast_exp(x):
    """Exp in float32, about 1e-7 relative: range reduction and a degree-5 polynomial (Cephes `expf`); vectorises."""
    x = min(max(x, f4(-87)), f4(88))
    y = x * f4(1.44269504)
    n = np.int32(y + (f4(0.5) if y >= 0 else f4(-0.5)))
    r = x - f4(n) * f4(0.693359375) - f4(n) * f4(-2.12194440e-4)
    p = f4(1.9875691500e-4) * r + f4(1.3981999507e-3)
    p = p * r + f4(8.3334519073e-3)
    p = p * r + f4(4.1665795894e-2)
    p = p * r + f4(1.6666665459e-1)
    p = p * r + f4(5.0000001201e-1)
    return (p * r * r + r + f4(1)) * float_from_bits((n + np.int32(127)) << np.int32(23))  # 2^n by exponent bits


@compiled(fast=True)
def linear(w, b, x, z, batch):  # w (out, in), b (out,), x (in, batch) -> z (out, batch)
    """One Linear layer; the row starts at its bias."""
    for o in range(w.shape[0]):
        row, bias = z[o], b[o]
        for k in range(batch):
            row[k] = bias
        for i in range(w.shape[1]):
            weight, source = w[o, i], x[i]
            for k in range(batch):
                row[k] += weight * source[k]


@compiled(fast=True)
def relu(z, h, slope, batch):
    """Value and derivative of one neuron's examples."""
    for k in range(batch):
        h[k] = max(z[k], f4(0))
        slope[k] = f4(1) if z[k] > 0 else f4(0)


@compiled(fast=True)
def gelu(z, h, slope, batch):
    """Value and derivative in one pass: erf by Abramowitz and Stegun 7.1.26 (1.5e-7), its exp shared with the density."""
    for k in range(batch):
        v = z[k]
        a = abs(v) * f4(0.70710678)
        t = f4(1) / (f4(1) + f4(0.3275911) * a)
        e = fast_exp(-a * a)
        p = f4(1.061405429) * t - f4(1.453152027)
        p = p * t + f4(1.421413741)
        p = p * t - f4(0.284496736)
        p = p * t + f4(0.254829592)
        tail = f4(0.5) * p * t * e  # half of erfc(|v| / sqrt 2)
        c = f4(1) - tail if v >= 0 else tail
        h[k] = v * c
        slope[k] = c + v * f4(0.39894228) * e


@compiled(fast=True)
def activate(kind, z, h, slope, width, batch):  # z (width, batch) -> h, slope (width, batch)
    """Applies a layer's activation."""
    for o in range(width):
        if kind == GELU:
            gelu(z[o], h[o], slope[o], batch)
        else:
            relu(z[o], h[o], slope[o], batch)


@compiled(fast=True)
def linear_backward(w, x, dz, dx, gw, gb, batch, need_dx):  # dz (out, batch) -> gw (out, in), gb (out,), dx (in, batch)
    """Gradients of one Linear layer: dot products over examples."""
    for o in range(w.shape[0]):
        d = dz[o]
        s = f4(0)
        for k in range(batch):
            s += d[k]
        gb[o] = s
        for i in range(w.shape[1]):
            source = x[i]
            s = f4(0)
            for k in range(batch):
                s += d[k] * source[k]
            gw[o, i] = s
    if need_dx:
        for i in range(w.shape[1]):
            target = dx[i]
            for k in range(batch):
                target[k] = f4(0)
            for o in range(w.shape[0]):
                weight, d = w[o, i], dz[o]
                for k in range(batch):
                    target[k] += weight * d[k]


@compiled(fast=True)
def adam(p, m, v, g, rate, step):
    """One Adam step (Kingma and Ba 2015; betas 0.9, 0.999, epsilon 1e-8); `step` counts from 1."""
    scale_m, scale_v = f4(rate / (1 - 0.9**step)), f4(1 / (1 - 0.999**step))
    for j in range(g.shape[0]):
        mj = f4(0.9) * m[j] + f4(0.1) * g[j]
        vj = f4(0.999) * v[j] + f4(0.001) * g[j] * g[j]
        m[j] = mj
        v[j] = vj
        p[j] -= scale_m * mj / (math.sqrt(vj * scale_v) + f4(1e-8))


@compiled(inline=True)
def layer(parameters, offset, fan_in, fan_out):
    """Views of one layer's weight (out, in) and bias (out,), and where the next layer starts."""
    split = offset + fan_in * fan_out
    weight = parameters[offset:split].reshape(fan_out, fan_in)
    return weight, parameters[split : split + fan_out], split + fan_out


@compiled(fast=True)
def binary_cross_entropy(out, y, batch):
    """Summed loss of logits `out` (batch,) and how many are on the right side of 0.

    log(1 + exp(-|z|)) is summed as the logarithm of a product in float64: one logarithm a batch (of up to 1000).
    """
    linear_part, product, right = 0.0, 1.0, 0
    for k in range(batch):
        z = out[k]
        linear_part += max(z, f4(0)) - z * y[k]
        product *= f4(1) + fast_exp(-abs(z))
        right += (z > 0) == (y[k] > f4(0.5))
    return linear_part + math.log(product), right
