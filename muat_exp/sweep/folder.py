"""The folder of a sweep: its plan, and the folders of its jobs wherever these were put.

`sweep-plan.json` says which jobs there are and where, and the `job.json` in the folder of each what
became of it. Where one of them is missing or damaged, the other one tells.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import orjson

from muat_exp.claims import adopt, claim, write_output
from muat_exp.errors import SweepError
from muat_exp.sweep.jobs import DAMAGED, FINISHED, MISSING, RECORD, Job, read_record
from muat_exp.sweep.labels import printable
from muat_exp.sweep.stored import Fields, read_json
from muat_exp.tracking.weights_and_biases import WandbTracker

PLAN = "sweep-plan.json"
TABLES = ("sweep.json", "sweep.csv", "sweep.md")
PLOTS = ("improvement", "accuracy", "acceptance", "patterns")
_RUN_FILES = frozenset({RECORD, "config.json", "summary.json"})  # any of them shows a job's folder
_DEEPEST = 12  # folders between a sweep and a job


@dataclass(frozen=True)
class Listing:
    """The jobs that a sweep's folder tells of.

    Attributes:
        jobs: all of them by number: those that were planned, and others that left a record.
        fault: what is wrong with the plan, in a sentence; empty where nothing is.
        searched: whether the sweeper decides as it goes, so that there is no plan.
    """

    jobs: list[Job]
    fault: str = ""
    searched: bool = False


def write_plan(sweep: Path, jobs: Iterable[Job]) -> None:
    """Notes the overrides and the folders of all jobs that a sweep is going to run."""
    planned = [{"overrides": job.overrides, "folder": job.folder} for job in jobs]
    write_output(sweep / PLAN, orjson.dumps(planned, option=orjson.OPT_INDENT_2))


def read_plan(sweep: Path) -> list[Job]:
    """The jobs that were planned; none where the sweeper decides as it goes.

    Raises:
        SweepError: the plan is damaged.
    """
    path = sweep / PLAN
    if not os.path.lexists(path):
        return []
    planned = read_json(path)
    if not isinstance(planned, list) or not planned:
        raise SweepError(f"{path} is damaged: it holds no list of jobs.")
    return [_planned_job(path, number, values) for number, values in enumerate(planned)]


def _planned_job(path: Path, number: int, values: object) -> Job:
    """One job of a plan."""
    fields = Fields(path, values, f"job {number}")
    folder = fields.text("folder")
    if not is_below(folder):
        raise SweepError(f"{path} is damaged: job {number} has no folder within the sweep's.")
    return Job(number, fields.texts("overrides"), folder=folder)


def is_below(folder: str) -> bool:
    """Whether a folder, named from another one, is within that; a name not known yet may be.

    >>> is_below("seed_1/a"), is_below("../b"), is_below("/c"), is_below(".")
    (True, False, False, False)
    """
    normal = os.path.normpath(folder) if folder else "unknown"
    outside = os.path.isabs(normal) or normal.split(os.sep)[0] in (os.curdir, os.pardir)
    return not outside and "\0" not in folder


def claim_plan(sweep: Path) -> None:
    """Claims what a sweep writes into its folder; each job claims its own files.

    Raises:
        RunFolderError: a file is there that we did not make; nothing was claimed.
    """
    _claim(sweep, [*TABLES, PLAN, *_plots()])


def claim_tables(sweep: Path) -> None:
    """Claims the tables that gathering a sweep writes into its folder.

    Raises:
        RunFolderError: a file is there that we did not make; nothing was claimed.
    """
    _claim(sweep, TABLES)


def _claim(sweep: Path, names: Sequence[str]) -> None:
    """Claims files in the folder of a sweep."""
    if _holds_sweep(sweep):
        adopt(sweep, [PLAN, *TABLES, *_plots(), *WandbTracker.folders])
    claim(sweep, files=names)


def _plots() -> list[str]:
    """Names of the files of all plots."""
    return [f"{plot}.{kind}" for plot in PLOTS for kind in ("png", "svg")]


def _holds_sweep(sweep: Path) -> bool:
    """Whether a folder has the plan of a sweep or a job's record, of the form of ours."""
    if not sweep.is_dir():
        return False
    try:
        if read_plan(sweep):
            return True
    except SweepError:
        pass  # the records tell
    return any(record.job for record in _find_records(sweep))


def list_jobs(sweep: Path) -> Listing:
    """All jobs of a sweep by number.

    Raises:
        SweepError: the folder does not exist or holds no sweep.
    """
    if not sweep.is_dir():
        raise SweepError(
            f"sweep_dir={sweep}: there is no such folder; name the folder of a multirun."
        )
    fault = ""
    planned: list[Job] = []
    try:
        planned = read_plan(sweep)
    except SweepError as error:
        fault = f"{error} The jobs' own records are gone by."
    jobs = _matched(sweep, planned)
    if not jobs:
        raise SweepError(
            f"sweep_dir={sweep}: that folder holds no sweep; name one with folders of jobs in it."
        )
    searched = not planned and not fault
    return Listing([jobs[number] for number in sorted(jobs)], fault, searched)


@dataclass(frozen=True)
class _Record:
    """The folder of a job, named from the sweep's, and what its `job.json` says.

    Attributes:
        folder: the folder.
        job: the job; None where the record is missing or damaged.
        fault: what is wrong with the record then, in a sentence.
        status: "missing" or "damaged", as the record is.
    """

    folder: str
    job: Job | None
    fault: str = ""
    status: str = DAMAGED

    def of(self, number: int, overrides: tuple[str, ...] = ()) -> Job:
        """What this folder tells of the job that was to be made here."""
        if self.job is None:
            return Job(number, overrides, self.status, self.fault, folder=self.folder)
        overrides = overrides or self.job.overrides
        if self.job.number != number:
            sentence = f"{self.folder}/{RECORD} is the record of job {self.job.number}."
            return Job(number, overrides, DAMAGED, sentence, folder=self.folder)
        return replace(self.job, overrides=overrides)


def _matched(sweep: Path, planned: Sequence[Job]) -> dict[int, Job]:
    """The jobs by number: each planned one with its folder, then what else left a record."""
    records = {record.folder: record for record in _find_records(sweep)}
    jobs = {}
    for job in planned:
        record = _record_of(job, records)
        if record is not None:
            del records[record.folder]
            jobs[job.number] = record.of(job.number, job.overrides)
        else:
            jobs[job.number] = job
    _add_unplanned(jobs, list(records.values()), spare=not planned)
    return jobs


def _record_of(job: Job, records: dict[str, _Record]) -> _Record | None:
    """The folder of a planned job: where it was to be, or else one whose record has its number."""
    there = records.get(job.folder)
    if there is not None and (there.job is None or there.job.number == job.number):
        return there
    own = [record for record in records.values() if record.job and record.job.number == job.number]
    finished = [record for record in own if record.job and record.job.status == FINISHED]
    return next(iter([*finished, *own]), there)


def _add_unplanned(jobs: dict[int, Job], records: Sequence[_Record], spare: bool) -> None:
    """Adds jobs that were not planned.

    Args:
        jobs: by number; the further ones are added.
        records: the folders that belong to none of them.
        spare: whether a folder whose number is not known, or taken, is a job, too. Beside a plan
            it is a copy, or somebody else's.
    """
    unknown = []
    for record in sorted(records, key=_own_name_first):
        number = _number_of(record)
        if number is None or number in jobs:
            unknown.append(record)
        else:
            jobs[number] = record.of(number)
    if spare:
        free = (number for number in count() if number not in jobs)
        for record, number in zip(unknown, free, strict=False):
            jobs[number] = record.of(number)


def _own_name_first(record: _Record) -> tuple[bool, str]:
    """Orders records: those in a folder that bears their number, then the others by folder."""
    named = record.job is None or record.folder == str(record.job.number)
    return not named, record.folder


def _number_of(record: _Record) -> int | None:
    """The number of a job that was not planned; None where nothing tells it."""
    if record.job is not None:
        return record.job.number
    name = record.folder
    return int(name) if name.isascii() and name.isdecimal() and len(name) < 10 else None


def _find_records(sweep: Path) -> Iterator[_Record]:
    """The folders of jobs, wherever they are below that of the sweep."""
    for folder in sorted(_job_folders(sweep, "", set()), key=_by_number):
        path = sweep / folder / RECORD
        try:
            job = replace(read_record(path), folder=folder)
        except SweepError as error:
            status = DAMAGED if os.path.lexists(path) else MISSING
            yield _Record(folder, None, printable(str(error)), status)
        else:
            yield _Record(folder, job)


def _by_number(folder: str) -> tuple[int, str]:
    """Orders folders by their numbers, then by their names."""
    return (len(folder), folder) if folder.isdecimal() else (2**31, folder)


def _job_folders(sweep: Path, below: str, seen: set[Path]) -> Iterator[str]:
    """Folders with the files of a run, named from the sweep's; nothing within one is looked at."""
    for folder in _folders(sweep / below):
        place = folder.resolve()
        if place in seen:  # a link to what was met before
            continue
        seen.add(place)
        name = f"{below}{folder.name}"
        if any(os.path.lexists(folder / file) for file in _RUN_FILES):
            yield name
        elif name.count("/") < _DEEPEST and name not in WandbTracker.folders:
            yield from _job_folders(sweep, f"{name}/", seen)


def _folders(path: Path) -> list[Path]:
    """The folders in a folder, and links to some, by name; none where it can't be read.

    Hidden ones are not among them.
    """
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return []
    shown = [path / name for name in names if not name.startswith(".")]
    return [place for place in shown if os.path.isdir(place)]
