"""What networks answer to sequences that all of them are asked about: a whole space, or a sample.

The sequences are columns, uint8 `(L, N)`, so that the inputs of a vector of examples lie side by
side.
"""

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.network import (
    LOWEST,
    RELU,
    activate_only,
    aligned_zeros,
    f4,
    floor_of,
    largest_shape,
    layer_at,
    linear,
    padded,
    subject_layers,
    subject_parameters,
)

_CHUNK = 256  # sequences at a time: the working set stays in the cache
_BYTE = 8  # bits


@compiled(fast=True)
def _fill_inputs(columns, start, batch, h):
    """Tokens of `batch` sequences from `start` on into h[0] (L, padded batch).

    Lanes that are no sequences become 0.
    """
    for i in range(columns.shape[0]):
        for k in range(batch):
            h[0, i, k] = f4(columns[i, start + k])
        for k in range(batch, padded(batch)):
            h[0, i, k] = f4(0)


@compiled(fast=True)
def _answer(subject, layers, lanes, h, out):
    """Logits out[0, 0] of the inputs h[0]; two layers of h in turn hold the activations."""
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
    linear(subject, logit.offset, logit.fan_in, 1, LOWEST, h, source, out, 0, lanes)


@compiled()
def _note(out, batch, start, groups, counts, bits):
    """Counts a batch's positive answers by group, and sets their bits where there are any."""
    for k in range(batch):
        if out[0, 0, k] > 0:
            n = start + k
            counts[groups[n]] += 1
            if len(bits):
                bits[n // _BYTE] |= np.uint8(1 << (_BYTE - 1 - n % _BYTE))


@compiled()
def ask(networks, columns, groups, number, which, kept):
    """What the subjects of `which` call positive.

    Args:
        networks: of all subjects.
        columns: uint8 `(L, N)`, the sequences.
        groups: int32 `(N,)`, each sequence's group.
        number: of groups, G.
        which: int64 `(n,)`.
        kept: whether every single answer is returned too.

    Returns:
        Positive answers by group, int64 `(n, G)`; and all answers as bits, uint8 `(n, N / 8 rounded
        up)`, that of the first sequence the highest of its byte. Without `kept` these are `(n, 0)`.
    """
    _, width = largest_shape(networks, which)
    sequences = columns.shape[1]
    size = (sequences + _BYTE - 1) // _BYTE if kept else 0
    counts = np.zeros((len(which), number), np.int64)
    bits = np.zeros((len(which), size), np.uint8)
    h = aligned_zeros(2, width, _CHUNK)
    out = aligned_zeros(1, 1, _CHUNK)
    for row in range(len(which)):
        subject = subject_parameters(networks, which[row])
        layers = subject_layers(networks, which[row])
        for start in range(0, sequences, _CHUNK):
            batch = min(_CHUNK, sequences - start)
            _fill_inputs(columns, start, batch, h)
            _answer(subject, layers, padded(batch), h, out)
            _note(out, batch, start, groups, counts[row], bits[row])
    return counts, bits
