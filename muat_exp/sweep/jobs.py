"""The jobs of a sweep as its folder knows them: `sweep-plan.json` says which there are, a `job.json` each what became of it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from muat_exp.claims import claim_output, write_output
from muat_exp.config.groups import Config
from muat_exp.errors import MuatError, SweepError
from muat_exp.generation.run_folder import is_finished as run_is_finished

FINISHED = "finished"
_FAILED = "failed"
RUNNING = "running"
MISSING = "missing"
PLOTS = ("improvement", "accuracy", "acceptance", "patterns")


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        number: its number, which is also its folder's name.
        overrides: what was set for it on the command line and by the sweep, such as "corruption.rate=0.05".
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
        return {
            key.lstrip("+~"): value
            for key, _, value in (override.partition("=") for override in self.overrides)
        }

    def label(self, keys: Sequence[str]) -> str:
        """What was set of these keys, to be read.

        >>> Job(0, ("training.learning_rate.min=0.005607672376602178", "seed=1")).label(["training.learning_rate.min"])
        'training.learning_rate.min=0.005608'
        """
        return ", ".join(
            f"{key}={shown(number_or_text(self.values[key]))}" for key in keys if key in self.values
        )

    def write(self, folder: Path) -> None:
        """Writes the job's `job.json` into its folder."""
        write_output(folder / "job.json", json.dumps(asdict(self), indent=2).encode())


def _read_job(path: Path) -> Job:
    """The job that a `job.json` describes."""
    values = json.loads(path.read_bytes())
    return Job(**values | {"overrides": tuple(values["overrides"])})


def claim_sweep(sweep: Path) -> None:
    """Claims what a sweep and its gathering write into its folder; what its jobs write is theirs to claim.

    Raises:
        RunFolderError: a file is there that we did not make.
    """
    plots = [f"{plot}.{kind}" for plot in PLOTS for kind in ("png", "svg")]
    tables = ["sweep-plan.json", "sweep.json", "sweep.csv", "sweep.md"]
    claim_output(*(sweep / name for name in [*tables, *plots]))


def write_plan(sweep: Path, jobs: Sequence[Sequence[str]]) -> None:
    """Notes the overrides of all jobs that a sweep is going to run."""
    write_output(
        sweep / "sweep-plan.json",
        json.dumps([list(overrides) for overrides in jobs], indent=2).encode(),
    )


def read_plan(sweep: Path) -> list[Job]:
    """The jobs that were planned; none where the sweeper decides as it goes."""
    plan = sweep / "sweep-plan.json"
    planned = json.loads(plan.read_bytes()) if plan.is_file() else []
    return [Job(number, tuple(overrides)) for number, overrides in enumerate(planned)]


def read_jobs(sweep: Path) -> list[Job]:
    """All jobs of a sweep by number: those that left a `job.json`, and those that were planned and did not.

    Raises:
        SweepError: the folder does not exist or holds no sweep.
    """
    if not sweep.is_dir():
        raise SweepError(
            f"sweep_dir={sweep}: there is no such folder; name the folder of a multirun."
        )
    jobs = {job.number: job for job in read_plan(sweep)}
    for path in sweep.glob("*/job.json"):
        if path.parent.name.isdecimal():
            job = _read_job(path)
            jobs[job.number] = job
    if not jobs:
        raise SweepError(
            f"sweep_dir={sweep}: that folder holds no sweep; name one with numbered job folders in it."
        )
    return [jobs[number] for number in sorted(jobs)]


def job_folder(sweep: Path, job: Job) -> Path:
    """Where a job's run is."""
    return sweep / str(job.number)


def is_finished(folder: Path, config: Config) -> bool:
    """Whether the folder holds a finished job of just this configuration, undamaged, so that there is nothing to do."""
    path = folder / "job.json"
    return path.is_file() and _read_job(path).status == FINISHED and run_is_finished(folder, config)


def swept_keys(jobs: Sequence[Job]) -> list[str]:
    """Keys whose values differ between jobs, in the order in which they were given."""
    keys = dict.fromkeys(key for job in jobs for key in job.values)
    return [key for key in keys if len({job.values.get(key) for job in jobs}) > 1]


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


def shown(value: Any) -> str:
    """A swept value as a label.

    >>> shown(0.005607672376602178), shown("pca_5")
    ('0.005608', 'pca_5')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def failed(number: int, overrides: Sequence[str], error: BaseException) -> Job:
    """The record of a job that an error ended."""
    from muat_exp.errors import ConfigurationError

    known = isinstance(error, MuatError | OSError)
    sentence = str(error) if known else f"{type(error).__name__}: {error}"
    return Job(number, tuple(overrides), _FAILED, sentence, isinstance(error, ConfigurationError))


def exit_code(jobs: Sequence[Job]) -> int:
    """0 where all finished, 2 where only wrong configurations failed, else 1."""
    unfinished: list[Any] = [job for job in jobs if job.status != FINISHED]
    if not unfinished:
        return 0
    return 2 if all(job.wrong_configuration for job in unfinished) else 1
