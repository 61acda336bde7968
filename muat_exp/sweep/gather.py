"""Gathers a sweep: one row per job, with intervals and differences paired by subject."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
_IMPROVEMENT = ("improvement", "improvement_low", "improvement_high")
_PAIRED = ("paired_difference", "paired_low", "paired_high")
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
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        names = ("example_id", "outcome", "improvement")
        columns = [table[name].to_pylist() for name in names]
        for number, outcome, improvement in zip(*columns, strict=True):
            if outcome in TRAINED:
                improvements[number] = improvement
    return improvements


def _paired_difference(run: Path, reference: Path) -> Row:
    """Mean difference in improvement to the reference, over attempts trained in both jobs."""
    here = trained_improvements(run)
    there = trained_improvements(reference)
    both = sorted(here.keys() & there.keys())
    differences = np.array([here[number] - there[number] for number in both])
    paired = dict(zip(_PAIRED, interval(differences), strict=True))
    return {**paired, "paired_subjects": len(both)}


def _job_row(sweep: Path, job: Job, keys: Sequence[str]) -> Row:
    """What one finished job found."""
    run = job_folder(sweep, job)
    summary = read_summary(run)
    columns = ["target_pattern", "improvement"]
    table = pq.read_table(run / "dataset" / "subjects", columns=columns)
    improvement = table["improvement"].to_numpy()
    names = np.array(table["target_pattern"].to_pylist(), object)
    swept = {key: number_or_text(job.values.get(key, "")) for key in keys}
    counts = {key: summary[key] for key in ("attempts", "accepted", "acceptance")}
    accuracies = {key: summary["accuracy"][key] for key in _ACCURACIES}
    mean = dict(zip(_IMPROVEMENT, interval(improvement), strict=True))
    patterns = {
        name: _pattern_row(row, improvement[names == name])
        for name, row in summary["patterns"].items()
    }
    return {
        "job": job.number,
        **swept,
        **counts,
        **accuracies,
        **mean,
        "objective": objective(summary),
        "attempts_per_second": summary["attempts_per_second"],
        "seconds": summary["seconds"]["total"],
        "rejected": summary["rejected"],
        "patterns": patterns,
    }


def _pattern_row(counts: Row, improvement: NDArray[np.float64]) -> Row:
    """What one job found of one pattern: counts and the improvement of the accepted."""
    mean, low, high = interval(improvement)
    return {
        "attempts": counts["attempts"],
        "acceptance": counts["accepted"] / max(1, counts["attempts"]),
        "improvement": mean,
        "low": low,
        "high": high,
    }


def main_key(rows: Sequence[Row], keys: Sequence[str]) -> str:
    """The swept key along the axis: the numeric one with the most values, else the first."""
    varied = [key for key in keys if key != "seed"] or list(keys)  # seeds are repetitions
    numeric = [key for key in varied if _is_numeric(rows, key)]
    candidates = numeric or varied[:1] or ["job"]
    return max(candidates, key=lambda key: len({row[key] for row in rows}))


def _is_numeric(rows: Sequence[Row], key: str) -> bool:
    """Whether every job has a number for a swept key."""
    return all(isinstance(row[key], int | float) for row in rows)


def _add_pairs(sweep: Path, rows: list[Row], keys: Sequence[str]) -> None:
    """Adds each row's paired difference to the first value of the main key, others being equal."""
    main = main_key(rows, keys)
    if main == "seed":  # other seeds make other subjects: nothing is paired
        nothing = dict.fromkeys(_PAIRED, math.nan)
        for row in rows:
            row.update(nothing, paired_subjects=0, paired_with=row["job"])
        return
    references: dict[
        tuple[Any, ...], int
    ] = {}  # number of the first job, by the other keys' values
    for row in rows:
        others = tuple(row[key] for key in keys if key != main)
        reference = references.setdefault(others, row["job"])
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
