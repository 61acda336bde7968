"""The probe set that every subject is run on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.errors import ConfigurationError, DatasetError, ProbeSetError
from muat_exp.kernels import random
from muat_exp.kernels.data import draw_evenly
from muat_exp.sequences.space import SpaceArrays, decode, encode, matches
from muat_exp.signatures.probe_file import ProbeFile, digest, parse, read_file


@dataclass(frozen=True)
class ProbeSet:
    """The fixed sequences that every subject is run on.

    Attributes:
        tokens: uint8 `(probes, L)`.
        origins: int64 `(probes,)`, indices into `patterns.enabled`: the pattern that each stands
            for.
        patterns: number of enabled patterns.
        alphabetical: int64 `(probes,)`, place of each origin's name in alphabetical order.
        given: content of the file that they were read from; empty where they were drawn.
    """

    tokens: NDArray[np.uint8]
    origins: NDArray[np.int64]
    patterns: int
    alphabetical: NDArray[np.int64]
    given: bytes = b""

    @classmethod
    def of(
        cls,
        tokens: NDArray[np.uint8],
        origins: NDArray[np.int64],
        enabled: Sequence[str],
        given: bytes = b"",
    ) -> "ProbeSet":
        """Probes `(probes, L)` that stand for these of the enabled patterns, `(probes,)`."""
        return cls(tokens, origins, len(enabled), _alphabetical(origins, enabled), given)

    def to_json(self, config: Config) -> bytes:
        """The probe set as the dataset stores it: a given file as it is."""
        if self.given:
            return self.given
        space = config.patterns
        names = tuple(space.enabled[origin] for origin in self.origins)
        sequences = tuple(decode(self.tokens))
        return ProbeFile(
            space.vocab_size, space.sequence_length, config.signature.probe_seed, sequences, names
        ).to_json()


def _read_probes(content: bytes, config: Config) -> ProbeSet:
    """A stored probe set.

    Raises:
        ProbeSetError: it is no probe set, does not fit the configured patterns, or is not the one
            that the configuration asks for.
    """
    file = parse(content)
    file.check(config.patterns)
    asked = config.signature.probe_set_sha256
    if asked and digest(content) != asked:
        raise ProbeSetError("it is not the probe set that signature.probe_set_sha256 stands for.")
    enabled = config.patterns.enabled
    origins = np.array([enabled.index(name) for name in file.patterns], np.int64)
    probes = ProbeSet.of(encode(file.sequences), origins, enabled, content)
    _check_members(probes, config)
    return probes


def _alphabetical(origins: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.int64]:
    """The place of each origin's name among the sorted names.

    >>> _alphabetical(np.array([0, 1, 1]), ["b", "a"])
    array([1, 0, 0])
    """
    ranks = np.argsort(np.argsort(names))
    return ranks[origins]


def _check_members(probes: ProbeSet, config: Config) -> None:
    """Raises `ProbeSetError` where a probe is no member of the pattern that it stands for."""
    for origin, pattern in enumerate(config.patterns.build()):
        rows = np.flatnonzero(probes.origins == origin)
        wrong = rows[~matches(pattern, probes.tokens[rows])]
        if len(wrong):
            sequence = decode(probes.tokens[wrong[:1]])[0]
            others = f", nor are {len(wrong) - 1} others" if len(wrong) > 1 else ""
            raise ProbeSetError(
                f"sequences[{wrong[0]}] '{sequence}' is no member of {pattern.name}{others}."
            )


def dataset_probes(folder: Path, config: Config) -> ProbeSet:
    """The probe set that a dataset holds.

    Raises:
        DatasetError: it is absent or wrong.
    """
    path = folder / "probe_set.json"
    try:
        return _read_probes(read_file(path, folder), config)
    except ProbeSetError as error:
        raise DatasetError(f"{path}: {error}") from error


def given_probes(folder: Path, config: Config) -> ProbeSet | None:
    """The probe set of a dataset that was made with a file of probes.

    None where the configuration draws its own, or names a file.

    Raises:
        DatasetError: it is absent or wrong.
    """
    settings = config.signature
    if settings.probe_set_sha256 and not settings.probe_set:
        return dataset_probes(folder, config)
    return None


def run_probes(config: Config, space: SpaceArrays) -> ProbeSet:
    """The probe set of a run: read from the configured file, or drawn.

    Raises:
        ConfigurationError: the file is absent or wrong.
    """
    settings = config.signature
    if not settings.probe_set_sha256:
        return draw_probes(config, space)
    try:
        return _read_probes(read_file(Path(settings.probe_set)), config)
    except ProbeSetError as error:
        raise ConfigurationError(f"signature.probe_set={settings.probe_set}: {error}") from error


def draw_probes(config: Config, space: SpaceArrays) -> ProbeSet:
    """`signature.probes` sequences, evenly from the enabled patterns.

    They follow from the probe set's own seed, so that runs of other seeds can share them.
    """
    nobody = np.zeros(1, np.int64)
    keys = random.generator_keys(config.signature.probe_seed, nobody, random.PROBES)
    wanted = config.signature.probes
    enabled = config.patterns.enabled
    most = -(-wanted // len(enabled))  # per pattern, rounded up
    tokens, origins = draw_evenly(space, keys[0], most, config.patterns.sequence_length)
    # `origins` ascend. Of too many, the last members of the last patterns are left out.
    rank = np.arange(len(origins)) - np.searchsorted(origins, origins)  # of a row in its pattern
    kept = np.sort(np.lexsort((origins, rank))[:wanted])
    return ProbeSet.of(tokens[kept], origins[kept], enabled)
