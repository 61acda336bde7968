"""Trains and evaluates one subject after another: initial weights, one epoch, validation, fresh tests, folding.

Arguments shared by these kernels, for S subjects: `depths`, `widths`, `kinds` int64 `(S,)` (hidden layers, neurons a
layer, activation code); `parameters` float32, all subjects' flat parameters one after another; `offsets` int64
`(S + 1,)`; `which` int64, the subjects to work on; inputs are `(token - shift) * scale`.
"""

from collections import namedtuple

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.data import draw_tests
from muat_exp.kernels.network import (
    LOWEST,
    RELU,
    activate,
    activate_only,
    adam,
    aligned_zeros,
    backpropagate,
    cross_entropy,
    draw_mask,
    drop,
    f4,
    floor_of,
    linear,
    multiply,
    padded,
    weight_gradient,
)
from muat_exp.kernels.random import derive, shuffle, uniform

_DROPOUT = 2  # added to the stage: the dropout masks' key beside that of the batch order
_CHUNK = 256  # examples evaluated at a time: the working set stays in the cache

# Memory of one kernel call, E examples padded to whole vectors, W the widest layer: `h` (depth + 1, W, E) inputs and
# activations, `slope` (depth, W, E) derivatives, `dh` (1, W, E), `out` and `residual` (1, 1, E) logits and their gradient,
# `y` and `live` (E,) labels and 1 for each lane that is an example, `gradient` (parameters,).
_Scratch = namedtuple("_Scratch", "h slope dh out residual y live gradient")


@compiled()
def parameter_count(depth, width, features):
    """Parameters of `depth` hidden layers of one width and one logit."""
    return features * width + width + (depth - 1) * (width * width + width) + width + 1


@compiled()
def draw_weights(depths, widths, parameters, offsets, features, keys, gains, bias_gain):
    """Uniform weights within gains[s] / sqrt(fan_in) and biases within bias_gain / sqrt(fan_in), in place."""
    state = np.empty(1, np.uint64)
    for s in range(depths.shape[0]):
        state[0] = keys[s]
        subject = parameters[offsets[s] : offsets[s + 1]]
        at = 0
        for index in range(depths[s] + 1):
            fan_in = features if index == 0 else widths[s]
            fan_out = widths[s] if index < depths[s] else 1
            bound = 1.0 / np.sqrt(fan_in)
            biases = at + fan_in * fan_out
            for j in range(at, biases + fan_out):
                subject[j] = f4(
                    (2 * uniform(state) - 1) * bound * (gains[s] if j < biases else bias_gain)
                )
            at = biases + fan_out


@compiled()
def batch_order(key, stage, epoch, rows):
    """The order of the training rows in one epoch: int64 `(rows,)`, a pure function of its arguments."""
    order = np.arange(rows)
    state = np.array([derive(derive(key, stage), epoch)])
    shuffle(state, order, rows)
    return order


@compiled()
def mask_state(key, stage, epoch, start):
    """State from which the masks of the batch that begins at row `start` are drawn, layer by layer: uint64 `(1,)`."""
    return np.array([derive(derive(derive(key, stage + _DROPOUT), epoch), start)])


@compiled()
def make_scratch(depths, widths, which, features, examples, parameters):
    """Scratch for the largest of the subjects and for batches of up to `examples`; all zeros."""
    depth = 0
    width = features
    for s in which:
        depth = max(depth, depths[s])
        width = max(width, widths[s])
    lanes = padded(examples)
    return _Scratch(
        aligned_zeros(depth + 1, width, lanes),
        aligned_zeros(depth, width, lanes),
        aligned_zeros(1, width, lanes),
        aligned_zeros(1, 1, lanes),
        aligned_zeros(1, 1, lanes),
        np.zeros(lanes, f4),
        np.zeros(lanes, f4),
        np.zeros(parameters, f4),
    )


@compiled(fast=True)
def _fill_inputs(tokens, order, start, batch, shift, scale, h):
    """Scaled tokens of `batch` rows, in order from `start`, into h[0] (features, padded batch); other lanes become 0."""
    for i in range(tokens.shape[1]):
        for k in range(batch):
            h[0, i, k] = (f4(tokens[order[start + k], i]) - shift) * scale
        for k in range(batch, padded(batch)):
            h[0, i, k] = f4(0)


@compiled(fast=True)
def _fill_labels(labels, order, start, batch, scratch):
    """Labels of `batch` rows, in order from `start`, and which lanes are examples."""
    for k in range(padded(batch)):
        scratch.live[k] = f4(k < batch)
        scratch.y[k] = labels[order[start + k]] if k < batch else f4(0)


@compiled(fast=True)
def forward(subject, depth, width, kind, features, batch, examples, dropout, state, scratch):
    """Logits `out` of the inputs h[0], `batch` the `examples` in whole vectors; keeps all layers in h and slope."""
    h = scratch.h
    slope = scratch.slope
    at = 0
    fan_in = features
    for index in range(depth):
        linear(subject, at, fan_in, width, floor_of(kind), h, index, h, index + 1, batch)
        activate(kind, h, slope, index, width, batch)
        if dropout > 0:
            mask = np.empty((width, examples), f4)
            draw_mask(state, dropout, mask)
            drop(kind, h, slope, index, mask)
        at = at + fan_in * width + width
        fan_in = width
    linear(subject, at, width, 1, LOWEST, h, depth, scratch.out, 0, batch)


@compiled(fast=True)
def backward(subject, depth, width, kind, features, batch, dropout, scratch):
    """Gradient of the flat parameters from the logits' gradient `residual`; uses up `slope`."""
    kept = f4(1.0 / (1.0 - dropout))
    h = scratch.h
    slope = scratch.slope
    dh = scratch.dh
    gradient = scratch.gradient
    at = subject.shape[0] - width - 1
    weight_gradient(gradient, at, width, 1, h, depth, scratch.residual, 0, batch)
    backpropagate(subject, at, width, 1, scratch.residual, 0, dh, batch)
    for index in range(depth - 1, -1, -1):
        fan_in = features if index == 0 else width
        at -= fan_in * width + width
        multiply(kind, h, slope, index, dh, kept, width, batch)
        weight_gradient(gradient, at, fan_in, width, h, index, slope, index, batch)
        if index > 0:
            backpropagate(subject, at, fan_in, width, slope, index, dh, batch)


@compiled(fast=True)
def _train_subject(
    subject, m, v, depth, width, kind, rate, tokens, labels, key, stage, epoch, batch_size, dropout, shift, scale, scratch
):  # fmt: skip
    """One epoch of one subject: tokens (rows, features), labels (training rows,). Returns summed loss, right answers."""
    order = batch_order(key, stage, epoch, labels.shape[0])
    rows = order.shape[0]
    features = tokens.shape[1]
    loss = 0.0
    right = 0
    step = epoch * ((rows + batch_size - 1) // batch_size)
    for start in range(0, rows, batch_size):
        batch = min(batch_size, rows - start)
        lanes = padded(batch)
        _fill_inputs(tokens, order, start, batch, shift, scale, scratch.h)
        _fill_labels(labels, order, start, batch, scratch)
        state = mask_state(key, stage, epoch, start)
        forward(subject, depth, width, kind, features, lanes, batch, dropout, state, scratch)
        batch_loss, batch_right = cross_entropy(
            scratch.out, scratch.y, scratch.live, lanes, f4(1.0 / batch), scratch.residual
        )
        backward(subject, depth, width, kind, features, lanes, dropout, scratch)
        step += 1
        adam(subject, m, v, scratch.gradient, rate, step)
        loss += batch_loss
        right += batch_right
    return loss, right


@compiled()
def train_epoch(
    depths, widths, kinds, parameters, m, v, offsets, rates, tokens, labels, keys, which, stage, epoch, batch_size,
    dropout, shift, scale, losses, accuracies,
):  # fmt: skip
    """One epoch for each subject of `which`: tokens (S, rows, L), labels (S, training rows); fills both metrics (S,)."""
    rows = labels.shape[1]
    largest = (offsets[1:] - offsets[:-1]).max()
    scratch = make_scratch(depths, widths, which, tokens.shape[2], min(batch_size, rows), largest)
    for s in which:
        part = slice(offsets[s], offsets[s + 1])
        loss, right = _train_subject(
            parameters[part], m[part], v[part], depths[s], widths[s], kinds[s], rates[s], tokens[s], labels[s], keys[s],
            stage, epoch, batch_size, dropout, shift, scale, scratch,
        )  # fmt: skip
        losses[s] = loss / rows
        accuracies[s] = right / rows


@compiled(fast=True)
def _logits(subject, depth, width, kind, tokens, order, start, batch, shift, scale, scratch):
    """Logits `out` of `batch` rows of tokens, in order from `start`; two layers in turn hold the activations."""
    h = scratch.h
    lanes = padded(batch)
    _fill_inputs(tokens, order, start, batch, shift, scale, h)
    at = 0
    fan_in = tokens.shape[1]
    source = 0
    for _ in range(depth):
        linear(subject, at, fan_in, width, floor_of(kind), h, source, h, 1 - source, lanes)
        source = 1 - source
        if kind != RELU:
            activate_only(kind, h, source, h, source, width, lanes)
        at = at + fan_in * width + width
        fan_in = width
    linear(subject, at, width, 1, LOWEST, h, source, scratch.out, 0, lanes)


@compiled()
def evaluate(
    depths,
    widths,
    kinds,
    parameters,
    offsets,
    tokens,
    labels,
    which,
    shift,
    scale,
    losses,
    accuracies,
):
    """Mean loss and accuracy on tokens (S, rows, L) with the labels (rows,) that all subjects share; fills both (S,)."""
    rows = labels.shape[0]
    order = np.arange(rows)
    scratch = make_scratch(depths, widths, which, tokens.shape[2], min(_CHUNK, rows), 0)
    for s in which:
        subject = parameters[offsets[s] : offsets[s + 1]]
        loss = 0.0
        right = 0
        for start in range(0, rows, _CHUNK):
            batch = min(_CHUNK, rows - start)
            _logits(
                subject,
                depths[s],
                widths[s],
                kinds[s],
                tokens[s],
                order,
                start,
                batch,
                shift,
                scale,
                scratch,
            )
            _fill_labels(labels, order, start, batch, scratch)
            chunk_loss, chunk_right = cross_entropy(
                scratch.out, scratch.y, scratch.live, padded(batch), f4(1), scratch.residual
            )
            loss += chunk_loss
            right += chunk_right
        losses[s] = loss / rows
        accuracies[s] = right / rows


@compiled()
def positive_share(subject, depth, width, kind, tokens, order, scratch):
    """Share of the sequences whose logit is above 0, on raw token inputs; NaN where there are none."""
    count = 0
    rows = tokens.shape[0]
    for start in range(0, rows, _CHUNK):
        batch = min(_CHUNK, rows - start)
        _logits(subject, depth, width, kind, tokens, order, start, batch, f4(0), f4(1), scratch)
        for k in range(batch):
            count += scratch.out[0, 0, k] > 0
    return count / rows if rows else np.nan


@compiled()
def measure_tests(
    space,
    selected,
    targets,
    keys,
    depths,
    widths,
    kinds,
    degraded,
    improved,
    offsets,
    tokens,
    which,
    count,
    accuracies,
):
    """Balanced accuracy (S, 2) of the degraded and the improved weights on up to `count` fresh sequences a label."""
    order = np.arange(count)
    scratch = make_scratch(depths, widths, which, tokens.shape[2], min(_CHUNK, count), 0)
    for s in which:
        positives, negatives = draw_tests(space, selected[s], targets[s], keys[s], tokens[s], count)
        for stage in range(2):
            subject = (degraded if stage == 0 else improved)[offsets[s] : offsets[s + 1]]
            hits = positive_share(
                subject, depths[s], widths[s], kinds[s], positives, order, scratch
            )
            misses = positive_share(
                subject, depths[s], widths[s], kinds[s], negatives, order, scratch
            )
            accuracies[s, stage] = (hits + 1.0 - misses) / 2.0


@compiled()
def respond(depths, widths, kinds, parameters, offsets, tokens, starts, which, responses):
    """Share of each pattern's rows that a subject calls positive: tokens (rows, L), starts (P + 1,) -> (S, P)."""
    order = np.arange(tokens.shape[0])
    scratch = make_scratch(depths, widths, which, tokens.shape[1], _CHUNK, 0)
    for s in which:
        subject = parameters[offsets[s] : offsets[s + 1]]
        for p in range(starts.shape[0] - 1):
            rows = tokens[starts[p] : starts[p + 1]]
            responses[s, p] = positive_share(
                subject, depths[s], widths[s], kinds[s], rows, order, scratch
            )


@compiled()
def fold(depths, widths, parameters, offsets, features, shift, scale, folded):
    """Copies parameters so that they take raw tokens: the first layer absorbs `(token - shift) * scale`."""
    folded[:] = parameters
    for s in range(depths.shape[0]):
        subject = folded[offsets[s] : offsets[s + 1]]
        bias = features * widths[s]
        for o in range(widths[s]):
            moved = 0.0
            for j in range(o * features, (o + 1) * features):
                subject[j] = f4(np.float64(subject[j]) * scale)
                moved += np.float64(subject[j]) * shift
            subject[bias + o] = f4(subject[bias + o] - moved)
