"""Gathers a sweep: one row per job, with intervals and differences paired by subject."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from muat_exp.generation.outcomes import TRAINED
from muat_exp.score.intervals import student
from muat_exp.sweep.jobs import (
    FINISHED,
    Job,
    job_folder,
    number_or_text,
    objective,
    read_jobs,
    read_summary,
    swept_keys,
)

_ACCURACIES = ("degraded_accuracy", "improved_accuracy", "test_accuracy")
_COUNTS = ("attempts", "accepted", "acceptance")
_UNPAIRED = {
    "paired_difference": math.nan,
    "paired_low": math.nan,
    "paired_high": math.nan,
    "paired_subjects": 0,
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A gathered sweep.

    Attributes:
        folder: the multirun's folder.
        jobs: all jobs, finished or not.
        keys: what was swept.
        rows: one for each finished job, as `sweep.json` holds them.
    """

    folder: Path
    jobs: list[Job]
    keys: list[str]
    rows: list[Row]


def interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean and its 95 % interval by Student's t; NaN where there are too few values.

    >>> mean, low, high = interval(np.array([1.0, 2.0, 3.0]))
    >>> round(mean, 3), round(low, 3), round(high, 3)
    (2.0, -0.484, 4.484)
    """
    mean = float(values.mean()) if len(values) else math.nan
    low, high = student(values) or (math.nan, math.nan)
    return mean, low, high


def trained_improvements(run: Path) -> dict[int, float]:
    """Improvement of every attempt that went through both stages, by attempt number."""
    improvements: dict[int, float] = {}
    for path in sorted((run / "cohorts").glob("cohort-*.arrow")):
        improvements |= _improvements_of(path)
    return improvements


def _improvements_of(cohort: Path) -> dict[int, float]:
    """Improvement of the attempts of one cohort's file that went through both stages."""
    table = pa.ipc.open_file(pa.memory_map(str(cohort))).read_all()
    numbers = table["example_id"].to_pylist()
    outcomes = table["outcome"].to_pylist()
    improvements = table["improvement"].to_pylist()
    return {
        number: improvement
        for number, outcome, improvement in zip(numbers, outcomes, improvements, strict=True)
        if outcome in TRAINED
    }


def _paired_difference(run: Path, reference: Path) -> Row:
    """Mean difference in improvement to the reference, over attempts trained in both jobs."""
    here = trained_improvements(run)
    there = trained_improvements(reference)
    both = sorted(here.keys() & there.keys())
    differences = np.array([here[number] - there[number] for number in both])
    mean, low, high = interval(differences)
    return {
        "paired_difference": mean,
        "paired_low": low,
        "paired_high": high,
        "paired_subjects": len(both),
    }


def _job_row(sweep: Path, job: Job, keys: Sequence[str]) -> Row:
    """What one finished job found."""
    run = job_folder(sweep, job)
    summary = read_summary(run)
    accepted = _accepted_improvements(run)
    mean, low, high = interval(accepted.improvement)
    values = job.values
    return {
        "job": job.number,
        **{key: number_or_text(values.get(key, "")) for key in keys},
        **{key: summary[key] for key in _COUNTS},
        **{key: summary["accuracy"][key] for key in _ACCURACIES},
        "improvement": mean,
        "improvement_low": low,
        "improvement_high": high,
        "objective": objective(summary),
        "attempts_per_second": summary["attempts_per_second"],
        "seconds": summary["seconds"]["total"],
        "rejected": summary["rejected"],
        "patterns": _pattern_rows(summary["patterns"], accepted),
    }


class _Accepted(NamedTuple):
    """The accepted subjects of a job, each with its target pattern and its improvement."""

    pattern: NDArray[np.object_]
    improvement: NDArray[np.float64]


def _accepted_improvements(run: Path) -> _Accepted:
    """Reads them from the run's dataset."""
    columns = ["target_pattern", "improvement"]
    table = pq.read_table(run / "dataset" / "subjects", columns=columns)
    patterns = np.array(table["target_pattern"].to_pylist(), object)
    return _Accepted(patterns, table["improvement"].to_numpy())


def _pattern_rows(counts: Mapping[str, Row], accepted: _Accepted) -> dict[str, Row]:
    """What one job found of each pattern."""
    rows = {}
    for name, counted in counts.items():
        of_pattern = accepted.improvement[accepted.pattern == name]
        rows[name] = _pattern_row(counted, of_pattern)
    return rows


def _pattern_row(counts: Row, improvement: NDArray[np.float64]) -> Row:
    """What one job found of one pattern: counts and the improvement of the accepted."""
    attempts = counts["attempts"]
    mean, low, high = interval(improvement)
    return {
        "attempts": attempts,
        "acceptance": counts["accepted"] / max(1, attempts),
        "improvement": mean,
        "low": low,
        "high": high,
    }


def main_key(rows: Sequence[Row], keys: Sequence[str]) -> str:
    """The swept key along the axis: the numeric one with the most values, else the first."""
    varied = [key for key in keys if key != "seed"] or list(keys)  # seeds are repetitions
    numeric = [key for key in varied if _is_numeric(rows, key)]
    candidates = numeric or varied[:1] or ["job"]
    return max(candidates, key=lambda key: _count_values(rows, key))


def _count_values(rows: Sequence[Row], key: str) -> int:
    """How many different values a swept key has."""
    return len({row[key] for row in rows})


def _is_numeric(rows: Sequence[Row], key: str) -> bool:
    """Whether every job has a number for a swept key."""
    return all(isinstance(row[key], int | float) for row in rows)


def _add_pairs(sweep: Path, rows: list[Row], keys: Sequence[str]) -> None:
    """Adds each row's paired difference to the first value of the main key, others being equal."""
    main = main_key(rows, keys)
    if main == "seed":  # other seeds make other subjects: nothing is paired
        for row in rows:
            row.update(_UNPAIRED, paired_with=row["job"])
        return
    others = [key for key in keys if key != main]
    references: dict[tuple[Any, ...], int] = {}  # the first job by the values of the other keys
    for row in rows:
        values = tuple(row[key] for key in others)
        reference = references.setdefault(values, row["job"])
        paired = _paired_difference(sweep / str(row["job"]), sweep / str(reference))
        row.update(paired, paired_with=reference)


def gather(folder: Path) -> Sweep:
    """Reads all jobs of a sweep.

    Raises:
        SweepError: the folder holds no sweep.
    """
    jobs = read_jobs(folder)
    keys = swept_keys(jobs)
    rows = [_job_row(folder, job, keys) for job in jobs if job.status == FINISHED]
    if rows:
        _add_pairs(folder, rows, keys)
    return Sweep(folder, jobs, keys, rows)
