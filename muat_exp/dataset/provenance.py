"""Whether a dataset was made by this program: told by what it holds, not by one of its files."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa

from muat_exp.config.identity import MARK
from muat_exp.dataset.checksums import CHECKSUMS
from muat_exp.dataset.parquet import open_parquet, shards
from muat_exp.errors import DatasetError

_LONGEST = 2**20  # bytes of a file that are searched for marks
_COLUMNS = {"example_id", "target_pattern", "weights", "degraded_weights"}  # of `subjects`
_METADATA = {"config_signature", "seed", "subject_index"}
_GROUPS = ("architecture:", "patterns:", "corruption:", "signature:", "training:")


def is_own(folder: Path) -> bool:
    """Whether anything in a folder shows that this program made the dataset there.

    One mark is enough: a dataset whose configuration is gone is a damaged one of ours, not one that
    was made elsewhere.
    """
    return any(_marks(folder))


def _marks(folder: Path) -> Iterator[bool]:
    """Whether each of the files that only our datasets have is there and of our form."""
    configuration = _beginning(folder / "config.yaml")
    lines = configuration.splitlines()
    yield configuration.startswith(MARK) or set(_GROUPS) <= set(lines)
    yield "config_name: subjects" in _beginning(folder / "README.md")
    yield _is_own_summary(_beginning(folder / "summary.json"))
    yield "  config.yaml" in _beginning(folder / CHECKSUMS)
    for path in shards(folder, "subjects"):
        yield set(_columns(path)) >= _COLUMNS
    for path in shards(folder, "prompts"):
        yield "metadata" in _columns(path) and _has_own_metadata(path)


def _beginning(path: Path) -> str:
    """The beginning of a regular file as a text; nothing where there is none."""
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode("utf-8", "replace")
    except OSError:
        return ""


def _is_own_summary(content: str) -> bool:
    """Whether a text is an object with the signature of one of our configurations."""
    try:
        summary = orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return isinstance(summary, dict) and "config_signature" in summary


def _columns(path: Path) -> list[str]:
    """The columns of a Parquet file; none where it can't be read."""
    if not path.is_file():
        return []
    try:
        return list(open_parquet(path).schema_arrow.names)
    except DatasetError:
        return []


def _has_own_metadata(path: Path) -> bool:
    """Whether the first example of a file has the metadata that only our prompts have."""
    try:
        first = next(open_parquet(path).iter_batches(1, columns=["metadata"]))
        metadata = orjson.loads(first["metadata"][0].as_py())
    except (StopIteration, OSError, pa.ArrowException, ValueError, TypeError):
        return False
    return isinstance(metadata, dict) and metadata.keys() >= _METADATA
