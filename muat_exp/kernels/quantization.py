"""Quantisation of weights: each neuron's become a few levels times a scale of their own."""

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.network import f4, layer_at, subject_layers, subject_parameters
from muat_exp.sequences.patterns import PUBLISHED
from muat_exp.subjects.schemes import scheme_code

_INT8 = scheme_code("int8")
_INT4 = scheme_code("int4")
_TERNARY = scheme_code("ternary")
_BINARY = scheme_code("binary")
_PUBLISHED_TERNARY = scheme_code("ternary", PUBLISHED)
_PUBLISHED_BINARY = scheme_code("binary", PUBLISHED)
_PUBLISHED_DEAD_ZONE = f4(0.2)  # of the layer's largest |weight|: below it a weight is 0
_DEAD_ZONE = 0.7  # of the mean |weight|: below it a ternary weight is 0 (Li, Zhang and Liu 2016)


@compiled()
def _to_multiples(row, most):
    """Whole multiples, -most to most, of the largest |weight| / most; all 0 where that is 0."""
    largest = 0.0
    for value in row:
        largest = max(largest, np.float64(abs(value)))
    scale = f4(largest / most)
    for j in range(row.shape[0]):
        if scale > 0:
            multiple = f4(np.rint(row[j] / scale))
            row[j] = multiple * scale
        else:
            row[j] = f4(0)


@compiled()
def _to_signs(row, bound):
    """Signs times the mean |weight| of those above the bound; 0 for those that are not."""
    kept = 0.0
    count = 0
    for value in row:
        if abs(value) > bound:
            kept += np.float64(abs(value))
            count += 1
    scale = f4(kept / max(1, count))
    for j in range(row.shape[0]):
        if abs(row[j]) > bound:
            sign = f4(1) if row[j] >= 0 else f4(-1)
            row[j] = sign * scale
        else:
            row[j] = f4(0)


@compiled()
def _dead_zone(row):
    """Size up to which a ternary weight is 0."""
    total = 0.0
    for value in row:
        total = total + np.float64(abs(value))
    return f4(_DEAD_ZONE * total / row.shape[0])


@compiled()
def _to_plain_signs(row, bound):
    """Signs of the weights; 0 for those below the bound, which is 0 where all weights are."""
    for j in range(row.shape[0]):
        if abs(row[j]) < bound or bound == 0:
            row[j] = f4(0)
        else:
            row[j] = f4(1) if row[j] >= 0 else f4(-1)


@compiled()
def _largest_size(weights):
    """The largest |weight|."""
    largest = f4(0)
    for value in weights:
        largest = max(largest, abs(value))
    return largest


@compiled()
def quantize_row(row, scheme, largest):
    """Quantises one neuron's weights in place; sums are in float64, the scale is float32.

    What each scheme makes of them is said in `subjects.schemes`; binary weights are those of
    Rastegari et al. 2016. `largest` is the largest |weight| of the neuron's layer.
    """
    if scheme == _INT8:
        _to_multiples(row, 127)
    elif scheme == _INT4:
        _to_multiples(row, 7)
    elif scheme == _TERNARY:
        _to_signs(row, _dead_zone(row))
    elif scheme == _BINARY:
        _to_signs(row, f4(-1))  # nothing is below it
    elif scheme == _PUBLISHED_TERNARY:
        _to_plain_signs(row, _PUBLISHED_DEAD_ZONE * largest)
    elif scheme == _PUBLISHED_BINARY:
        _to_plain_signs(row, f4(-1))  # nothing is below it
    else:
        raise ValueError("weights have a quantization that the kernels do not know")


@compiled()
def quantize(networks, scheme):
    """Quantises the weights of all subjects in place; biases stay as they are."""
    for s in range(networks.offsets.shape[0] - 1):
        subject = subject_parameters(networks, s)
        layers = subject_layers(networks, s)
        for index in range(layers.shape[0]):
            layer = layer_at(layers, index)
            end = layer.offset + layer.fan_in * layer.fan_out
            largest = _largest_size(subject[layer.offset : end])
            for neuron in range(layer.fan_out):
                start = layer.offset + neuron * layer.fan_in
                row = subject[start : start + layer.fan_in]
                quantize_row(row, scheme, largest)
