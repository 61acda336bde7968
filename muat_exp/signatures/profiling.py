"""The signatures of a population."""

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import SignatureConfig
from muat_exp.kernels import profiles
from muat_exp.sequences.patterns import PUBLISHED
from muat_exp.signatures.methods import method_code, method_columns
from muat_exp.signatures.probe_set import ProbeSet
from muat_exp.subjects.population import Population


def _kernel_recipe(config: SignatureConfig, probes: ProbeSet) -> profiles.Recipe:
    """The signature as its kernel takes it."""
    methods = method_columns(config, probes.patterns)
    count = len(probes.tokens)
    frequencies = _frequencies(config, count)
    angles = 2 * np.pi * (np.outer(frequencies, np.arange(count)) / count)  # (frequencies, probes)
    return profiles.Recipe(
        methods=np.array([method_code(name, config.definitions) for name, _ in methods], np.int64),
        columns=np.array([columns for _, columns in methods], np.int64),
        bins=config.bins,
        cosines=np.cos(angles),
        sines=np.sin(angles),
        origins=probes.origins,
        alphabetical=probes.alphabetical,
        patterns=probes.patterns,
    )


def _frequencies(config: SignatureConfig, count: int) -> NDArray[np.int64]:
    """The frequencies that fourier looks at on so many probes."""
    if "fourier" in config.methods and config.definitions == PUBLISHED:
        return np.arange(count // 2)
    return np.arange(1, config.n_frequencies + 1)


def profile(
    config: SignatureConfig, population: Population, probes: ProbeSet, which: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Signatures of the subjects of `which`.

    Returns:
        Flat float32 signatures, each `(neurons, columns)` row-major with the neurons layer by layer
        and the logit last, and their offsets, int64 `(len(which) + 1,)`.
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
