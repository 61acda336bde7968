"""The benchmark set: labelled sequences on which networks are tested, the same for all of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from muat_exp.config.groups import Config, PatternsConfig
from muat_exp.errors import ProbeSetError
from muat_exp.kernels import random
from muat_exp.kernels.data import draw_evenly
from muat_exp.sequences.space import SpaceArrays, decode, encode, matches
from muat_exp.signatures.probe_file import (
    check_space,
    read_file,
    read_names,
    read_object,
    read_sequences,
    read_space,
)

_SPACE = ("vocab_size", "sequence_length", "definitions", "starts_with_token", "ends_with_token")
_KEYS = (*_SPACE, "patterns", "sequences", "labels")


def _names_of(row: NDArray[np.bool_], names: Sequence[str]) -> list[str]:
    """The names of the patterns that a row of labels `(P,)` says are satisfied."""
    return [names[i] for i in np.flatnonzero(row).tolist()]


@dataclass(frozen=True)
class _BenchmarkSet:
    """Distinct sequences and which enabled patterns each satisfies.

    Attributes:
        tokens: uint8 `(rows, L)`.
        labels: bool `(rows, P)`, in the order of `patterns.enabled`.
    """

    tokens: NDArray[np.uint8]
    labels: NDArray[np.bool_]

    def to_json(self, config: Config) -> bytes:
        """The benchmark set as a file holds it: each sequence with the names of its patterns."""
        names = config.patterns.enabled
        space = {key: getattr(config.patterns, key) for key in _SPACE}
        content = space | {
            "seed": config.seed,
            "patterns": names,
            "sequences": decode(self.tokens),
            "labels": [_names_of(row, names) for row in self.labels],
        }
        return orjson.dumps(content, option=orjson.OPT_INDENT_2)


@dataclass(frozen=True)
class LabelGroups:
    """A benchmark set's sequences by their labels: those of one group satisfy the same patterns.

    Attributes:
        tokens: uint8 `(rows, L)`, group after group.
        starts: int64 `(G + 1,)`, each group's rows.
        labels: bool `(G, P)`, the patterns that a group's sequences satisfy.
    """

    tokens: NDArray[np.uint8]
    starts: NDArray[np.int64]
    labels: NDArray[np.bool_]

    @classmethod
    def of(cls, benchmark: _BenchmarkSet) -> "LabelGroups":
        """Sorts a benchmark set by its labels."""
        labels, group, sizes = np.unique(
            benchmark.labels, axis=0, return_inverse=True, return_counts=True
        )
        order = np.argsort(group.ravel(), kind="stable")
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return cls(np.ascontiguousarray(benchmark.tokens[order]), starts, labels)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Sequences in each group, `(G,)`."""
        return np.diff(self.starts)


def label_sequences(patterns: PatternsConfig, tokens: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which enabled patterns each sequence satisfies, `(rows, P)`."""
    return np.stack([matches(pattern, tokens) for pattern in patterns.build()], axis=1)


def draw_benchmark(config: Config, space: SpaceArrays) -> _BenchmarkSet:
    """Members of each enabled pattern, and as many sequences of the whole space.

    Up to `training.test_examples` of each.
    """
    patterns = config.patterns
    count = config.training.test_examples
    length = patterns.sequence_length
    keys = random.generator_keys(config.seed, np.arange(2), random.BENCHMARK)
    members, _ = draw_evenly(space, keys[0], count, length)
    fractions = random.uniforms(keys[1:], count * length)
    anywhere = (fractions * patterns.vocab_size).astype(np.uint8)
    tokens = np.concatenate([members, anywhere.reshape(count, length)])
    _, first = np.unique(tokens, axis=0, return_index=True)
    distinct = tokens[np.sort(first)]
    return _BenchmarkSet(distinct, label_sequences(patterns, distinct))


def read_benchmark(path: Path, config: Config) -> _BenchmarkSet:
    """A benchmark set from its file.

    Raises:
        ProbeSetError: it is absent or none, of other patterns or another space, or a label is not
            true.
    """
    try:
        return _parse(read_file(path), config.patterns)
    except ProbeSetError as error:
        raise ProbeSetError(f"{path}: {error}") from error


def _parse(content: bytes, patterns: PatternsConfig) -> _BenchmarkSet:
    """A benchmark set from its file's content, checked."""
    values = read_object(content, _KEYS, ("seed",))
    check_space(*read_space(values), patterns)
    _check_patterns(values, patterns)
    sequences = read_sequences(values, patterns.vocab_size, patterns.sequence_length)
    [(sequence, times)] = Counter(sequences).most_common(1)
    if times > 1:
        raise ProbeSetError(f"the sequence '{sequence}' stands there {times} times.")
    tokens = encode(sequences)
    benchmark = _BenchmarkSet(tokens, label_sequences(patterns, tokens))
    _check_labels(values["labels"], sequences, benchmark, patterns)
    _check_shares(benchmark, patterns)
    return benchmark


def _check_patterns(values: dict[str, Any], patterns: PatternsConfig) -> None:
    """Raises `ProbeSetError` unless the file is of the enabled patterns as they are defined."""
    names = read_names("patterns", values["patterns"])
    if sorted(names) != sorted(patterns.enabled):
        raise ProbeSetError(
            f"it is of the patterns {', '.join(names)}; "
            f"patterns.enabled is {', '.join(patterns.enabled)}."
        )
    for key in _SPACE[2:]:
        if values[key] != getattr(patterns, key):
            raise ProbeSetError(
                f"its {key} is {values[key]!r:.40}, "
                f"but patterns.{key} is {getattr(patterns, key)!r}."
            )


def _check_labels(
    labels: object, sequences: tuple[str, ...], benchmark: _BenchmarkSet, patterns: PatternsConfig
) -> None:
    """Raises `ProbeSetError` where labels are not those of the predicates."""
    if not isinstance(labels, list) or len(labels) != len(sequences):
        raise ProbeSetError(
            f"labels must be a list of {len(sequences)} lists of pattern names, "
            "one for each sequence."
        )
    for number, (sequence, row) in enumerate(zip(sequences, benchmark.labels, strict=True)):
        named = read_names(f"labels[{number}]", labels[number])
        true = _names_of(row, patterns.enabled)
        if sorted(named) != sorted(true):
            said = ", ".join(named) or "nothing"
            satisfied = ", ".join(true) or "nothing"
            raise ProbeSetError(
                f"labels[{number}] says that '{sequence}' satisfies {said:.200}; "
                f"it satisfies {satisfied}."
            )


def _check_shares(benchmark: _BenchmarkSet, patterns: PatternsConfig) -> None:
    """Raises `ProbeSetError` where a pattern has no member, or only members."""
    shares = benchmark.labels.mean(axis=0)
    for name, share in zip(patterns.enabled, shares, strict=True):
        if share in (0, 1):
            found = "no" if share == 0 else "every"
            raise ProbeSetError(f"{found} sequence satisfies {name}; both kinds are needed.")
