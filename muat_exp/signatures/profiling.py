"""The signatures of a population."""

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import SignatureConfig
from muat_exp.kernels import profiles
from muat_exp.signatures.methods import method_code, method_columns
from muat_exp.signatures.probe_set import ProbeSet
from muat_exp.subjects.population import Population


def _kernel_recipe(config: SignatureConfig, probes: ProbeSet) -> profiles.Recipe:
    """The signature as its kernel takes it."""
    methods = method_columns(config, probes.patterns)
    count = len(probes.tokens)
    frequencies = np.arange(1, config.n_frequencies + 1)
    angles = 2 * np.pi * (np.outer(frequencies, np.arange(count)) / count)  # (frequencies, probes)
    return profiles.Recipe(
        methods=np.array([method_code(name) for name, _ in methods], np.int64),
        columns=np.array([columns for _, columns in methods], np.int64),
        bins=config.bins,
        cosines=np.cos(angles),
        sines=np.sin(angles),
        origins=probes.origins,
        patterns=probes.patterns,
    )


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
