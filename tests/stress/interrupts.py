"""Interrupts and kills: what was stopped anywhere goes on to the same bytes.

A command is stopped once or twice, at a random moment of its life, start-up included, or as it
makes its n-th change to a disk; then it is given again, and has to end as if nothing had been.
"""

import csv
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stress.case import Kind, Trial
from stress.oracle import changes, faults_of, fingerprint
from stress.originals import PLAIN, SWEEP, Originals, call_main, run_here
from stress.processes import Done, Limits, Signal, run_command, run_forked, typed_command

_RUN = (*PLAIN, "dataset.num_examples=30", "hydra.run.dir=out")
_SWEEP = (*SWEEP[:-1], "hydra.sweep.dir=out")
_LONG = 300.0  # seconds that a command may take undisturbed, on a loaded machine
_DATASET = "dataset=given"
COMMANDS: dict[str, tuple[str, ...]] = {
    "generate": _RUN,
    "generate with W&B": (*_RUN, "logger=wandb"),
    "sweep": _SWEEP,
    "render": ("task=render", _DATASET, "dataset.style=interwoven", "hydra.run.dir=out"),
    "signature": ("task=signature", _DATASET, "signature=mean_std", "hydra.run.dir=out"),
    "probes": ("task=probes", "hydra.run.dir=out"),
    "score": ("task=score", _DATASET, "predictions=given.jsonl", "hydra.run.dir=out"),
    "validate": ("task=validate", _DATASET),
}
_SHARES = (  # how often each is stopped, of sixteen
    *["generate"] * 7,
    *["sweep"] * 3,
    "generate with W&B",
    "render",
    "signature",
    "probes",
    "score",
    "validate",
)
_MACHINE = (
    "summary.json", "metrics.csv", "sweep.json", "sweep.md", "job.json", ".lock", ".muat_exp",
    "multirun.yaml", ".png", ".svg", "manifest.jsonl",
)  # fmt: skip
_FINISHED = "is there already"  # what a task on a dataset says where its result is there, whole
_TIMES = ("seconds", "attempts_per_second")  # columns of a sweep's table
_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}


@dataclass(frozen=True)
class Reference:
    """What a command does undisturbed.

    Attributes:
        seconds: in a forked process.
        fresh: seconds in a new Python.
        calls: changes that it makes to a disk.
        files: what it leaves in its folder.
    """

    seconds: float
    fresh: float
    calls: int
    files: dict[str, str]


def measure(originals: Originals, numbers: Collection[int]) -> None:
    """Runs the commands of some cases undisturbed and writes down what they do."""
    folder = originals.folder / "references"
    folder.mkdir(exist_ok=True)
    for name in sorted({_command_of(number) for number in numbers}):
        path = folder / f"{name}.json"
        if not path.is_file():
            reference = _undisturbed(originals.folder, name, folder / "place")
            path.write_text(json.dumps(asdict(reference)))


def _command_of(number: int) -> str:
    """The name of the command that a case stops."""
    return _SHARES[number % len(_SHARES)]


def _undisturbed(originals: Path, name: str, place: Path) -> Reference:
    """Runs a command in a forked process and in a new Python.

    Raises:
        RuntimeError: it failed, with what it printed.
    """
    arguments = COMMANDS[name]
    _prepare(originals, place)
    fresh = run_command(arguments, place, Limits(_LONG)).seconds
    shutil.rmtree(place)
    _prepare(originals, place)
    counted = place / "calls"
    done = run_forked(_counting(arguments, place, counted), place, typed_command(arguments))
    if done.code:
        raise RuntimeError(f"{done.command}\n{done.out}\n{done.err}")
    reference = Reference(done.seconds, fresh, int(counted.read_text()), _results(place))
    shutil.rmtree(place)
    return reference


def _reference(originals: Path, name: str) -> Reference:
    """What a command does undisturbed."""
    return Reference(**json.loads((originals / "references" / f"{name}.json").read_text()))


def _prepare(originals: Path, folder: Path) -> None:
    """Makes a folder with what the commands read."""
    shutil.copytree(originals / "plain" / "dataset", folder / "given")
    shutil.copy(originals / "plain.jsonl", folder / "given.jsonl")


def _results(folder: Path) -> dict[str, str]:
    """What a command left, without what tells of times and of the machine."""
    out = folder / "out"
    found = fingerprint(out) if out.is_dir() else {}
    told = {}
    for name, digest in found.items():
        of_dataset = name.startswith("dataset/") or "/dataset/" in name
        if name.startswith("wandb"):
            continue
        if name == "sweep.csv":
            told[name] = _table_without_times(out / name)
        elif not of_dataset and name.endswith(_MACHINE):
            told[name] = "there"
        else:
            told[name] = digest
    return told


def _table_without_times(path: Path) -> str:
    """The rows of a sweep's table as a text, without its columns of times."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = [{key: value for key, value in row.items() if key not in _TIMES} for row in rows]
    return json.dumps(kept)


def _counting(arguments: Sequence[str], folder: Path, counted: Path) -> Callable[[], int]:
    """A call of the command line that counts its changes to a disk."""

    def call() -> int:
        count = _watch_changes(folder, lambda number: None)
        code = call_main(arguments)
        total = count()
        counted.write_text(str(total))
        return code

    return call


def _stopping(
    arguments: Sequence[str], folder: Path, number: int, with_signal: signal.Signals
) -> Callable[[], int]:
    """A call of the command line that is sent a signal as it makes its n-th change to a disk."""

    def stop(reached: int) -> None:
        if reached == number:
            os.kill(os.getpid(), with_signal)

    def call() -> int:
        _watch_changes(folder, stop)
        return call_main(arguments)

    return call


def _watch_changes(folder: Path, act: Callable[[int], None]) -> Callable[[], int]:
    """Calls a function at every change that this process makes below a folder; returns the count.

    Python tells of files that are opened, renamed and removed; `os.fsync` is wrapped, for it does
    not tell of that.
    """
    lock = threading.Lock()
    reached = 0

    def step() -> None:
        nonlocal reached
        with lock:
            reached += 1
            number = reached
        act(number)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS and _changes_disk(event, arguments, folder):
            step()

    flush = os.fsync

    def fsync(descriptor: Any) -> None:
        step()
        flush(descriptor)

    os.fsync = fsync  # type: ignore[assignment]
    sys.addaudithook(hook)
    return lambda: reached


def _changes_disk(event: str, arguments: tuple[Any, ...], folder: Path) -> bool:
    """Whether an event of Python's is a change below a folder, which is the current one."""
    path = arguments[0] if arguments else None
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    place = os.path.abspath(os.fsdecode(path))
    if not place.startswith(f"{folder}/"):
        return False
    if event != "open":
        return True
    flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _try(trial: Trial, signals: Sequence[signal.Signals]) -> None:
    """Stops a command, once or twice, and gives it again."""
    name = _command_of(trial.number)
    trial.group = name
    arguments = COMMANDS[name]
    known = _reference(trial.originals.folder, name)
    place = trial.folder / "place"
    _prepare(trial.originals.folder, place)
    told = []
    for _ in range(trial.draw.choice([1, 1, 2])):
        number = trial.draw.choice(signals)
        how, done = _stopped(trial, arguments, known, place, number)
        told.append(f"{number.name} {how}, exit {done.code}")
        trial.faults.extend(_faults_of_stop(done, number))
        trial.faults.extend(_half_written(place / "out"))
    trial.what = f"{name}: {'; '.join(told)}"
    done = run_here(_again(trial, name, place), place)
    if _FINISHED not in done.err:
        trial.faults.extend(f"given again: {fault}" for fault in faults_of(done, (0,)))
    left = changes(known.files, _results(place))
    trial.faults.extend(f"other than undisturbed: {change}" for change in left[:3])
    if trial.faults:
        trial.commands.append(typed_command(arguments))


def _again(trial: Trial, name: str, place: Path) -> Sequence[str]:
    """The command that goes on: the same one, or now and then `resume=`."""
    can_resume = name.startswith("generate") and (place / "out/config.json").is_file()
    if can_resume and trial.draw.random() < 0.3:
        return ("resume=out",)
    return COMMANDS[name]


def _stopped(
    trial: Trial, arguments: Sequence[str], known: Reference, place: Path, number: signal.Signals
) -> tuple[str, Done]:
    """Runs a command and stops it; returns where, and what it did."""
    how = trial.draw.choice(["at a call", "at a call", "at a moment", "in a new Python"])
    if how == "at a call" and known.calls:
        call = trial.draw.randint(1, known.calls)
        stopping = _stopping(arguments, place, call, number)
        return f"at change {call}", run_forked(stopping, place, typed_command(arguments))
    fresh = how == "in a new Python"
    after = trial.draw.random() * (known.fresh if fresh else known.seconds)
    signals = [Signal(number, after)]
    if number is signal.SIGINT and trial.draw.random() < 0.2:
        signals.append(Signal(number, after + 0.05))
    limits = Limits(signals=tuple(signals))
    shown = f"after {after:.2f} s{' of a new Python' if fresh else ''}"
    if len(signals) > 1:
        shown += ", twice"
    if fresh:
        return shown, run_command(arguments, place, limits)
    return shown, run_here(arguments, place, limits)


def _faults_of_stop(done: Done, number: signal.Signals) -> Iterator[str]:
    """What does not hold of a command that was stopped; one that had ended before is right."""
    if done.code == 1 and _FINISHED in done.err:
        return  # a stop before this one came when the result was in its place
    if number is not signal.SIGINT:
        # A termination that is heard ends with a sentence and 143, as Ctrl-C does with 130.
        if done.code not in (0, -number, 128 + number):
            yield f"{number.name}: exit code {done.code}"
        return
    if "muat_exp" not in done.err and "Traceback" in done.err:
        return  # Python itself was starting, and nothing of ours was there to hear it
    for fault in faults_of(done, (0, 130)):
        yield f"{number.name}: {fault}"
    if done.code == 130 and "interrupted" not in done.err:
        yield f"{number.name}: exit code 130 without a sentence"


def _half_written(out: Path) -> Iterator[str]:
    """A line for every dataset in its final place that is not whole."""
    from muat_exp.dataset.checksums import differences

    for folder in [out / "dataset", *out.glob("[0-9]/dataset")]:
        if folder.is_dir():
            for sentence in list(differences(folder))[:1]:
                yield f"a dataset in its place is not whole: {sentence}"


def _interrupt(trial: Trial) -> None:
    """Stops a command by Ctrl-C."""
    _try(trial, [signal.SIGINT])


def _kill(trial: Trial) -> None:
    """Stops a command without asking it."""
    _try(trial, [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])


INTERRUPTS = Kind(
    "interrupts", 60, "commands stopped by Ctrl-C, then given again", _interrupt, measure
)
KILLS = Kind("kills", 40, "commands killed, then given again", _kill, measure)
