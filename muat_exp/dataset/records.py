"""The one reader of `subjects` files: columns and values are checked before anybody computes.

A dataset may come from anywhere, and its files may hold anything. What passes here fits the
dataset's own configuration, so that no later step meets a null, an unknown name or a list that does
not fit its network.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.column_names import ARRAYS, CONFUSION, EXACT_SCORES, SCORES
from muat_exp.dataset.parquet import Bounds, all_shards, open_parquet
from muat_exp.dataset.schema import (
    columns_with_gaps,
    lists,
    stray_responses,
    subject_schema,
)
from muat_exp.errors import DatasetError, first_line, shown
from muat_exp.prompts.columns import prompt_schema
from muat_exp.signatures.methods import method_columns
from muat_exp.subjects.architecture import Architecture, recorded_networks
from muat_exp.subjects.population import Population
from muat_exp.subjects.shapes import hidden_widths

EPOCH_NUMBERS = 4  # numbers of each epoch in `history`
_LARGEST_ID = 2**53  # the first whole number that JSON's readers may confuse with the next
_LONGEST_NAME = 64  # bytes of the name of a pattern or an activation, and more
_BYTES_PER_NUMBER = 64  # of a number in a text with what stands around it, and more
_BYTES_AROUND = 2**20  # of a text beside its numbers, and more
_BATCH_NUMBERS = 2**24  # numbers of lists that are decoded at a time
_COUNTS = (
    "switch_epoch",
    "clean_epoch",
    "corrupted_labels",
    "corruption_candidates",
    "degraded_epochs",
)


def record_bounds(config: Config) -> Bounds:
    """What the `subjects` files of a dataset may hold: what its largest network needs."""
    longest = max(len(config.patterns.enabled), *_longest_lists(config))
    return Bounds(config.dataset.num_examples, longest, _LONGEST_NAME)


def prompt_bounds(config: Config) -> Bounds:
    """What the `prompts` files of a dataset may hold: texts that show its largest network."""
    numbers = 2 * sum(_longest_lists(config))
    text = numbers * _BYTES_PER_NUMBER + _BYTES_AROUND
    return Bounds(config.dataset.num_examples, 1, text)


def _longest_lists(config: Config) -> tuple[int, int, int]:
    """Numbers of the longest weights, signature and history that the configuration allows."""
    largest = _largest_network(config)
    stages = (config.training.degraded, config.training.clean)
    epochs = sum(stage.max_epochs for stage in stages)
    return largest.parameters, largest.neurons * _columns(config), EPOCH_NUMBERS * epochs


def _largest_network(config: Config) -> Architecture:
    """The largest network that the configuration allows."""
    shape = config.architecture
    widths = hidden_widths(shape.shape, shape.num_layers.max, shape.neurons_per_layer.max)
    return Architecture(config.patterns.sequence_length, widths, shape.activations[0])


def _columns(config: Config) -> int:
    """Numbers of a signature for each neuron."""
    methods = method_columns(config.signature, len(config.patterns.enabled))
    return sum(width for _, width in methods)


class RecordFile:
    """One file of `subjects`; its columns and sizes are checked when this is made.

    Attributes:
        path: the file.
        name: what sentences call it.
        config: the dataset's configuration.
        group_rows: int64 `(groups,)`, rows of each row group.
    """

    def __init__(self, path: Path, folder: Path, config: Config) -> None:
        self.path = path
        self.name = f"{folder}: {path.parent.name}/{path.name}"
        self.config = config
        self.schema = subject_schema(config)
        # Repeated and unknown columns have to be seen before a column is named to the decoder.
        file = open_parquet(path, folder, record_bounds(config), self.schema.names)
        check_schema(file.schema_arrow, self.schema, self.name)
        metadata = file.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        self.group_rows = np.array([group.num_rows for group in groups], np.int64)

    def read(self, groups: Sequence[int], columns: Collection[str] = ()) -> pa.Table:
        """The records of some row groups, checked; thread-safe.

        Args:
            groups: their numbers.
            columns: of all columns only these; the order is the schema's.

        Raises:
            DatasetError: a value is not what the configuration allows.
        """
        wanted = [name for name in self.schema.names if not columns or name in columns]
        empty = pa.schema([self.schema.field(name) for name in wanted]).empty_table()
        return pa.concat_tables([empty, *self._batches(groups, wanted)])

    def _batches(self, groups: Sequence[int], columns: list[str]) -> Iterator[pa.Table]:
        """Checked tables of some rows."""
        size = max(1, _BATCH_NUMBERS // sum(_longest_lists(self.config)))
        try:
            file = open_parquet(self.path, columns=())  # its pages were checked
            for batch in file.iter_batches(size, row_groups=list(groups), columns=columns):
                table = pa.Table.from_batches([batch]).select(columns)
                yield check_records(table.replace_schema_metadata(), self.config, self.name)
        except DatasetError:
            raise
        except (OSError, pa.ArrowException, ValueError) as error:
            raise DatasetError(f"{self.name} can't be read: {first_line(error)}.") from error


def record_files(folder: Path, config: Config) -> list[RecordFile]:
    """The `subjects` files of a dataset.

    Raises:
        DatasetError: one is missing, can't be read, or has other columns than the configuration
            gives; or there are more examples than the configuration asks for.
    """
    files = [RecordFile(path, folder, config) for path in all_shards(folder, "subjects")]
    count = sum(int(file.group_rows.sum()) for file in files)
    if count > config.dataset.num_examples:
        asked = f"dataset.num_examples is {config.dataset.num_examples}"
        raise DatasetError(f"{folder} holds {count} examples, but its {asked}.")
    return files


def check_prompts(folder: Path, config: Config, count: int) -> None:
    """Checks the columns and sizes of a dataset's `prompts` files; texts are not read.

    Args:
        folder: the dataset's.
        config: its configuration.
        count: the examples that it has.

    Raises:
        DatasetError: a file is missing, can't be read, or has other columns than the configuration
            gives; or there are more or fewer examples.
    """
    schema = prompt_schema(config)
    found = 0
    for path in all_shards(folder, "prompts"):
        file = open_parquet(path, folder, prompt_bounds(config), schema.names)
        check_schema(file.schema_arrow, schema, f"{folder}: {path.parent.name}/{path.name}")
        found += file.metadata.num_rows
    if found != count:
        raise DatasetError(f"{folder}: prompts has {found} examples, and subjects {count}.")


def read_records(folder: Path, config: Config) -> pa.Table:
    """All records of a dataset.

    Raises:
        DatasetError: see `record_files`; or a value is not what the configuration allows.
    """
    files = record_files(folder, config)
    table = pa.concat_tables([file.read(range(len(file.group_rows))) for file in files])
    check_distinct(table["example_id"].to_numpy(), folder)
    return table


def check_distinct(ids: NDArray[np.int64], folder: Path) -> None:
    """Raises `DatasetError` where two examples have one number."""
    values, counts = np.unique(ids, return_counts=True)
    repeated = values[counts > 1]
    if len(repeated):
        raise DatasetError(f"{folder}: example_id {repeated[0]} occurs more than once.")


def check_schema(found: pa.Schema, expected: pa.Schema, place: str) -> None:
    """Checks that each column is there once with its type; others may be there besides.

    Raises:
        DatasetError: names the file, the column and the type that is needed.
    """
    for field in expected:
        indices = found.get_all_field_indices(field.name)
        if not indices:
            raise DatasetError(f"{place}: the column {field.name} is missing.")
        if len(indices) > 1:
            raise DatasetError(
                f"{place}: the column {field.name} is there {len(indices)} times; one is needed."
            )
        kind = found.field(indices[0]).type
        if not _fits(kind, field.type):
            raise DatasetError(
                f"{place}: the column {field.name} is {_short(kind)}; "
                f"it must be {_short(field.type)}."
            )


def _short(kind: pa.DataType) -> str:
    """The name of a type in a sentence."""
    text = str(kind)
    return text if len(text) < 100 else f"{text[:100]}..."


def _fits(found: pa.DataType, expected: pa.DataType) -> bool:
    """Whether a column's type is the expected one, but for the inner names of lists."""
    if pa.types.is_list(expected):
        return pa.types.is_list(found) and found.value_type == expected.value_type
    return bool(found == expected)


def check_records(records: pa.Table, config: Config, place: str) -> pa.Table:
    """Some columns of records, checked, as the schema has them.

    Raises:
        DatasetError: names the file, the example, the column and what is allowed.
    """
    return _Check(records, config, place).checked()


class _Check:
    """Checks the columns of some records that are there; the first fault is raised."""

    def __init__(self, records: pa.Table, config: Config, place: str) -> None:
        self.records = records
        self.config = config
        self.place = place
        self.names = records.column_names

    def checked(self) -> pa.Table:
        """The records, if nothing is wrong with them."""
        if not self.records.num_rows:
            return _as_schema(self.records, self.config)
        for name in columns_with_gaps(self.records, self.config.patterns.enabled):
            raise DatasetError(f"{self.place}: {name} has a null where a value is needed.")
        self.records = _as_schema(self.records, self.config)
        self.numbers()
        self.known_names()
        if "response" in self.names:
            self.responses()
        if {"num_layers", "neurons_per_layer", "activation"} <= set(self.names):
            self.list_lengths()
        for name in ARRAYS:
            if name in self.names:
                self.finite_lists(name)
        return self.records

    def fail(self, row: int, sentence: str) -> NoReturn:
        """Raises the error about one record."""
        if "example_id" in self.names:
            example = f"example {self.records['example_id'][row].as_py()}"
        else:
            example = f"row {row + 1}"
        raise DatasetError(f"{self.place}, {example}: {sentence}.")

    def require(self, name: str, right: NDArray[np.bool_], allowed: str) -> None:
        """Fails for the first record whose value of a column is not right, `(rows,)`."""
        if right.all():
            return
        row = int(np.argmin(right))
        value = self.records[name][row].as_py()
        self.fail(row, f"{name} is {shown(value)}; it must be {allowed}")

    def numbers(self) -> None:
        """Columns of one number each are within their limits."""
        shape = self.config.architecture
        limits = {
            "example_id": (0, _LARGEST_ID),
            "num_layers": (shape.num_layers.min, shape.num_layers.max),
            "neurons_per_layer": (shape.neurons_per_layer.min, shape.neurons_per_layer.max),
            "learning_rate": (0, 1e38),
            **dict.fromkeys((*SCORES, *EXACT_SCORES, "best_pattern_score"), (0, 1)),
            "improvement": (-1, 1),
            **dict.fromkeys(CONFUSION, (0, self.config.patterns.space_size)),
            **dict.fromkeys(_COUNTS, (0, 2**31 - 1)),
        }
        for name, (low, high) in limits.items():
            if name in self.names:
                values = self.records[name].to_numpy()
                within = (values >= low) & (values <= high)  # what is not a number is not
                self.require(name, within, f"{low} to {high}")

    def known_names(self) -> None:
        """Patterns are enabled, and activations are the configured ones."""
        enabled = self.config.patterns.enabled
        activations = self.config.architecture.activations
        allowed_names = {
            "target_pattern": enabled,
            "best_pattern": enabled,
            "activation": activations,
        }
        for name, allowed in allowed_names.items():
            if name in self.names:
                right = _are_in(self.records[name], allowed)
                self.require(name, right, f"one of {', '.join(allowed)}")
        if "selected_patterns" in self.names:
            column = self.records["selected_patterns"].combine_chunks()
            lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
            known = _are_in(column.flatten(), enabled)
            wrong = np.repeat(np.arange(len(column)), lengths)[~known]
            right = (lengths > 0) & ~np.isin(np.arange(len(column)), wrong)
            self.require("selected_patterns", right, f"some of {', '.join(enabled)}")

    def responses(self) -> None:
        """Shares are numbers from 0 to 1, and those of other patterns are null."""
        enabled = self.config.patterns.enabled
        column = self.records["response"].combine_chunks()
        right = ~stray_responses(self.records, enabled)
        for name in enabled:
            shares = column.field(name).to_numpy(zero_copy_only=False)
            right &= (shares >= 0) & (shares <= 1)
        allowed = f"shares from 0 to 1 of the enabled patterns, {', '.join(enabled)}, and null else"
        self.require("response", right, allowed)

    def list_lengths(self) -> None:
        """Lists have the numbers that each network needs."""
        population = Population(recorded_networks(self.records, self.config))
        weights = np.diff(population.offsets)
        signature = population.neurons * _columns(self.config)
        needed = {
            "weights": weights,
            "degraded_weights": weights,
            "signature": signature,
            "degraded_signature": signature,
        }
        for name, lengths in needed.items():
            if name in self.names:
                self.list_length(name, lengths)
        if "history" in self.names:
            self.history_lengths()

    def list_length(self, name: str, needed: NDArray[np.int64]) -> None:
        """Fails where a list has not as many numbers as are needed, `(rows,)`."""
        found = _lengths(self.records, name)
        wrong = np.flatnonzero(found != needed)
        if len(wrong):
            row = int(wrong[0])
            self.fail(row, f"{name} has {found[row]} numbers; its network needs {needed[row]}")

    def history_lengths(self) -> None:
        """Histories are of whole epochs, and have those of the degraded stage."""
        found = _lengths(self.records, "history")
        least = EPOCH_NUMBERS * self.records["degraded_epochs"].to_numpy().astype(np.int64)
        wrong = np.flatnonzero((found % EPOCH_NUMBERS != 0) | (found < least))
        if len(wrong):
            row = int(wrong[0])
            self.fail(
                row,
                f"history has {found[row]} numbers; it must have {EPOCH_NUMBERS} for each epoch "
                f"and at least {least[row]}",
            )

    def finite_lists(self, name: str) -> None:
        """Fails where a list has a number that is not finite."""
        values, offsets = lists(self.records, name)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            row = int(np.searchsorted(offsets, wrong[0], side="right")) - 1
            self.fail(row, f"{name} has {values[wrong[0]]}; its numbers must be finite")


def _as_schema(records: pa.Table, config: Config) -> pa.Table:
    """Records with the types of the schema."""
    schema = subject_schema(config)
    return records.cast(pa.schema([schema.field(name) for name in records.column_names]))


def _are_in(values: pa.Array | pa.ChunkedArray, allowed: Sequence[str]) -> NDArray[np.bool_]:
    """Which texts are among the allowed ones."""
    known = pc.is_in(values, pa.array(allowed, pa.string()))
    return np.asarray(known.to_numpy(zero_copy_only=False), np.bool_)


def _lengths(records: pa.Table, name: str) -> NDArray[np.int64]:
    """Numbers in each list of a column, int64 `(rows,)`."""
    _, offsets = lists(records, name)
    return np.diff(offsets)
