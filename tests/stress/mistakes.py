"""Mistakes: command lines, values, paths and environments as people get them wrong.

Each ends in a sentence and an exit code, never in a traceback; what was refused leaves the folder
as it was; and what is accepted makes the same bytes as it always does.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from stress.case import Kind, Trial
from stress.oracle import ENDS, changes, faults_of, fingerprint
from stress.originals import TINY, run_here
from stress.processes import Done, Limits, run_command

_WORKING = 15.0  # seconds after which an accepted command is taken to be at work, and interrupted
_PATIENCE = 60.0  # seconds in which it then has to end
SMALLEST = (
    *TINY,
    "dataset.num_examples=2",
    "training.test_examples=10",
    "training.response_examples=10",
    "logger=none",
    "hydra.run.dir=out",
)


@dataclass
class Mistake:
    """A command line, and what must come of it.

    Attributes:
        what: in a few words.
        arguments: after `python -m muat_exp`.
        refused: whether it must end with an exit code other than 0.
        wrong: whether that code must be 2.
        sound: whether it must end with 0.
        environment: variables to set, or to take away where None; it runs in a new Python.
        shell: a command of bash around it; it runs in a new Python.
        fresh: whether it runs in a new Python in any case.
        made: a file or folder that must be there afterwards.
        dataset: a dataset that must have the bytes of the original run of that name.
        may_be_silent: whether it need not say a word, as nobody could read it.
        keeps: what is somebody else's, and must stay as it is where the command fails.
    """

    what: str
    arguments: Sequence[str]
    refused: bool = False
    wrong: bool = False
    sound: bool = False
    environment: dict[str, str | None] = field(default_factory=dict)
    shell: str = ""
    fresh: bool = False
    made: str = ""
    dataset: str = ""
    may_be_silent: bool = False
    keeps: str = ""


Value = TypeVar("Value")
MISTAKES: dict[str, tuple[int, Callable[[Trial], Mistake]]] = {}


def mistake(share: int) -> Callable[[Callable[[Trial], Mistake]], Callable[[Trial], Mistake]]:
    """Registers a function that makes mistakes under its own name.

    Args:
        share: how many of a hundred are its.
    """

    def register(function: Callable[[Trial], Mistake]) -> Callable[[Trial], Mistake]:
        MISTAKES[function.__name__.replace("_", " ")] = (share, function)
        return function

    return register


def group_of(number: int) -> str:
    """The mistakes that a number falls to: every hundred in the registered shares, interleaved."""
    places = [
        ((turn + 0.5) / share, name)
        for name, (share, _) in MISTAKES.items()
        for turn in range(share)
    ]
    ordered = [name for _, name in sorted(places)]
    return ordered[number % len(ordered)]


def turn_of(number: int) -> int:
    """How many numbers before this one fall to the same mistakes."""
    group = group_of(number)
    return sum(group_of(before) == group for before in range(number))


def in_turn(trial: Trial, values: Sequence[Value]) -> Value:
    """The next of some values, so that all of them are tried before one is tried again."""
    return values[trial.turn % len(values)]


def try_one(trial: Trial) -> None:
    """Makes a mistake and looks at what comes of it."""
    trial.group = group_of(trial.number)
    trial.turn = turn_of(trial.number)
    made = MISTAKES[trial.group][1](trial)
    trial.what = made.what
    before = fingerprint(trial.folder)
    done = _run(trial, made)
    trial.faults.extend(_faults(trial, made, done))
    if done.code == 2:
        left = changes(before, fingerprint(trial.folder))
        trial.faults.extend(f"was refused, but {change}" for change in left[:2])
    elif made.keeps:
        left = changes(before, fingerprint(trial.folder))
        lost = [change for change in left if change.startswith(made.keeps) and "new" not in change]
        trial.faults.extend(f"somebody else's: {change}" for change in lost[:2])
    if trial.faults:
        trial.commands.append(done.command)


def _run(trial: Trial, made: Mistake) -> Done:
    """Runs the command; one that is accepted and works for long is interrupted."""
    limits = Limits(seconds=_WORKING, patience=_PATIENCE)
    if made.environment or made.shell or made.fresh:
        limits = Limits(seconds=4 * _WORKING, patience=_PATIENCE)
        return run_command(made.arguments, trial.folder, limits, made.environment, made.shell)
    return run_here(made.arguments, trial.folder, limits)


def _faults(trial: Trial, made: Mistake, done: Done) -> list[str]:
    """What does not hold of what a command did."""
    if done.ended_by_us == "time" and done.code == 130:
        return ["was accepted"] if made.refused else []
    ends = (*ENDS, 130, 141) if made.may_be_silent else ENDS
    faults = list(faults_of(done, ends))
    if made.may_be_silent:
        faults = [fault for fault in faults if not fault.endswith("without a sentence")]
    if faults:
        return faults
    first = " ".join(done.err.strip().splitlines()[-1:])[:200]
    if made.refused and done.code == 0:
        return ["was accepted"]
    if made.wrong and done.code != 2:
        return [f"exit code {done.code} in the place of 2: {first}"]
    if made.sound and done.code != 0:
        return [f"a sound command ended with {done.code}: {first}"]
    if done.code == 0 and made.made and not os.path.lexists(trial.folder / made.made):
        return [f"ended with 0, but made no {made.made}"]
    if done.code == 0 and made.dataset:
        return _other_bytes(trial, made)
    return []


def _other_bytes(trial: Trial, made: Mistake) -> list[str]:
    """What a dataset does not have of the original."""
    there = fingerprint(trial.folder / made.made)
    expected = fingerprint(trial.originals.dataset(made.dataset))
    told = changes(expected, there)
    return [f"other bytes than usual: {change}" for change in told[:1]]


def copy_dataset(trial: Trial, name: str = "dataset") -> Path:
    """A copy of a sound dataset in the folder of a trial."""
    target = trial.folder / name
    return Path(shutil.copytree(trial.originals.dataset("plain"), target))


def copy_run(trial: Trial, name: str = "out", original: str = "plain") -> Path:
    """A copy of a finished run in the folder of a trial."""
    return Path(shutil.copytree(trial.originals.run(original), trial.folder / name))


KIND = Kind(
    "mistakes", 300, "mistakes: values, names, paths, sweeps, files, variables, streams", try_one
)
