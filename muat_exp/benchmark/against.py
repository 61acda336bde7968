"""This checkout beside another one: pairs of runs in turns, each in a process of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import orjson
from rich.console import Console
from rich.table import Table

from muat_exp.tables import number, terminal_table

_HERE = Path(__file__).parents[2]
_TIMED_RUN = Path(__file__).with_name("timed_run.py")
_PARTS = ("pipeline", "training")
_MAX_ERROR = 2000  # characters of a failed run's last words


class Pair(NamedTuple):
    """Seconds by part of one run of this checkout and one of the other, right after each other."""

    here: dict[str, float]
    there: dict[str, float]

    def ratio(self, part: str) -> float:
        """This checkout's seconds over the other's: below 1 it is faster."""
        return self.here[part] / self.there[part]


def compare(other: Path, recipes: Sequence[str], pairs: int, attempts: int) -> None:
    """Prints how long this checkout takes beside another one.

    Args:
        other: folder of the other checkout, in which `muat_exp` lies.
        recipes: options of the group `training`.
        pairs: runs of each checkout per recipe.
        attempts: of each run.

    Raises:
        SystemExit: `other` is no checkout, or a run failed.
    """
    if not (other / "muat_exp" / "__init__.py").is_file():
        raise SystemExit(f"--against {other}: there is no muat_exp in it.")
    for recipe in recipes:
        done = list(_run_pairs(other, recipe, pairs, attempts))
        Console().print(_table(recipe, attempts, done))


def _run_pairs(other: Path, recipe: str, pairs: int, attempts: int) -> Iterator[Pair]:
    """Runs both checkouts again and again; the one that begins changes from pair to pair."""
    for index in range(pairs):
        if index % 2 == 0:
            here = _timed_run(_HERE, recipe, attempts)
            there = _timed_run(other, recipe, attempts)
        else:
            there = _timed_run(other, recipe, attempts)
            here = _timed_run(_HERE, recipe, attempts)
        yield Pair(here, there)


def _timed_run(checkout: Path, recipe: str, attempts: int) -> dict[str, float]:
    """Seconds by part of a run of one checkout."""
    told = _run_script(checkout, recipe, str(attempts))
    result = orjson.loads(told)
    taken = result["package"]
    expected = str(checkout.resolve() / "muat_exp")
    if taken != expected:
        raise SystemExit(f"The run of {checkout} took {taken} instead of {expected}.")
    return {part: result[part] for part in _PARTS}


def _run_script(checkout: Path, *arguments: str) -> str:
    """The last line that the script of a timed run prints."""
    # -P keeps the folder of the script, which is one of this checkout, off Python's path.
    command = [sys.executable, "-P", str(_TIMED_RUN), *arguments]
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve())}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(f"The run of {checkout} failed:\n{done.stderr[-_MAX_ERROR:]}")
    return done.stdout.splitlines()[-1]


def _table(recipe: str, attempts: int, pairs: Sequence[Pair]) -> Table:
    """One row per part: median seconds of both, and the ratios of the pairs."""
    title = f"This checkout beside the other: {recipe}, {attempts} attempts, {len(pairs)} pairs"
    columns = ("here, s", "there, s", "ratio: median", "min", "max")
    table = terminal_table(title, ["part"], columns)
    for part in _PARTS:
        here = median(pair.here[part] for pair in pairs)
        there = median(pair.there[part] for pair in pairs)
        seconds = (number(here, 2), number(there, 2))
        ratios = [pair.ratio(part) for pair in pairs]
        figures = map(number, (median(ratios), min(ratios), max(ratios)))
        table.add_row(part, *seconds, *figures)
    return table
