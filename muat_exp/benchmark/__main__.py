"""Runs all cases, each in a process of its own; shows the tables and the change since the last results."""

import argparse
import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console

from muat_exp.benchmark.cases import CASES, measure
from muat_exp.benchmark.report import Results, plot, show

RECIPES = ("robust", "published")
SHAPES = tuple(product(RECIPES, ("small", "medium", "large"), (1, 2)))
SUBJECTS = {"plain": 28, "lightning": 14}  # the first ones of the pipeline's attempts
PAIRS = 6  # of default runs with and without W&B
JOBS = 20  # of a sweep
FINISHED = 2_000  # examples of the dataset that is read, rendered and validated
EXAMPLES = (1_000, 10_000, 50_000)


def plan(quick: bool) -> list[tuple[str, dict[str, Any]]]:
    """All cases and their options; `quick` leaves out what takes minutes."""
    shapes = [
        dict(zip(("recipe", "architecture", "workers"), shape, strict=True)) for shape in SHAPES
    ]
    return [
        *(
            ("loop", {"way": way, "recipe": recipe, "subjects": SUBJECTS[way]})
            for recipe in RECIPES
            for way in SUBJECTS
        ),
        *(("pipeline", shape) for shape in shapes),
        *(("training", shape) for shape in shapes),
        *(("phases", {"recipe": recipe}) for recipe in RECIPES),
        *(("growth", {"examples": examples}) for examples in EXAMPLES[: 1 if quick else 3]),
        ("finished", {"examples": FINISHED}),
        ("start_up", {}),
        ("tracking", {"pairs": PAIRS}),
        ("sweep", {"jobs": JOBS}),
    ]


def run_case(case: str, options: dict[str, Any]) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "muat_exp.benchmark",
        "--case",
        case,
        "--options",
        json.dumps(options),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"{case} {options} failed:\n{finished.stderr}")
    return json.loads(finished.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def main() -> None:
    """Runs everything, or one case where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, help="run one case and print its row as JSON")
    parser.add_argument(
        "--options", type=json.loads, default={}, help="the case's options, as a JSON object"
    )
    parser.add_argument(
        "--quick", action="store_true", help="leave out the runs of 10,000 and 50,000 examples"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("outputs/bench.json"), help="where the results are kept"
    )
    parser.add_argument(
        "--plot", type=Path, default=Path("outputs/bench.svg"), help="where the figure goes"
    )
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments.options)))
        return
    before: Results = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    results: Results = {}
    console = Console(stderr=True)
    for case, options in plan(arguments.quick):
        console.print(
            f"{case} {' '.join(f'{key}={value}' for key, value in options.items())}", style="dim"
        )
        results.setdefault(case, []).append(run_case(case, options))
    show(results, before)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=2))
    plot(results, arguments.plot)
    print(f"written to {arguments.json} and {arguments.plot}")


if __name__ == "__main__":
    main()
