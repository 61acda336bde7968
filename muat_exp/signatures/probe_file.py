"""The probe set's file: its JSON format and its checks.

Imports neither torch nor Numba, so that a wrong file is refused before a run begins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from muat_exp import opening
from muat_exp.config.groups import PatternsConfig
from muat_exp.documents import parse_json_object
from muat_exp.errors import DocumentError, ProbeSetError, shown
from muat_exp.files import sha256
from muat_exp.sequences.alphabet import ALPHABET, LENGTHS, VOCAB_SIZES
from muat_exp.sequences.patterns import NAMES

_MOST_BYTES = 64 * 2**20  # bytes of a file of sequences
_MOST_SEQUENCES = 2_000_000  # sequences in a file


@dataclass(frozen=True)
class ProbeFile:
    """What a probe set's file says.

    Attributes:
        vocab_size, sequence_length: the sequences' space.
        seed: what they were drawn from; None for sequences of other making.
        sequences: capital letters, as many as `sequence_length`.
        patterns: for each sequence the pattern that it stands for.
    """

    vocab_size: int
    sequence_length: int
    seed: int | None
    sequences: tuple[str, ...]
    patterns: tuple[str, ...]

    def to_json(self) -> bytes:
        """The file's content."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2)

    def check(self, patterns: PatternsConfig) -> None:
        """Raises `ProbeSetError` unless the probes are of this space and its enabled patterns."""
        check_space(self.vocab_size, self.sequence_length, patterns)
        for index, name in enumerate(self.patterns):
            if name not in patterns.enabled:
                raise ProbeSetError(
                    f"patterns[{index}] is '{name}', which is not in patterns.enabled."
                )


def digest(content: bytes) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    return sha256(content)


def read_file(path: Path, folder: Path | None = None) -> bytes:
    """A file's content.

    Args:
        path: the file.
        folder: the dataset that it has to be in; None for anywhere.

    Raises:
        ProbeSetError: it is absent, too large, or can't be read.
    """
    if path.is_dir() or not path.exists():
        raise ProbeSetError("there is no such file.")
    try:
        return opening.read_file(path, _MOST_BYTES, folder)
    except OSError as error:
        raise ProbeSetError(f"the file can't be read: {opening.reason(error)}.") from error


def parse(content: bytes) -> ProbeFile:
    """A probe set from its file's content.

    Raises:
        ProbeSetError: it is no probe set, a sequence is not of its space, or a sequence stands for
            a pattern twice.
    """
    names = ("vocab_size", "sequence_length", "sequences", "patterns")
    values = read_object(content, names, ("seed",))
    vocabulary, length = read_space(values)
    sequences = read_sequences(values, vocabulary, length)
    patterns = read_names("patterns", values["patterns"])
    if len(patterns) != len(sequences):
        raise ProbeSetError(
            f"there are {len(sequences)} sequences, but {len(patterns)} patterns; each needs one."
        )
    first: dict[tuple[str, str], int] = {}
    for index, pair in enumerate(zip(sequences, patterns, strict=True)):
        if first.setdefault(pair, index) != index:
            sequence, pattern = pair
            raise ProbeSetError(
                f"sequences[{index}] '{sequence}' stands for {pattern} "
                f"as sequences[{first[pair]}] does."
            )
    seed = values.get("seed")
    if seed is not None and not _is_count(seed):
        raise ProbeSetError(f"seed is {shown(seed)}; it must be a whole number or null.")
    return ProbeFile(vocabulary, length, seed, sequences, patterns)


def read_object(
    content: bytes, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, Any]:
    """A JSON object with these keys and no others."""
    if len(content) > _MOST_BYTES:
        raise ProbeSetError(f"it has {len(content)} bytes; at most {_MOST_BYTES} are read.")
    try:
        values = parse_json_object(content)
    except DocumentError as error:
        raise ProbeSetError(str(error)) from error
    for name in required:
        if name not in values:
            raise ProbeSetError(f"the key '{name}' is missing.")
    for name in values:
        if name not in required and name not in optional:
            raise ProbeSetError(
                f"the key '{name[:40]}' is unknown; "
                f"the keys are {', '.join([*required, *optional])}."
            )
    return values


def _is_count(value: object) -> bool:
    """Whether a JSON value is a whole number that is not negative."""
    return type(value) is int and value >= 0


def read_space(values: Mapping[str, Any]) -> tuple[int, int]:
    """Vocabulary size and sequence length."""
    for name, (low, high) in (("vocab_size", VOCAB_SIZES), ("sequence_length", LENGTHS)):
        if not _is_count(values[name]) or not low <= values[name] <= high:
            raise ProbeSetError(
                f"{name} is {shown(values[name])}; it must be a whole number from {low} to {high}."
            )
    return values["vocab_size"], values["sequence_length"]


def check_space(vocabulary: int, length: int, patterns: PatternsConfig) -> None:
    """Raises `ProbeSetError` unless the space is the configured one."""
    for name, here, there in (
        ("vocab_size", vocabulary, patterns.vocab_size),
        ("sequence_length", length, patterns.sequence_length),
    ):
        if here != there:
            raise ProbeSetError(f"its {name} is {here}, but patterns.{name} is {there}.")


def read_sequences(values: Mapping[str, Any], vocabulary: int, length: int) -> tuple[str, ...]:
    """The sequences of a file, at least two, all of its space."""
    sequences = values["sequences"]
    if not isinstance(sequences, list) or not 2 <= len(sequences) <= _MOST_SEQUENCES:
        raise ProbeSetError(f"sequences must be a list of 2 to {_MOST_SEQUENCES} sequences.")
    letters = frozenset(ALPHABET[:vocabulary])
    for index, sequence in enumerate(sequences):
        if (
            not isinstance(sequence, str)
            or len(sequence) != length
            or not letters.issuperset(sequence)
        ):
            last = ALPHABET[vocabulary - 1]
            raise ProbeSetError(
                f"sequences[{index}] is {shown(sequence)}; "
                f"it must be {length} letters from A to {last}."
            )
    return tuple(sequences)


def read_names(key: str, names: object) -> tuple[str, ...]:
    """A list of pattern names, repeats allowed."""
    if not isinstance(names, list):
        raise ProbeSetError(f"{key} must be a list of pattern names.")
    for index, name in enumerate(names):
        if not isinstance(name, str) or name not in NAMES:
            raise ProbeSetError(
                f"{key}[{index}] is {shown(name)}; the patterns are {', '.join(NAMES)}."
            )
    return tuple(names)
