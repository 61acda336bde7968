"""The probe set and the activation signatures taken on it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muat_exp.config import METHODS, Config, SignatureConfig
from muat_exp.errors import ConfigurationError, DatasetError, ProbeSetError
from muat_exp.kernels import profiles, random
from muat_exp.kernels.data import draw_evenly
from muat_exp.population import Population
from muat_exp.probe_set import ProbeFile, digest, parse, read_file
from muat_exp.sequences import SpaceArrays, decode, encode, matches

METHOD_CODES = {name: getattr(profiles, name.upper()) for name in METHODS}


@dataclass(frozen=True)
class ProbeSet:
    """The fixed sequences that every subject is run on.

    Attributes:
        tokens: uint8 `(probes, L)`.
        origins: int64 `(probes,)`, the pattern that each was drawn from, as an index into `patterns.enabled`.
        patterns: number of enabled patterns.
        given: content of the file that they were read from; empty where they were drawn.
    """

    tokens: NDArray[np.uint8]
    origins: NDArray[np.int64]
    patterns: int
    given: bytes = b""

    def to_json(self, config: Config) -> bytes:
        """The probe set as the dataset stores it: a given file as it is."""
        if self.given:
            return self.given
        space = config.patterns
        names = tuple(space.enabled[origin] for origin in self.origins)
        sequences = tuple(decode(self.tokens))
        return ProbeFile(space.vocab_size, space.sequence_length, config.signature.probe_seed, sequences, names).to_json()


def read_probes(content: bytes, config: Config) -> ProbeSet:
    """A stored probe set.

    Raises:
        ProbeSetError: it is none, does not fit the configured patterns, or is not the one that the configuration asks for.
    """
    file = parse(content)
    file.check(config.patterns)
    asked = config.signature.probe_set_sha256
    if asked and digest(content) != asked:
        raise ProbeSetError("it is not the probe set that signature.probe_set_sha256 stands for.")
    places = {name: place for place, name in enumerate(config.patterns.enabled)}
    origins = np.array([places[name] for name in file.patterns], np.int64)
    probes = ProbeSet(encode(file.sequences), origins, len(places), content)
    check_members(probes, config)
    return probes


def check_members(probes: ProbeSet, config: Config) -> None:
    """Raises `ProbeSetError` where a probe is no member of the pattern that it stands for."""
    for origin, pattern in enumerate(config.patterns.build()):
        rows = np.flatnonzero(probes.origins == origin)
        wrong = rows[~matches(pattern, probes.tokens[rows])]
        if len(wrong):
            sequence = decode(probes.tokens[wrong[:1]])[0]
            others = f", nor are {len(wrong) - 1} others" if len(wrong) > 1 else ""
            raise ProbeSetError(f"sequences[{wrong[0]}] '{sequence}' is no member of {pattern.name}{others}.")


def dataset_probes(folder: Path, config: Config) -> ProbeSet:
    """The probe set that a dataset holds.

    Raises:
        DatasetError: it is absent or wrong.
    """
    path = folder / "probe_set.json"
    try:
        return read_probes(read_file(path), config)
    except ProbeSetError as error:
        raise DatasetError(f"{path}: {error}") from error


def given_probes(folder: Path, config: Config) -> ProbeSet | None:
    """The probe set of a dataset that was made with a file of probes; None where the configuration draws or names its own.

    Raises:
        DatasetError: it is absent or wrong.
    """
    settings = config.signature
    return dataset_probes(folder, config) if settings.probe_set_sha256 and not settings.probe_set else None


def run_probes(config: Config, space: SpaceArrays) -> ProbeSet:
    """The probe set of a run: read from the configured file, or drawn.

    Raises:
        ConfigurationError: the file is absent or wrong.
    """
    settings = config.signature
    if not settings.probe_set_sha256:
        return draw_probes(config, space)
    try:
        return read_probes(read_file(Path(settings.probe_set)), config)
    except ProbeSetError as error:
        raise ConfigurationError(f"signature.probe_set={settings.probe_set}: {error}") from error


def draw_probes(config: Config, space: SpaceArrays) -> ProbeSet:
    """`signature.probes` sequences, evenly from the enabled patterns, from the probe set's own seed."""
    key = random.generator_keys(config.signature.probe_seed, np.zeros(1, np.int64), random.PROBES)[0]
    wanted, patterns = config.signature.probes, len(config.patterns.enabled)
    tokens, origins = draw_evenly(space, key, -(-wanted // patterns), config.patterns.sequence_length)
    place = np.arange(len(origins)) - np.searchsorted(origins, origins)  # rank of each row within its pattern
    kept = np.sort(np.lexsort((origins, place))[:wanted])
    return ProbeSet(tokens[kept], origins[kept], patterns)


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


def kernel_recipe(config: SignatureConfig, probes: ProbeSet) -> profiles.Recipe:
    """The signature as its kernel takes it."""
    methods, columns = zip(*method_columns(config, probes.patterns), strict=True)
    turns = np.outer(np.arange(1, config.n_frequencies + 1), np.arange(len(probes.tokens))) / len(probes.tokens)
    return profiles.Recipe(
        np.array([METHOD_CODES[method] for method in methods], np.int64),
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
    recipe = kernel_recipe(config, probes)
    offsets = np.concatenate([[0], np.cumsum(population.neurons[which] * recipe.columns.sum())]).astype(np.int64)
    signatures = np.empty(offsets[-1], np.float32)
    profiles.profile_subjects(
        population.depths,
        population.widths,
        population.kinds,
        population.parameters,
        population.offsets,
        which,
        np.ascontiguousarray(probes.tokens.T.astype(np.float32)),
        config.site == "activations",
        recipe,
        signatures,
        offsets,
    )
    return signatures, offsets
