"""Trains and evaluates one subject after another.

The entry points take the networks of S subjects (`subjects.architecture.Networks`) and `which` of
them to work on, int64. They fill arrays of one row per subject; rows of subjects that were not
asked for stay as they are. Inside, a subject is a view of its own flat parameters and its rows of
the table of layers.
"""

from typing import Any, NamedTuple

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
    largest_shape,
    layer_at,
    linear,
    multiply,
    padded,
    subject_layers,
    subject_parameters,
    weight_gradient,
)
from muat_exp.kernels.random import derive, shuffle, uniform

_DROPOUT = 2  # added to the stage: the dropout masks' key beside that of the batch order
_CHUNK = 256  # examples evaluated at a time: the working set stays in the cache


class Examples(NamedTuple):
    """What S subjects train on.

    Attributes:
        tokens: uint8 `(S, rows, L)`; the training rows come first.
        labels: float32 `(S, training rows)`.
        keys: uint64 `(S,)`, keys of the batch order.
    """

    tokens: Any
    labels: Any
    keys: Any


class Adam(NamedTuple):
    """The state of each subject's Adam.

    Attributes:
        first: float32, running means of the gradients, laid out like the networks' parameters.
        second: float32, those of their squares.
        rates: float32 `(S,)`, learning rates.
    """

    first: Any
    second: Any
    rates: Any


class Scaling(NamedTuple):
    """How tokens become inputs, `(token - shift) * scale`; both float32."""

    shift: Any
    scale: Any


class Recipe(NamedTuple):
    """How subjects train.

    Attributes:
        batch_size: examples per step.
        dropout: share of each hidden layer's activations that become 0.
        scaling: how tokens become inputs.
    """

    batch_size: int
    dropout: float
    scaling: Scaling


class Epoch(NamedTuple):
    """Which epoch is trained: its stage, 0 degraded or 1 clean, and its number in it, from 0."""

    stage: int
    number: int


class Metrics(NamedTuple):
    """Mean loss and accuracy of each subject, float64 `(S,)`."""

    losses: Any
    accuracies: Any


class Tests(NamedTuple):
    """What fresh test sequences of S subjects are drawn from.

    Attributes:
        space: the sequence space, `sequences.space.SpaceArrays`.
        selected: bool `(S, P)`, the patterns whose members are positives.
        targets: int64 `(S,)`, each subject's target pattern.
        keys: uint64 `(S,)`, keys of the tests.
        tokens: uint8 `(S, rows, L)`, the subjects' own sequences, which no test repeats.
        per_label: how many are drawn of each label at most.
    """

    space: Any
    selected: Any
    targets: Any
    keys: Any
    tokens: Any
    per_label: int


class _Scratch(NamedTuple):
    """Memory of one kernel call, float32.

    For D hidden layers at most, W neurons in the widest layer, E examples in whole vectors.

    Attributes:
        h: `(D + 1, W, E)`, inputs and each hidden layer's activations.
        slope: `(D, W, E)`, the activations' derivatives, later the gradients of the
            pre-activations.
        dh: `(1, W, E)`, gradient of one layer's activations.
        out: `(1, 1, E)`, logits.
        residual: `(1, 1, E)`, the loss's gradient by them.
        y: `(E,)`, labels.
        live: `(E,)`, 1 for each lane that is an example, else 0.
        gradient: `(parameters,)`, of the largest subject.
    """

    h: Any
    slope: Any
    dh: Any
    out: Any
    residual: Any
    y: Any
    live: Any
    gradient: Any


@compiled()
def _draw_layer(subject, layer, weight_bound, bias_bound, state):
    """Draws one layer's parameters in place, within the bounds / sqrt(fan_in)."""
    share = 1.0 / np.sqrt(layer.fan_in)
    biases = layer.offset + layer.fan_in * layer.fan_out
    for j in range(layer.offset, biases + layer.fan_out):
        bound = weight_bound if j < biases else bias_bound
        direction = 2 * uniform(state) - 1
        subject[j] = f4(direction * share * bound)


@compiled()
def draw_parameters(networks, keys, weight_bounds, bias_bound):
    """Draws all parameters in place, uniform and symmetric about 0.

    Subject s has weights within weight_bounds[s] / sqrt(fan_in), biases within bias_bound /
    sqrt(fan_in).
    """
    state = np.empty(1, np.uint64)
    for s in range(keys.shape[0]):
        state[0] = keys[s]
        subject = subject_parameters(networks, s)
        layers = subject_layers(networks, s)
        for index in range(layers.shape[0]):
            layer = layer_at(layers, index)
            _draw_layer(subject, layer, weight_bounds[s], bias_bound, state)


@compiled()
def batch_order(key, stage, epoch, rows):
    """The order of the training rows in one epoch: int64 `(rows,)`.

    A pure function of its arguments.
    """
    order = np.arange(rows)
    of_stage = derive(key, stage)
    state = np.array([derive(of_stage, epoch)])
    shuffle(state, order, rows)
    return order


@compiled()
def mask_state(key, stage, epoch, start):
    """State from which the masks of a batch are drawn, layer by layer: uint64 `(1,)`.

    The batch begins at row `start`.
    """
    of_stage = derive(key, stage + _DROPOUT)
    of_epoch = derive(of_stage, epoch)
    return np.array([derive(of_epoch, start)])


@compiled()
def make_scratch(networks, which, examples, parameters):
    """Scratch for the largest of the subjects and for batches of up to `examples`; all zeros."""
    depth, width = largest_shape(networks, which)
    lanes = padded(examples)
    return _Scratch(
        h=aligned_zeros(depth + 1, width, lanes),
        slope=aligned_zeros(depth, width, lanes),
        dh=aligned_zeros(1, width, lanes),
        out=aligned_zeros(1, 1, lanes),
        residual=aligned_zeros(1, 1, lanes),
        y=np.zeros(lanes, f4),
        live=np.zeros(lanes, f4),
        gradient=np.zeros(parameters, f4),
    )


@compiled(fast=True)
def _fill_inputs(tokens, order, start, batch, scaling, h):
    """Scaled tokens of `batch` rows, in order from `start`, into h[0] (features, padded batch).

    Lanes that are no examples become 0.
    """
    shift = scaling.shift
    scale = scaling.scale
    for i in range(tokens.shape[1]):
        for k in range(batch):
            row = order[start + k]
            h[0, i, k] = (f4(tokens[row, i]) - shift) * scale
        for k in range(batch, padded(batch)):
            h[0, i, k] = f4(0)


@compiled(fast=True)
def _fill_labels(labels, order, start, batch, scratch):
    """Labels of `batch` rows, in order from `start`, and which lanes are examples."""
    for k in range(padded(batch)):
        scratch.live[k] = f4(k < batch)
        scratch.y[k] = labels[order[start + k]] if k < batch else f4(0)


@compiled(fast=True)
def forward(subject, layers, batch, examples, dropout, state, scratch):
    """Logits `out` of the inputs h[0]; keeps all layers in h and slope.

    `batch` is the number of `examples` in whole vectors.
    """
    h = scratch.h
    slope = scratch.slope
    depth = layers.shape[0] - 1
    for index in range(depth):
        layer = layer_at(layers, index)
        width = layer.fan_out
        activation = layer.activation
        floor = floor_of(activation)
        linear(subject, layer.offset, layer.fan_in, width, floor, h, index, h, index + 1, batch)
        activate(activation, h, slope, index, width, batch)
        if dropout > 0:
            mask = np.empty((width, examples), f4)
            draw_mask(state, dropout, mask)
            drop(activation, h, slope, index, mask)
    logit = layer_at(layers, depth)
    linear(subject, logit.offset, logit.fan_in, 1, LOWEST, h, depth, scratch.out, 0, batch)


@compiled(fast=True)
def backward(subject, layers, batch, dropout, scratch):
    """Gradient of the flat parameters from the logits' gradient `residual`; uses up `slope`."""
    kept = f4(1.0 / (1.0 - dropout))
    h = scratch.h
    slope = scratch.slope
    dh = scratch.dh
    gradient = scratch.gradient
    depth = layers.shape[0] - 1
    logit = layer_at(layers, depth)
    weight_gradient(gradient, logit.offset, logit.fan_in, 1, h, depth, scratch.residual, 0, batch)
    backpropagate(subject, logit.offset, logit.fan_in, 1, scratch.residual, 0, dh, batch)
    for index in range(depth - 1, -1, -1):
        layer = layer_at(layers, index)
        at = layer.offset
        fan_in = layer.fan_in
        width = layer.fan_out
        multiply(layer.activation, h, slope, index, dh, kept, width, batch)
        weight_gradient(gradient, at, fan_in, width, h, index, slope, index, batch)
        if index > 0:
            backpropagate(subject, at, fan_in, width, slope, index, dh, batch)


@compiled(fast=True)
def _sum_loss(batch, share, scratch):
    """Summed loss and right answers of a batch's logits; fills the residual, times `share`."""
    return cross_entropy(
        scratch.out,
        scratch.y,
        scratch.live,
        padded(batch),
        share,
        scratch.residual,
    )


@compiled(fast=True)
def _train_subject(subject, layers, m, v, rate, tokens, labels, key, epoch, recipe, scratch):
    """One epoch of one subject: tokens (rows, L), labels (training rows,).

    Returns the summed loss and the number of right answers.
    """
    order = batch_order(key, epoch.stage, epoch.number, labels.shape[0])
    rows = order.shape[0]
    dropout = recipe.dropout
    batch_size = recipe.batch_size
    loss = 0.0
    right = 0
    step = epoch.number * ((rows + batch_size - 1) // batch_size)
    for start in range(0, rows, batch_size):
        batch = min(batch_size, rows - start)
        lanes = padded(batch)
        _fill_inputs(tokens, order, start, batch, recipe.scaling, scratch.h)
        _fill_labels(labels, order, start, batch, scratch)
        state = mask_state(key, epoch.stage, epoch.number, start)
        forward(subject, layers, lanes, batch, dropout, state, scratch)
        batch_loss, batch_right = cross_entropy(
            scratch.out, scratch.y, scratch.live, lanes, f4(1.0 / batch), scratch.residual
        )
        backward(subject, layers, lanes, dropout, scratch)
        step += 1
        adam(subject, m, v, scratch.gradient, rate, step)
        loss += batch_loss
        right += batch_right
    return loss, right


@compiled()
def train_epoch(networks, adams, examples, which, epoch, recipe, metrics):
    """One epoch for each subject of `which`; fills the `Metrics`."""
    rows = examples.labels.shape[1]
    offsets = networks.offsets
    largest = (offsets[1:] - offsets[:-1]).max()
    scratch = make_scratch(networks, which, min(recipe.batch_size, rows), largest)
    for s in which:
        part = slice(offsets[s], offsets[s + 1])
        loss, right = _train_subject(
            networks.parameters[part],
            subject_layers(networks, s),
            adams.first[part],
            adams.second[part],
            adams.rates[s],
            examples.tokens[s],
            examples.labels[s],
            examples.keys[s],
            epoch,
            recipe,
            scratch,
        )
        metrics.losses[s] = loss / rows
        metrics.accuracies[s] = right / rows


@compiled(fast=True)
def _logits(subject, layers, tokens, order, start, batch, scaling, scratch):
    """Logits `out` of `batch` rows of tokens, in order from `start`.

    Two layers of h in turn hold the activations.
    """
    h = scratch.h
    lanes = padded(batch)
    _fill_inputs(tokens, order, start, batch, scaling, h)
    depth = layers.shape[0] - 1
    source = 0
    for index in range(depth):
        layer = layer_at(layers, index)
        width = layer.fan_out
        floor = floor_of(layer.activation)
        linear(subject, layer.offset, layer.fan_in, width, floor, h, source, h, 1 - source, lanes)
        source = 1 - source
        if layer.activation != RELU:
            activate_only(layer.activation, h, source, h, source, width, lanes)
    logit = layer_at(layers, depth)
    linear(subject, logit.offset, logit.fan_in, 1, LOWEST, h, source, scratch.out, 0, lanes)


@compiled()
def _evaluate_subject(subject, layers, tokens, labels, scaling, scratch):
    """Summed loss and right answers on tokens (rows, L) with labels (rows,)."""
    rows = labels.shape[0]
    order = np.arange(rows)
    loss = 0.0
    right = 0
    for start in range(0, rows, _CHUNK):
        batch = min(_CHUNK, rows - start)
        _logits(subject, layers, tokens, order, start, batch, scaling, scratch)
        _fill_labels(labels, order, start, batch, scratch)
        chunk_loss, chunk_right = _sum_loss(batch, f4(1), scratch)
        loss += chunk_loss
        right += chunk_right
    return loss, right


@compiled()
def evaluate(networks, tokens, labels, which, scaling, metrics):
    """Mean loss and accuracy on tokens (S, rows, L); fills the `Metrics`.

    All subjects share the labels (rows,).
    """
    rows = labels.shape[0]
    scratch = make_scratch(networks, which, min(_CHUNK, rows), 0)
    for s in which:
        subject = subject_parameters(networks, s)
        layers = subject_layers(networks, s)
        loss, right = _evaluate_subject(subject, layers, tokens[s], labels, scaling, scratch)
        metrics.losses[s] = loss / rows
        metrics.accuracies[s] = right / rows


@compiled()
def positive_share(subject, layers, tokens, order, scratch):
    """Share of the sequences whose logit is above 0, on raw token inputs.

    NaN where there are no sequences.
    """
    count = 0
    rows = tokens.shape[0]
    raw = Scaling(f4(0), f4(1))
    for start in range(0, rows, _CHUNK):
        batch = min(_CHUNK, rows - start)
        _logits(subject, layers, tokens, order, start, batch, raw, scratch)
        for k in range(batch):
            count += scratch.out[0, 0, k] > 0
    return count / rows if rows else np.nan


@compiled()
def measure_tests(tests, degraded, improved, which, accuracies):
    """Balanced accuracy (S, 2) of degraded and improved networks on fresh sequences."""
    order = np.arange(tests.per_label)
    scratch = make_scratch(improved, which, min(_CHUNK, tests.per_label), 0)
    for s in which:
        layers = subject_layers(improved, s)
        positives, negatives = draw_tests(
            tests.space,
            tests.selected[s],
            tests.targets[s],
            tests.keys[s],
            tests.tokens[s],
            tests.per_label,
        )
        for stage in range(2):
            networks = degraded if stage == 0 else improved
            subject = subject_parameters(networks, s)
            recall = positive_share(subject, layers, positives, order, scratch)
            false_alarms = positive_share(subject, layers, negatives, order, scratch)
            accuracies[s, stage] = (recall + 1.0 - false_alarms) / 2.0


@compiled()
def respond(networks, tokens, starts, which, responses):
    """Share of each pattern's rows that a subject calls positive.

    tokens (rows, L), starts (P + 1,) -> responses (S, P).
    """
    order = np.arange(tokens.shape[0])
    scratch = make_scratch(networks, which, _CHUNK, 0)
    for s in which:
        subject = subject_parameters(networks, s)
        layers = subject_layers(networks, s)
        for p in range(starts.shape[0] - 1):
            rows = tokens[starts[p] : starts[p + 1]]
            responses[s, p] = positive_share(subject, layers, rows, order, scratch)


@compiled()
def _fold_layer(subject, layer, scaling):
    """A first layer's weights times the scale; its biases less what the shift adds.

    Products and sums are in float64.
    """
    bias = layer.offset + layer.fan_in * layer.fan_out
    for neuron in range(layer.fan_out):
        start = neuron * layer.fan_in
        moved = 0.0
        for j in range(start, start + layer.fan_in):
            subject[j] = f4(np.float64(subject[j]) * scaling.scale)
            moved += np.float64(subject[j]) * scaling.shift
        place = bias + neuron
        subject[place] = f4(subject[place] - moved)


@compiled()
def fold(networks, scaling, folded):
    """Copies parameters so that they take raw tokens: the first layer absorbs the scaling."""
    offsets = networks.offsets
    folded[:] = networks.parameters
    for s in range(offsets.shape[0] - 1):
        subject = folded[offsets[s] : offsets[s + 1]]
        first = layer_at(subject_layers(networks, s), 0)
        _fold_layer(subject, first, scaling)
