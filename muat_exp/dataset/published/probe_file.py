"""The file of probes of a repository in the published layout: `signature_dataset.json`.

Imports neither torch nor Numba, as the reader of datasets doesn't.
"""

from pathlib import Path
from typing import Any

from muat_exp.documents import parse_json_object
from muat_exp.errors import DatasetError, DocumentError, ProbeSetError
from muat_exp.signatures.probe_file import read_file

PROBES = "signature_dataset.json"


def probe_count(folder: Path) -> int:
    """Probes of a repository; 0 where it has no file of them.

    Raises:
        DatasetError: the file can't be read.
    """
    path = folder / PROBES
    if not path.exists():
        return 0
    try:
        return len(probe_entries(read_file(path, folder)))
    except (ProbeSetError, DocumentError) as error:
        raise DatasetError(f"{path}: {error}") from error


def probe_entries(content: bytes) -> list[dict[str, Any]]:
    """What the file says of each probe."""
    examples = parse_json_object(content).get("examples")
    if not isinstance(examples, list) or not all(isinstance(entry, dict) for entry in examples):
        raise ProbeSetError("examples must be a list of objects, each with its sequence.")
    return examples
