"""Activation signatures: each subject runs on the probe set, each neuron's pre-activations become a few numbers."""

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.network import activate, f4, layer, linear

MEAN, STD, PCA = range(3)
NEGLIGIBLE = 1e-10  # components below this share of the first eigenvalue are rounding


@compiled(fast=True)
def pre_activations(subject, depth, width, kind, inputs, outputs):
    """Output of every Linear layer: inputs (features, probes) -> outputs (depth * width + 1, probes), float32."""
    probes = inputs.shape[1]
    h, slope = np.empty((width, probes), f4), np.empty((width, probes), f4)
    w, b, at = layer(subject, 0, inputs.shape[0], width)
    linear(w, b, inputs, outputs[:width], probes)
    for index in range(1, depth + 1):
        activate(kind, outputs[(index - 1) * width : index * width], h, slope, width, probes)
        w, b, at = layer(subject, at, width, width if index < depth else 1)
        linear(w, b, h, outputs[index * width : index * width + w.shape[0]], probes)


@compiled(fast=True)
def centre(activations):
    """Float64 activations (neurons, probes) with each neuron's mean taken off, and the means (neurons,)."""
    centred = activations.astype(np.float64)
    means = np.empty(activations.shape[0])
    for j in range(activations.shape[0]):
        total = 0.0
        for k in range(activations.shape[1]):
            total += centred[j, k]
        means[j] = total / activations.shape[1]
        for k in range(activations.shape[1]):
            centred[j, k] -= means[j]
    return centred, means


@compiled(fast=True)
def covariance(centred):
    """Population covariance (neurons, neurons) of centred activations (neurons, probes)."""
    neurons, probes = centred.shape
    result = np.empty((neurons, neurons))
    for i in range(neurons):
        for j in range(i + 1):
            a, b, total = centred[i], centred[j], 0.0
            for k in range(probes):
                total += a[k] * b[k]
            result[i, j] = total / probes
            result[j, i] = result[i, j]
    return result


@compiled()
def principal_loadings(matrix, components, loadings):
    """Unit loadings (neurons, components) of a covariance, largest eigenvalue first.

    The largest |loading| of a component is positive; components with an eigenvalue of at most 1e-10 of the first, and
    those beyond the number of neurons, are zeros.
    """
    loadings[:] = 0
    values, vectors = np.linalg.eigh(matrix)
    neurons = matrix.shape[0]
    for c in range(min(components, neurons)):
        column = neurons - 1 - c
        if values[column] <= NEGLIGIBLE * values[neurons - 1] or values[column] <= 0:
            break
        largest = 0
        for j in range(neurons):
            if abs(vectors[j, column]) > abs(vectors[largest, column]):
                largest = j
        sign = 1.0 if vectors[largest, column] > 0 else -1.0
        for j in range(neurons):
            loadings[j, c] = f4(sign * vectors[j, column])


@compiled()
def profile_layer(activations, methods, components, profile):
    """Profiles one layer's neurons: activations (neurons, probes) -> profile (neurons, columns)."""
    centred, means = centre(activations)
    matrix = covariance(centred)
    column = 0
    for method in methods:
        if method == PCA:
            principal_loadings(matrix, components, profile[:, column : column + components])
            column += components
        else:
            for j in range(means.shape[0]):
                profile[j, column] = f4(means[j] if method == MEAN else np.sqrt(matrix[j, j]))
            column += 1


@compiled()
def profile_subjects(
    depths, widths, kinds, parameters, offsets, which, probes, methods, components, signatures, signature_offsets
):  # fmt: skip
    """Signatures of the subjects of `which`: probes float32 (features, n); rows of (neurons, columns) into `signatures`."""
    columns = 0
    for method in methods:
        columns += components if method == PCA else 1
    for i in range(which.shape[0]):
        s = which[i]
        depth, width = depths[s], widths[s]
        outputs = np.empty((depth * width + 1, probes.shape[1]), f4)
        pre_activations(parameters[offsets[s] : offsets[s + 1]], depth, width, kinds[s], probes, outputs)
        signature = signatures[signature_offsets[i] : signature_offsets[i + 1]].reshape(depth * width + 1, columns)
        for index in range(depth + 1):
            neurons = slice(index * width, min((index + 1) * width, depth * width + 1))
            profile_layer(outputs[neurons], methods, components, signature[neurons])
