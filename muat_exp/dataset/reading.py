"""Reads a dataset's `subjects` back as typed networks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import Config, from_dict
from muat_exp.dataset.behaviour import Answers, check_behaviour, read_answers
from muat_exp.dataset.column_names import SCORES
from muat_exp.dataset.hub import dataset_folder
from muat_exp.dataset.published.files import is_published
from muat_exp.dataset.published.reading import read_published
from muat_exp.dataset.records import check_prompts, read_records, record_files
from muat_exp.dataset.schema import lists
from muat_exp.documents import LONGEST_YAML, parse_json_object, parse_yaml
from muat_exp.errors import ConfigurationError, DatasetError, DocumentError, ProbeSetError
from muat_exp.opening import read_file, reason
from muat_exp.signatures.probe_file import parse
from muat_exp.signatures.probe_file import read_file as read_probes
from muat_exp.subjects.architecture import (
    Architecture,
    recorded_architecture,
    recorded_networks,
    to_module,
)
from muat_exp.subjects.population import Population

if TYPE_CHECKING:
    from torch import nn
    from torch_geometric.data import Data

    from muat_exp.signatures.probe_set import ProbeSet

_MOST_SUMMARY = 2**22  # bytes that are read of a summary
_COUNTS = ("asked", "accepted", "attempts")
_GROUPS = ("rejected", "accuracy", "patterns", "splits", "versions")
_TEXTS = ("config_signature", "origin")
_ARRAYS = ("weights", "degraded_weights", "signature")  # of `Subject`, no part of its record
_SUMMARY = (*_TEXTS, *_COUNTS, *_GROUPS, "processors")


def read_config(folder: Path) -> Config:
    """The configuration that a dataset says it was made with.

    Raises:
        DatasetError: it is missing or wrong.
    """
    path = folder / "config.yaml"
    try:
        values = parse_yaml(read_file(path, LONGEST_YAML, folder))
        if not isinstance(values, dict):
            raise DatasetError(f"{path} is not a configuration of this program: it has no keys.")
        config = from_dict(values)
    except OSError as error:
        unread = f"config.yaml can't be read: {reason(error)}"
        raise DatasetError(f"{folder} holds no dataset: {unread}.") from error
    except DocumentError as error:
        raise DatasetError(f"{path}: {error}") from error
    except ConfigurationError as error:
        raise DatasetError(f"{path} is not a configuration of this program: {error}") from error
    # A dataset's probes are those of its own file.
    signature = replace(config.signature, probe_set="")
    return replace(config, signature=signature)


def read_summary(folder: Path) -> dict[str, Any]:
    """The counts and accuracies that a dataset says it has.

    Raises:
        DatasetError: they are missing or no JSON object.
    """
    path = folder / "summary.json"
    try:
        summary = parse_json_object(read_file(path, _MOST_SUMMARY, folder))
    except OSError as error:
        raise DatasetError(f"{path} can't be read: {reason(error)}.") from error
    except DocumentError as error:
        raise DatasetError(f"{path}: {error}") from error
    if not set(_SUMMARY) <= summary.keys():
        raise DatasetError(f"{path} must be an object with {', '.join(_SUMMARY)}.")
    return summary


def read_figures(folder: Path, patterns: Collection[str]) -> dict[str, Any]:
    """The summary of a dataset of some patterns, in the form that a run gives it.

    Raises:
        DatasetError: a figure is missing or no number; names its key.
    """
    summary = read_summary(folder)
    for key, right, allowed in _figures(summary, patterns):
        if not right:
            raise DatasetError(f"{folder / 'summary.json'}: {key} must be {allowed}.")
    return summary


def check_count(folder: Path, count: int, summary: dict[str, Any]) -> None:
    """Raises `DatasetError` where a dataset holds more or fewer examples than its summary says."""
    told = summary["accepted"]
    if count != told:
        raise DatasetError(f"{folder} holds {count} examples, but its summary.json says {told}.")


def _figures(summary: dict[str, Any], patterns: Collection[str]) -> Iterator[tuple[str, bool, str]]:
    """Each key of a summary, whether it is right, and what it must be; groups before their keys."""
    for key in _TEXTS:
        yield key, isinstance(summary[key], str), "a text"
    for key in _GROUPS:
        yield key, isinstance(summary[key], dict), "an object"
    for key in ("splits", "rejected"):
        yield key, all(map(_is_count, summary[key].values())), "an object of whole numbers"
    versions = summary["versions"]
    complete = "muat_exp" in versions and all(map(_is_text_or_texts, versions.values()))
    yield "versions", complete, "an object of texts, or of lists of texts, muat_exp among them"
    processors = summary["processors"]
    listed = isinstance(processors, list) and _is_text_or_texts(processors)
    yield "processors", listed, "a list of texts"
    yield from _means("accuracy", summary["accuracy"])
    yield from _counts("", summary, summary["rejected"])
    yield "asked", _is_count(summary["asked"]), "a whole number"
    named = summary["patterns"]
    yield "patterns", named.keys() == set(patterns), f"an object of {', '.join(patterns)}"
    for name, row in named.items():
        yield f"patterns.{name}", isinstance(row, dict), "an object"
        yield from _counts(f"patterns.{name}.", row, summary["rejected"])
        yield from _means(f"patterns.{name}", row)


def _counts(
    prefix: str, row: dict[str, Any], reasons: Collection[str]
) -> Iterator[tuple[str, bool, str]]:
    """The counts of all attempts, or of those at one pattern; see `_figures`."""
    for key in ("attempts", "accepted"):
        yield f"{prefix}{key}", _is_count(row.get(key)), "a whole number"
    rejected = row.get("rejected")
    same = isinstance(rejected, dict) and rejected.keys() == set(reasons)
    counts = rejected.values() if isinstance(rejected, dict) else ()
    allowed = f"an object of whole numbers of {', '.join(reasons)}"
    yield f"{prefix}rejected", same and all(map(_is_count, counts)), allowed


def _means(prefix: str, row: dict[str, Any]) -> Iterator[tuple[str, bool, str]]:
    """The means of the accuracies in a summary; see `_figures`."""
    for key in SCORES:
        value = row.get(key, "")
        right = value is None or type(value) in (int, float)
        yield f"{prefix}.{key}", right, "a number or null"


def _is_text_or_texts(value: object) -> bool:
    """Whether a JSON value is a text, or a list of texts where a run was continued by others."""
    texts = value if isinstance(value, list) else [value]
    return all(isinstance(text, str) for text in texts)


def _is_count(value: object) -> bool:
    """Whether a JSON value is a whole number that is not negative."""
    return type(value) is int and value >= 0


def check_readable(folder: Path) -> None:
    """Reads all that a dataset holds, some of it at a time.

    Raises:
        DatasetError: something can't be read, or is not what the configuration gives.
    """
    config = read_config(folder)
    summary = read_figures(folder, config.patterns.enabled)
    path = folder / "probe_set.json"
    try:
        parse(read_probes(path, folder)).check(config.patterns)
    except ProbeSetError as error:
        raise DatasetError(f"{path}: {error}") from error
    files = record_files(folder, config)
    for file in files:
        for group in range(len(file.group_rows)):
            file.read([group])
    count = sum(int(file.group_rows.sum()) for file in files)
    check_count(folder, count, summary)
    check_prompts(folder, config, count)
    check_behaviour(folder, config)


@dataclass(frozen=True)
class Subject:
    """One stored network and what is known of it.

    Attributes:
        example_id: its number; with the configuration it determines everything.
        target_pattern: the pattern whose labels were corrupted in the degraded stage.
        selected_patterns: all patterns that it learned to call positive.
        architecture: its shape, and the inputs that it takes.
        record: all scalar columns of the `subjects` configuration.
        arrays: the columns of lists that the dataset has, flat.
        config: the configuration that the dataset was made with.
        redrawable: whether its number and the configuration give its data again.
    """

    example_id: int
    target_pattern: str
    selected_patterns: tuple[str, ...]
    architecture: Architecture
    record: dict[str, Any] = field(repr=False)
    arrays: Mapping[str, NDArray[np.float32]] = field(repr=False)
    config: Config = field(repr=False)
    redrawable: bool = field(default=True, repr=False)

    @property
    def weights(self) -> NDArray[np.float32]:
        """Float32 `(parameters,)`, each Linear's weight (out, in) and bias in turn."""
        return self._array("weights")

    @property
    def degraded_weights(self) -> NDArray[np.float32]:
        """The same of the degraded network.

        Raises:
            DatasetError: the dataset does not have them, as some of the published layout.
        """
        return self._array("degraded_weights")

    @property
    def signature(self) -> NDArray[np.float32]:
        """Float32 `(neurons, columns)`, neurons layer by layer, the logit last.

        Raises:
            DatasetError: the dataset does not have it, as some of the published layout.
        """
        return self._array("signature").reshape(self.architecture.neurons, -1)

    def _array(self, name: str) -> NDArray[np.float32]:
        """One of the arrays."""
        if name not in self.arrays:
            raise DatasetError(f"example {self.example_id}: its dataset has no {name}.")
        return self.arrays[name]

    @property
    def features(self) -> int:
        """Inputs, the sequence length."""
        return self.architecture.features

    @property
    def num_layers(self) -> int:
        """Hidden layers."""
        return self.architecture.num_layers

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of each hidden layer."""
        return self.architecture.widths

    @property
    def neurons_per_layer(self) -> int:
        """Neurons of the first hidden layer, and of all others in a uniform network."""
        return self.architecture.neurons_per_layer

    @property
    def activation(self) -> str:
        """Name of the hidden layers' activation."""
        return self.architecture.activation

    def to_module(self, degraded: bool = False) -> nn.Sequential:
        """The network as a plain `nn.Sequential`.

        It takes float token indices `(batch, L)` and gives logits `(batch, 1)`.
        """
        weights = self.degraded_weights if degraded else self.weights
        return to_module(weights, self.architecture.layers)

    def to_pyg(self) -> Data:
        """The network as a graph for PyTorch Geometric; see `exports.pyg.graph_arrays`.

        Raises:
            ConfigurationError: torch_geometric is not installed.
        """
        from muat_exp.exports.pyg import graph

        return graph(self)

    def validation(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Validation tokens `(rows, L)` and labels `(rows,)`.

        They are drawn again, from configuration, seed and number.

        Raises:
            DatasetError: the dataset is of the published layout, whose data nothing tells.
        """
        if not self.redrawable:
            raise DatasetError(
                f"example {self.example_id}: its sequences can't be drawn again, as its dataset is "
                "in the published layout."
            )
        from muat_exp.sequences.space import space_arrays
        from muat_exp.subjects.data import draw_data
        from muat_exp.subjects.specs import draw_specs

        space = space_arrays(self.config.patterns.build())
        specs = draw_specs(self.config, np.array([self.example_id]))
        data = draw_data(self.config, space, specs)
        first = data.training_rows
        return data.tokens[0, first:], data.labels[first:]


class Subjects(Sequence[Subject]):
    """All subjects of a dataset, made when they are asked for.

    Attributes:
        table: the `subjects` configuration, an Arrow table.
            Of a repository in the published layout, those of its columns that it can fill.
        config: the configuration that the dataset was made with, as far as it tells.
        probes: the probe set.
        is_published: whether the dataset is a repository in the published layout.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_published = is_published(folder)
        if self.is_published:
            self.config, self.table, _ = read_published(folder)
        else:
            self.config = read_config(folder)
            self.table = read_records(folder, self.config)

    @cached_property
    def probes(self) -> ProbeSet:
        """The probe set.

        Raises:
            DatasetError: the dataset has none, or it is wrong.
        """
        from muat_exp.dataset.published.probes import published_probes
        from muat_exp.signatures.probe_set import dataset_probes

        if self.is_published:
            return published_probes(self.folder, self.config)
        return dataset_probes(self.folder, self.config)

    def population(self, degraded: bool = False) -> Population:
        """All networks in flat arrays, in the order of the subjects.

        What weight-space models and the kernels read.

        Raises:
            DatasetError: the dataset does not have these weights.
        """
        name = "degraded_weights" if degraded else "weights"
        if name not in self.table.column_names:
            raise DatasetError(f"{self.folder} has no {name}.")
        values, _ = lists(self.table, name)
        shapes = Population(recorded_networks(self.table, self.config))
        return shapes.with_parameters(values)

    def behaviour(self) -> Answers:
        """What every improved network answers to every sequence, in the order of the subjects.

        Raises:
            DatasetError: the dataset does not hold it (`dataset.behaviour`), or it can't be read.
        """
        return read_answers(self.folder, self.config, self.table["example_id"].to_numpy())

    def __repr__(self) -> str:
        return f"Subjects({len(self)} of {self.folder})"

    def __len__(self) -> int:
        return self.table.num_rows  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[Subject]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Subject: ...
    @overload
    def __getitem__(self, index: slice) -> list[Subject]: ...
    def __getitem__(self, index: int | slice) -> Subject | list[Subject]:
        """One subject, or a list of them."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"subject {index} of {len(self)}")
        row = self.table.slice(index % len(self), 1)
        names = [name for name in _ARRAYS if name in self.table.column_names]
        arrays = {name: row[name].chunk(0)[0].values.to_numpy() for name in names}
        [record] = row.drop_columns(names).to_pylist()
        architecture = recorded_architecture(record, self.config)
        return Subject(
            example_id=record["example_id"],
            target_pattern=record["target_pattern"],
            selected_patterns=tuple(record["selected_patterns"]),
            architecture=architecture,
            record=record,
            arrays=arrays,
            config=self.config,
            redrawable=not self.is_published,
        )


def load_subjects(folder: Path | str) -> Subjects:
    """The subjects of a dataset, or of a repository in the published layout.

    Args:
        folder: its folder; a text may also be its `<owner>/<name>` on the Hugging Face Hub.

    Raises:
        DatasetError: there is no such folder or dataset, or it is not readable.
    """
    if isinstance(folder, str):
        folder = dataset_folder(folder)
    return Subjects(folder)
