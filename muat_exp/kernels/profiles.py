"""Activation signatures: each subject runs on the probe set, each neuron's pre-activations become a few numbers."""

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.network import LOWEST, activate_only, f4, linear, padded

MEAN, STD, PCA = range(3)
NEGLIGIBLE = 1e-10  # components below this share of the first eigenvalue are rounding


@compiled(fast=True)
def pre_activations(subject, depth, width, kind, inputs, batch, z, h):
    """Output of every Linear layer: inputs (1, features, batch) -> z (depth + 1, width, batch); h (1, width, batch)."""
    features = inputs.shape[1]
    linear(subject, 0, features, width, LOWEST, inputs, 0, z, 0, batch)
    at = features * width + width
    for index in range(1, depth + 1):
        activate_only(kind, z, index - 1, h, 0, width, batch)
        linear(subject, at, width, width if index < depth else 1, LOWEST, h, 0, z, index, batch)
        at += width * width + width


@compiled(fast=True)
def centre(activations, centred):
    """Float64 activations (neurons, probes) with each neuron's mean taken off; returns the means (neurons,)."""
    neurons, probes = centred.shape
    means = np.empty(neurons)
    for j in range(neurons):
        total = 0.0
        for k in range(probes):
            total += np.float64(activations[j, k])
        means[j] = total / probes
        for k in range(probes):
            centred[j, k] = np.float64(activations[j, k]) - means[j]
    return means


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
def profile_layer(activations, probes, methods, components, profile):
    """Profiles one layer's neurons: the first `probes` columns of activations -> profile (neurons, columns)."""
    centred = np.empty((profile.shape[0], probes))
    means = centre(activations, centred)
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
    features, count = probes.shape
    batch, widest, deepest = padded(count), widths[which].max(), depths[which].max()
    inputs = np.zeros((1, features, batch), f4)
    inputs[0, :, :count] = probes
    z, h = np.zeros((deepest + 1, widest, batch), f4), np.zeros((1, widest, batch), f4)
    for i in range(which.shape[0]):
        s = which[i]
        depth, width = depths[s], widths[s]
        pre_activations(parameters[offsets[s] : offsets[s + 1]], depth, width, kinds[s], inputs, batch, z, h)
        signature = signatures[signature_offsets[i] : signature_offsets[i + 1]].reshape(depth * width + 1, columns)
        for index in range(depth + 1):
            neurons = slice(index * width, min((index + 1) * width, depth * width + 1))
            profile_layer(z[index], count, methods, components, signature[neurons])
