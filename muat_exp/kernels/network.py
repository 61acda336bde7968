"""Arithmetic of one small MLP: linear layers, activations, their gradients, the loss, Adam.

All matrices are `[features, examples]`, their rows padded to whole vectors of examples. Each
product keeps a tile of sums in registers: two neurons by up to four vectors of examples, or two by
four weights. ReLU is part of the product: a floor of 0 under its results. An odd last row is
computed twice rather than by code of its own. A network's parameters lie in one flat float32 array:
weight (out, in) and bias (out) of each Linear layer in turn, as PyTorch orders them; where each
layer's begin stands in a table of layers, see `subjects.architecture`.

`activation` is a code of `subjects.activations`. Every dispatch on it raises for a code that it
does not know.
"""

import math

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.random import uniform
from muat_exp.kernels.vector import (
    LANES,
    broadcast,
    load,
    nearest,
    power_of_two,
    splat,
    store,
    store_totals,
    total,
    where_above,
)
from muat_exp.subjects.activations import LEAK, activation_code
from muat_exp.subjects.architecture import Layer

f4 = np.float32
RELU = activation_code("relu")
_GELU = activation_code("gelu")
_TANH = activation_code("tanh")
_SIGMOID = activation_code("sigmoid")
_LEAKY_RELU = activation_code("leaky_relu")
_SILU = activation_code("silu")
LOWEST = np.finfo(f4).min


@compiled(inline=True)
def padded(examples):
    """Examples rounded up to whole vectors."""
    return (examples + LANES - 1) // LANES * LANES


@compiled(inline=True)
def layer_at(layers, index):
    """One row of a table of layers (layers, 5) by its columns' names."""
    return Layer(
        layers[index, 0],
        layers[index, 1],
        layers[index, 2],
        layers[index, 3],
        layers[index, 4],
    )


@compiled()
def subject_parameters(networks, s):
    """View of one subject's flat parameters."""
    start = networks.offsets[s]
    stop = networks.offsets[s + 1]
    return networks.parameters[start:stop]


@compiled()
def subject_layers(networks, s):
    """View of one subject's rows (layers, 5) of the table of layers."""
    start = networks.starts[s]
    stop = networks.starts[s + 1]
    return networks.layers[start:stop]


@compiled()
def largest_shape(networks, which):
    """Most hidden layers, and most inputs or neurons of any layer, of some subjects."""
    depth = 0
    width = 0
    for s in which:
        layers = subject_layers(networks, s)
        depth = max(depth, layers.shape[0] - 1)
        for index in range(layers.shape[0]):
            layer = layer_at(layers, index)
            width = max(width, layer.fan_in, layer.fan_out)
    return depth, width


@compiled()
def aligned_zeros(layers, rows, lanes):
    """Zeros (layers, rows, lanes) that begin at a multiple of a vector's 64 bytes.

    No load then touches two cache lines.
    """
    size = layers * rows * lanes
    room = np.zeros(size + LANES, f4)
    first = -(room.ctypes.data // room.itemsize) % LANES
    return room[first : first + size].reshape((layers, rows, lanes))


@compiled(fast=True, inline=True)
def _larger(x, y):
    """The larger of two vectors, lane by lane."""
    return where_above(x, y, x, y)


@compiled(fast=True, inline=True)
def _clamp(x, low, high):
    """Vector x limited to [low, high], numbers."""
    lowest = splat(f4(low))
    highest = splat(f4(high))
    x = _larger(x, lowest)
    return where_above(x, highest, highest, x)


@compiled(fast=True, inline=True)
def floor_of(activation):
    """What a product's results are at least: 0 where that is the whole activation."""
    return f4(0) if activation == RELU else LOWEST


@compiled(fast=True, inline=True)
def exp(x):
    """Vector exp, about 1e-7 relative.

    By range reduction and a polynomial of degree 5 (Cephes `expf`).
    """
    x = _clamp(x, -87.0, 88.0)
    n = nearest(x * 1.44269504)
    r = x - n * 0.693359375 - n * -2.12194440e-4
    p = r * 1.9875691500e-4 + 1.3981999507e-3
    p = p * r + 8.3334519073e-3
    p = p * r + 4.1665795894e-2
    p = p * r + 1.6666665459e-1
    p = p * r + 5.0000001201e-1
    return (p * r * r + r + 1.0) * power_of_two(n)


@compiled(fast=True, inline=True)
def _exp2(x):
    """Vector 2**x for x from -126 to 0, about 2e-7 relative.

    By exponent bits and a minimax polynomial.
    """
    n = nearest(x)
    r = x - n
    p = r * 1.3264727e-3 + 9.6715130e-3
    p = p * r + 5.5507336e-2
    p = p * r + 2.4022242e-1
    p = p * r + 6.9314700e-1
    return (p * r + 1.0) * power_of_two(n)


@compiled(fast=True, inline=True)
def normal(z):
    """The standard normal's distribution function, and sqrt(2 pi) times its density.

    Both vectors; the first within 1.5e-7.
    The tail is the density times Mills' ratio, here a polynomial without the division that its
    usual forms need: fitted on 0 to 5.5 so that its product with the density is nearest; beyond,
    the tail is under 2e-8.
    """
    zero = splat(f4(0))
    end = splat(f4(5.5))
    smallest = splat(f4(-126))
    a = _larger(z, zero - z)
    exponent = a * a * -0.72134752  # exp(-z^2 / 2) is 2 to this power
    e = _exp2(_larger(exponent, smallest))
    a = where_above(a, end, end, a)
    p = a * 1.63169318e-6 - 3.52078423e-5
    p = p * a + 3.39738849e-4
    p = p * a - 1.97462924e-3
    p = p * a + 7.93939456e-3
    p = p * a - 2.43139360e-2
    p = p * a + 6.11548908e-2
    p = p * a - 0.132513806
    p = p * a + 0.249916792
    p = p * a - 0.398936510
    p = p * a + 0.499999940
    tail = p * e
    return where_above(z, zero, 1.0 - tail, tail), e


@compiled(fast=True, inline=True)
def _logistic(z):
    """Vector 1 / (1 + exp(-z))."""
    return 1.0 / (exp(splat(f4(0)) - z) + 1.0)


@compiled(fast=True, inline=True)
def _gelu(z):
    """The product of z and the normal distribution function, and its derivative."""
    below, bell = normal(z)
    density = z * bell * 0.39894228  # z / sqrt(2 pi) exp(-z^2 / 2)
    return z * below, below + density


@compiled(fast=True, inline=True)
def _tanh(z):
    """The hyperbolic tangent, 2 / (1 + exp(-2 z)) - 1, and its derivative."""
    value = _logistic(z + z) * 2.0 - 1.0
    return value, 1.0 - value * value


@compiled(fast=True, inline=True)
def _sigmoid(z):
    """The logistic function and its derivative."""
    value = _logistic(z)
    return value, value - value * value


@compiled(fast=True, inline=True)
def _leaky_relu(z):
    """The product of z and its slope, 1 above 0 and `LEAK` elsewhere; and that slope."""
    slope = where_above(z, splat(f4(0)), splat(f4(1)), splat(f4(LEAK)))
    return z * slope, slope


@compiled(fast=True, inline=True)
def _silu(z):
    """The product of z and its logistic function, and its derivative."""
    share = _logistic(z)
    value = z * share
    return value, share + value - value * share


@compiled(fast=True, inline=True)
def _value_and_slope(activation, z):
    """Vectors of an activation other than ReLU and of its derivative."""
    if activation == _GELU:
        value, slope = _gelu(z)
    elif activation == _TANH:
        value, slope = _tanh(z)
    elif activation == _SIGMOID:
        value, slope = _sigmoid(z)
    elif activation == _LEAKY_RELU:
        value, slope = _leaky_relu(z)
    elif activation == _SILU:
        value, slope = _silu(z)
    else:
        raise ValueError("a layer has an activation that the kernels do not know")
    return value, slope


@compiled(fast=True)
def activate(activation, h, slope, layer, width, batch):
    """Turns pre-activations of a layer in h[layer + 1] into activations.

    Fills their derivatives slope[layer]. Nothing is left to do where the product had a floor. Both
    are (width, batch).
    """
    if activation == RELU:
        return
    for o in range(width):
        for k in range(0, batch, LANES):
            z = load(h, (layer + 1, o, k))
            value, derivative = _value_and_slope(activation, z)
            store(h, (layer + 1, o, k), value)
            store(slope, (layer, o, k), derivative)


@compiled(fast=True)
def activate_only(activation, z, source, h, target, width, batch):
    """A layer's activations without their derivatives.

    z[source] (width, batch) -> h[target] (width, batch).
    """
    zero = splat(f4(0))
    for o in range(width):
        for k in range(0, batch, LANES):
            x = load(z, (source, o, k))
            if activation == RELU:
                store(h, (target, o, k), _larger(x, zero))
            else:
                value, _ = _value_and_slope(activation, x)
                store(h, (target, o, k), value)


@compiled()
def draw_mask(state, dropout, mask):
    """Inverted dropout (Srivastava et al. 2014): mask (width, batch).

    0 with probability `dropout`, else 1 / (1 - dropout).
    """
    kept = f4(1.0 / (1.0 - dropout))
    for o in range(mask.shape[0]):
        for k in range(mask.shape[1]):
            stays = uniform(state) >= dropout
            mask[o, k] = kept if stays else f4(0)


@compiled(fast=True)
def drop(activation, h, slope, layer, mask):
    """Multiplies a layer's activations h[layer + 1] by a mask (width, examples).

    Their derivatives too, where `slope` holds them.
    """
    for o in range(mask.shape[0]):
        for k in range(mask.shape[1]):
            h[layer + 1, o, k] *= mask[o, k]
            if activation != RELU:
                slope[layer, o, k] *= mask[o, k]


@compiled(fast=True)
def _combine(
    weights, at, row_step, column_step, biases, floor, x, source, columns, z, target, rows, batch
):
    """z[target] (rows, batch) = W x[source] (columns, batch) + bias.

    W[o, i] = weights[at + o row_step + i column_step].
    `biases` is where the rows' biases begin in `weights`, or -1 for none. The two steps make W or
    its transpose. Results below `floor` become it: at 0 that is ReLU, while the sums are still in
    registers.
    """
    floor = splat(floor)
    for o in range(0, rows, 2):
        other = min(o + 1, rows - 1)
        bias0 = splat(weights[biases + o] if biases >= 0 else f4(0))
        bias1 = splat(weights[biases + other] if biases >= 0 else f4(0))
        row0 = at + o * row_step
        row1 = at + other * row_step
        k = 0
        while k + 4 * LANES <= batch:
            a0 = bias0
            a1 = bias0
            a2 = bias0
            a3 = bias0
            b0 = bias1
            b1 = bias1
            b2 = bias1
            b3 = bias1
            for i in range(columns):
                w0 = broadcast(weights, row0 + i * column_step)
                w1 = broadcast(weights, row1 + i * column_step)
                x0 = load(x, (source, i, k))
                x1 = load(x, (source, i, k + LANES))
                x2 = load(x, (source, i, k + 2 * LANES))
                x3 = load(x, (source, i, k + 3 * LANES))
                a0 = a0 + w0 * x0
                a1 = a1 + w0 * x1
                a2 = a2 + w0 * x2
                a3 = a3 + w0 * x3
                b0 = b0 + w1 * x0
                b1 = b1 + w1 * x1
                b2 = b2 + w1 * x2
                b3 = b3 + w1 * x3
            store(z, (target, o, k), _larger(a0, floor))
            store(z, (target, o, k + LANES), _larger(a1, floor))
            store(z, (target, o, k + 2 * LANES), _larger(a2, floor))
            store(z, (target, o, k + 3 * LANES), _larger(a3, floor))
            store(z, (target, other, k), _larger(b0, floor))
            store(z, (target, other, k + LANES), _larger(b1, floor))
            store(z, (target, other, k + 2 * LANES), _larger(b2, floor))
            store(z, (target, other, k + 3 * LANES), _larger(b3, floor))
            k += 4 * LANES
        # The vectors that are left, one by one. Even and odd columns have sums of their own, or
        # each addition would wait for the one before it.
        while k < batch:
            a0 = bias0
            b0 = bias1
            a1 = splat(f4(0))
            b1 = splat(f4(0))
            for i in range(0, columns - 1, 2):
                x0 = load(x, (source, i, k))
                x1 = load(x, (source, i + 1, k))
                i0 = i * column_step
                i1 = (i + 1) * column_step
                a0 = a0 + broadcast(weights, row0 + i0) * x0
                a1 = a1 + broadcast(weights, row0 + i1) * x1
                b0 = b0 + broadcast(weights, row1 + i0) * x0
                b1 = b1 + broadcast(weights, row1 + i1) * x1
            if columns % 2:
                x0 = load(x, (source, columns - 1, k))
                last = (columns - 1) * column_step
                a0 = a0 + broadcast(weights, row0 + last) * x0
                b0 = b0 + broadcast(weights, row1 + last) * x0
            store(z, (target, o, k), _larger(a0 + a1, floor))
            store(z, (target, other, k), _larger(b0 + b1, floor))
            k += LANES


# Takes numbers of a layer, as the functions below do: passing the layer itself, and a subject in
# training as one tuple, cost an epoch 5 %.
@compiled(fast=True)
def linear(parameters, at, fan_in, fan_out, floor, x, source, z, target, batch):
    """One Linear layer: x[source] (fan_in, batch) -> z[target] (fan_out, batch).

    Its parameters are at `at`; results are at least `floor`.
    """
    _combine(
        parameters,
        at,
        fan_in,
        1,
        at + fan_in * fan_out,
        floor,
        x,
        source,
        fan_in,
        z,
        target,
        fan_out,
        batch,
    )


@compiled(fast=True)
def backpropagate(parameters, at, fan_in, fan_out, dz, layer, dh, batch):
    """Gradient of a Linear layer's inputs: dz[layer] (fan_out, batch) -> dh[0] (fan_in, batch)."""
    _combine(parameters, at, 1, fan_in, -1, LOWEST, dz, layer, fan_out, dh, 0, fan_in, batch)


@compiled(fast=True)
def _bias_gradient(gradient, at, fan_out, dz, layer, batch):
    """Gradient of a Linear layer's bias, at `at`: dz[layer] (fan_out, batch) summed up."""
    zero = splat(f4(0))
    for tile in range(0, fan_out - 3, 4):
        a = zero
        b = zero
        c = zero
        d = zero
        for k in range(0, batch, LANES):
            a = a + load(dz, (layer, tile, k))
            b = b + load(dz, (layer, tile + 1, k))
            c = c + load(dz, (layer, tile + 2, k))
            d = d + load(dz, (layer, tile + 3, k))
        store_totals(gradient, at + tile, at + tile, a, b, c, d, a, b, c, d)
    for o in range(fan_out // 4 * 4, fan_out):
        a = zero
        for k in range(0, batch, LANES):
            a += load(dz, (layer, o, k))
        gradient[at + o] = total(a)


@compiled(fast=True)
def weight_gradient(gradient, at, fan_in, fan_out, x, source, dz, layer, batch):
    """Gradient of a Linear layer's weight and bias, at `at`.

    Products of dz[layer] (fan_out, batch) and x[source] (fan_in, batch) summed over examples.
    """
    zero = splat(f4(0))
    for o in range(0, fan_out, 2):
        other = min(o + 1, fan_out - 1)
        for tile in range(0, fan_in, 4):
            i = min(tile, fan_in - 4)  # the last tile overlaps the one before it
            a0 = zero
            a1 = zero
            a2 = zero
            a3 = zero
            b0 = zero
            b1 = zero
            b2 = zero
            b3 = zero
            for k in range(0, batch, LANES):
                d0 = load(dz, (layer, o, k))
                d1 = load(dz, (layer, other, k))
                x0 = load(x, (source, i, k))
                x1 = load(x, (source, i + 1, k))
                x2 = load(x, (source, i + 2, k))
                x3 = load(x, (source, i + 3, k))
                a0 = a0 + d0 * x0
                a1 = a1 + d0 * x1
                a2 = a2 + d0 * x2
                a3 = a3 + d0 * x3
                b0 = b0 + d1 * x0
                b1 = b1 + d1 * x1
                b2 = b2 + d1 * x2
                b3 = b3 + d1 * x3
            store_totals(
                gradient,
                at + o * fan_in + i,
                at + other * fan_in + i,
                a0,
                a1,
                a2,
                a3,
                b0,
                b1,
                b2,
                b3,
            )
    _bias_gradient(gradient, at + fan_in * fan_out, fan_out, dz, layer, batch)


@compiled(fast=True)
def multiply(activation, h, slope, layer, dh, kept, width, batch):
    """The chain rule through an activation.

    slope[layer] becomes the gradient of the layer's pre-activations; it, h[layer + 1] and dh[0] are
    (width, batch). ReLU's derivative is read off its results: `kept` where one is above 0, which is
    1 but for dropout.
    """
    zero = splat(f4(0))
    for o in range(width):
        for k in range(0, batch, LANES):
            d = load(dh, (0, o, k))
            if activation == RELU:
                value = load(h, (layer + 1, o, k))
                product = where_above(value, zero, d * kept, zero)
            else:
                product = load(slope, (layer, o, k)) * d
            store(slope, (layer, o, k), product)


@compiled(fast=True)
def _product_of_lanes(x):
    """The product of a vector's lanes, in float64."""
    lanes = np.empty(LANES, f4)
    store(lanes, 0, x)
    product = 1.0
    for k in range(LANES):
        product *= lanes[k]
    return product


@compiled(fast=True)
def cross_entropy(out, y, live, batch, share, residual):
    """Binary cross-entropy of logits out[0, 0] (batch,) against labels y (batch,).

    Over the lanes where `live` is 1, not 0.
    Fills residual[0, 0], the loss's gradient times `share`; returns summed loss and right answers.
    log(1 + exp(-|z|)) is summed as the logarithm of a product, in float64 across lanes: up to 1000
    examples a call.
    """
    zero = splat(f4(0))
    one = splat(f4(1))
    linear_part = zero
    product = one
    right = zero
    for k in range(0, batch, LANES):
        z = load(out, (0, 0, k))
        t = load(y, k)
        alive = load(live, k)
        minus_size = where_above(z, zero, zero - z, z)
        e = exp(minus_size)
        # Of an example's two answers the likelier has the odds 1 : e.
        numerator = where_above(z, zero, one, e)
        probability = numerator / (e + 1.0)
        store(residual, (0, 0, k), (probability - t) * alive * share)
        above = where_above(z, zero, z, zero)
        linear_part += (above - z * t) * alive
        product = product * (e * alive + 1.0)
        hit = where_above(z, zero, t, 1.0 - t)
        right += hit * alive
    lanes = np.empty(LANES, f4)
    store(lanes, 0, product)
    everything = 1.0
    for k in range(LANES):
        everything *= lanes[k]
    return total(linear_part) + math.log(everything), np.int64(total(right))


@compiled(fast=True)
def adam(p, m, v, g, rate, step):
    """One Adam step (Kingma and Ba 2015; betas 0.9, 0.999, epsilon 1e-8); `step` counts from 1."""
    scale_m = f4(rate / (1 - 0.9**step))
    scale_v = f4(1 / (1 - 0.999**step))
    for j in range(p.shape[0]):
        mj = f4(0.9) * m[j] + f4(0.1) * g[j]
        vj = f4(0.999) * v[j] + f4(0.001) * g[j] * g[j]
        m[j] = mj
        v[j] = vj
        deviation = math.sqrt(vj * scale_v)
        p[j] -= scale_m * mj / (deviation + f4(1e-8))
