"""The signature methods, and the signatures of a population."""

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import METHODS, SignatureConfig
from muat_exp.kernels import profiles
from muat_exp.signatures.probe_set import ProbeSet
from muat_exp.subjects.population import Population

_METHOD_CODES = {name: getattr(profiles, name.upper()) for name in METHODS}


def method_columns(config: SignatureConfig, patterns: int) -> list[tuple[str, int]]:
    """Each method and its numbers a neuron, in the order of the signature's columns.

    Of a neuron's values on the probes (or of the layer's, for pca and svd), in float64:

    - mean, std, min, max: of the values; std is the population's.
    - sparsity: share of values at most 0.
    - entropy: Shannon entropy in nats of a histogram of `bins` equal bins from min to max; 0 for a constant neuron.
    - pca: the neuron's loadings on the layer's first `components` principal components; svd: the same without centring.
      The largest |loading| of a component is positive. Components with an eigenvalue of at most 1e-10 of the first, and
      those beyond the layer's neurons, are 0: so is all of a dead layer.
    - clustering: `n_clusters` ascending centres of k-means on the values (Lloyd from quantiles); equal for a constant neuron.
    - fourier: amplitudes |sum of v_j exp(-2 pi i k j / n)| / n of the centred values in the order of the probes, for
      k = 1 to `n_frequencies`; 0 for a constant neuron.
    - pattern_wise: mean over the probes of each enabled pattern; 0 for a pattern without probes.

    >>> method_columns(SignatureConfig(methods=("mean", "pca"), components=5), 14)
    [('mean', 1), ('pca', 5)]
    """
    columns = {
        "pca": config.components,
        "svd": config.components,
        "clustering": config.n_clusters,
        "fourier": config.n_frequencies,
        "pattern_wise": patterns,
    }
    return [(method, columns.get(method, 1)) for method in config.methods]


def _kernel_recipe(config: SignatureConfig, probes: ProbeSet) -> profiles.Recipe:
    """The signature as its kernel takes it."""
    methods, columns = zip(*method_columns(config, probes.patterns), strict=True)
    turns = np.outer(np.arange(1, config.n_frequencies + 1), np.arange(len(probes.tokens))) / len(
        probes.tokens
    )
    return profiles.Recipe(
        np.array([_METHOD_CODES[method] for method in methods], np.int64),
        np.array(columns, np.int64),
        config.bins,
        np.cos(2 * np.pi * turns),
        np.sin(2 * np.pi * turns),
        probes.origins,
        probes.patterns,
    )


def profile(
    config: SignatureConfig, population: Population, probes: ProbeSet, which: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Signatures of the subjects of `which`.

    Returns:
        Flat float32 signatures, each `(neurons, columns)` row-major with the neurons layer by layer and the logit last,
        and their offsets, int64 `(len(which) + 1,)`.
    """
    recipe = _kernel_recipe(config, probes)
    offsets = np.concatenate(
        [[0], np.cumsum(population.neurons[which] * recipe.columns.sum())]
    ).astype(np.int64)
    signatures = np.empty(offsets[-1], np.float32)
    profiles.profile_subjects(
        population.networks,
        which,
        np.ascontiguousarray(probes.tokens.T.astype(np.float32)),
        config.site == "activations",
        recipe,
        signatures,
        offsets,
    )
    return signatures, offsets
