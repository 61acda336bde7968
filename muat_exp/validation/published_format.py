"""Datasets made elsewhere: checked as far as their published fields go."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import JSON_COLUMNS
from muat_exp.dataset.checksums import CHECKSUMS
from muat_exp.dataset.parquet import open_parquet
from muat_exp.errors import DatasetError, PromptError
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.prompts.parsing import parse_weights
from muat_exp.sequences.patterns import NAMES
from muat_exp.subjects.architecture import layer_widths
from muat_exp.validation.checksums import check_checksums
from muat_exp.validation.equal_weights import DistinctWeights, weights_digest
from muat_exp.validation.finite import json_problem, wild_columns
from muat_exp.validation.places import check_places
from muat_exp.validation.report import Report, counted

_FIELDS = ("example_id", "metadata", "classification_prompt", "classification_completion")
_ACCURACIES = ("degraded_accuracy", "improved_accuracy")
_BATCH = 100  # examples checked at a time by one worker
_TOLERANCE = 1e-4  # of an improvement beside its accuracies, all of them rounded


_Weights = dict[str, NDArray[np.float32]]


class _Rows(NamedTuple):
    """Some examples, and of each the columns of lists with a number that is not finite."""

    rows: list[dict[str, Any]]
    wild: list[list[str]]


class _CheckedRow(NamedTuple):
    """What is kept of an example: its id, the digest of its weights or nothing, and its faults."""

    example_id: object
    digest: bytes
    faults: list[str]


def _parquet_files(folder: Path) -> list[Path]:
    """The Parquet files of a folder that have the published fields, in the order of their names.

    Raises:
        DatasetError: there are none.
    """
    paths = sorted(folder.rglob("*.parquet"))
    visible = [path for path in paths if path.is_file() and not _is_hidden(path, folder)]
    found = [path for path in visible if _has_fields(path)]
    if not found:
        wanted = f"no config.yaml, and no Parquet file with the fields {', '.join(_FIELDS)}"
        raise DatasetError(f"{folder} holds no dataset: {wanted}.")
    return found


def _is_hidden(path: Path, folder: Path) -> bool:
    """Whether a file, or a folder that it is in, has a name that begins with a dot."""
    parts = path.relative_to(folder).parts
    return any(part.startswith(".") for part in parts)


def _has_fields(path: Path) -> bool:
    """Whether a file has all published fields."""
    columns = open_parquet(path).schema_arrow.names
    return set(_FIELDS) <= set(columns)


def _batches(folder: Path) -> Iterator[_Rows]:
    """Rows of the published fields, up to `_BATCH` at a time."""
    known = (*_FIELDS, "classification_text", *JSON_COLUMNS)
    for path in _parquet_files(folder):
        try:
            for batch in open_parquet(path).iter_batches(_BATCH):
                there = batch.schema.names
                fields = batch.select([name for name in known if name in there])
                yield _Rows(fields.to_pylist(), wild_columns(batch))
        except (OSError, pa.ArrowException, ValueError) as error:
            raise DatasetError(f"{folder}: {path.name} can't be read: {error}") from error


def check_published_format(folder: Path, workers: ThreadExecutor, report: Report) -> None:
    """Checks a dataset by its published fields alone.

    Ids and weights are unique, metadata agree with themselves and with the completion, and weights
    are readable, finite and fit each other.

    Args:
        folder: the dataset's.
        workers: read the texts.
        report: takes what is wrong, and what was checked.

    Raises:
        DatasetError: no file has the published fields, or one can't be read.
    """
    check_places(folder, report.found)
    compared = 0
    there = os.path.lexists(folder / CHECKSUMS)
    if there:
        compared = check_checksums(folder, report.found, complete=False)
    _check_examples(folder, workers, report)
    examples = counted(report.examples, "example")
    report.headline = (
        f"{examples} not made by this program, as far as the published fields go; "
        "no network was run"
    )
    report.checked.append(f"{examples}: ids, metadata, completions, and weights in texts")
    if there:
        report.checked.append(f"{counted(compared, 'file')} against SHA256SUMS")
    else:
        report.unchecked.append("files: there is no SHA256SUMS")
    report.unchecked.append(
        "networks: the dataset was not made by this program, so nothing can be run or trained again"
    )


def _check_examples(folder: Path, workers: ThreadExecutor, report: Report) -> None:
    """Checks every example of every file with the published fields."""
    faults = report.found
    ids: set[object] = set()
    distinct = DistinctWeights()
    for rows in workers.stream(_check_rows, _batches(folder)):
        report.examples += len(rows)
        for example, digest, sentences in rows:
            for sentence in sentences:
                faults.add("examples", f"example {example}: {sentence}")
            if example in ids:
                faults.add("ids", f"example {example}: its example_id occurs more than once.")
            ids.add(example)
            if digest:
                distinct.add(example, digest, faults)


def _check_rows(batch: _Rows) -> list[_CheckedRow]:
    """Checks some examples."""
    checked = []
    for row, wild in zip(batch.rows, batch.wild, strict=True):
        found = _check_row(row)
        sentences = [f"{name} holds a number that is not finite." for name in wild]
        checked.append(found._replace(faults=[*found.faults, *sentences]))
    return checked


def _check_row(row: dict[str, Any]) -> _CheckedRow:
    """Checks the published fields of one example."""
    example = row["example_id"]
    if not isinstance(example, int | str) or isinstance(example, bool):
        return _CheckedRow(None, b"", ["its example_id is neither a number nor a text."])
    texts = _FIELDS[1:]
    all_texts = all(isinstance(row[name], str) for name in texts)
    if not all_texts:
        return _CheckedRow(example, b"", [f"one of {', '.join(texts)} is no text."])
    weights, faults = _read_weights(row["classification_prompt"])
    faults += _check_text(row)
    faults += _check_metadata(row, weights)
    faults += _check_json(row)
    return _CheckedRow(example, _digest(weights), faults)


def _read_weights(prompt: str) -> tuple[_Weights, list[str]]:
    """The weights in a prompt, or none and why."""
    try:
        weights = parse_weights(prompt)
    except PromptError as error:
        return {}, [f"the weights can't be read from its prompt: {error}"]
    wild = [name for name, array in weights.items() if not np.isfinite(array).all()]
    return weights, [f"{name} in its prompt holds a number that is not finite." for name in wild]


def _digest(weights: _Weights) -> bytes:
    """A digest of weights, to find equal ones; empty where there are none."""
    if not weights:
        return b""
    arrays = [array.tobytes() for array in weights.values()]
    return weights_digest(b"".join(arrays))


def _check_text(row: dict[str, Any]) -> list[str]:
    """The text of prompt and completion is both of them, where it is there."""
    text = row.get("classification_text")
    expected = row["classification_prompt"] + row["classification_completion"]
    if text in (None, expected):
        return []
    return ["classification_text is not its prompt followed by its completion."]


def _check_json(row: dict[str, Any]) -> list[str]:
    """The JSON columns that are there can be read, and hold finite numbers."""
    problems = {name: json_problem(name, row[name]) for name in JSON_COLUMNS if name in row}
    return [f"{name} {problem}." for name, problem in problems.items() if problem]


def _check_metadata(row: dict[str, Any], weights: _Weights) -> list[str]:
    """The metadata agree with themselves, the completion and the weights."""
    try:
        metadata = orjson.loads(row["metadata"])
    except orjson.JSONDecodeError:
        metadata = None
    if not isinstance(metadata, dict):
        return ["metadata is no JSON object."]
    return [
        *_check_accuracies(metadata),
        *_check_patterns(metadata, row["classification_completion"]),
        *_check_architecture(metadata.get("model_config"), weights),
    ]


def _check_accuracies(metadata: dict[str, Any]) -> list[str]:
    """Accuracies are shares, and their difference is the improvement."""
    shares = [_as_share(metadata.get(name)) for name in _ACCURACIES]
    degraded, improved = shares
    if degraded is None or improved is None:
        return [f"{' or '.join(_ACCURACIES)} is no share."]
    said = metadata.get("improvement")
    gain = improved - degraded
    is_number = isinstance(said, int | float) and not isinstance(said, bool)
    if is_number and abs(gain - said) <= _TOLERANCE:  # type: ignore[operator]
        return []
    return ["improvement is not the difference of its accuracies."]


def _as_share(value: object) -> float | None:
    """A JSON value as a number from 0 to 1; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= 1:
        return None
    return float(value)


def _check_patterns(metadata: dict[str, Any], completion: str) -> list[str]:
    """The completion names the target pattern, and the selected ones where they are told."""
    target = metadata.get("target_pattern")
    selected = metadata.get("selected_patterns")
    named = {name for name in NAMES if name in completion}
    if target not in NAMES:
        return [f"target_pattern is {target!r:.40}, which is no known pattern."]
    if target not in named:
        return [f"its completion does not name its target pattern, {target}."]
    if isinstance(selected, list) and named != set(map(str, selected)):
        return ["its completion does not name its selected_patterns."]
    return []


def _check_architecture(model: object, weights: _Weights) -> list[str]:
    """The weights have as many layers and neurons as the metadata say."""
    if not weights or not isinstance(model, dict):
        return []
    first = next(iter(weights.values()))  # (neurons, inputs)
    widths = layer_widths(weights)
    found = {
        "num_layers": len(widths) - 1,  # the last one gives the logit
        "neurons_per_layer": widths[0],
        "input_size": first.shape[1],
    }
    return [
        f"model_config says {key}={model[key]}, but its weights have {value}."
        for key, value in found.items()
        if model.get(key) not in (None, value)
    ]
