"""Predictions: an interpreter's answers in a JSONL or Parquet file, read one at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from muat_exp.config.groups import PROMPT_TASKS
from muat_exp.dataset.parquet import open_parquet
from muat_exp.errors import DatasetError, PredictionsError, first_line, shown
from muat_exp.opening import open_file, reason
from muat_exp.prompts.parsing import LONGEST_TEXT
from muat_exp.score.column_types import check_types, is_identity, is_text

CLASSIFICATION, MODIFICATION = PROMPT_TASKS
_MAX_LINE_BYTES = LONGEST_TEXT
_MAX_NAMES_LENGTH = 10_000  # characters of a completion that is kept to look for pattern names
_ROWS_PER_BATCH = 64  # of a Parquet file, in memory at a time
_MAX_SHOWN = 40  # characters of a wrong value in an error's sentence
_WEIGHTS_MARK = '"network.'  # stands in every JSON object of weights
_REQUIRED = ("example_id", "completion")
_COLUMNS = {"example_id": is_identity, "completion": is_text, "task": is_text}


class _Prediction(NamedTuple):
    """One answer.

    Attributes:
        location: the line or row of the file that it stands in.
        example_id: which example it answers, as text.
        kind: "classification" or "modification", empty where the file does not say.
        completion: the answer; empty for null, which no task can read.
    """

    location: str
    example_id: str
    kind: str
    completion: str


@dataclass(frozen=True)
class Survey:
    """What a file of predictions holds.

    Attributes:
        path: the file.
        default: the kind of the rows that name none.
        locations: by kind and example, the line or row.
        names: by example, the classification answers; empty for one that is too long to be names.
    """

    path: Path
    default: str
    locations: dict[str, dict[str, str]]
    names: dict[str, str]

    def weights(self) -> Iterator[tuple[str, str]]:
        """Example and completion of the modification answers, read from the file again."""
        for prediction in _read_predictions(self.path):
            kind = prediction.kind or self.default
            if kind == MODIFICATION:
                yield prediction.example_id, prediction.completion

    def check_known(self, kind: str, examples: dict[str, int]) -> None:
        """Raises `PredictionsError` for an answer to an example that the dataset does not have."""
        for example, location in self.locations[kind].items():
            if example not in examples:
                shown = example[:_MAX_SHOWN]
                raise _fault(self.path, location, f"the dataset has no example_id {shown}.")


def survey(path: Path) -> Survey:
    """Goes through a file of predictions.

    The column `task` says what each row answers. Rows without it are classification answers where
    other rows have it. In a file without it all rows answer one task: modification if at least half
    of the completions hold `"network.`, as JSON objects of weights do, else classification.

    Raises:
        PredictionsError: the file is absent or broken, or two rows answer the same.
    """
    rows: list[_Prediction] = []
    with_weights = 0
    for prediction in _read_predictions(path):
        with_weights += _WEIGHTS_MARK in prediction.completion
        rows.append(_without_long_completion(prediction))
    if not rows:
        raise PredictionsError(f"{path} holds no predictions.")
    default = _default_kind(rows, with_weights)
    rows = [row._replace(kind=row.kind or default) for row in rows]
    locations = _locations(path, rows)
    names = {row.example_id: row.completion for row in rows if row.kind == CLASSIFICATION}
    return Survey(path, default, locations, names)


def _without_long_completion(prediction: _Prediction) -> _Prediction:
    """The prediction, but without a completion that can only be weights: those fill the memory."""
    if len(prediction.completion) <= _MAX_NAMES_LENGTH:
        return prediction
    return prediction._replace(completion="")


def _default_kind(rows: Sequence[_Prediction], with_weights: int) -> str:
    """What rows that name no task answer, where `with_weights` completions look like weights."""
    some_say = any(row.kind for row in rows)
    mostly_weights = 2 * with_weights >= len(rows)
    if mostly_weights and not some_say:
        return MODIFICATION
    return CLASSIFICATION


def _locations(path: Path, rows: Sequence[_Prediction]) -> dict[str, dict[str, str]]:
    """By kind and example, the line or row; raises where two rows answer the same."""
    locations: dict[str, dict[str, str]] = {}
    for row in rows:
        answered = locations.setdefault(row.kind, {})
        earlier = answered.setdefault(row.example_id, row.location)
        if earlier != row.location:
            shown = row.example_id[:_MAX_SHOWN]
            sentence = f"example_id {shown} was answered before, in {earlier} ({row.kind})."
            raise _fault(path, row.location, sentence)
    return locations


def _read_predictions(path: Path) -> Iterator[_Prediction]:
    """The predictions of a `.jsonl` or `.parquet` file.

    Raises:
        PredictionsError: the file is absent, of another kind or broken; names the line or row.
    """
    if not path.exists():
        raise PredictionsError(f"predictions={path}: there is no such file.")
    readers = {".jsonl": _read_lines, ".parquet": _read_rows}
    if path.suffix not in readers:
        raise PredictionsError(f"predictions={path}: its name must end in .jsonl or .parquet.")
    try:
        for location, values in readers[path.suffix](path):
            yield _checked(path, location, values)
    except PredictionsError:
        raise
    except DatasetError as error:
        raise PredictionsError(f"{path}: {error}") from error
    except OSError as error:
        raise PredictionsError(f"{path} can't be read: {reason(error)}.") from error
    except (pa.ArrowException, ValueError) as error:
        raise PredictionsError(f"{path} can't be read: {first_line(error)}.") from error


def _read_lines(path: Path) -> Iterator[tuple[str, object]]:
    """Lines of a JSONL file and what they hold; empty ones are left out."""
    number = 0
    with open_file(path) as file:
        while line := file.readline(_MAX_LINE_BYTES + 1):
            number += 1
            location = f"line {number}"
            if len(line) > _MAX_LINE_BYTES:
                sentence = f"the line has more than {_MAX_LINE_BYTES} bytes."
                raise _fault(path, location, sentence)
            if line.strip():
                yield location, _parse_line(path, location, line)


def _parse_line(path: Path, location: str, line: bytes) -> object:
    """What a line holds."""
    try:
        values: object = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _fault(path, location, f"this is not JSON: {error.msg}.") from error
    return values


def _read_rows(path: Path) -> Iterator[tuple[str, object]]:
    """Rows of a Parquet file and what they hold; equal texts are in memory once."""
    number = 0
    with open_parquet(path, columns=_COLUMNS, dictionaries=_COLUMNS) as file:
        columns = _columns_to_read(path, file.schema_arrow.names)
        check_types(
            path, file.schema_arrow, {name: _COLUMNS[name] for name in columns}, PredictionsError
        )
        for batch in file.iter_batches(_ROWS_PER_BATCH, columns=columns):
            for row in range(batch.num_rows):
                number += 1
                yield f"row {number}", {name: batch[name][row].as_py() for name in columns}


def _columns_to_read(path: Path, there: list[str]) -> list[str]:
    """The columns that a prediction is made from, of those that are there."""
    for name in _REQUIRED:
        if name not in there:
            listed = ", ".join(there[:20])
            raise PredictionsError(f"{path}: the column {name} is missing; it has {listed}.")
    columns = list(_REQUIRED)
    if "task" in there:
        columns.append("task")
    return columns


def _checked(path: Path, location: str, values: object) -> _Prediction:
    """One row as a prediction."""
    if not isinstance(values, dict):
        sentence = "it must be a JSON object with example_id and completion."
        raise _fault(path, location, sentence)
    for name in _REQUIRED:
        if name not in values:
            raise _fault(path, location, f"{name} is missing.")
    sentence = _wrong_value(values)
    if sentence:
        raise _fault(path, location, sentence)
    kind = values.get("task") or ""
    return _Prediction(location, str(values["example_id"]), kind, values["completion"] or "")


def _wrong_value(values: dict[str, Any]) -> str:
    """A sentence about the first value that is of a wrong type or unknown; empty where all fit."""
    example = values["example_id"]
    completion = values["completion"]
    kind = values.get("task")
    if type(example) not in (int, str):
        return f"example_id is {shown(example)}; it must be a whole number or a text."
    if completion is not None and not isinstance(completion, str):
        return f"completion is {shown(completion)}; it must be a text or null."
    if kind is not None and kind not in PROMPT_TASKS:
        return f"task is {shown(kind)}; it must be {' or '.join(PROMPT_TASKS)}."
    return ""


def _fault(path: Path, location: str, sentence: str) -> PredictionsError:
    """The error about one line or row."""
    return PredictionsError(f"{path}, {location}: {sentence}")
