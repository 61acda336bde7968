"""Quantisation of weights: each neuron's incoming weights become a few levels times a scale of their own."""

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.network import f4

_NONE, _INT8, _INT4, _TERNARY, _BINARY = range(5)
_DEAD_ZONE = 0.7  # of the mean |weight|: below it a ternary weight is 0 (Li, Zhang and Liu 2016)


@compiled()
def quantize_row(row, scheme):
    """Quantises one neuron's weights in place; sums are in float64, the scale is float32.

    int8, int4: whole multiples, -127 to 127 or -7 to 7, of the largest |weight| / 127 or 7. ternary: -1, 0 or 1 times the
    mean |weight| of those outside the dead zone. binary: -1 or 1 times the mean |weight| (Rastegari et al. 2016).
    """
    largest = 0.0
    total = 0.0
    for value in row:
        size = np.float64(abs(value))
        largest = max(largest, size)
        total = total + size
    if scheme == _INT8 or scheme == _INT4:
        scale = f4(largest / (127 if scheme == _INT8 else 7))
        for j in range(row.shape[0]):
            row[j] = f4(np.rint(row[j] / scale)) * scale if scale > 0 else f4(0)
        return
    bound = f4(_DEAD_ZONE * total / row.shape[0]) if scheme == _TERNARY else f4(-1)
    kept = 0.0
    count = 0
    for value in row:
        if abs(value) > bound:
            kept += np.float64(abs(value))
            count += 1
    scale = f4(kept / max(1, count))
    for j in range(row.shape[0]):
        sign = f4(1) if row[j] >= 0 else f4(-1)
        row[j] = sign * scale if abs(row[j]) > bound else f4(0)


@compiled()
def quantize(depths, widths, parameters, offsets, features, scheme):
    """Quantises the weights of all subjects in place; biases stay as they are."""
    for s in range(depths.shape[0]):
        at = offsets[s]
        width = widths[s]
        for index in range(depths[s] + 1):
            fan_in = features if index == 0 else width
            fan_out = width if index < depths[s] else 1
            for _ in range(fan_out):
                quantize_row(parameters[at : at + fan_in], scheme)
                at += fan_in
            at += fan_out
