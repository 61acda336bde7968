"""Gathers a sweep: one row a job, with intervals over its subjects and differences paired by subject."""

import json
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
from muat_exp.sweep.jobs import FINISHED, Job, job_folder, number_or_text, read_jobs, swept_keys

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
    """Improvement of every attempt that went through both stages, accepted or not, by attempt number."""
    improvements: dict[int, float] = {}
    for path in sorted((run / "cohorts").glob("cohort-*.arrow")):
        table = (
            pa.ipc.open_file(pa.memory_map(str(path)))
            .read_all()
            .select(["example_id", "outcome", "improvement"])
        )
        for number, outcome, improvement in zip(
            *(column.to_pylist() for column in table.columns), strict=True
        ):
            if outcome in TRAINED:
                improvements[number] = improvement
    return improvements


def _paired_difference(run: Path, reference: Path) -> Row:
    """Mean difference in improvement to the reference, over the attempts that went through both stages in both jobs."""
    here = trained_improvements(run)
    there = trained_improvements(reference)
    both = sorted(here.keys() & there.keys())
    mean, low, high = interval(np.array([here[number] - there[number] for number in both]))
    return {
        "paired_difference": mean,
        "paired_low": low,
        "paired_high": high,
        "paired_subjects": len(both),
    }


def _job_row(sweep: Path, job: Job, keys: Sequence[str]) -> Row:
    """What one finished job found."""
    run = job_folder(sweep, job)
    summary = json.loads((run / "summary.json").read_bytes())
    columns = ["target_pattern", "improvement"]
    table = pq.read_table(run / "dataset" / "subjects", columns=columns)
    improvement = table["improvement"].to_numpy()
    mean, low, high = interval(improvement)
    names = np.array(table["target_pattern"].to_pylist(), object)
    patterns = {
        name: {"attempts": row["attempts"], "acceptance": row["accepted"] / max(1, row["attempts"])}
        | dict(
            zip(("improvement", "low", "high"), interval(improvement[names == name]), strict=True)
        )
        for name, row in summary["patterns"].items()
    }
    return (
        {"job": job.number}
        | {key: number_or_text(job.values.get(key, "")) for key in keys}
        | {key: summary[key] for key in ("attempts", "accepted", "acceptance")}
        | {
            key: summary["accuracy"][key]
            for key in ("degraded_accuracy", "improved_accuracy", "test_accuracy")
        }
        | {"improvement": mean, "improvement_low": low, "improvement_high": high}
        | {"objective": summary["acceptance"] * (summary["accuracy"]["improvement"] or 0.0)}
        | {
            "attempts_per_second": summary["attempts_per_second"],
            "seconds": summary["seconds"]["total"],
        }
        | {"rejected": summary["rejected"], "patterns": patterns}
    )


def main_key(rows: Sequence[Row], keys: Sequence[str]) -> str:
    """The swept key that goes along the axis: the numeric one with the most values, else the first."""
    keys = [key for key in keys if key != "seed"] or keys  # seeds are repetitions
    numeric = [key for key in keys if all(isinstance(row[key], int | float) for row in rows)]
    return max(numeric or keys[:1] or ["job"], key=lambda key: len({row[key] for row in rows}))


def _add_pairs(sweep: Path, rows: list[Row], keys: Sequence[str]) -> None:
    """Adds to each row its paired difference to the first value of the main key, all other swept keys being equal."""
    main = main_key(rows, keys)
    if main == "seed":  # other seeds make other subjects: nothing is paired
        for row in rows:
            row |= dict.fromkeys(_PAIRED, math.nan) | {
                "paired_subjects": 0,
                "paired_with": row["job"],
            }
        return
    references: dict[tuple[Any, ...], int] = {}
    for row in rows:
        reference = references.setdefault(
            tuple(row[key] for key in keys if key != main), row["job"]
        )
        row |= _paired_difference(sweep / str(row["job"]), sweep / str(reference)) | {
            "paired_with": reference
        }


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
