"""Sweeps that were damaged: gathering always ends in a table with what is known of each job."""

import csv
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

from stress.case import Kind, Trial
from stress.damage import Unfit
from stress.damaged_sweeps import HARMS, Harm
from stress.oracle import faults_of
from stress.originals import run_here

_Rows = dict[int, dict[str, str]]
_JOBS = range(4)
_NOT_COMPARED = {"status", "error", "paired_with", "corruption.rate", "seed"}
_NOTHING = ("", "nan")
_TAKEN_WITH = "paired_"  # how the names of columns begin that another job decides as well


def try_one(trial: Trial) -> None:
    """Damages a copy of a sweep and gathers it."""
    sweep = trial.folder / "sweep"
    done_to = _damaged(trial, sweep)
    trial.what = done_to.what
    reference = _rows(trial.originals.sweep / "sweep.csv")
    done = run_here(("task=gather", "sweep_dir=sweep"), trial.folder)
    trial.faults.extend(faults_of(done))
    if not trial.faults:
        trial.faults.extend(_wrong_rows(sweep / "sweep.csv", reference, done_to, done.err))
    if trial.faults:
        trial.commands.append(done.command)


def _damaged(trial: Trial, sweep: Path) -> Harm:
    """Makes the damaged copy; returns what was done."""
    names = sorted(HARMS)
    turn = names[trial.number % len(names)]
    trial.draw.shuffle(names)
    for name in [turn, *names]:
        shutil.rmtree(sweep, ignore_errors=True)
        shutil.copytree(trial.originals.sweep, sweep)
        try:
            done_to = HARMS[name](trial.draw, sweep)
        except Unfit:
            continue
        trial.group = name
        return done_to
    raise AssertionError("no damage fits")


def _rows(path: Path) -> _Rows:
    """The rows of a table by job."""
    with path.open(newline="", encoding="utf-8") as file:
        return {int(row["job"]): row for row in csv.DictReader(file)}


def _wrong_rows(path: Path, reference: _Rows, done_to: Harm, err: str) -> list[str]:
    """What does not hold of a gathered table."""
    if not path.is_file() or path.is_symlink():
        # Nobody's file is replaced: then a sentence tells which is in the way.
        return [] if path.name in err else ["no table"]
    try:
        rows = _rows(path)
    except (ValueError, KeyError, csv.Error) as error:
        return [f"the table can't be read: {error!r}"]
    faults = []
    for job in _JOBS:
        if job not in rows:
            faults.append("a job has no row in the table")
            continue
        faults.extend(_wrong_row(rows[job], reference[job], job, done_to))
    return faults


def _wrong_row(
    row: dict[str, str], reference: dict[str, str], job: int, done_to: Harm
) -> list[str]:
    """What does not hold of one row."""
    faults: list[str] = []
    for name, value in reference.items():
        got = row.get(name, "")
        if name in _NOT_COMPARED or _same(got, value):
            continue
        if name.startswith(_TAKEN_WITH):
            faults.extend(_wrong_pair(row, reference, name, done_to))
        elif job not in done_to.jobs:
            faults.append(f"an undamaged job has another {name}")
        elif not done_to.numbers and got not in _NOTHING:
            faults.append(f"a damaged job is told as whole with another {name}")
    return faults[:2]


def _wrong_pair(
    row: dict[str, str], reference: dict[str, str], name: str, done_to: Harm
) -> Iterator[str]:
    """What does not hold of a difference between two jobs that is not the undamaged one."""
    if not done_to.jobs and not done_to.keys:
        yield f"no job is damaged, but {name} is another"
    told = row.get(name, "") in (*_NOTHING, "0") or row["status"] != "finished"
    with_another = row.get("paired_with") != reference["paired_with"]
    if not done_to.numbers and not told and not with_another:
        yield f"a damaged file gives another {name}"


def _same(first: str, second: str) -> bool:
    """Whether two cells say the same."""
    if first == second:
        return True
    try:
        return math.isclose(float(first), float(second), rel_tol=1e-9)
    except ValueError:
        return False


KIND = Kind("sweeps", 80, "damaged sweeps, gathered", try_one)
