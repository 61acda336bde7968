"""Gathers a sweep: one row per job, with intervals and differences paired by subject."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from muat_exp.config.reading import flatten
from muat_exp.errors import MuatError, SweepError
from muat_exp.generation.run_folder import stored_config
from muat_exp.sweep.folder import list_jobs
from muat_exp.sweep.jobs import EMPTY, FINISHED, Job, exit_code, sweep_labels, swept_keys
from muat_exp.sweep.labels import Value
from muat_exp.sweep.results import (
    Improvements,
    Mean,
    Result,
    interval,
    read_improvements,
    read_result,
)

_NOTHING = Mean(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Pair:
    """A job's difference in improvement to another one, over attempts trained in both.

    Attributes:
        reference: the number of the other job; that of the job itself where it is one.
        difference: mean over the attempts; NaN where it was not taken.
        subjects: how many attempts there were.
    """

    reference: int
    difference: Mean = _NOTHING
    subjects: int = 0


@dataclass(frozen=True)
class Row:
    """What one job found.

    Attributes:
        job: the job.
        swept: its values of the swept keys.
        result: what it found.
        pair: what it found beside another one.
    """

    job: Job
    swept: dict[str, Value]
    result: Result
    pair: Pair

    def axis_value(self, key: str) -> Value:
        """Its value of a swept key, or its number where nothing was swept."""
        return self.swept.get(key, self.job.number)


@dataclass(frozen=True)
class Sweep:
    """A gathered sweep.

    Attributes:
        folder: the multirun's folder.
        jobs: all jobs, finished or not.
        keys: what was swept.
        rows: one for each job whose results could be read.
        faults: what is wrong beside the jobs, in sentences.
        searched: whether a sweeper searched for the best job.
    """

    folder: Path
    jobs: list[Job]
    keys: list[str]
    rows: list[Row]
    faults: tuple[str, ...] = ()
    searched: bool = False

    @property
    def main_key(self) -> str:
        """The swept key along the axis, see `main_key`."""
        return main_key([job.swept(self.keys) for job in self.jobs if job.overrides], self.keys)

    @property
    def labels(self) -> dict[str, dict[Value, str]]:
        """A label for every value of every swept key."""
        return sweep_labels(self.jobs, self.keys)

    @property
    def exit_code(self) -> int:
        """0 where all went well, 2 where only wrong configurations failed, else 1."""
        return exit_code(self.jobs) or int(bool(self.faults))


@dataclass(frozen=True)
class _Outcome:
    """What was read of a job.

    Attributes:
        job: the job, damaged where not all of it could be read.
        result: what it found; None where it did not come to its end, or that can't be read.
        improvements: of its attempts; None where they can't be read.
    """

    job: Job
    result: Result | None = None
    improvements: Improvements | None = None


def gather(folder: Path) -> Sweep:
    """Reads all jobs of a sweep. One that is damaged says so, and hides no other.

    Raises:
        SweepError: the folder holds no sweep.
    """
    listing = list_jobs(folder)
    outcomes = [_read_job(folder, job) for job in listing.jobs]
    jobs = [outcome.job for outcome in outcomes]
    sweep = Sweep(
        folder,
        jobs,
        swept_keys(jobs),
        rows=[],
        faults=(listing.fault,) if listing.fault else (),
        searched=listing.searched,
    )
    pairs = _pairs(outcomes, sweep)
    for outcome in outcomes:
        if outcome.result is not None:
            job = outcome.job
            row = Row(job, job.swept(sweep.keys), outcome.result, pairs[job.number])
            sweep.rows.append(row)
    return sweep


def _read_job(sweep: Path, job: Job) -> _Outcome:
    """Reads what a job left behind."""
    if job.status not in (FINISHED, EMPTY):
        return _Outcome(job)
    run = sweep / job.folder
    result = None
    try:
        result = read_result(run)
        _require_as_set(run, job)
        improvements = read_improvements(run, result.attempts)
    except MuatError as error:
        return _Outcome(job.damaged(str(error)), result)
    return _Outcome(job, result, improvements)


def _require_as_set(run: Path, job: Job) -> None:
    """Raises `SweepError` where a run has another value of a number than was set for its job."""
    stored = dict(flatten(stored_config(run)))
    for key, value in job.swept(list(job.values)).items():
        made = stored.get(key, value)
        numbers = isinstance(value, int | float) and isinstance(made, int | float)
        if numbers and made != value:
            raise SweepError(
                f"{run} was made with {key}={made}; the plan or its record says {value}."
            )


def main_key(values: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    """The swept key along the axis: the numeric one with the most values, else the first.

    Args:
        values: of the swept keys in each job.
        keys: what was swept; where nothing was, the jobs themselves are along the axis.
    """
    varied = [key for key in keys if key != "seed"] or list(keys)  # seeds are repetitions
    numeric = [key for key in varied if _is_numeric(values, key)]
    candidates = numeric or varied[:1]
    if not candidates:
        return "job"
    return max(candidates, key=lambda key: _count_values(values, key))


def _count_values(values: Sequence[Mapping[str, Any]], key: str) -> int:
    """How many different values a swept key has."""
    return len({given[key] for given in values})


def _is_numeric(values: Sequence[Mapping[str, Any]], key: str) -> bool:
    """Whether every job has a number for a swept key."""
    return all(isinstance(given[key], int | float) for given in values)


def _pairs(outcomes: Sequence[_Outcome], sweep: Sweep) -> dict[int, Pair]:
    """Each job beside the first one of the same values of the other keys, by its number."""
    main = sweep.main_key
    if main == "seed":  # other seeds make other subjects: nothing is paired
        return {outcome.job.number: Pair(outcome.job.number) for outcome in outcomes}
    others = [key for key in sweep.keys if key != main]
    references: dict[tuple[Value, ...], _Outcome] = {}
    pairs = {}
    for outcome in outcomes:
        values = tuple(outcome.job.swept(others).values())
        reference = references.setdefault(values, outcome)
        pairs[outcome.job.number] = _pair(outcome, reference)
    return pairs


def _pair(here: _Outcome, there: _Outcome) -> Pair:
    """A job beside its reference; without a difference where one of them can't be read."""
    number = there.job.number
    if here.improvements is None or there.improvements is None:
        return Pair(number)
    _, first, second = np.intersect1d(
        here.improvements.numbers, there.improvements.numbers, return_indices=True
    )
    differences = here.improvements.values[first] - there.improvements.values[second]
    return Pair(number, interval(differences), len(differences))
