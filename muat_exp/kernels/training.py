"""Trains and evaluates one subject after another: initial weights, one epoch, validation, fresh tests, folding.

Arguments shared by these kernels, for S subjects: `depths`, `widths`, `kinds` int64 `(S,)` (hidden layers, neurons a
layer, activation code); `parameters` float32, all subjects' flat parameters one after another; `offsets` int64
`(S + 1,)`; `which` int64, the subjects to work on; inputs are `(token - shift) * scale`.
"""

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.data import draw_tests
from muat_exp.kernels.network import activate, adam, binary_cross_entropy, f4, fast_exp, layer, linear, linear_backward
from muat_exp.kernels.random import derive, shuffle, uniform

CHUNK = 256  # examples evaluated at a time: the working set stays in the cache


@compiled()
def parameter_count(depth, width, features):
    """Parameters of `depth` hidden layers of one width and one logit."""
    return features * width + width + (depth - 1) * (width * width + width) + width + 1


@compiled()
def draw_weights(depths, widths, parameters, offsets, features, keys, gain, bias_gain):
    """Uniform weights within gain / sqrt(fan_in) and biases within bias_gain / sqrt(fan_in), in place."""
    state = np.empty(1, np.uint64)
    for s in range(depths.shape[0]):
        state[0] = keys[s]
        subject = parameters[offsets[s] : offsets[s + 1]]
        at = 0
        for index in range(depths[s] + 1):
            fan_in = features if index == 0 else widths[s]
            w, b, at = layer(subject, at, fan_in, widths[s] if index < depths[s] else 1)
            bound = 1.0 / np.sqrt(fan_in)
            for o in range(w.shape[0]):
                for i in range(fan_in):
                    w[o, i] = f4((2 * uniform(state) - 1) * bound * gain)
            for o in range(b.shape[0]):
                b[o] = f4((2 * uniform(state) - 1) * bound * bias_gain)


@compiled()
def batch_order(key, stage, epoch, rows):
    """The order of the training rows in one epoch: int64 `(rows,)`, a pure function of its arguments."""
    order = np.arange(rows)
    state = np.array([derive(derive(key, stage), epoch)])
    shuffle(state, order, rows)
    return order


@compiled(fast=True)
def backward(subject, depth, width, h, slope, dz, dx, dout, gradient, batch, features):
    """Gradient of the flat parameters from the logits' gradient `dout` (1, batch)."""
    at = subject.shape[0] - width - 1
    w, _, _ = layer(subject, at, width, 1)
    gw, gb, _ = layer(gradient, at, width, 1)
    linear_backward(w, h[depth], dout, dx, gw, gb, batch, True)
    for index in range(depth - 1, -1, -1):
        fan_in = features if index == 0 else width
        at -= fan_in * width + width
        for o in range(width):
            upstream, local, target = dx[o], slope[index, o], dz[o]
            for k in range(batch):
                target[k] = upstream[k] * local[k]
        w, _, _ = layer(subject, at, fan_in, width)
        gw, gb, _ = layer(gradient, at, fan_in, width)
        linear_backward(w, h[index], dz, dx, gw, gb, batch, index > 0)


@compiled(fast=True)
def forward(subject, depth, width, kind, features, h, z, slope, out, batch):
    """Logits `out` (1, batch) of the inputs h[0]; keeps h (depth + 1, ., batch) and slope (depth, width, batch)."""
    w, b, at = layer(subject, 0, features, width)
    linear(w, b, h[0], z, batch)
    activate(kind, z, h[1], slope[0], width, batch)
    for index in range(1, depth):
        w, b, at = layer(subject, at, width, width)
        linear(w, b, h[index], z, batch)
        activate(kind, z, h[index + 1], slope[index], width, batch)
    w, b, at = layer(subject, at, width, 1)
    linear(w, b, h[depth], out, batch)


@compiled(fast=True)
def train_subject(subject, m, v, depth, width, kind, rate, tokens, labels, order, epoch, batch_size, shift, scale):
    """One epoch of one subject: tokens (rows, features), labels and order (rows,). Returns summed loss, right answers."""
    rows, features = order.shape[0], tokens.shape[1]
    tall = max(width, features)
    h = np.empty((depth + 1, tall, batch_size), f4)
    slope = np.empty((depth, width, batch_size), f4)
    z, dz = np.empty((width, batch_size), f4), np.empty((width, batch_size), f4)
    dx = np.empty((tall, batch_size), f4)
    out, dout, y = np.empty((1, batch_size), f4), np.empty((1, batch_size), f4), np.empty(batch_size, f4)
    gradient = np.empty(subject.shape[0], f4)
    loss, right, step, start = 0.0, 0, epoch * ((rows + batch_size - 1) // batch_size), 0
    while start < rows:
        batch = min(batch_size, rows - start)
        for k in range(batch):
            row = order[start + k]
            y[k] = labels[row]
            for i in range(features):
                h[0, i, k] = (f4(tokens[row, i]) - shift) * scale
        forward(subject, depth, width, kind, features, h, z, slope, out, batch)
        for k in range(batch):
            dout[0, k] = (f4(1) / (f4(1) + fast_exp(-out[0, k])) - y[k]) / f4(batch)
        batch_loss, batch_right = binary_cross_entropy(out[0], y, batch)
        loss += batch_loss
        right += batch_right
        backward(subject, depth, width, h, slope, dz, dx, dout, gradient, batch, features)
        step += 1
        adam(subject, m, v, gradient, rate, step)
        start += batch
    return loss, right


@compiled()
def train_epoch(
    depths, widths, kinds, parameters, m, v, offsets, rates, tokens, labels, keys, which, stage, epoch, batch_size,
    shift, scale, losses, accuracies,
):  # fmt: skip
    """One epoch for each subject of `which`: tokens (S, rows, L), labels (S, training rows); fills both metrics (S,)."""
    rows = labels.shape[1]
    for s in which:
        part = slice(offsets[s], offsets[s + 1])
        order = batch_order(keys[s], stage, epoch, rows)
        loss, right = train_subject(
            parameters[part], m[part], v[part], depths[s], widths[s], kinds[s], rates[s], tokens[s], labels[s], order,
            epoch, batch_size, shift, scale,
        )  # fmt: skip
        losses[s] = loss / rows
        accuracies[s] = right / rows


@compiled(fast=True)
def logits(subject, depth, width, kind, tokens, shift, scale, result):
    """Logits of sequences (n, features) into `result` (n,), float32; keeps one layer at a time."""
    features = tokens.shape[1]
    size = min(CHUNK, tokens.shape[0])
    x, z, h = np.empty((features, size), f4), np.empty((width, size), f4), np.empty((width, size), f4)
    slope, out = np.empty((width, size), f4), np.empty((1, size), f4)
    for start in range(0, tokens.shape[0], CHUNK):
        batch = min(CHUNK, tokens.shape[0] - start)
        for k in range(batch):
            for i in range(features):
                x[i, k] = (f4(tokens[start + k, i]) - shift) * scale
        w, b, at = layer(subject, 0, features, width)
        linear(w, b, x, z, batch)
        for _ in range(1, depth):
            activate(kind, z, h, slope, width, batch)
            w, b, at = layer(subject, at, width, width)
            linear(w, b, h, z, batch)
        activate(kind, z, h, slope, width, batch)
        w, b, at = layer(subject, at, width, 1)
        linear(w, b, h, out, batch)
        result[start : start + batch] = out[0, :batch]


@compiled()
def evaluate(depths, widths, kinds, parameters, offsets, tokens, labels, which, shift, scale, losses, accuracies):
    """Mean loss and accuracy on tokens (S, rows, L) with the labels (rows,) that all subjects share; fills both (S,)."""
    out = np.empty(labels.shape[0], f4)
    for s in which:
        logits(parameters[offsets[s] : offsets[s + 1]], depths[s], widths[s], kinds[s], tokens[s], shift, scale, out)
        loss, right = binary_cross_entropy(out, labels, labels.shape[0])
        losses[s] = loss / labels.shape[0]
        accuracies[s] = right / labels.shape[0]


@compiled()
def positive_share(subject, depth, width, kind, tokens, out):
    """Share of the sequences whose logit is above 0, on raw token inputs; NaN where there are none."""
    logits(subject, depth, width, kind, tokens, f4(0), f4(1), out)
    count = 0
    for k in range(tokens.shape[0]):
        count += out[k] > 0
    return count / tokens.shape[0] if tokens.shape[0] else np.nan


@compiled()
def measure_tests(
    space, selected, targets, keys, depths, widths, kinds, degraded, improved, offsets, tokens, which, count, accuracies
):
    """Balanced accuracy (S, 2) of the degraded and the improved weights on up to `count` fresh sequences a label."""
    out = np.empty(count, f4)
    for s in which:
        positives, negatives = draw_tests(space, selected[s], targets[s], keys[s], tokens[s], count)
        for stage in range(2):
            subject = (degraded if stage == 0 else improved)[offsets[s] : offsets[s + 1]]
            hits = positive_share(subject, depths[s], widths[s], kinds[s], positives, out)
            misses = positive_share(subject, depths[s], widths[s], kinds[s], negatives, out)
            accuracies[s, stage] = (hits + 1.0 - misses) / 2.0


@compiled()
def respond(depths, widths, kinds, parameters, offsets, tokens, starts, which, responses):
    """Share of each pattern's rows that a subject calls positive: tokens (rows, L), starts (P + 1,) -> (S, P)."""
    out = np.empty(tokens.shape[0], f4)
    for s in which:
        for p in range(starts.shape[0] - 1):
            responses[s, p] = positive_share(
                parameters[offsets[s] : offsets[s + 1]], depths[s], widths[s], kinds[s],
                tokens[starts[p] : starts[p + 1]], out,
            )  # fmt: skip


@compiled()
def fold(depths, widths, parameters, offsets, features, shift, scale, folded):
    """Copies parameters so that they take raw tokens: the first layer absorbs `(token - shift) * scale`."""
    folded[:] = parameters
    for s in range(depths.shape[0]):
        w, b, _ = layer(folded[offsets[s] : offsets[s + 1]], 0, features, widths[s])
        for o in range(widths[s]):
            moved = 0.0
            for i in range(features):
                w[o, i] = f4(np.float64(w[o, i]) * scale)
                moved += np.float64(w[o, i]) * shift
            b[o] = f4(b[o] - moved)
