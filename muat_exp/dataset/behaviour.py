"""What every subject of a dataset answers to every sequence of its space, as bits."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.column_names import BEHAVIOUR
from muat_exp.dataset.parquet import Bounds, all_shards, open_parquet
from muat_exp.dataset.records import check_schema
from muat_exp.dataset.schema import behaviour_schema
from muat_exp.errors import DatasetError, first_line

_BYTE = 8  # bits
_Bits = NDArray[np.bool_]


class Answers:
    """The answers of S subjects to all N sequences; unpacked when they are asked for.

    `answers[3]` is bool `(N,)`, True where the subject calls a sequence positive, `answers[:5]` or
    `answers[[1, 4]]` bool `(n, N)`; `numpy.asarray(answers)` unpacks all of them, a byte for each.

    Attributes:
        packed: uint8 `(S, N / 8 rounded up)`, as `numpy.packbits` gives them.
        shape: (S, N).
    """

    def __init__(self, packed: NDArray[np.uint8], vocab_size: int, length: int) -> None:
        self.packed = packed
        self.shape = (len(packed), vocab_size**length)
        self._space = (vocab_size, length)

    @property
    def sequences(self) -> NDArray[np.uint8]:
        """The tokens of the sequences, uint8 `(N, L)`, in lexicographic order."""
        from muat_exp.sequences.space import all_sequences

        return all_sequences(*self._space)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[_Bits]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, index: int | slice | Sequence[int] | NDArray[Any]) -> _Bits:
        """The bits of one subject `(N,)`, or of several ones `(n, N)`."""
        return np.unpackbits(self.packed[index], axis=-1, count=self.shape[1]).view(np.bool_)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """All bits, `(S, N)`."""
        return self[:].astype(dtype or np.bool_, copy=False)

    def __repr__(self) -> str:
        return f"Answers({self.shape[0]} subjects, {self.shape[1]} sequences)"


def bytes_of_answers(config: Config) -> int:
    """Bytes of one subject's answers."""
    return -(-config.patterns.space_size // _BYTE)


def behaviour_bounds(config: Config) -> Bounds:
    """What the `behaviour` files of a dataset may hold."""
    return Bounds(config.dataset.num_examples, 1, bytes_of_answers(config))


def read_answers(folder: Path, config: Config, ids: NDArray[np.int64]) -> Answers:
    """The answers of a dataset's subjects.

    Args:
        folder: the dataset's.
        config: its configuration.
        ids: int64 `(S,)`, the subjects' numbers in the order of `subjects`.

    Raises:
        DatasetError: the dataset has none, or they are not those of its subjects.
    """
    if not config.dataset.behaviour:
        raise DatasetError(
            f"{folder} holds no behaviour, since its dataset.behaviour is false; "
            "`task=measure dataset.behaviour=true` makes a dataset that does."
        )
    packed = np.zeros((len(ids), bytes_of_answers(config)), np.uint8)
    count = 0
    for name, table in _tables(folder, config):
        numbers = table["example_id"].to_numpy()
        stop = count + len(numbers)
        if not np.array_equal(numbers, ids[count:stop]):
            raise DatasetError(f"{name} does not hold the examples that subjects does.")
        packed[count:stop] = _unbound(table, name, packed.shape[1])
        count = stop
    if count < len(ids):
        raise DatasetError(f"{folder}: behaviour has {count} examples, subjects {len(ids)}.")
    return Answers(packed, config.patterns.vocab_size, config.patterns.sequence_length)


def check_behaviour(folder: Path, config: Config) -> None:
    """Reads the `behaviour` of a dataset, where it has one, some of it at a time.

    Raises:
        DatasetError: something can't be read, or is not what the configuration gives.
    """
    if config.dataset.behaviour:
        for name, table in _tables(folder, config):
            _unbound(table, name, bytes_of_answers(config))


def _tables(folder: Path, config: Config) -> Iterator[tuple[str, pa.Table]]:
    """The row groups of the files, each with what sentences call its file."""
    for path in all_shards(folder, BEHAVIOUR):
        name = f"{folder}: {path.parent.name}/{path.name}"
        schema = behaviour_schema()
        file = open_parquet(path, folder, behaviour_bounds(config), schema.names)
        check_schema(file.schema_arrow, schema, name)
        try:
            for group in range(file.num_row_groups):
                yield name, file.read_row_group(group, columns=schema.names)
        except (OSError, pa.ArrowException, ValueError) as error:
            raise DatasetError(f"{name} can't be read: {first_line(error)}.") from error


def _unbound(table: pa.Table, name: str, size: int) -> NDArray[np.uint8]:
    """The bytes of a table's answers, uint8 `(rows, size)`.

    Raises:
        DatasetError: an answer has another length.
    """
    rows = table[BEHAVIOUR].to_pylist()
    wrong = [row for row in rows if row is None or len(row) != size]
    if wrong or table["example_id"].null_count:
        raise DatasetError(f"{name}: behaviour must have {size} bytes for each example.")
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), size)
