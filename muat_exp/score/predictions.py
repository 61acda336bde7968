"""Predictions: an interpreter's answers in a JSONL or Parquet file, read one at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from muat_exp.config.groups import PROMPT_TASKS
from muat_exp.errors import PredictionsError

CLASSIFICATION, MODIFICATION = PROMPT_TASKS
_LONGEST = 64 * 2**20  # bytes of a line, as many as `dataset.parsing` reads of a text
_NAMES = 10_000  # characters of an answer that are kept to look for pattern names
_ROWS = 64  # rows of a Parquet file read at a time
WEIGHTS = '"network.'  # stands in every JSON object of weights


class _Prediction(NamedTuple):
    """One answer.

    Attributes:
        place: the line or row of the file that it stands in.
        example_id: which example it answers, as text.
        task: "classification" or "modification", empty where the file does not say.
        completion: the answer.
    """

    place: str
    example_id: str
    task: str
    completion: str


@dataclass(frozen=True)
class Survey:
    """What a file of predictions holds.

    Attributes:
        path: the file.
        default: the task of the rows that name none.
        places: by task and example, the line or row.
        names: by example, the classification answers; of longer ones than `_NAMES` characters nothing.
    """

    path: Path
    default: str
    places: dict[str, dict[str, str]]
    names: dict[str, str]

    def weights(self) -> Iterator[tuple[str, str]]:
        """Example and completion of the modification answers, read from the file again."""
        for prediction in _read_predictions(self.path):
            if (prediction.task or self.default) == MODIFICATION:
                yield prediction.example_id, prediction.completion

    def check_known(self, task: str, examples: dict[str, int]) -> None:
        """Raises `PredictionsError` for an answer to an example that the dataset does not have."""
        for example, place in self.places[task].items():
            if example not in examples:
                raise PredictionsError(
                    f"{self.path}, {place}: the dataset has no example_id {example[:40]}."
                )


def survey(path: Path) -> Survey:
    """Goes through a file of predictions.

    The column `task` says what each row answers. Rows without it are classification answers where other rows have it.
    In a file without it all rows answer one task: modification if at least half of the completions hold `"network.`, as
    JSON objects of weights do, else classification.

    Raises:
        PredictionsError: the file is absent or broken, or two rows answer the same.
    """
    rows: list[tuple[str, str, str]] = []
    short: list[str] = []
    weighty = 0
    named = False
    for place, example, task, completion in _read_predictions(path):
        rows.append((place, example, task))
        short.append(completion if len(completion) <= _NAMES else "")
        weighty += WEIGHTS in completion
        named |= bool(task)
    if not rows:
        raise PredictionsError(f"{path} holds no predictions.")
    default = MODIFICATION if not named and 2 * weighty >= len(rows) else CLASSIFICATION
    places: dict[str, dict[str, str]] = {}
    names = {}
    for (place, example, task), completion in zip(rows, short, strict=True):
        task = task or default
        earlier = places.setdefault(task, {}).setdefault(example, place)
        if earlier != place:
            raise PredictionsError(
                f"{path}, {place}: example_id {example[:40]} was answered before, in {earlier} ({task})."
            )
        if task == CLASSIFICATION:
            names[example] = completion
    return Survey(path, default, places, names)


def _read_predictions(path: Path) -> Iterator[_Prediction]:
    """The predictions of a `.jsonl` or `.parquet` file.

    Raises:
        PredictionsError: the file is absent, of another kind or broken; names the line or row.
    """
    if not path.is_file():
        raise PredictionsError(f"predictions={path}: there is no such file.")
    readers = {".jsonl": _read_lines, ".parquet": _read_rows}
    if path.suffix not in readers:
        raise PredictionsError(f"predictions={path}: its name must end in .jsonl or .parquet.")
    try:
        for place, values in readers[path.suffix](path):
            yield _checked(path, place, values)
    except (OSError, pa.ArrowException) as error:
        raise PredictionsError(f"{path} can't be read: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """The first line of an error's text."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _read_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Lines of a JSONL file, empty ones left out."""
    number = 0
    with path.open("rb") as file:
        while line := file.readline(_LONGEST + 1):
            number += 1
            if len(line) > _LONGEST:
                raise PredictionsError(
                    f"{path}, line {number}: the line has more than {_LONGEST} bytes."
                )
            if line.strip():
                try:
                    yield f"line {number}", orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise PredictionsError(
                        f"{path}, line {number}: this is not JSON: {error.msg}."
                    ) from error


def _read_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Rows of a Parquet file."""
    with pq.ParquetFile(path) as file:
        there = file.schema_arrow.names
        columns = [name for name in ("example_id", "task", "completion") if name in there]
        for name in ("example_id", "completion"):
            if name not in columns:
                raise PredictionsError(
                    f"{path}: the column {name} is missing; it has {', '.join(there[:20])}."
                )
        number = 0
        for batch in file.iter_batches(_ROWS, columns=columns):
            for values in batch.to_pylist():
                number += 1
                yield f"row {number}", values


def _checked(path: Path, place: str, values: Any) -> _Prediction:
    """One row as a prediction."""
    if not isinstance(values, dict):
        raise PredictionsError(
            f"{path}, {place}: it must be a JSON object with example_id and completion."
        )
    for name in ("example_id", "completion"):
        if name not in values:
            raise PredictionsError(f"{path}, {place}: {name} is missing.")
    example = values["example_id"]
    task = values.get("task")
    completion = values["completion"]
    if type(example) not in (int, str):
        raise PredictionsError(
            f"{path}, {place}: example_id is {example!r:.40}; it must be a whole number or a text."
        )
    if not isinstance(completion, str):
        raise PredictionsError(
            f"{path}, {place}: completion is {completion!r:.40}; it must be a text."
        )
    if task is not None and task not in PROMPT_TASKS:
        raise PredictionsError(
            f"{path}, {place}: task is {task!r:.40}; it must be {CLASSIFICATION} or {MODIFICATION}."
        )
    return _Prediction(place, str(example), task or "", completion)
