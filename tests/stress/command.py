"""The command line of the stress tests."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stress import datasets, interrupts, mistakes, sweeps
from stress.case import Kind, Trial, generator, numbers
from stress.originals import Originals, make_originals
from stress.report import Figures, Result, print_report, write_section

KINDS = {
    kind.name: kind
    for kind in (interrupts.INTERRUPTS, interrupts.KILLS, datasets.KIND, sweeps.KIND, mistakes.KIND)
}
_LONGEST = 900.0  # seconds of one case, its commands together


@dataclass
class _Running:
    """A case in a process of its own."""

    kind: Kind
    number: int
    folder: Path
    began: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the cases; returns 1 where one failed, else 0."""
    options = _options(arguments)
    work = Path(options.folder or tempfile.mkdtemp(prefix="stress-"))
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    originals = make_originals(work / "originals")
    chosen = list(_chosen(options))
    for kind in KINDS.values():
        if kind.prepare:
            kind.prepare(originals, [number for item, number in chosen if item is kind])
    results = list(_tried(chosen, options.seed, options.jobs, work, originals))
    figures = Figures(results, KINDS, options.seed, time.monotonic() - began)
    print_report(figures)
    if options.write:
        write_section(figures)
    if not options.folder:
        shutil.rmtree(work, ignore_errors=True)
    return int(any(result.faults for result in results))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser("python -m stress", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="everything is drawn from it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="cases at a time")
    parser.add_argument("--only", default="", help="cases alone, such as datasets:137 or datasets")
    parser.add_argument("--folder", default="", help="where to work; it is kept")
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md's figures")
    for kind in KINDS.values():
        parser.add_argument(f"--{kind.name}", type=int, default=kind.size, help=kind.doc)
    return parser.parse_args(arguments)


def _chosen(options: argparse.Namespace) -> Iterator[tuple[Kind, int]]:
    """The kinds and numbers that are to be tried."""
    if options.only:
        for choice in options.only.split():
            name, _, which = choice.partition(":")
            size = getattr(options, name)
            for number in numbers(which) if which else range(size):
                yield KINDS[name], number
        return
    for kind in KINDS.values():
        for number in range(getattr(options, kind.name)):
            yield kind, number


def _tried(
    chosen: Sequence[tuple[Kind, int]], seed: int, jobs: int, work: Path, originals: Originals
) -> Iterator[Result]:
    """Tries cases, some at a time."""
    waiting = list(reversed(chosen))
    running: dict[int, _Running] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            kind, number = waiting.pop()
            folder = work / f"{kind.name}-{number}"
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "case").mkdir(parents=True)
            pid = _start(kind, number, seed, folder, originals)
            running[pid] = _Running(kind, number, folder, time.monotonic())
        for pid in list(running):
            result = _ended(pid, running[pid])
            if result is not None:
                _tell(result)
                shutil.rmtree(running.pop(pid).folder, ignore_errors=True)
                yield result
        time.sleep(0.02)


def _start(kind: Kind, number: int, seed: int, folder: Path, originals: Originals) -> int:
    """Begins a case in a forked process, which writes down what came of it; returns its number."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    draw = generator(seed, kind.name, number)
    trial = Trial(number, draw, folder / "case", originals)
    result = Result(kind.name, number)
    try:
        kind.run(trial)
    except BaseException as error:
        trial.faults.append(f"the stress test itself: {error!r}, {_place(error)}")
    result.what, result.group = trial.what, trial.group
    result.commands, result.faults = trial.commands, trial.faults
    (folder / "result.json").write_text(json.dumps(asdict(result)))
    os._exit(0)


def _place(error: BaseException) -> str:
    """The line that raised an error."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _ended(pid: int, case: _Running) -> Result | None:
    """What came of a case; None where it is not over."""
    found, _ = os.waitpid(pid, os.WNOHANG)
    seconds = time.monotonic() - case.began
    if not found and seconds > _LONGEST:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    elif not found:
        return None
    path = case.folder / "result.json"
    if path.is_file():
        result = Result(**json.loads(path.read_text()))
    else:
        result = Result(case.kind.name, case.number, faults=["the case did not end"])
    result.seconds = seconds
    return result


def _tell(result: Result) -> None:
    """Prints what did not hold of a case."""
    for fault in result.faults:
        name = f"{result.kind}:{result.number}"
        print(f"{name} [{result.what}] {fault}", flush=True)
