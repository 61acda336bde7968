"""Datasets made elsewhere, of which only the published fields are known: read and checked as far as these go."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from muat_exp.dataset.parquet import open_parquet
from muat_exp.errors import DatasetError, PromptError
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.prompts.parsing import parse_weights
from muat_exp.sequences.patterns import NAMES
from muat_exp.subjects.architecture import layer_widths
from muat_exp.validation.faults import Faults

_FIELDS = ("example_id", "metadata", "classification_prompt", "classification_completion")
_ACCURACIES = ("degraded_accuracy", "improved_accuracy")
_BATCH = 100  # examples checked at a time by one worker


def _parquet_files(folder: Path) -> list[Path]:
    """The Parquet files of a folder that have the published fields, in the order of their names.

    Raises:
        DatasetError: there are none.
    """
    paths = [
        path
        for path in sorted(folder.rglob("*.parquet"))
        if "/." not in f"/{path.relative_to(folder).as_posix()}"
    ]
    found = [path for path in paths if set(_FIELDS) <= set(open_parquet(path).schema_arrow.names)]
    if not found:
        wanted = f"no config.yaml, and no Parquet file with the fields {', '.join(_FIELDS)}"
        raise DatasetError(f"{folder} holds no dataset: {wanted}.")
    return found


def _batches(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Rows of the published fields, up to `_BATCH` at a time."""
    for path in _parquet_files(folder):
        try:
            for batch in open_parquet(path).iter_batches(_BATCH):
                names = [
                    name for name in (*_FIELDS, "classification_text") if name in batch.schema.names
                ]
                yield batch.select(names).to_pylist()
        except (OSError, pa.ArrowException, ValueError) as error:
            raise DatasetError(f"{folder}: {path.name} can't be read: {error}") from error


def check_foreign(folder: Path, workers: ThreadExecutor, faults: Faults) -> None:
    """Unique ids and weights, metadata that agree with themselves and the completion, readable weights that fit each other."""
    seen: dict[bytes, Any] = {}
    ids: set[Any] = set()
    for examples in workers.stream(
        lambda rows: [_check_row(row) for row in rows], _batches(folder)
    ):
        for example, digest, sentences in examples:
            for sentence in sentences:
                faults.add("examples", f"example {example}: {sentence}")
            if example in ids:
                faults.add("ids", f"example {example}: its example_id occurs more than once.")
            ids.add(example)
            if digest in seen:
                faults.add(
                    "weights",
                    f"example {example}: its weights are those of example {seen[digest]}.",
                )
            elif digest:
                seen[digest] = example


def _check_row(row: dict[str, Any]) -> tuple[Any, bytes, list[str]]:
    """Id, digest of the weights (empty where they can't be read), and faults of one example."""
    faults = []
    digest = b""
    if not isinstance(row["example_id"], int | str):
        return None, digest, ["its example_id is neither a number nor a text."]
    if not all(isinstance(row[name], str) for name in _FIELDS[1:]):
        return row["example_id"], digest, [f"one of {', '.join(_FIELDS[1:])} is no text."]
    prompt = row["classification_prompt"]
    completion = row["classification_completion"]
    try:
        weights = parse_weights(prompt)
        digest = hashlib.blake2b(
            b"".join(array.tobytes() for array in weights.values()), digest_size=16
        ).digest()
    except PromptError as error:
        weights = {}
        faults.append(f"the weights can't be read from its prompt: {error}")
    if row.get("classification_text") not in (None, prompt + completion):
        faults.append("classification_text is not its prompt followed by its completion.")
    try:
        metadata = orjson.loads(row["metadata"])
    except orjson.JSONDecodeError:
        metadata = None
    if not isinstance(metadata, dict):
        return row["example_id"], digest, [*faults, "metadata is no JSON object."]
    faults += _check_metadata(metadata, completion) + _check_architecture(
        metadata.get("model_config"), weights
    )
    return row["example_id"], digest, faults


def _is_share(value: Any) -> bool:
    """Whether a JSON value is a number from 0 to 1."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _check_metadata(metadata: dict[str, Any], completion: str) -> list[str]:
    """Accuracies are shares, their difference is the improvement, and the completion names the patterns."""
    faults = []
    degraded, improved, gain = (metadata.get(name) for name in (*_ACCURACIES, "improvement"))
    if not (_is_share(degraded) and _is_share(improved)):
        faults.append(f"{' or '.join(_ACCURACIES)} is no share.")
    elif not isinstance(gain, int | float) or not abs(improved - degraded - gain) <= 1e-4:  # type: ignore[operator]
        faults.append("improvement is not the difference of its accuracies.")
    target = metadata.get("target_pattern")
    named = {name for name in NAMES if name in completion}
    selected = metadata.get("selected_patterns")
    if target not in NAMES:
        faults.append(f"target_pattern is {target!r:.40}, which is no known pattern.")
    elif target not in named:
        faults.append(f"its completion does not name its target pattern, {target}.")
    elif isinstance(selected, list) and named != set(map(str, selected)):
        faults.append("its completion does not name its selected_patterns.")
    return faults


def _check_architecture(model: Any, weights: dict[str, Any]) -> list[str]:
    """The weights have as many layers and neurons as the metadata say."""
    if not weights or not isinstance(model, dict):
        return []
    widths = layer_widths(weights)
    first = next(iter(weights.values()))
    found = {
        "num_layers": len(widths) - 1,  # the last one gives the logit
        "neurons_per_layer": widths[0],
        "input_size": first.shape[1],
    }
    wrong = [key for key, value in found.items() if model.get(key) not in (None, value)]
    return [
        f"model_config says {key}={model[key]}, but its weights have {found[key]}." for key in wrong
    ]
