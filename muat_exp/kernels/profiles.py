"""Activation signatures: each subject runs on the probe set, each neuron's pre-activations become a few numbers."""

from collections import namedtuple

import numpy as np

from muat_exp.kernels.compiled import compiled
from muat_exp.kernels.network import (
    LOWEST,
    activate_only,
    aligned_zeros,
    f4,
    largest_shape,
    layer_at,
    linear,
    padded,
    subject_layers,
    subject_parameters,
)
from muat_exp.subjects.activations import IDENTITY

MEAN, STD, MIN, MAX, SPARSITY, ENTROPY, PCA, SVD, CLUSTERING, FOURIER, PATTERN_WISE = range(11)
_ROUNDS = 100  # of Lloyd's algorithm at most
_NEGLIGIBLE = 1e-10  # components below this share of the first eigenvalue are rounding


@compiled(fast=True)
def pre_activations(subject, layers, inputs, batch, z, h):
    """Output of every Linear layer: inputs (1, features, batch) -> z (layers, width, batch).

    `h` (1, width, batch) is scratch.
    """
    first = layer_at(layers, 0)
    linear(subject, 0, first.fan_in, first.fan_out, LOWEST, inputs, 0, z, 0, batch)
    for index in range(1, layers.shape[0]):
        layer = layer_at(layers, index)
        before = layer_at(layers, index - 1)
        activate_only(before.activation, z, index - 1, h, 0, layer.fan_in, batch)
        at = layer.offset
        linear(subject, at, layer.fan_in, layer.fan_out, LOWEST, h, 0, z, index, batch)


@compiled(fast=True)
def _to_float64(activations, values):
    """The first probes of float32 activations (neurons, >= probes) as float64 values (neurons, probes)."""
    for j in range(values.shape[0]):
        for k in range(values.shape[1]):
            values[j, k] = np.float64(activations[j, k])


@compiled(fast=True)
def _centre(values, centred):
    """Values (neurons, probes) with each neuron's mean taken off; returns the means (neurons,)."""
    neurons, probes = values.shape
    means = np.empty(neurons)
    for j in range(neurons):
        total = 0.0
        for k in range(probes):
            total += values[j, k]
        means[j] = total / probes
        for k in range(probes):
            centred[j, k] = values[j, k] - means[j]
    return means


@compiled(fast=True)
def _covariance(centred):
    """Mean products of rows (neurons, probes), (neurons, neurons): of centred rows their population covariance."""
    neurons, probes = centred.shape
    result = np.empty((neurons, neurons))
    for i in range(neurons):
        for j in range(i + 1):
            a = centred[i]
            b = centred[j]
            total = 0.0
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
        if values[column] <= _NEGLIGIBLE * values[neurons - 1] or values[column] <= 0:
            break
        largest = 0
        for j in range(neurons):
            if abs(vectors[j, column]) > abs(vectors[largest, column]):
                largest = j
        sign = 1.0 if vectors[largest, column] > 0 else -1.0
        for j in range(neurons):
            loadings[j, c] = f4(sign * vectors[j, column])


@compiled(fast=True)
def _extremes(row):
    """Smallest and largest value."""
    low = row[0]
    high = row[0]
    for k in range(row.shape[0]):
        low = min(low, row[k])
        high = max(high, row[k])
    return low, high


@compiled()
def entropy(row, bins, counts):
    """Shannon entropy in nats of the histogram of a row over `bins` equal bins from its smallest to its largest value.

    0 where all values are equal. `counts` (bins,) is scratch. As in `numpy.histogram`, the last bin is closed.
    """
    low, high = _extremes(row)
    if high <= low:
        return 0.0
    counts[:] = 0
    for k in range(row.shape[0]):
        counts[max(0, min(np.int64((row[k] - low) / (high - low) * bins), bins - 1))] += 1
    total = 0.0
    for count in counts:
        if count > 0:
            total -= count / row.shape[0] * np.log(count / row.shape[0])
    return total


@compiled()
def _cluster_centres(row, centres):
    """Centres (clusters,) of a row's values, ascending: k-means in one dimension by Lloyd's algorithm.

    It starts at the quantiles (i + 1/2) / clusters (the nearest lower value), so that it is deterministic, and ends when no
    centre moves. A cluster without values keeps its centre: a constant row has equal centres.
    """
    values = np.sort(row)
    clusters = centres.shape[0]
    count = values.shape[0]
    for c in range(clusters):
        centres[c] = values[np.int64((c + 0.5) / clusters * count)]
    for _ in range(_ROUNDS):
        start = 0
        moved = False
        for c in range(clusters):
            stop = count
            if c + 1 < clusters:
                stop = max(
                    start, np.searchsorted(values, (centres[c] + centres[c + 1]) / 2, side="right")
                )
            if stop > start:
                centre = values[start:stop].mean()
                moved |= centre != centres[c]
                centres[c] = centre
            start = stop
        if not moved:
            break


@compiled(fast=True)
def _amplitude(row, cosines, sines):
    """|sum of row * exp(-2 pi i k j / n)| / n for one frequency, from its cosines and sines (n,)."""
    real = 0.0
    imaginary = 0.0
    for k in range(row.shape[0]):
        real += row[k] * cosines[k]
        imaginary += row[k] * sines[k]
    return np.sqrt(real * real + imaginary * imaginary) / row.shape[0]


@compiled()
def _pattern_means(row, origins, sums, counts):
    """Mean over each pattern's probes into `sums` (patterns,); 0 for a pattern without probes. `counts` is scratch."""
    sums[:] = 0
    counts[:] = 0
    for k in range(row.shape[0]):
        sums[origins[k]] += row[k]
        counts[origins[k]] += 1
    for p in range(sums.shape[0]):
        if counts[p] > 0:
            sums[p] /= counts[p]


# What a signature is made of: `methods` int64 (codes), `columns` int64 (numbers a neuron), `bins` of the entropy, tables
# `cosines`, `sines` float64 (frequencies, probes), `origins` int64 (probes,) and `patterns`, how many there are.
Recipe = namedtuple("Recipe", "methods columns bins cosines sines origins patterns")


@compiled()
def _fill_columns(method, values, centred, means, moments, recipe, part):
    """One method's numbers of a layer -> part (neurons, columns); values, centred (neurons, probes); moments: covariance."""
    neurons = values.shape[0]
    if method == PCA:
        principal_loadings(moments, part.shape[1], part)
        return
    if method == SVD:
        principal_loadings(_covariance(values), part.shape[1], part)
        return
    counts = np.empty(max(recipe.bins, recipe.patterns), np.int64)
    numbers = np.empty(part.shape[1])
    for j in range(neurons):
        low, high = _extremes(values[j])
        if method == MEAN:
            numbers[0] = means[j]
        elif method == STD:
            numbers[0] = np.sqrt(moments[j, j])
        elif method == MIN:
            numbers[0] = low
        elif method == MAX:
            numbers[0] = high
        elif method == SPARSITY:
            numbers[0] = np.mean(values[j] <= 0)
        elif method == ENTROPY:
            numbers[0] = entropy(values[j], recipe.bins, counts[: recipe.bins])
        elif method == CLUSTERING:
            _cluster_centres(values[j], numbers)
        elif method == FOURIER:
            for f in range(numbers.shape[0]):
                numbers[f] = _amplitude(centred[j], recipe.cosines[f], recipe.sines[f])
        else:
            _pattern_means(values[j], recipe.origins, numbers, counts[: recipe.patterns])
        for c in range(part.shape[1]):
            part[j, c] = f4(numbers[c])


@compiled()
def _profile_layer(activations, probes, recipe, profile):
    """Profiles one layer's neurons: the first `probes` columns of activations -> profile (neurons, columns)."""
    values = np.empty((profile.shape[0], probes))
    centred = np.empty((profile.shape[0], probes))
    _to_float64(activations, values)
    means = _centre(values, centred)
    moments = _covariance(centred)
    column = 0
    for i in range(recipe.methods.shape[0]):
        part = profile[:, column : column + recipe.columns[i]]
        _fill_columns(recipe.methods[i], values, centred, means, moments, recipe, part)
        column += recipe.columns[i]


@compiled()
def profile_subjects(networks, which, probes, activated, recipe, signatures, signature_offsets):
    """Signatures of the subjects of `which`: rows of (neurons, columns) into `signatures`.

    The probes are float32 (features, n). With `activated` hidden neurons are profiled after their activation.
    """
    columns = recipe.columns.sum()
    features, count = probes.shape
    batch = padded(count)
    depth, width = largest_shape(networks, which)
    inputs = aligned_zeros(1, features, batch)
    inputs[0, :, :count] = probes
    z = aligned_zeros(depth + 1, width, batch)
    h = aligned_zeros(1, width, batch)
    for i in range(which.shape[0]):
        s = which[i]
        layers = subject_layers(networks, s)
        pre_activations(subject_parameters(networks, s), layers, inputs, batch, z, h)
        signature = signatures[signature_offsets[i] : signature_offsets[i + 1]].reshape(-1, columns)
        neuron = 0
        for index in range(layers.shape[0]):
            layer = layer_at(layers, index)
            if activated and layer.activation != IDENTITY:
                activate_only(layer.activation, z, index, z, index, layer.fan_out, batch)
            own = signature[neuron : neuron + layer.fan_out]
            _profile_layer(z[index], count, recipe, own)
            neuron += layer.fan_out
