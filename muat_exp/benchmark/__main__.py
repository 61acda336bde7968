"""Measures the speed of muat_exp, each case in a process of its own.

Without options all cases are run; tables show them and the change since the last results. With
--against, this checkout is compared with another one.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from muat_exp.benchmark.against import compare
from muat_exp.benchmark.cases import CASES, measure
from muat_exp.benchmark.report import Results, plot, show

RECIPES = ("robust", "published")
_ARCHITECTURES = ("small", "medium", "large")
_WORKERS = (1, 2)
_LOOP_SUBJECTS = {"plain": 28, "lightning": 14}  # the first ones of the pipeline's attempts
_TRACKING_PAIRS = 6  # of default runs with and without W&B
_SWEEP_JOBS = 20
_FINISHED_EXAMPLES = 2_000  # of the dataset that is read, rendered and validated
_QUICK_EXAMPLES = (1_000,)
_EXAMPLES = (*_QUICK_EXAMPLES, 10_000, 50_000)

Case = tuple[str, dict[str, Any]]  # name and options


def plan(quick: bool) -> Iterator[Case]:
    """All cases and their options; `quick` leaves out what takes minutes."""
    for recipe, (way, subjects) in product(RECIPES, _LOOP_SUBJECTS.items()):
        yield "loop", {"way": way, "recipe": recipe, "subjects": subjects}
    for case in ("pipeline", "training"):
        for recipe, architecture, workers in product(RECIPES, _ARCHITECTURES, _WORKERS):
            options = {"recipe": recipe, "architecture": architecture, "workers": workers}
            yield case, options
    for recipe in RECIPES:
        yield "phases", {"recipe": recipe}
    for examples in _QUICK_EXAMPLES if quick else _EXAMPLES:
        yield "growth", {"examples": examples}
    yield "finished", {"examples": _FINISHED_EXAMPLES}
    yield "start_up", {}
    yield "tracking", {"pairs": _TRACKING_PAIRS}
    yield "sweep", {"jobs": _SWEEP_JOBS}


def _run_case(case: str, options: dict[str, Any]) -> dict[str, Any]:
    """`measure` in a process of its own."""
    given = orjson.dumps(options).decode()
    asked = ["--case", case, "--options", given]
    command = [sys.executable, "-m", "muat_exp.benchmark", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{case} {options} failed:\n{done.stderr}")
    last_line = done.stdout.splitlines()[-1]
    row: dict[str, Any] = orjson.loads(last_line)
    return row


def _run_all(quick: bool, path: Path, figure: Path) -> None:
    """Runs all cases, shows them beside the last results, and keeps them."""
    before: Results = orjson.loads(path.read_bytes()) if path.exists() else {}
    results = _results(quick)
    show(results, before)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    plot(results, figure)
    print(f"written to {path} and {figure}")


def _results(quick: bool) -> Results:
    """The rows of all cases; tells which one is at work."""
    results: Results = {}
    console = Console(stderr=True)
    for case, options in plan(quick):
        shown = " ".join(f"{key}={value}" for key, value in options.items())
        console.print(f"{case} {shown}", style="dim")
        row = _run_case(case, options)
        results.setdefault(case, []).append(row)
    return results


def _parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m muat_exp.benchmark", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="leave out the runs of 10,000 and 50,000 examples")
    add("--json", type=Path, default=Path("outputs/bench.json"), help="where results are kept")
    add("--plot", type=Path, default=Path("outputs/bench.svg"), help="where the figure goes")
    add("--case", choices=CASES, help="run one case and print its row as JSON")
    add("--options", type=orjson.loads, default={}, help="the case's options, a JSON object")
    paired = parser.add_argument_group("comparison with another checkout")
    add = paired.add_argument
    add("--against", type=Path, metavar="FOLDER", help="the other checkout's folder")
    add("--pairs", type=int, default=6, help="runs of each checkout per recipe (default: 6)")
    add("--attempts", type=int, default=4088, help="attempts of each run (default: 4088)")
    add("--recipes", nargs="+", choices=RECIPES, default=RECIPES, help="default: both")
    return parser


def main() -> None:
    """Runs everything, or what the command line asks for."""
    arguments = _parser().parse_args()
    if arguments.case:
        row = measure(arguments.case, arguments.options)
        print(orjson.dumps(row).decode())
    elif arguments.against:
        compare(arguments.against, arguments.recipes, arguments.pairs, arguments.attempts)
    else:
        _run_all(arguments.quick, arguments.json, arguments.plot)


if __name__ == "__main__":
    main()
