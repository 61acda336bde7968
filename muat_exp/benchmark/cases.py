"""What is timed: every case runs in a process of its own and returns one row.

So each case's peak memory is its own.
"""

import logging
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from muat_exp.app.compose import load_config
from muat_exp.benchmark.finished import finished
from muat_exp.benchmark.one_at_a_time import STAGES, one_at_a_time
from muat_exp.benchmark.wrapping import Profile, replaced
from muat_exp.config.groups import Config
from muat_exp.memory import peak_memory_mib
from muat_exp.subjects.population import Population

Row = dict[str, Any]
_ATTEMPTS = 4088  # of one pipeline run: two whole cohorts, so many of every pattern
_COHORT = 2048  # attempts of one training run
_WARM_ATTEMPTS = 28  # of the run that loads the kernels
_ENGINE = "muat_exp.training.engines.compiled:CompiledEngine"
_TINY_JOB = (
    "experiment=smoke",
    "training=published",
    "patterns.enabled=[starts_with,contains_abc]",
    "dataset.num_examples=8",
)


def measure(case: str, options: Row) -> Row:
    """One row: the options, what the case measured, and the peak memory of this process in MiB."""
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    run = CASES[case]
    measured = run(**options)
    return options | measured | {"peak_memory_mib": peak_memory_mib()}


def _fixed_attempts(config: Config, count: int) -> Config:
    """One attempt per example, as the loops train them.

    So exactly the attempts 0 to count - 1 are made, accepted or not.
    """
    dataset = replace(
        config.dataset, num_examples=count, max_attempts_per_example=1, on_shortfall="accept"
    )
    return replace(config, dataset=dataset)


def _warm(config: Config, folder: Path) -> None:
    """A small run, which loads the compiled kernels."""
    from muat_exp.generation.pipeline import generate

    generate(_fixed_attempts(config, _WARM_ATTEMPTS), folder / "warm")


def _loop(way: str, recipe: str, subjects: int) -> Row:
    """One subject at a time, from its data to its prompt."""
    import pytorch_lightning  # noqa: F401 - its import is not what is measured

    config = load_config([f"training={recipe}"])
    stage = STAGES[way]
    one_at_a_time(config, 2, stage)
    begin = time.perf_counter()
    one_at_a_time(config, subjects, stage)
    seconds = time.perf_counter() - begin
    return {"attempts": subjects, "seconds": seconds, "attempts_per_second": subjects / seconds}


def _pipeline(recipe: str, architecture: str, workers: int) -> Row:
    """The whole pipeline on the same attempts as the loops."""
    from muat_exp.generation.pipeline import generate

    config = load_config([f"training={recipe}", f"architecture={architecture}"])
    config = replace(config, workers=workers)
    timed = _fixed_attempts(config, _ATTEMPTS)
    with tempfile.TemporaryDirectory() as folder:
        _warm(config, Path(folder))
        begin = time.perf_counter()
        result = generate(timed, Path(folder) / "timed")
        seconds = time.perf_counter() - begin
    accepted = result.summary["accepted"]
    return {
        "attempts": _ATTEMPTS,
        "accepted": accepted,
        "seconds": seconds,
        "attempts_per_second": _ATTEMPTS / seconds,
        "accepted_per_second": accepted / seconds,
    }


def _growth(examples: int) -> Row:
    """A default run: its time should grow with the number of examples, its memory not at all."""
    from muat_exp.generation.pipeline import generate

    config = load_config([f"dataset.num_examples={examples}"])
    with tempfile.TemporaryDirectory() as folder:
        _warm(config, Path(folder))
        result = generate(config, Path(folder) / "timed")
    summary = result.summary
    return {
        "examples": examples,
        "seconds": summary["seconds"]["total"],
        "attempts_trained": summary["attempts_trained"],
        "attempts_per_second": summary["attempts_per_second"],
        "accepted_per_second": summary["accepted_per_second"],
    }


def _training(recipe: str, architecture: str, workers: int) -> Row:
    """Both stages of one cohort, in Lightning, its data drawn before."""
    from muat_exp.evaluation.measurement import RunContext
    from muat_exp.executors.threads import worker_threads
    from muat_exp.subjects.data import draw_data
    from muat_exp.subjects.initialization import empty_population
    from muat_exp.subjects.specs import draw_specs
    from muat_exp.training.stages import train_clean, train_degraded

    config = load_config([f"training={recipe}", f"architecture={architecture}"])
    space = RunContext.build(config).space
    few = draw_specs(config, np.arange(8))
    few_data = draw_data(config, space, few)
    specs = draw_specs(config, np.arange(_COHORT))
    data = draw_data(config, space, specs)
    validation_rows = len(data.labels) - data.training_rows
    work = _Work(empty_population(config, specs))
    with worker_threads(workers) as threads:
        train_degraded(config, few, few_data, threads)  # loads the kernels
        with work.counting(data.training_rows, validation_rows):
            begin = time.perf_counter()
            degraded = train_degraded(config, specs, data, threads)
            train_clean(config, specs, data, degraded, threads)
            seconds = time.perf_counter() - begin
    speed = work.done / seconds / workers / 1e9
    peak = _matmul_peak()
    return {
        "attempts": _COHORT,
        "seconds": seconds,
        "attempts_per_second": _COHORT / seconds,
        "gflops_per_worker": speed,
        "matmul_peak_gflops": peak,
        "share_of_peak": speed / peak,
    }


class _Work:
    """Floating-point operations of the networks of one cohort.

    Args:
        population: the networks; only their shapes count.

    Attributes:
        forward_operations: float64 `(S,)`, of one sequence through the network.
        step_operations: float64 `(S,)`, of one sequence forward and back.
        done: operations counted so far.
    """

    def __init__(self, population: Population) -> None:
        products = population.products
        self.forward_operations = 2.0 * products
        # Backwards it is twice that, but nobody needs the gradient of the inputs.
        self.step_operations = 6.0 * products - 2.0 * population.input_products
        self.done = 0.0

    @contextmanager
    def counting(self, training_rows: int, validation_rows: int) -> Iterator[None]:
        """Counts what the compiled engine does while a block runs, on data of so many rows."""
        train = partial(self._counted, self.step_operations * training_rows)
        evaluate = partial(self._counted, self.forward_operations * validation_rows)
        training = replaced(f"{_ENGINE}.train_epoch", train)
        evaluation = replaced(f"{_ENGINE}.evaluate", evaluate)
        with training, evaluation:
            yield

    def _counted(
        self, operations: NDArray[np.floating], method: Callable[..., Any]
    ) -> Callable[..., Any]:
        """The engine's method, counting so many operations per subject and call."""

        def counted(engine: object, which: NDArray[np.int64], *more: object) -> object:
            self.done += float(operations[which].sum())
            return method(engine, which, *more)

        return counted


def _matmul_peak() -> float:
    """GFLOP/s of one thread in the best float32 matrix product that PyTorch has here."""
    import torch

    torch.set_num_threads(1)
    best = 0.0
    for size in (512, 1024, 2048):
        left = torch.rand(size, size)
        right = torch.rand(size, size)
        for _ in range(4):
            begin = time.perf_counter()
            left @ right
            seconds = time.perf_counter() - begin
            best = max(best, 2 * size**3 / seconds)
    return best / 1e9


def _phases(recipe: str) -> Row:
    """Where the CPU time of the whole pipeline goes, one worker."""
    from muat_exp.generation.pipeline import generate

    config = replace(load_config([f"training={recipe}"]), workers=1)
    timed = _fixed_attempts(config, _ATTEMPTS)
    profile = Profile()
    with tempfile.TemporaryDirectory() as folder:
        _warm(config, Path(folder))
        with profile.wrapped():
            begin = time.process_time()
            generate(timed, Path(folder) / "timed")
            total = time.process_time() - begin
    return {"cpu_seconds": total, "shares": profile.shares(total)}


def _command_seconds(*arguments: str) -> float:
    """Seconds of `python -m muat_exp` with these arguments."""
    command = [sys.executable, "-m", "muat_exp", *arguments]
    begin = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - begin


def _start_up() -> Row:
    """Seconds until `--help` has answered, and for the smoke experiment with compiled kernels."""
    helped = [_command_seconds("--help") for _ in range(3)]
    smoke = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "second"):
            run = f"hydra.run.dir={folder}/{name}"
            smoke.append(_command_seconds("experiment=smoke", run))
    return {"help_seconds": min(helped), "smoke_seconds": min(smoke)}


def _tracking(pairs: int) -> Row:
    """A default run with W&B offline beside one without, in turns.

    The median of their ratios is what W&B costs.
    """
    seconds = _logged_seconds(("csv", "wandb"), pairs)
    ratios = seconds["wandb"] / seconds["csv"]
    return {
        "pairs": pairs,
        "cost": float(np.median(ratios)) - 1,
        "ratios": ratios.tolist(),
        "wandb_seconds": float(np.median(seconds["wandb"])),
        "csv_seconds": float(np.median(seconds["csv"])),
    }


def _logged_seconds(loggers: Sequence[str], rounds: int) -> dict[str, NDArray[np.float64]]:
    """Seconds `(rounds,)` of a default run by logger; who begins changes from round to round."""
    seconds: dict[str, list[float]] = {logger: [] for logger in loggers}
    with tempfile.TemporaryDirectory() as folder:
        _command_seconds("experiment=smoke", f"hydra.run.dir={folder}/warm")
        for index in range(rounds):
            order = loggers if index % 2 == 0 else loggers[::-1]
            for logger in order:
                run = f"hydra.run.dir={folder}/{index}-{logger}"
                taken = _command_seconds(f"logger={logger}", run)
                seconds[logger].append(taken)
    return {logger: np.array(values) for logger, values in seconds.items()}


def _sweep(jobs: int) -> Row:
    """A sweep of tiny jobs: seconds per job outside its own work, W&B included.

    They are counted from the second job on: the first one loads everything.
    """
    with tempfile.TemporaryDirectory() as folder:
        swept = (f"seed=range({jobs})", f"hydra.sweep.dir={folder}")
        total = _command_seconds("-m", *_TINY_JOB, *swept)
        runs = [Path(folder) / str(job) for job in range(jobs)]
        per_job = (_end(runs[-1]) - _end(runs[0])) / (jobs - 1)
        work = [_told_seconds(run) for run in runs[1:]]
    mean_work = float(np.mean(work))
    return {
        "jobs": jobs,
        "seconds": total,
        "work_per_job": mean_work,
        "outside_per_job": per_job - mean_work,
    }


def _end(run: Path) -> float:
    """When the job of a run ended, in seconds."""
    return (run / "job.json").stat().st_mtime


def _told_seconds(run: Path) -> float:
    """The seconds that a run says it took."""
    summary = orjson.loads((run / "summary.json").read_bytes())
    return float(summary["seconds"]["total"])


CASES: dict[str, Callable[..., Row]] = {
    "loop": _loop,
    "pipeline": _pipeline,
    "training": _training,
    "phases": _phases,
    "growth": _growth,
    "finished": finished,
    "start_up": _start_up,
    "tracking": _tracking,
    "sweep": _sweep,
}
