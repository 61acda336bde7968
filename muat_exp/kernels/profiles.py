"""Signatures: each subject runs on the probe set, and each neuron's values become a few numbers."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
from muat_exp.sequences.patterns import PUBLISHED
from muat_exp.signatures.methods import method_code
from muat_exp.subjects.activations import IDENTITY

_MEAN = method_code("mean")
_STD = method_code("std")
_MIN = method_code("min")
_MAX = method_code("max")
_SPARSITY = method_code("sparsity")
_ENTROPY = method_code("entropy")
_PCA = method_code("pca")
_SVD = method_code("svd")
_CLUSTERING = method_code("clustering")
_FOURIER = method_code("fourier")
_PATTERN_WISE = method_code("pattern_wise")
_MEDIAN = method_code("median")
_SKEWNESS = method_code("skewness")
_PUBLISHED_ENTROPY = method_code("entropy", PUBLISHED)
_PUBLISHED_SVD = method_code("svd", PUBLISHED)
_PUBLISHED_CLUSTERING = method_code("clustering", PUBLISHED)
_PUBLISHED_FOURIER = method_code("fourier", PUBLISHED)
_PUBLISHED_PATTERN_WISE = method_code("pattern_wise", PUBLISHED)

_ROUNDS = 100  # of Lloyd's algorithm at most
_PUBLISHED_BINS = 20
_NEGLIGIBLE = 1e-10  # components below this share of the first eigenvalue are rounding


class Recipe(NamedTuple):
    """What a signature is made of: M methods on n probes.

    Attributes:
        methods: int64 `(M,)`, codes of `signatures.methods`.
        columns: int64 `(M,)`, numbers per neuron.
        bins: of the histogram that entropy is taken of.
        cosines, sines: float64 `(frequencies, n)`, of the angles of each frequency at each probe:
            of 1 to `n_frequencies`, or by the published definitions of 0 to n / 2 - 1.
        origins: int64 `(n,)`, the pattern that each probe stands for.
        alphabetical: int64 `(n,)`, that pattern's place in alphabetical order.
        patterns: how many there are.
    """

    methods: NDArray[np.int64]
    columns: NDArray[np.int64]
    bins: int
    cosines: NDArray[np.float64]
    sines: NDArray[np.float64]
    origins: NDArray[np.int64]
    alphabetical: NDArray[np.int64]
    patterns: int


class _Layer(NamedTuple):
    """One layer's neurons on n probes, in float64.

    Attributes:
        values: `(neurons, n)`.
        centred: `(neurons, n)`, the values without their means.
        means: `(neurons,)`.
        covariance: `(neurons, neurons)`, that of a population.
    """

    values: NDArray[np.float64]
    centred: NDArray[np.float64]
    means: NDArray[np.float64]
    covariance: NDArray[np.float64]


@compiled(fast=True)
def pre_activations(subject, layers, inputs, batch, z, h):
    """Output of every Linear layer: inputs (1, features, batch) -> z (layers, width, batch).

    `h` (1, width, batch) is scratch.
    """
    first = layer_at(layers, 0)
    linear(subject, first.offset, first.fan_in, first.fan_out, LOWEST, inputs, 0, z, 0, batch)
    for index in range(1, layers.shape[0]):
        layer = layer_at(layers, index)
        before = layer_at(layers, index - 1)
        activate_only(before.activation, z, index - 1, h, 0, layer.fan_in, batch)
        at = layer.offset
        linear(subject, at, layer.fan_in, layer.fan_out, LOWEST, h, 0, z, index, batch)


@compiled(fast=True)
def _to_float64(activations, values):
    """The first columns of float32 activations (neurons, >= probes) as values (neurons, probes)."""
    for j in range(len(values)):
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
    """Mean products of rows (neurons, probes): (neurons, neurons), centred rows' covariance."""
    neurons, probes = centred.shape
    result = np.empty((neurons, neurons))
    for i in range(neurons):
        for j in range(i + 1):
            a = centred[i]
            b = centred[j]
            total = 0.0
            for k in range(probes):
                total += a[k] * b[k]
            mean = total / probes
            result[i, j] = mean
            result[j, i] = mean
    return result


@compiled()
def _sign_of_largest(vectors, column):
    """The sign of the largest |entry| of a column; of the first of them where several are."""
    largest = 0
    for j in range(len(vectors)):
        if abs(vectors[j, column]) > abs(vectors[largest, column]):
            largest = j
    return 1.0 if vectors[largest, column] > 0 else -1.0


@compiled()
def principal_loadings(matrix, components, loadings):
    """Unit loadings (neurons, components) of a covariance, largest eigenvalue first.

    The largest |loading| of a component is positive; components with an eigenvalue of at most 1e-10
    of the first, and those beyond the number of neurons, are zeros.
    """
    loadings[:] = 0
    values, vectors = np.linalg.eigh(matrix)
    neurons = len(matrix)
    bound = _NEGLIGIBLE * values[neurons - 1]
    for c in range(min(components, neurons)):
        column = neurons - 1 - c  # eigenvalues ascend
        if values[column] <= bound or values[column] <= 0:
            break
        sign = _sign_of_largest(vectors, column)
        for j in range(neurons):
            loadings[j, c] = f4(sign * vectors[j, column])


@compiled(fast=True)
def _extremes(row):
    """Smallest and largest value."""
    low = row[0]
    high = row[0]
    for k in range(len(row)):
        low = min(low, row[k])
        high = max(high, row[k])
    return low, high


@compiled()
def _histogram(row, low, high, bins):
    """Values in each of `bins` equal bins of [low, high]; the last bin is closed, as in NumPy."""
    counts = np.zeros(bins, np.int64)
    for k in range(len(row)):
        position = (row[k] - low) / (high - low) * bins
        place = min(np.int64(position), bins - 1)
        counts[max(0, place)] += 1
    return counts


@compiled()
def _entropy(row, bins):
    """Shannon entropy in nats of the histogram of a row.

    Its `bins` equal bins go from the smallest to the largest value. 0 where all values are equal.
    """
    low, high = _extremes(row)
    if high <= low:
        return 0.0
    total = 0.0
    for count in _histogram(row, low, high, bins):
        if count > 0:
            share = count / len(row)
            total -= share * np.log(share)
    return total


@compiled()
def _density_entropy(row):
    """-sum of d log2 d over the densities of the histogram of a row, bins without any left out.

    0 where all values are equal.
    """
    low, high = _extremes(row)
    if high <= low:
        return 0.0
    width = (high - low) / _PUBLISHED_BINS
    total = 0.0
    for count in _histogram(row, low, high, _PUBLISHED_BINS):
        if count > 0:
            density = count / (len(row) * width)
            total -= density * np.log2(density)
    return total


@compiled()
def _move_centres(values, centres):
    """One round of Lloyd's algorithm on ascending values; returns whether a centre moved.

    A cluster's values end half-way to the next centre, which is still where the last round left it.
    """
    clusters = len(centres)
    start = 0
    moved = False
    for c in range(clusters):
        stop = len(values)
        if c + 1 < clusters:
            border = (centres[c] + centres[c + 1]) / 2
            stop = max(start, np.searchsorted(values, border, side="right"))
        if stop > start:
            centre = values[start:stop].mean()
            moved |= centre != centres[c]
            centres[c] = centre
        start = stop
    return moved


@compiled()
def _cluster_centres(row, centres):
    """Ascending centres (clusters,) of a row's values: k-means by Lloyd's algorithm.

    It starts at the quantiles (i + 1/2) / clusters (the nearest lower value), so that it is
    deterministic, and ends when no centre moves. A cluster without values keeps its centre: a
    constant row has equal centres.
    """
    values = np.sort(row)
    clusters = len(centres)
    count = len(values)
    for c in range(clusters):
        position = (c + 0.5) / clusters * count
        centres[c] = values[np.int64(position)]
    for _ in range(_ROUNDS):
        if not _move_centres(values, centres):
            break


@compiled()
def _prefix_sums(values):
    """Sums of the first 0, 1, ... values, and of their squares, (n + 1,) both."""
    sums = np.zeros(len(values) + 1)
    squares = np.zeros(len(values) + 1)
    for k in range(len(values)):
        sums[k + 1] = sums[k] + values[k]
        squares[k + 1] = squares[k] + values[k] * values[k]
    return sums, squares


@compiled()
def _best_start(before, sums, squares, first, stop):
    """Where the last of some clusters of the values before `stop` begins, and their cost.

    It begins at `first` or later. `before` is what the clusters before it cost at least, by where
    they end.
    """
    best = first
    lowest = np.inf
    for start in range(first, stop):
        total = sums[stop] - sums[start]
        own = squares[stop] - squares[start] - total * total / (stop - start)
        if before[start] + own < lowest:
            lowest = before[start] + own
            best = start
    return best, lowest


@compiled()
def _best_starts(values, clusters):
    """Where the clusters of ascending values begin whose squared distances are the least.

    Dynamic programming: int64 (clusters, n + 1), of each number of clusters less one and of each
    place where they end, where the last of them begins.
    """
    count = len(values)
    sums, squares = _prefix_sums(values - values.mean())
    starts = np.zeros((clusters, count + 1), np.int64)
    costs = np.zeros(count + 1)
    for stop in range(1, count + 1):
        costs[stop] = squares[stop] - sums[stop] * sums[stop] / stop
    for c in range(1, clusters):
        before = costs.copy()
        nearest = count if c == clusters - 1 else c + 1  # of the last cluster only the end counts
        for stop in range(nearest, count + 1):
            starts[c, stop], costs[stop] = _best_start(before, sums, squares, c, stop)
    return starts


@compiled()
def _best_centres(row, centres):
    """Ascending centres (clusters,) of the best k-means there is of a row's values.

    Where the distinct values are fewer than the clusters, they are the centres, the last repeated.
    """
    distinct = np.unique(row)
    if len(distinct) < len(centres):
        for c in range(len(centres)):
            centres[c] = distinct[min(c, len(distinct) - 1)]
        return
    values = np.sort(row)
    starts = _best_starts(values, len(centres))
    stop = len(values)
    for c in range(len(centres) - 1, -1, -1):
        start = starts[c, stop]
        centres[c] = values[start:stop].mean()
        stop = start


@compiled(fast=True)
def _modulus(row, cosines, sines):
    """|sum of row_j exp(-2 pi i k j / n)| for one k, from its cosines and sines (n,)."""
    real = 0.0
    imaginary = 0.0
    for k in range(len(row)):
        real += row[k] * cosines[k]
        imaginary += row[k] * sines[k]
    return np.sqrt(real * real + imaginary * imaginary)


@compiled()
def _largest_moduli(row, cosines, sines, moduli):
    """The largest moduli of a row's Fourier transform, ascending, of all rows of cosines."""
    frequencies = len(cosines)
    every = np.empty(frequencies)
    for f in range(frequencies):
        every[f] = _modulus(row, cosines[f], sines[f])
    every.sort()
    moduli[:] = every[frequencies - len(moduli) :]


@compiled()
def _pattern_means(row, origins, means):
    """Mean over each pattern's probes into `means` (patterns,); 0 for a pattern without probes."""
    counts = np.zeros(len(means), np.int64)
    means[:] = 0
    for k in range(len(row)):
        pattern = origins[k]
        means[pattern] += row[k]
        counts[pattern] += 1
    for p in range(len(means)):
        if counts[p] > 0:
            means[p] /= counts[p]


@compiled(fast=True)
def _mean_cube(row):
    """Mean of the cubes of a row's values: of centred values their third central moment."""
    total = 0.0
    for k in range(len(row)):
        total += row[k] * row[k] * row[k]
    return total / len(row)


@compiled()
def _skewness(row, centred, variance):
    """Population skewness of a row, from its centred values and their variance.

    0 where all are equal. Equal values are told by themselves: what centring leaves of them is
    rounding, whose skewness is anything.
    """
    low, high = _extremes(row)
    if high <= low:
        return 0.0
    cubed_deviation = variance * np.sqrt(variance)
    return _mean_cube(centred) / cubed_deviation


@compiled()
def _fill_numbers(method, layer, neuron, recipe, numbers):
    """One neuron's numbers (columns,) of a method that looks at each neuron by itself."""
    row = layer.values[neuron]
    if method == _MEAN:
        numbers[0] = layer.means[neuron]
    elif method == _STD:
        numbers[0] = np.sqrt(layer.covariance[neuron, neuron])
    elif method == _MIN:
        numbers[0] = _extremes(row)[0]
    elif method == _MAX:
        numbers[0] = _extremes(row)[1]
    elif method == _SPARSITY:
        numbers[0] = np.mean(row <= 0)
    elif method == _ENTROPY:
        numbers[0] = _entropy(row, recipe.bins)
    elif method == _CLUSTERING:
        _cluster_centres(row, numbers)
    elif method == _FOURIER:
        centred = layer.centred[neuron]
        for f in range(len(numbers)):
            modulus = _modulus(centred, recipe.cosines[f], recipe.sines[f])
            numbers[f] = modulus / len(row)
    elif method == _PATTERN_WISE:
        _pattern_means(row, recipe.origins, numbers)
    elif method == _MEDIAN:
        numbers[0] = np.median(row)
    elif method == _SKEWNESS:
        variance = layer.covariance[neuron, neuron]
        numbers[0] = _skewness(row, layer.centred[neuron], variance)
    else:
        _fill_published(method, row, recipe, numbers)


@compiled()
def _fill_published(method, row, recipe, numbers):
    """The same of a method that the published family defines in its own way."""
    if method == _PUBLISHED_ENTROPY:
        numbers[0] = _density_entropy(row)
    elif method == _PUBLISHED_CLUSTERING:
        _best_centres(row, numbers)
    elif method == _PUBLISHED_FOURIER:
        _largest_moduli(row, recipe.cosines, recipe.sines, numbers)
    elif method == _PUBLISHED_PATTERN_WISE:
        _pattern_means(row, recipe.alphabetical, numbers)
    else:
        raise ValueError("no kernel for this signature method")


@compiled()
def _singular_vectors(values, part):
    """First right singular vectors of a layer, probes by neurons -> (neurons, columns).

    Values are `(neurons, probes)`. Columns beyond the vectors are zeros.
    """
    part[:] = 0
    vectors = np.linalg.svd(values.T.copy(), False)[2]  # (vectors, neurons)
    for c in range(min(part.shape[1], len(vectors))):
        for j in range(len(part)):
            part[j, c] = f4(vectors[c, j])


@compiled()
def _fill_columns(method, layer, recipe, part):
    """One method's numbers of a layer -> part float32 (neurons, columns)."""
    neurons, columns = part.shape
    if method == _PCA:
        principal_loadings(layer.covariance, columns, part)
        return
    if method == _SVD:
        products = _covariance(layer.values)
        principal_loadings(products, columns, part)
        return
    if method == _PUBLISHED_SVD:
        _singular_vectors(layer.values, part)
        return
    numbers = np.empty(columns)
    for j in range(neurons):
        _fill_numbers(method, layer, j, recipe, numbers)
        for c in range(columns):
            part[j, c] = f4(numbers[c])


@compiled()
def _profile_layer(activations, probes, recipe, profile):
    """One layer's signature on the first `probes` columns of activations -> (neurons, columns)."""
    neurons = len(profile)
    values = np.empty((neurons, probes))
    centred = np.empty((neurons, probes))
    _to_float64(activations, values)
    means = _centre(values, centred)
    layer = _Layer(values, centred, means, _covariance(centred))
    start = 0
    for i in range(len(recipe.methods)):
        stop = start + recipe.columns[i]
        _fill_columns(recipe.methods[i], layer, recipe, profile[:, start:stop])
        start = stop


@compiled()
def _activate_hidden(layers, batch, z):
    """Pre-activations z (layers, width, batch) of all hidden layers become activations."""
    for index in range(layers.shape[0]):
        layer = layer_at(layers, index)
        if layer.activation != IDENTITY:
            activate_only(layer.activation, z, index, z, index, layer.fan_out, batch)


@compiled()
def _profile_subject(layers, z, probes, recipe, signature):
    """One subject's signature (neurons, columns), layer by layer, on the first `probes` of z."""
    start = 0
    for index in range(layers.shape[0]):
        stop = start + layer_at(layers, index).fan_out
        _profile_layer(z[index], probes, recipe, signature[start:stop])
        start = stop


@compiled()
def profile_subjects(networks, which, probes, activated, recipe, signatures, signature_offsets):
    """Signatures of the subjects of `which`: rows of (neurons, columns) into `signatures`.

    The probes are float32 (features, n). With `activated` hidden neurons are profiled after their
    activation.
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
        if activated:
            _activate_hidden(layers, batch, z)
        own = signatures[signature_offsets[i] : signature_offsets[i + 1]]
        _profile_subject(layers, z, count, recipe, own.reshape(-1, columns))
