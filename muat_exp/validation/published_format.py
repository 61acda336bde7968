"""Repositories in the published layout: checked as far as what they hold allows."""

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import JSON_COLUMNS, PROMPT_TASKS
from muat_exp.dataset.checksums import CHECKSUMS
from muat_exp.dataset.published.files import (
    BATCH,
    ID,
    METADATA,
    counts_from_zero,
    open_table,
    published_files,
    task_fields,
    tasks_in,
)
from muat_exp.dataset.reading import load_subjects
from muat_exp.errors import DatasetError, PromptError
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.prompts.parsing import parse_weights
from muat_exp.prompts.sections import WEIGHTS
from muat_exp.sequences.patterns import NAMES
from muat_exp.subjects.architecture import layer_widths
from muat_exp.validation.checksums import check_checksums
from muat_exp.validation.equal_weights import DistinctWeights, weights_digest
from muat_exp.validation.finite import json_problem, wild_columns
from muat_exp.validation.places import check_places
from muat_exp.validation.published_networks import check_networks
from muat_exp.validation.report import Report, counted

_FIELDS = (ID, METADATA)
_TEXTS = tuple(
    f"{task}_{part}" for task in PROMPT_TASKS for part in ("prompt", "completion", "text")
)
_ACCURACIES = ("degraded_accuracy", "improved_accuracy")
_COLUMN = "improved_model_weights"
_ROUNDING = 1e-6  # of weights in a text, which have six decimals
_TOLERANCE = 1e-4  # of an improvement beside its accuracies, all of them rounded


_Weights = dict[str, NDArray[np.float32]]


class _Rows(NamedTuple):
    """Some examples, and of each the columns of lists with a number that is not finite."""

    rows: list[dict[str, Any]]
    wild: list[list[str]]


class _CheckedRow(NamedTuple):
    """What is kept of an example: the digest of its weights, or nothing, and its faults."""

    digest: bytes
    faults: list[str]


def _files(folder: Path) -> list[Path]:
    """The Parquet files of a folder that have the published fields, in the order of their names.

    Raises:
        DatasetError: there are none.
    """
    found = published_files(folder)
    if not found:
        wanted = f"no config.yaml, and no Parquet file with the fields {', '.join(_FIELDS)}"
        raise DatasetError(f"{folder} holds no dataset: {wanted}.")
    return found


def _batches(folder: Path, columns: Collection[str] = ()) -> Iterator[_Rows]:
    """Rows of the published fields, or of some of them, up to `BATCH` at a time."""
    known = columns or (*_FIELDS, *_TEXTS, *JSON_COLUMNS)
    for path in _files(folder):
        try:
            file = open_table(path, folder, columns or None)
            for batch in file.iter_batches(BATCH, columns=columns or None):
                there = batch.schema.names
                fields = batch.select([name for name in known if name in there])
                yield _Rows(fields.to_pylist(), wild_columns(batch))
        except DatasetError:
            raise
        except (OSError, pa.ArrowException, ValueError) as error:
            raise DatasetError(f"{folder}: {path.name} can't be read: {error}") from error


def check_published_format(folder: Path, workers: ThreadExecutor, report: Report) -> None:
    """Checks a repository in the published layout, as far as what it holds allows.

    Ids and weights are unique, metadata agree with themselves and with the completion, weights are
    readable, finite and fit each other, and the same in texts and JSON columns; the networks can be
    run, and give their signatures on the probes.

    Args:
        folder: the repository.
        workers: read the texts, and run the networks.
        report: takes what is wrong, what was checked, and what was not.

    Raises:
        DatasetError: no file has the published fields, or one can't be read.
    """
    check_places(folder, report.found)
    compared = 0
    there = os.path.lexists(folder / CHECKSUMS)
    if there:
        compared = check_checksums(folder, report.found, complete=False)
    _check_examples(folder, workers, report)
    if there:
        report.checked.append(f"{counted(compared, 'file')} against SHA256SUMS")
    else:
        report.unchecked.append("files: there is no SHA256SUMS")
    run = _check_networks(folder, workers, report)
    report.headline = (
        f"{counted(report.examples, 'example')} in the published layout, {run} run again, "
        "none trained again"
    )
    report.unchecked.append("accuracies and labels: the sequences that they are of are not told")
    report.unchecked.append("training: the networks were not made by this program's seeds")


def _check_networks(folder: Path, workers: ThreadExecutor, report: Report) -> str:
    """Runs the networks; says in words how many."""
    try:
        subjects = load_subjects(folder)
    except DatasetError as error:
        report.unchecked.append(f"networks: {error}")
        return "no network"
    ran = check_networks(subjects, workers, report)
    return counted(ran, "network") if ran else "no network"


def _check_examples(folder: Path, workers: ThreadExecutor, report: Report) -> None:
    """Checks every example of every file with the published fields."""
    faults = report.found
    ids = [row[ID] for batch in _batches(folder, [ID]) for row in batch.rows]
    in_parts = len(set(ids)) < len(ids) and counts_from_zero(ids)
    names = iter(range(len(ids)) if in_parts else ids)
    seen: set[object] = set()
    distinct = DistinctWeights()
    for rows in workers.stream(_check_rows, _batches(folder)):
        report.examples += len(rows)
        for checked in rows:
            example = next(names)
            for sentence in checked.faults:
                faults.add("examples", f"example {example}: {sentence}")
            if example in seen:
                faults.add("ids", f"example {example}: its example_id occurs more than once.")
            seen.add(example)
            if checked.digest:
                distinct.add(example, checked.digest, faults)
    told = "ids, metadata, completions, and weights in texts and columns"
    report.checked.append(f"{counted(report.examples, 'example')}: {told}")
    if in_parts:
        report.checked.append(
            f"ids: they begin at 0 in each of {ids.count(0)} parts; examples are numbered from 0 "
            f"to {len(ids) - 1} in the order of the files"
        )


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
    example = row[ID]
    if not isinstance(example, int | str) or isinstance(example, bool):
        return _CheckedRow(b"", ["its example_id is neither a number nor a text."])
    tasks = tasks_in(row)
    texts = [METADATA, *(field for task in tasks for field in task_fields(task))]
    all_texts = all(isinstance(row[name], str) for name in texts)
    if not all_texts:
        return _CheckedRow(b"", [f"one of {', '.join(texts)} is no text."])
    weights, faults = _read_weights(row, tasks)
    for task in tasks:
        faults += _check_text(row, task)
    faults += _check_metadata(row, weights)
    faults += _check_json(row) or _check_stored(row, weights, tasks)
    return _CheckedRow(_digest(weights), faults)


def _read_weights(row: dict[str, Any], tasks: Sequence[str]) -> tuple[_Weights, list[str]]:
    """The improved network's weights in a text, or none and why."""
    name = "classification_prompt" if "classification" in tasks else "modification_completion"
    place = "its prompt" if name == "classification_prompt" else name
    try:
        return parse_weights(row[name]), []
    except PromptError as error:
        return {}, [f"the weights can't be read from {place}: {error}"]


def _check_stored(row: dict[str, Any], weights: _Weights, tasks: Sequence[str]) -> list[str]:
    """The JSON column of the improved network's weights has those of the texts.

    Texts of another style than the published ones may show fewer digits: only shapes are compared.
    """
    stored = row.get(_COLUMN)
    if stored is None or not weights:
        return []
    try:
        exact = parse_weights(stored)
    except PromptError as error:
        return [f"{_COLUMN}: {error}"]
    in_full = "classification" not in tasks or f"## {WEIGHTS}" in row["classification_prompt"]
    same = _same(weights, exact, _ROUNDING if in_full else np.inf)
    return [] if same else [f"{_COLUMN} has other weights than its texts."]


def _same(weights: _Weights, exact: _Weights, rounding: float) -> bool:
    """Whether weights are the same but for rounding."""
    if weights.keys() != exact.keys():
        return False
    pairs = [(weights[name], exact[name]) for name in weights]
    return all(
        first.shape == second.shape and np.allclose(first, second, rtol=1e-6, atol=rounding)
        for first, second in pairs
    )


def _digest(weights: _Weights) -> bytes:
    """A digest of weights, to find equal ones; empty where there are none."""
    if not weights:
        return b""
    arrays = [array.tobytes() for array in weights.values()]
    return weights_digest(b"".join(arrays))


def _check_text(row: dict[str, Any], task: str) -> list[str]:
    """The text of prompt and completion is both of them, where it is there."""
    text = row.get(f"{task}_text")
    prompt, completion = task_fields(task)
    if text in (None, row[prompt] + row[completion]):
        return []
    return [f"{task}_text is not its prompt followed by its completion."]


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
        *_check_patterns(metadata, row.get("classification_completion")),
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


def _check_patterns(metadata: dict[str, Any], completion: str | None) -> list[str]:
    """The completion, if there is one, names the target pattern, and the selected ones if told."""
    target = metadata.get("target_pattern")
    selected = metadata.get("selected_patterns")
    if target not in NAMES:
        return [f"target_pattern is {target!r:.40}, which is no known pattern."]
    if completion is None:
        return []
    named = {name for name in NAMES if name in completion}
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
