"""Reads a repository in the published layout as a table of subjects and a configuration."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import JSON_COLUMNS, Config
from muat_exp.dataset.column_names import SCORES
from muat_exp.dataset.published.examples import Example, flat_signature, is_number, methods_of
from muat_exp.dataset.published.files import PublishedTables, task_fields
from muat_exp.dataset.published.probe_file import probe_count
from muat_exp.dataset.published.settings import Observed, enabled_patterns, read_settings
from muat_exp.dataset.records import check_records
from muat_exp.dataset.schema import list_array, response_array
from muat_exp.errors import DatasetError

_STAGES = {"weights": "improved", "degraded_weights": "degraded"}
_SIGNATURES = {"signature": "improved", "degraded_signature": "degraded"}


class PublishedDataset(NamedTuple):
    """What a repository holds.

    Attributes:
        config: what it was made with, as far as it tells.
        table: the columns of `subjects` that it can fill, a row for each example in the order of
            the files; a column that lacks one example's value is absent.
        tables: its files.
    """

    config: Config
    table: pa.Table
    tables: PublishedTables


class _Columns:
    """Columns of subjects as they are collected, lists of one value for each example."""

    def __init__(self) -> None:
        self.values: dict[str, list[Any]] = {}
        self.rows = 0

    def add(self, row: dict[str, Any]) -> None:
        """Takes in an example's values; None stands for those that it lacks."""
        for name, value in row.items():
            if value is not None:
                self.values.setdefault(name, []).append(value)
        self.rows += 1

    def whole(self) -> dict[str, list[Any]]:
        """The columns in which no example lacks a value."""
        return {name: values for name, values in self.values.items() if len(values) == self.rows}


def read_published(folder: Path) -> PublishedDataset:
    """Reads a repository.

    Raises:
        DatasetError: it is none, or something in it can't be read; names the example.
    """
    tables = PublishedTables(folder)
    observed = Observed(folder)
    columns = _Columns()
    prompt = ""
    for number, row in _numbered_rows(tables):
        example = Example(row)
        prompt = prompt or row[task_fields(tables.tasks[0])[0]] or ""
        try:
            columns.add({"example_id": number} | _values(example, observed))
            observed.add(example)
        except DatasetError as error:
            raise DatasetError(f"{folder}, example {number}: {error}") from error
    whole = columns.whole()
    enabled = _enabled_patterns(tables, prompt) or _occurring(whole)
    written = {
        "num_examples": columns.rows,
        "tasks": list(tables.tasks),
        "columns": [name for name in tables.columns if name in JSON_COLUMNS],
    }
    config = observed.config(enabled, prompt, probe_count(folder), written)
    table = _table(whole, config)
    return PublishedDataset(config, check_records(table, config, str(folder)), tables)


def told_patterns(folder: Path) -> tuple[str, ...]:
    """The enabled patterns that a repository tells, without reading all of it.

    Raises:
        DatasetError: it can't be read.
    """
    tables = PublishedTables(folder)
    prompt_field, _ = task_fields(tables.tasks[0])
    first = next(row for path in tables.paths for row in tables.rows(path, [prompt_field]))
    return _enabled_patterns(tables, first[prompt_field] or "")


def _enabled_patterns(tables: PublishedTables, prompt: str) -> tuple[str, ...]:
    """The enabled patterns that a repository tells; nothing where it tells none.

    A prompt of the other tasks names those of its own network alone.
    """
    listing = prompt if "classification" in tables.tasks else ""
    return enabled_patterns(read_settings(tables.folder), listing)


def _numbered_rows(tables: PublishedTables) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of all files, each with the number that stands for it."""
    wanted = [name for name in tables.columns if name != "training_metrics"]
    numbers = iter(tables.numbers.tolist())
    for path in tables.paths:
        for row in tables.rows(path, wanted):
            yield next(numbers), row


def _values(example: Example, observed: Observed) -> dict[str, Any]:
    """What is known of an example, by the columns of `subjects`; None for what is not told."""
    architecture = example.architecture
    rate = example.model.get("learning_rate")
    values: dict[str, Any] = {
        "target_pattern": example.target_pattern,
        "selected_patterns": example.selected_patterns,
        "num_layers": architecture.num_layers,
        "neurons_per_layer": architecture.neurons_per_layer,
        "activation": architecture.activation,
        "learning_rate": float(rate) if is_number(rate) else None,
        "response": _shares(example.metadata.get("response")),
    }
    values |= {name: example.number(name) for name in SCORES}
    values |= {name: example.weights(stage) for name, stage in _STAGES.items()}
    for name, stage in _SIGNATURES.items():
        profiles = example.profiles(stage)
        if profiles is None:
            continue
        observed.methods = observed.methods or methods_of(profiles)
        values[name] = flat_signature(profiles, architecture, observed.methods)
    return values


def _shares(response: object) -> dict[str, float] | None:
    """The shares by pattern that metadata of this program tell; None where they tell none."""
    if not isinstance(response, dict) or not response:
        return None
    return response if all(map(is_number, response.values())) else None


def _occurring(columns: dict[str, list[Any]]) -> tuple[str, ...]:
    """The patterns that any example selected, in the order of their first one."""
    return tuple(dict.fromkeys(name for names in columns["selected_patterns"] for name in names))


def _table(columns: dict[str, list[Any]], config: Config) -> pa.Table:
    """Columns as Arrow has them in `subjects`."""
    arrays: dict[str, pa.Array] = {}
    for name, values in columns.items():
        if isinstance(values[0], np.ndarray):
            arrays[name] = _lists(values)
        elif name == "response":
            arrays |= _responses(values, config.patterns.enabled)
        else:
            arrays[name] = pa.array(values)
    return pa.table(arrays)


def _lists(arrays: list[NDArray[np.float32]]) -> pa.Array:
    """Arrays as a column of lists."""
    lengths = np.array([len(array) for array in arrays], np.int64)
    return list_array(np.concatenate(arrays), lengths)


def _responses(
    responses: list[dict[str, float]], enabled: tuple[str, ...]
) -> dict[str, pa.StructArray]:
    """The column `response`; nothing where it is not of the enabled patterns."""
    if any(response.keys() != set(enabled) for response in responses):
        return {}
    shares = np.array([[response[name] for name in enabled] for response in responses])
    return {"response": response_array(enabled, shares)}
