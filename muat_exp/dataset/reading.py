"""Reads a dataset's `subjects` back as typed networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import orjson
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from muat_exp.config.groups import Config, from_dict
from muat_exp.dataset.hub import dataset_folder
from muat_exp.dataset.parquet import open_parquet, shards
from muat_exp.dataset.schema import lists
from muat_exp.errors import ConfigurationError, DatasetError
from muat_exp.subjects.architecture import (
    Architecture,
    recorded_architecture,
    recorded_networks,
    to_module,
)
from muat_exp.subjects.population import Population

if TYPE_CHECKING:
    from torch import nn

    from muat_exp.signatures.probe_set import ProbeSet

_LONGEST_YAML = 2**16  # bytes that are read of a dataset's configuration
_COUNTS = ("asked", "accepted", "attempts", "rejected", "accuracy", "patterns", "splits")
_SUMMARY = ("config_signature", *_COUNTS, "origin", "versions")


def read_config(folder: Path) -> Config:
    """The configuration that a dataset says it was made with.

    Raises:
        DatasetError: it is missing or wrong.
    """
    path = folder / "config.yaml"
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_YAML).decode()
        if any(
            isinstance(token, yaml.AliasToken) for token in yaml.scan(text)
        ):  # a few lines of them can fill the memory
            raise DatasetError(
                f"{path} has an alias (*name), which no configuration of this program has."
            )
        config = from_dict(yaml.safe_load(text))
    except ConfigurationError as error:
        raise DatasetError(f"{path} is not a configuration of this program: {error}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, RecursionError) as error:
        raise DatasetError(f"{folder} holds no dataset: config.yaml can't be read.") from error
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
        summary = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise DatasetError(f"{path} is missing or can't be read.") from error
    if not isinstance(summary, dict) or not set(_SUMMARY) <= summary.keys():
        raise DatasetError(f"{path} must be an object with {', '.join(_SUMMARY)}.")
    return summary


@dataclass(frozen=True)
class Subject:
    """One stored network and what is known of it.

    Attributes:
        example_id: its number; with the configuration it determines everything.
        target_pattern: the pattern whose labels were corrupted in the degraded stage.
        selected_patterns: all patterns that it learned to call positive.
        architecture: its shape, and the inputs that it takes.
        record: all scalar columns of the `subjects` configuration.
        weights, degraded_weights: float32 `(parameters,)`, each Linear's weight (out, in) and bias
            in turn.
        signature: float32 `(neurons, columns)`, neurons layer by layer, the logit last.
        config: the configuration that the dataset was made with.
    """

    example_id: int
    target_pattern: str
    selected_patterns: tuple[str, ...]
    architecture: Architecture
    record: dict[str, Any] = field(repr=False)
    weights: NDArray[np.float32] = field(repr=False)
    degraded_weights: NDArray[np.float32] = field(repr=False)
    signature: NDArray[np.float32] = field(repr=False)
    config: Config = field(repr=False)

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

    def validation(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Validation tokens `(rows, L)` and labels `(rows,)`.

        They are drawn again, from configuration, seed and number.
        """
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
        config: the configuration that the dataset was made with.
        probes: the probe set.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.config = read_config(folder)
            files = shards(folder, "subjects")
            self.table = pa.concat_tables([open_parquet(file).read() for file in files])
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"{folder} does not hold a readable dataset: {error}") from error

    @cached_property
    def probes(self) -> ProbeSet:
        """The probe set."""
        from muat_exp.signatures.probe_set import dataset_probes

        return dataset_probes(self.folder, self.config)

    def population(self, degraded: bool = False) -> Population:
        """All networks in flat arrays, in the order of the subjects.

        What weight-space models and the kernels read.
        """
        values, _ = lists(self.table, "degraded_weights" if degraded else "weights")
        empty = Population(recorded_networks(self.table, self.config))
        needed = len(empty.parameters)
        if len(values) != needed:
            raise DatasetError(
                f"{self.folder}: there are {len(values)} weights; the networks have {needed}."
            )
        return empty.with_parameters(values)

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
        arrays = {
            name: row[name].chunk(0)[0].values.to_numpy()
            for name in ("weights", "degraded_weights", "signature")
        }
        [record] = row.drop_columns(list(arrays)).to_pylist()
        architecture = recorded_architecture(record, self.config)
        return Subject(
            example_id=record["example_id"],
            target_pattern=record["target_pattern"],
            selected_patterns=tuple(record["selected_patterns"]),
            architecture=architecture,
            record=record,
            weights=arrays["weights"],
            degraded_weights=arrays["degraded_weights"],
            signature=arrays["signature"].reshape(architecture.neurons, -1),
            config=self.config,
        )


def load_subjects(folder: Path | str) -> Subjects:
    """The subjects of a dataset.

    Args:
        folder: its folder; a text may also be its `<owner>/<name>` on the Hugging Face Hub.

    Raises:
        DatasetError: there is no such folder or dataset, or it is not readable.
    """
    if isinstance(folder, str):
        folder = dataset_folder(folder)
    return Subjects(folder)
