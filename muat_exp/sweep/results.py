"""What one job of a sweep found, read from its folder and checked: a result, or a sentence."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from orjson import JSONDecodeError

from muat_exp.config.identity import config_signature
from muat_exp.dataset.checksums import CHECKSUMS, differences, read_checksums
from muat_exp.dataset.parquet import open_parquet, shards
from muat_exp.errors import RunFolderError, SweepError
from muat_exp.generation.manifest import Manifest
from muat_exp.generation.outcomes import REASONS, TRAINED
from muat_exp.generation.run_folder import load_run_config
from muat_exp.score.intervals import student
from muat_exp.sweep.stored import Fields, read_json, require_file

_ACCURACIES = ("degraded_accuracy", "improved_accuracy", "test_accuracy")
# What a dataset's own summary says, too, which has a checksum.
_SUMMARISED = ("accepted", "attempts", "acceptance", "rejected", "accuracy", "patterns")


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % interval; NaN where there are too few values.

    Attributes:
        value: the mean.
        low: the lower end of the interval.
        high: the upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PatternResult:
    """What a job found of one pattern.

    Attributes:
        attempts: at it.
        acceptance: the share of them that was accepted; 0 where there were none.
        improvement: of the accepted.
    """

    attempts: int
    acceptance: float
    improvement: Mean


@dataclass(frozen=True)
class Result:
    """What a job found.

    Attributes:
        attempts: those that were needed.
        accepted: how many of them were.
        acceptance: their share.
        rejected: how many were not, by reason.
        accuracies: means over the accepted, by name.
        improvement: of the accepted.
        objective: acceptance times improvement.
        attempts_per_second: over the whole pipeline; 0 where nothing was trained.
        seconds: that the run took.
        patterns: by name.
    """

    attempts: int
    accepted: int
    acceptance: float
    rejected: dict[str, int]
    accuracies: dict[str, float]
    improvement: Mean
    objective: float
    attempts_per_second: float
    seconds: float
    patterns: dict[str, PatternResult]


@dataclass(frozen=True)
class Improvements:
    """The attempts of a job that went through both stages.

    Attributes:
        numbers: of the attempts, int64 `(N,)`, increasing.
        values: improved minus degraded accuracy, float64 `(N,)`.
    """

    numbers: NDArray[np.int64]
    values: NDArray[np.float64]


def interval(values: NDArray[np.float64]) -> Mean:
    """Mean and its 95 % interval by Student's t; NaN where there are too few values.

    >>> found = interval(np.array([1.0, 2.0, 3.0]))
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (2.0, -0.484, 4.484)
    """
    mean = float(values.mean()) if len(values) else math.nan
    low, high = student(values) or (math.nan, math.nan)
    return Mean(mean, low, high)


def read_result(run: Path) -> Result:
    """What the job in a folder found, once its files are as they were written.

    Raises:
        MuatError: a file is missing, damaged, or of another run; it names the file.
    """
    path = run / "summary.json"
    summary = Fields(path, read_json(path))
    _require_own(run, summary)
    accepted = summary.count("accepted")
    if accepted:
        _require_dataset(run, summary)
    found = _read_accepted(run / "dataset")
    if len(found.improvement) != accepted:
        raise SweepError(
            f"{path} is damaged: accepted is {accepted}; the dataset has "
            f"{len(found.improvement)} examples."
        )
    accuracy = summary.part("accuracy")
    acceptance = summary.share("acceptance")
    improvement = accuracy.mean("improvement")
    return Result(
        attempts=summary.count("attempts"),
        accepted=accepted,
        acceptance=acceptance,
        rejected=_rejected(summary.part("rejected")),
        accuracies={name: accuracy.mean(name) for name in _ACCURACIES},
        improvement=interval(found.improvement),
        objective=0.0 if math.isnan(improvement) else acceptance * improvement,
        attempts_per_second=summary.amount("attempts_per_second"),
        seconds=summary.part("seconds").amount("total"),
        patterns=_pattern_results(summary.part("patterns"), found),
    )


def _require_own(run: Path, summary: Fields) -> None:
    """Raises `MuatError` where a summary is not that of the configuration beside it."""
    path = run / "config.json"
    stored = Fields(path, read_json(path)).text("config_signature")
    if config_signature(load_run_config(run)) != stored:
        raise SweepError(f"{path} is damaged: its config_signature is that of another one.")
    if summary.text("config_signature") != stored:
        raise SweepError(f"{run / 'summary.json'} is of another configuration than config.json.")


def _require_dataset(run: Path, summary: Fields) -> None:
    """Raises `SweepError` where a file of a dataset is missing, or not as it was written."""
    dataset = run / "dataset"
    if not dataset.is_dir():
        raise SweepError(f"{dataset} is missing.")
    try:
        require_file(dataset / CHECKSUMS)
        fault = _unlisted(dataset) or next(differences(dataset, with_new=False), "")
    except FileNotFoundError as error:
        raise SweepError(f"{error.filename} is missing.") from error
    except OSError as error:
        raise SweepError(f"{dataset} can't be read: {error.strerror}.") from error
    if fault:
        raise SweepError(f"{dataset}: {fault}")
    path = dataset / "summary.json"
    checked = Fields(path, read_json(path))
    for name in _SUMMARISED:
        if not summary.agrees(checked, name):
            raise SweepError(f"{run / 'summary.json'} is damaged: {path} has another {name}.")


def _unlisted(dataset: Path) -> str:
    """What is wrong where a file that is going to be read has no checksum; else empty."""
    listed = read_checksums(dataset / CHECKSUMS)
    read = [dataset / "summary.json", *shards(dataset, "subjects")]
    missing = [path.name for path in read if path.relative_to(dataset).as_posix() not in listed]
    return f"{missing[0]} is not in {CHECKSUMS}." if missing else ""


def _rejected(counted: Fields) -> dict[str, int]:
    """How many attempts were rejected, by reason."""
    return {reason: counted.count(reason) for reason in REASONS}


@dataclass(frozen=True)
class _Accepted:
    """The accepted subjects of a job.

    Attributes:
        pattern: the target of each, texts `(S,)`.
        improvement: of each, float64 `(S,)`.
    """

    pattern: NDArray[np.object_]
    improvement: NDArray[np.float64]


def _read_accepted(dataset: Path) -> _Accepted:
    """Reads them from a run's dataset; none where there is no dataset."""
    patterns: list[str] = []
    improvements: list[NDArray[np.float64]] = [np.empty(0)]
    for path in shards(dataset, "subjects"):
        table = _read_columns(path, ["target_pattern", "improvement"])
        patterns += _column(path, table, "target_pattern", pa.string()).to_pylist()
        improvements.append(_column(path, table, "improvement", pa.float64()).to_numpy())
    return _Accepted(np.array(patterns, object), np.concatenate(improvements))


def _read_columns(path: Path, names: list[str]) -> pa.Table:
    """Some columns of a Parquet file."""
    file: pq.ParquetFile = open_parquet(path)
    try:
        return file.read(columns=names)
    except (OSError, pa.ArrowException) as error:
        raise SweepError(f"{path} can't be read: {error}") from error


def _column(path: Path, table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    """A column of a table as the type that it has to have, without nulls."""
    if table.column_names.count(name) != 1:
        raise SweepError(f"{path} is damaged: it has no column {name}.")
    column = table[name]
    try:
        cast = column.cast(kind)
    except pa.ArrowException as error:
        raise SweepError(f"{path} is damaged: {name} is {column.type}, not {kind}.") from error
    if cast.null_count:
        raise SweepError(f"{path} is damaged: {name} has nulls.")
    return cast


def _pattern_results(counts: Fields, accepted: _Accepted) -> dict[str, PatternResult]:
    """What one job found of each pattern."""
    return {name: _pattern_result(counts, name, accepted) for name in counts.names}


def _pattern_result(counts: Fields, name: str, accepted: _Accepted) -> PatternResult:
    """What one job found of one pattern: counts and the improvement of the accepted."""
    counted = counts.part(name)
    attempts = counted.count("attempts")
    return PatternResult(
        attempts=attempts,
        acceptance=counted.count("accepted") / max(1, attempts),
        improvement=interval(accepted.improvement[accepted.pattern == name]),
    )


def read_improvements(run: Path, attempts: int = 0) -> Improvements:
    """Improvement of every attempt that went through both stages, from files with their checksums.

    Args:
        run: a job's folder.
        attempts: how many its cohorts hold at least.

    Raises:
        MuatError: the manifest or a cohort's file is missing, or not as it was written.
    """
    path = run / "cohorts" / "manifest.jsonl"
    manifest = _read_manifest(path)
    parts = [_read_cohort(cohort) for cohort in _finished_cohorts(path.parent, manifest)]
    rows = sum(part.rows for part in parts)
    if rows < attempts or not parts:
        raise SweepError(f"{path} is damaged: it lists {rows} attempts of {attempts}.")
    numbers = np.concatenate([part.trained.numbers for part in parts])
    values = np.concatenate([part.trained.values for part in parts])
    order = np.argsort(numbers)
    return Improvements(numbers[order], values[order])


def _read_manifest(path: Path) -> Manifest:
    """The manifest of a run."""
    try:
        require_file(path)
        return Manifest(path)
    except FileNotFoundError as error:
        raise SweepError(f"{path} is missing.") from error
    except JSONDecodeError as error:
        raise SweepError(f"{path} is damaged: a line is no JSON.") from error
    except RunFolderError:
        raise
    except OSError as error:
        raise SweepError(f"{path} can't be read: {error.strerror}.") from error


def _finished_cohorts(folder: Path, manifest: Manifest) -> Iterator[Path]:
    """The files of all planned cohorts, each with the bytes that were written."""
    for number in range(len(manifest.plans)):
        path = folder / f"cohort-{number:06d}.arrow"
        try:
            intact = manifest.vouches_for(number, path)
        except OSError as error:
            raise SweepError(f"{path} can't be read: {error.strerror}.") from error
        if not intact:
            raise SweepError(f"{path} is missing, or not as it was written.")
        yield path


@dataclass(frozen=True)
class _Cohort:
    """What is read of a cohort: its number of attempts, and those that went through both stages."""

    rows: int
    trained: Improvements


def _read_cohort(path: Path) -> _Cohort:
    """Reads the file of a cohort."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowException) as error:
        raise SweepError(f"{path} can't be read: {error}") from error
    numbers = _column(path, table, "example_id", pa.int64()).to_numpy()
    outcomes = _column(path, table, "outcome", pa.string()).to_pylist()
    values = _column(path, table, "improvement", pa.float64()).to_numpy()
    trained = np.isin(np.array(outcomes, object), TRAINED)
    return _Cohort(table.num_rows, Improvements(numbers[trained], values[trained]))
