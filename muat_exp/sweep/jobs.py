"""The jobs of a sweep: what was set for each, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from muat_exp.claims import adopt, write_output
from muat_exp.config.groups import Config
from muat_exp.errors import ConfigurationError, MuatError, SweepError
from muat_exp.generation.run_folder import is_finished as run_is_finished
from muat_exp.generation.run_folder import names_of_run
from muat_exp.sweep.labels import Value, labels, number_or_text, printable, shown
from muat_exp.sweep.stored import Fields, read_json

FINISHED = "finished"
EMPTY = "empty"  # it went to its end, and nobody was accepted
FAILED = "failed"
RUNNING = "running"
MISSING = "missing"
DAMAGED = "damaged"  # it was finished, or may have been, but not all of it is as it was written
RECORD = "job.json"
_NOTED = (FINISHED, EMPTY, FAILED, RUNNING, MISSING)
_RECORDED = frozenset({"number", "overrides", "status", "error", "wrong_configuration"})
_LONGEST_ERROR = 2000  # letters of a sentence that a record may hold


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        number: its number.
        overrides: what was set for it on the command line and by the sweep, such as `seed=1`.
        status: "finished", "empty" (nobody was accepted), "failed", "running" (also where it was
            killed), "missing", or "damaged" (not all is as it was written).
        error: why, in a sentence, where it failed or is damaged.
        wrong_configuration: whether that was the configuration's fault.
        folder: where its run is, named from the sweep's folder; empty where that is not known.
    """

    number: int
    overrides: tuple[str, ...]
    status: str = MISSING
    error: str = ""
    wrong_configuration: bool = False
    folder: str = ""

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

    def swept(self, keys: Sequence[str]) -> dict[str, Value]:
        """The values of the swept keys, numbers as such; an empty text where one was not set."""
        values = self.values
        return {key: number_or_text(values.get(key, "")) for key in keys}

    def label(self, keys: Sequence[str], jobs: Sequence["Job"] = ()) -> str:
        """What was set of these keys, to be read.

        Args:
            keys: those of which the label tells.
            jobs: all of the sweep: of a long value it is told what differs from theirs.

        >>> Job(0, ("corruption.rate=0.0560767", "seed=1")).label(["corruption.rate"])
        'corruption.rate=0.05608'
        """
        given = self.values
        known = sweep_labels(jobs, keys)
        parts = []
        for key in keys:
            if key in given:
                value = number_or_text(given[key])
                text = known[key].get(value, shown(value))
                parts.append(f"{key}={text}")
        return ", ".join(parts)

    def damaged(self, sentence: str) -> "Job":
        """The same job, of which not all is as it was written."""
        return replace(self, status=DAMAGED, error=printable(sentence))

    def write(self, folder: Path) -> None:
        """Writes the job's `job.json` into its folder."""
        path = folder / RECORD
        ours = [path.name] if _is_record(path) else []
        adopt(folder, [*ours, *names_of_run(folder)])
        content = {key: value for key, value in asdict(self).items() if key in _RECORDED}
        write_output(path, orjson.dumps(content, option=orjson.OPT_INDENT_2))


def read_record(path: Path) -> Job:
    """The job that a `job.json` describes.

    Raises:
        SweepError: it is missing, damaged or not ours.
    """
    fields = Fields(path, read_json(path))
    status = fields.text("status")
    if status not in _NOTED or not fields.names >= _RECORDED:
        raise SweepError(f"{path} is no record of a job.")
    return Job(
        fields.count("number"),
        fields.texts("overrides"),
        status,
        printable(fields.text("error")[:_LONGEST_ERROR]),
        fields.flag("wrong_configuration"),
    )


def _is_record(path: Path) -> bool:
    """Whether a path holds the record of a job."""
    try:
        read_record(path)
    except SweepError:
        return False
    return True


def sweep_labels(jobs: Sequence[Job], keys: Sequence[str]) -> dict[str, dict[Value, str]]:
    """A label for every value of every swept key."""
    swept = [job.swept(keys) for job in jobs if job.overrides]
    return {key: labels(values[key] for values in swept) for key in keys}


def objective(summary: Mapping[str, Any]) -> float:
    """Acceptance times the mean improvement: how much good a recipe does to an attempt.

    Args:
        summary: of a run, as its `summary.json` holds it.
    """
    improvement = summary["accuracy"]["improvement"] or 0.0  # null where none was accepted
    return float(summary["acceptance"] * improvement)


def is_finished(folder: Path, config: Config) -> bool:
    """Whether the folder holds a finished, undamaged job of just this configuration."""
    try:
        job = read_record(folder / RECORD)
    except SweepError:
        return False
    return job.status == FINISHED and run_is_finished(folder, config)


def swept_keys(jobs: Sequence[Job]) -> list[str]:
    """Keys whose values differ between jobs, in the order in which they were given.

    A job of which nothing is known tells nothing of the others.
    """
    given = [job.values for job in jobs if job.overrides]
    keys = dict.fromkeys(key for values in given for key in values)
    swept = []
    for key in keys:
        different = {values.get(key) for values in given}
        if len(different) > 1:
            swept.append(key)
    return swept


def failed(number: int, overrides: Sequence[str], error: BaseException) -> Job:
    """The record of a job that an error ended."""
    sentence = str(error)
    if not isinstance(error, MuatError | OSError):
        sentence = f"{type(error).__name__}: {sentence}"
    return Job(
        number,
        tuple(overrides),
        status=FAILED,
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
