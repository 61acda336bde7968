"""The probes of a repository in the published layout, and its file of new ones."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.published.probe_file import PROBES, probe_entries
from muat_exp.documents import parse_json_object
from muat_exp.errors import DatasetError, DocumentError, ProbeSetError, shown
from muat_exp.sequences.alphabet import ALPHABET
from muat_exp.sequences.space import decode, encode
from muat_exp.signatures.probe_file import read_file, read_sequences
from muat_exp.signatures.probe_set import ProbeSet

_READ_AS_FIRST = 7  # the predecessor runs the tokens from here on, H, I, J, ..., as A


def published_probes(folder: Path, config: Config) -> ProbeSet:
    """The probe set of a repository, the sequences in their order; some may be there twice.

    Raises:
        DatasetError: it is absent or wrong.
    """
    path = folder / PROBES
    if not path.exists():
        raise DatasetError(
            f"{folder} has no {PROBES}: without its probes no signature can be taken or checked."
        )
    try:
        content = read_file(path, folder)
        return _probe_set(content, config)
    except (ProbeSetError, DocumentError) as error:
        raise DatasetError(f"{path}: {error}") from error


def _probe_set(content: bytes, config: Config) -> ProbeSet:
    """A probe set from the content of its file."""
    examples = probe_entries(content)
    sequences = {"sequences": [_joined(entry.get("sequence")) for entry in examples]}
    space = config.patterns
    letters = read_sequences(sequences, space.vocab_size, space.sequence_length)
    origins = _origins([entry.get("pattern") for entry in examples], config)
    return ProbeSet.of(encode(letters), origins, space.enabled, content)


def _joined(sequence: object) -> object:
    """A list of letters as one text; whatever else it is as it is."""
    if isinstance(sequence, list) and all(isinstance(letter, str) for letter in sequence):
        return "".join(sequence)
    return sequence


def _origins(names: Sequence[object], config: Config) -> NDArray[np.int64]:
    """The enabled pattern that each probe stands for; the first where no signature depends on it.

    Raises:
        ProbeSetError: a signature depends on it, and it is not told or not enabled.
    """
    enabled = config.patterns.enabled
    unknown = [place for place, name in enumerate(names) if name not in enabled]
    if unknown and "pattern_wise" in config.signature.methods:
        raise ProbeSetError(
            f"examples[{unknown[0]}] has the pattern {shown(names[unknown[0]])}; "
            f"pattern_wise needs one of {', '.join(enabled)}."
        )
    known = [str(name) if name in enabled else enabled[0] for name in names]
    return np.array([enabled.index(name) for name in known], np.int64)


def as_the_predecessor_reads(probes: ProbeSet) -> ProbeSet:
    """The probes as the published networks were run on them: H, I, J and later letters are A."""
    tokens = np.where(probes.tokens < _READ_AS_FIRST, probes.tokens, 0).astype(np.uint8)
    return replace(probes, tokens=tokens)


def published_probe_file(probes: ProbeSet, config: Config) -> bytes:
    """The content of a repository's file of probes: as it was given in this form, or a new one."""
    if _is_published_form(probes.given):
        return probes.given
    space = config.patterns
    names = [space.enabled[origin] for origin in probes.origins]
    sequences = [list(sequence) for sequence in decode(probes.tokens)]
    pairs = zip(sequences, names, strict=True)
    content = {
        "examples": [{"sequence": letters, "label": 1, "pattern": name} for letters, name in pairs],
        "num_examples": len(sequences),
        "metadata": {
            "vocab": list(ALPHABET[: space.vocab_size]),
            "sequence_length": space.sequence_length,
            "pattern_names": list(space.enabled),
        },
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)


def _is_published_form(content: bytes) -> bool:
    """Whether probes were given as a repository in the published layout has them."""
    return bool(content) and "examples" in parse_json_object(content)
