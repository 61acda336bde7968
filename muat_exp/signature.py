"""The probe set and the activation signatures taken on it."""

from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from muat_exp.config import Config, SignatureConfig
from muat_exp.kernels import random
from muat_exp.kernels.data import draw_evenly
from muat_exp.kernels.profiles import MEAN, PCA, STD, profile_subjects
from muat_exp.population import Population
from muat_exp.sequences import SpaceArrays, decode, encode

METHOD_CODES = {"mean": MEAN, "std": STD, "pca": PCA}


@dataclass(frozen=True)
class ProbeSet:
    """The fixed sequences that every subject is run on.

    Attributes:
        tokens: uint8 `(probes, L)`.
        origins: int64 `(probes,)`, the pattern that each was drawn from, as an index into `patterns.enabled`.
    """

    tokens: NDArray[np.uint8]
    origins: NDArray[np.int64]

    def to_json(self, config: Config) -> bytes:
        """The probe set as the dataset stores it."""
        content = {
            "vocab_size": config.patterns.vocab_size,
            "sequence_length": config.patterns.sequence_length,
            "seed": config.signature.probe_seed,
            "sequences": decode(self.tokens),
            "patterns": [config.patterns.enabled[origin] for origin in self.origins],
        }
        return orjson.dumps(content, option=orjson.OPT_INDENT_2)


def read_probe_tokens(content: bytes) -> NDArray[np.uint8]:
    """Tokens uint8 `(probes, L)` of a stored probe set."""
    return encode(orjson.loads(content)["sequences"])


def draw_probes(config: Config, space: SpaceArrays) -> ProbeSet:
    """`signature.probes` sequences, evenly from the enabled patterns, from the probe set's own seed."""
    key = random.generator_keys(config.signature.probe_seed, np.zeros(1, np.int64), random.PROBES)[0]
    wanted, patterns = config.signature.probes, len(config.patterns.enabled)
    tokens, origins = draw_evenly(space, key, -(-wanted // patterns), config.patterns.sequence_length)
    place = np.arange(len(origins)) - np.searchsorted(origins, origins)  # rank of each row within its pattern
    kept = np.sort(np.lexsort((origins, place))[:wanted])
    return ProbeSet(tokens[kept], origins[kept])


def method_columns(config: SignatureConfig) -> list[tuple[str, int]]:
    """Each method and its numbers a neuron, in the order of the signature's columns.

    >>> method_columns(SignatureConfig(methods=("mean", "pca"), components=5))
    [('mean', 1), ('pca', 5)]
    """
    return [(method, config.components if method == "pca" else 1) for method in config.methods]


def profile(
    config: SignatureConfig, population: Population, probes: NDArray[np.uint8], which: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Signatures of the subjects of `which` on probes `(n, L)`.

    Returns:
        Flat float32 signatures, each `(neurons, columns)` row-major with the neurons layer by layer and the logit last,
        and their offsets, int64 `(len(which) + 1,)`.
    """
    columns = sum(width for _, width in method_columns(config))
    offsets = np.concatenate([[0], np.cumsum(population.neurons[which] * columns)]).astype(np.int64)
    signatures = np.empty(offsets[-1], np.float32)
    profile_subjects(
        population.depths,
        population.widths,
        population.kinds,
        population.parameters,
        population.offsets,
        which,
        np.ascontiguousarray(probes.T.astype(np.float32)),
        np.array([METHOD_CODES[method] for method in config.methods], np.int64),
        config.components,
        signatures,
        offsets,
    )
    return signatures, offsets
