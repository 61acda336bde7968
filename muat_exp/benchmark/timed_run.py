"""One timed run of whichever muat_exp stands first on Python's path; prints its seconds as JSON.

`against` starts it in a process of its own, with PYTHONPATH at one checkout or another. So it uses
only what every version has: `load_config`, `generate`, and Lightning's `Trainer.fit`.
"""

import json
import logging
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl

import muat_exp

_WARM_ATTEMPTS = 28


def main(recipe: str, attempts: int) -> dict[str, object]:
    """Seconds of the whole pipeline, and of training alone; and which package was timed."""
    with tempfile.TemporaryDirectory() as folder:
        _run(recipe, _WARM_ATTEMPTS, Path(folder) / "warm")
        begin = time.perf_counter()
        _run(recipe, attempts, Path(folder) / "pipeline")
        pipeline = time.perf_counter() - begin
        with _fits_timed() as fits:
            # A single cohort: its fits are all of the training, and nothing runs beside them.
            _run(recipe, attempts, Path(folder) / "training", f"cohort_size={attempts}")
    package = str(Path(muat_exp.__file__).parent)
    return {"package": package, "pipeline": pipeline, "training": sum(fits)}


def _run(recipe: str, attempts: int, folder: Path, *more: str) -> None:
    """Makes so many attempts, one per example, accepted or not."""
    fixed = [
        f"training={recipe}",
        f"dataset.num_examples={attempts}",
        "dataset.max_attempts_per_example=1",
        "dataset.on_shortfall=accept",
        "logger=none",
    ]
    muat_exp.generate(muat_exp.load_config([*fixed, *more]), folder)


@contextmanager
def _fits_timed() -> Iterator[list[float]]:
    """A list that takes the seconds of every fit of Lightning while a block runs."""
    seconds: list[float] = []
    lock = threading.Lock()
    fit = pl.Trainer.fit

    def timed(*arguments: object, **options: object) -> None:
        begin = time.perf_counter()
        fit(*arguments, **options)  # type: ignore[arg-type]
        with lock:
            seconds.append(time.perf_counter() - begin)

    pl.Trainer.fit = timed  # type: ignore[method-assign,assignment]
    try:
        yield seconds
    finally:
        pl.Trainer.fit = fit  # type: ignore[method-assign]


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
