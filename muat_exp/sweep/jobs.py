"""The jobs of a sweep as its folder knows them.

`sweep-plan.json` says which there are, and the `job.json` in the folder of each what became of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import orjson

from muat_exp.claims import adopt, claim_output, write_output
from muat_exp.config.groups import Config
from muat_exp.errors import ConfigurationError, MuatError, SweepError
from muat_exp.generation.run_folder import is_finished as run_is_finished
from muat_exp.generation.run_folder import names_of_run
from muat_exp.tracking.weights_and_biases import WandbTracker

FINISHED = "finished"
_FAILED = "failed"
RUNNING = "running"
MISSING = "missing"
PLOTS = ("improvement", "accuracy", "acceptance", "patterns")
PLAN = "sweep-plan.json"


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        number: its number, which is also its folder's name.
        overrides: what was set for it on the command line and by the sweep, such as `seed=1`.
        status: "finished", "failed", "running" (also where it was killed), or "missing".
        error: the sentence of a failed job.
        wrong_configuration: whether that was the configuration's fault.
    """

    number: int
    overrides: tuple[str, ...]
    status: str = MISSING
    error: str = ""
    wrong_configuration: bool = False

    @property
    def values(self) -> dict[str, str]:
        """What was set, by key.

        >>> Job(0, ("corruption.rate=0.05",)).values
        {'corruption.rate': '0.05'}
        """
        values = {}
        for override in self.overrides:
            key, _, value = override.partition("=")
            values[key.lstrip("+~")] = value
        return values

    def label(self, keys: Sequence[str]) -> str:
        """What was set of these keys, to be read.

        >>> Job(0, ("corruption.rate=0.0560767", "seed=1")).label(["corruption.rate"])
        'corruption.rate=0.05608'
        """
        values = self.values
        parts = []
        for key in keys:
            if key in values:
                value = number_or_text(values[key])
                parts.append(f"{key}={shown(value)}")
        return ", ".join(parts)

    def write(self, folder: Path) -> None:
        """Writes the job's `job.json` into its folder."""
        path = folder / "job.json"
        ours = [path.name] if _read_job(path) else []
        adopt(folder, [*ours, *names_of_run(folder)])
        content = orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2)
        write_output(path, content)


def _read_job(path: Path) -> Job | None:
    """The job that a `job.json` describes; None where it is missing, damaged or not ours."""
    try:
        values = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    if not isinstance(values, dict) or values.keys() != {item.name for item in fields(Job)}:
        return None
    if not isinstance(values["number"], int) or not _are_overrides(values["overrides"]):
        return None
    values["overrides"] = tuple(values["overrides"])
    return Job(**values)


def _are_overrides(values: object) -> bool:
    """Whether some JSON is a list of texts."""
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _holds_sweep(folder: Path) -> bool:
    """Whether a folder has the plan of a sweep, or else a job's record, of the form of ours."""
    try:
        planned = orjson.loads((folder / PLAN).read_bytes())
    except FileNotFoundError:  # as a search has none
        return any(_read_job(path) for path in _records(folder))
    except (OSError, orjson.JSONDecodeError):
        return False
    return isinstance(planned, list) and all(_are_overrides(job) for job in planned)


def claim_sweep(sweep: Path) -> None:
    """Claims what a sweep and its gathering write into its folder; each job claims its own files.

    Raises:
        RunFolderError: a file is there that we did not make.
    """
    plots = [f"{plot}.{kind}" for plot in PLOTS for kind in ("png", "svg")]
    tables = [PLAN, "sweep.json", "sweep.csv", "sweep.md"]
    names = [*tables, *plots]
    if _holds_sweep(sweep):
        adopt(sweep, [*names, *WandbTracker.folders])
    claim_output(*(sweep / name for name in names))


def write_plan(sweep: Path, jobs: Sequence[Sequence[str]]) -> None:
    """Notes the overrides of all jobs that a sweep is going to run."""
    planned = [list(overrides) for overrides in jobs]
    write_output(sweep / PLAN, orjson.dumps(planned, option=orjson.OPT_INDENT_2))


def read_plan(sweep: Path) -> list[Job]:
    """The jobs that were planned; none where the sweeper decides as it goes."""
    plan = sweep / PLAN
    if not plan.is_file():
        return []
    planned = orjson.loads(plan.read_bytes())
    return [Job(number, tuple(overrides)) for number, overrides in enumerate(planned)]


def read_jobs(sweep: Path) -> list[Job]:
    """All jobs of a sweep by number: those that left a `job.json`, and the other planned ones.

    Raises:
        SweepError: the folder does not exist or holds no sweep.
    """
    if not sweep.is_dir():
        raise SweepError(
            f"sweep_dir={sweep}: there is no such folder; name the folder of a multirun."
        )
    planned = {job.number: job for job in read_plan(sweep)}
    jobs = dict(planned)
    for job in _begun_jobs(sweep):
        overrides = job.overrides or planned.get(job.number, job).overrides
        jobs[job.number] = replace(job, overrides=overrides)
    if not jobs:
        raise SweepError(
            f"sweep_dir={sweep}: that folder holds no sweep; name one with numbered job folders "
            "in it."
        )
    return [jobs[number] for number in sorted(jobs)]


def _begun_jobs(sweep: Path) -> Iterator[Job]:
    """The jobs that left a `job.json` in a folder of their number."""
    for path in _records(sweep):
        number = int(path.parent.name)
        unreadable = f"{path} is no record of a job; move it away, and give the same command."
        yield _read_job(path) or Job(number, (), _FAILED, unreadable)


def _records(sweep: Path) -> Iterator[Path]:
    """The `job.json` of every numbered folder."""
    for path in sweep.glob("*/job.json"):
        if path.parent.name.isdecimal():
            yield path


def job_folder(sweep: Path, job: Job) -> Path:
    """Where a job's run is."""
    return sweep / str(job.number)


def objective(summary: Mapping[str, Any]) -> float:
    """Acceptance times the mean improvement: how much good a recipe does to an attempt.

    Args:
        summary: of a run, as its `summary.json` holds it.
    """
    improvement = summary["accuracy"]["improvement"] or 0.0  # null where none was accepted
    return float(summary["acceptance"] * improvement)


def read_summary(folder: Path) -> dict[str, Any]:
    """The `summary.json` of a job's finished run."""
    summary: dict[str, Any] = orjson.loads((folder / "summary.json").read_bytes())
    return summary


def is_finished(folder: Path, config: Config) -> bool:
    """Whether the folder holds a finished, undamaged job of just this configuration."""
    job = _read_job(folder / "job.json")
    if job is None or job.status != FINISHED:
        return False
    return run_is_finished(folder, config)


def swept_keys(jobs: Sequence[Job]) -> list[str]:
    """Keys whose values differ between jobs, in the order in which they were given."""
    given = [job.values for job in jobs]
    keys = dict.fromkeys(key for values in given for key in values)
    swept = []
    for key in keys:
        different = {values.get(key) for values in given}
        if len(different) > 1:
            swept.append(key)
    return swept


def number_or_text(text: str) -> float | int | str:
    """A swept value as a number where it is one.

    >>> number_or_text("0.05"), number_or_text("3"), number_or_text("pca_5")
    (0.05, 3, 'pca_5')
    """
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def shown(value: object) -> str:
    """A swept value as a label: a number with four digits.

    >>> shown(0.005607672376602178), shown("pca_5")
    ('0.005608', 'pca_5')
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def failed(number: int, overrides: Sequence[str], error: BaseException) -> Job:
    """The record of a job that an error ended."""
    sentence = str(error)
    if not isinstance(error, MuatError | OSError):
        sentence = f"{type(error).__name__}: {sentence}"
    return Job(
        number,
        tuple(overrides),
        status=_FAILED,
        error=sentence,
        wrong_configuration=isinstance(error, ConfigurationError),
    )


def exit_code(jobs: Sequence[Job]) -> int:
    """0 where all finished, 2 where only wrong configurations failed, else 1."""
    unfinished = [job for job in jobs if job.status != FINISHED]
    if not unfinished:
        return 0
    wrong = all(job.wrong_configuration for job in unfinished)
    return 2 if wrong else 1
