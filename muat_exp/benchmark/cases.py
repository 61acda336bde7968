"""What is timed. Every case runs in a process of its own, so that its peak memory is its own, and returns one row."""

import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from muat_exp.app.compose import load_config
from muat_exp.benchmark.finished import finished
from muat_exp.benchmark.one_at_a_time import STAGES, one_at_a_time
from muat_exp.config.groups import Config

_Row = dict[str, Any]
_ATTEMPTS = 4088  # of one pipeline run: two whole cohorts, so many of every pattern
_COHORT = 2048  # attempts of one training run


def _quiet() -> None:
    """Keeps library chatter off the terminal."""
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def _peak_memory() -> float:
    """Peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _fixed_attempts(config: Config, count: int) -> Config:
    """One attempt an example: exactly the attempts 0 to count - 1, accepted or not, as the loops train them."""
    dataset = replace(
        config.dataset, num_examples=count, max_attempts_per_example=1, on_shortfall="accept"
    )
    return replace(config, dataset=dataset)


def _warm(config: Config, folder: Path) -> None:
    """A small run, which loads the compiled kernels."""
    from muat_exp.generation.pipeline import generate

    generate(_fixed_attempts(config, 28), folder / "warm")


def _loop(way: str, recipe: str, subjects: int) -> _Row:
    """One subject at a time, from its data to its prompt."""
    import pytorch_lightning  # noqa: F401 - its import is not what is measured

    config = load_config([f"training={recipe}"])
    one_at_a_time(config, 2, STAGES[way])
    begin = time.perf_counter()
    one_at_a_time(config, subjects, STAGES[way])
    seconds = time.perf_counter() - begin
    return {"attempts": subjects, "seconds": seconds, "attempts_per_second": subjects / seconds}


def _pipeline(recipe: str, architecture: str, workers: int) -> _Row:
    """The whole pipeline on the same attempts as the loops."""
    from muat_exp.generation.pipeline import generate

    config = replace(
        load_config([f"training={recipe}", f"architecture={architecture}"]), workers=workers
    )
    with tempfile.TemporaryDirectory() as folder:
        _warm(config, Path(folder))
        begin = time.perf_counter()
        summary = generate(_fixed_attempts(config, _ATTEMPTS), Path(folder) / "timed").summary
        seconds = time.perf_counter() - begin
    rates = {
        "attempts_per_second": _ATTEMPTS / seconds,
        "accepted_per_second": summary["accepted"] / seconds,
    }
    return {"attempts": _ATTEMPTS, "accepted": summary["accepted"], "seconds": seconds} | rates


def _growth(examples: int) -> _Row:
    """A default run of so many examples: its time and memory should grow with nothing but their number, and not at all."""
    from muat_exp.generation.pipeline import generate

    config = load_config([f"dataset.num_examples={examples}"])
    with tempfile.TemporaryDirectory() as folder:
        _warm(config, Path(folder))
        summary = generate(config, Path(folder) / "timed").summary
    keys = ("attempts_trained", "attempts_per_second", "accepted_per_second")
    return {"examples": examples, "seconds": summary["seconds"]["total"]} | {
        key: summary[key] for key in keys
    }


def _matmul_peak() -> float:
    """GFLOP/s of one thread in the best float32 matrix product that PyTorch has here."""
    import torch

    torch.set_num_threads(1)
    best = 0.0
    for size in (512, 1024, 2048):
        a = torch.rand(size, size)
        b = torch.rand(size, size)
        for _ in range(4):
            begin = time.perf_counter()
            a @ b
            best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    return best / 1e9


def training(recipe: str, architecture: str, workers: int) -> _Row:
    """Both stages of one cohort, in Lightning, its data drawn before."""
    from muat_exp.evaluation.measurement import RunContext
    from muat_exp.executors.threads import worker_threads
    from muat_exp.subjects.data import draw_data
    from muat_exp.subjects.initialization import empty_population
    from muat_exp.subjects.specs import draw_specs
    from muat_exp.training.engines.compiled import CompiledEngine
    from muat_exp.training.stages import train_clean, train_degraded

    config = load_config([f"training={recipe}", f"architecture={architecture}"])
    work = [0.0]
    task = RunContext.build(config)
    specs = draw_specs(config, np.arange(_COHORT))
    data = draw_data(config, task.space, specs)
    shapes = empty_population(config, specs)
    products = shapes.products
    # Forward and twice that backward, but for the inputs' gradient.
    step = 6 * products - 2 * shapes.input_products
    train_epoch = CompiledEngine.train_epoch
    evaluate = CompiledEngine.evaluate

    def count(method: Callable[..., Any], operations: Any, rows: int) -> Callable[..., Any]:
        def counted(self: CompiledEngine, which: Any, *more: Any) -> Any:
            work[0] += float(operations[which].sum()) * rows
            return method(self, which, *more)

        return counted

    rows = data.training_rows
    CompiledEngine.train_epoch = count(train_epoch, step, rows)  # type: ignore[method-assign]
    CompiledEngine.evaluate = count(evaluate, 2 * products, len(data.labels) - rows)  # type: ignore[method-assign]
    with worker_threads(workers) as threads:
        few = draw_specs(config, np.arange(8))
        train_degraded(config, few, draw_data(config, task.space, few), threads, [])
        work[0], begin = 0.0, time.perf_counter()
        degraded = train_degraded(config, specs, data, threads, [])
        train_clean(config, specs, data, degraded, threads, [])
        seconds = time.perf_counter() - begin
    speed = work[0] / seconds / workers / 1e9
    peak = _matmul_peak()
    row = {"attempts": _COHORT, "seconds": seconds, "attempts_per_second": _COHORT / seconds}
    return row | {
        "gflops_per_worker": speed,
        "matmul_peak_gflops": peak,
        "share_of_peak": speed / peak,
    }


class _Profile:
    """CPU seconds by part of the pipeline, while its functions are wrapped."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def wrap(self, owner: Any, name: str, part: str, clock: Callable[[], float]) -> None:
        """Adds the clock's seconds within `owner.name` to a part."""
        function = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            begin = clock()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[part] = self.seconds.get(part, 0.0) + clock() - begin

        setattr(owner, name, timed)


@contextmanager
def _wrapped_pipeline() -> Iterator[_Profile]:
    """Wraps the parts of the pipeline. Cohorts go one after another meanwhile, so that nothing else runs beside a kernel."""
    from muat_exp.dataset import writing as store
    from muat_exp.generation import cohort
    from muat_exp.prompts import rendering
    from muat_exp.training import callbacks
    from muat_exp.training import stages as training
    from muat_exp.training.engines.compiled import CompiledEngine

    profile = _Profile()
    process = time.process_time
    thread = time.thread_time
    from muat_exp.generation import pipeline as run

    run.IN_FLIGHT = 1
    profile.wrap(CompiledEngine, "train_epoch", "training", process)
    profile.wrap(CompiledEngine, "evaluate", "validation", process)
    profile.wrap(cohort, "train_degraded", "stages", process)
    profile.wrap(cohort, "train_clean", "stages", process)
    profile.wrap(training, "fit", "fits", process)
    for callback in (
        callbacks.MetricsLogging,
        callbacks.DivergenceGuard,
        callbacks.BestWeights,
        callbacks.EarlyStop,
        callbacks.StageSwitch,
    ):
        profile.wrap(callback, "on_validation_end", "callbacks", process)
    profile.wrap(cohort, "draw_data", "sequences", process)
    profile.wrap(cohort, "measure_tests", "tests", process)
    profile.wrap(cohort, "measure_responses", "responses", process)
    profile.wrap(cohort, "extract_signatures", "signatures", process)
    profile.wrap(run, "make_cohorts", "cohorts", process)
    profile.wrap(run, "gather", "gathering records", thread)
    profile.wrap(rendering.Renderer, "table", "text and token counts", thread)
    profile.wrap(store.ShardWriter, "put", "Parquet", thread)
    yield profile


def _phases(recipe: str) -> _Row:
    """Where the CPU time of the whole pipeline goes, one worker."""
    from muat_exp.generation.pipeline import generate

    config = replace(load_config([f"training={recipe}"]), workers=1)
    with tempfile.TemporaryDirectory() as folder:
        _warm(config, Path(folder))
        with _wrapped_pipeline() as profile:
            begin = time.process_time()
            generate(_fixed_attempts(config, _ATTEMPTS), Path(folder) / "timed")
            total = time.process_time() - begin
    seconds = profile.seconds
    stages, fits, cohorts = (seconds.pop(part) for part in ("stages", "fits", "cohorts"))
    measured = sum(seconds[part] for part in ("sequences", "tests", "responses", "signatures"))
    seconds["Lightning"] = fits - seconds["training"] - seconds["validation"] - seconds["callbacks"]
    seconds["stage set-up"] = stages - fits
    seconds["cohort files"] = cohorts - stages - measured
    seconds["everything else"] = total - sum(seconds.values())
    return {
        "cpu_seconds": total,
        "shares": {part: value / total for part, value in sorted(seconds.items())},
    }


def _command_seconds(*arguments: str) -> float:
    """Seconds of `python -m muat_exp` with these arguments."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "muat_exp", *arguments], capture_output=True, check=True)
    return time.perf_counter() - begin


def _start_up() -> _Row:
    """Seconds until `--help` has answered, and for the whole smoke experiment with compiled kernels."""
    with tempfile.TemporaryDirectory() as folder:
        smoke = [
            _command_seconds("experiment=smoke", f"hydra.run.dir={folder}/{name}")
            for name in ("first", "second")
        ]
        return {
            "help_seconds": min(_command_seconds("--help") for _ in range(3)),
            "smoke_seconds": min(smoke),
        }


def tracking(pairs: int) -> _Row:
    """A default run with W&B offline beside one without, in turns; the median of their ratios is what W&B costs."""
    seconds: dict[str, list[float]] = {"wandb": [], "csv": []}
    with tempfile.TemporaryDirectory() as folder:
        _command_seconds("experiment=smoke", f"hydra.run.dir={folder}/warm")
        for pair in range(pairs):
            for logger in sorted(
                seconds, reverse=bool(pair % 2)
            ):  # neither is always the first of its pair
                run = f"{folder}/{pair}-{logger}"
                seconds[logger].append(_command_seconds(f"logger={logger}", f"hydra.run.dir={run}"))
    ratios = np.array(seconds["wandb"]) / np.array(seconds["csv"])
    medians = {f"{logger}_seconds": float(np.median(values)) for logger, values in seconds.items()}
    return {
        "pairs": pairs,
        "cost": float(np.median(ratios)) - 1,
        "ratios": ratios.tolist(),
    } | medians


def sweep(jobs: int) -> _Row:
    """A sweep of tiny jobs: seconds a job spends outside its own work, from the second job on, W&B included."""
    tiny = [
        "experiment=smoke",
        "training=published",
        "patterns.enabled=[starts_with,contains_abc]",
        "dataset.num_examples=8",
    ]
    with tempfile.TemporaryDirectory() as folder:
        total = _command_seconds("-m", *tiny, f"seed=range({jobs})", f"hydra.sweep.dir={folder}")
        ends = [(Path(folder) / str(job) / "job.json").stat().st_mtime for job in range(jobs)]
        summaries = [
            json.loads((Path(folder) / str(job) / "summary.json").read_bytes())
            for job in range(1, jobs)
        ]
    work = float(np.mean([summary["seconds"]["total"] for summary in summaries]))
    return {
        "jobs": jobs,
        "seconds": total,
        "work_a_job": work,
        "outside_a_job": (ends[-1] - ends[0]) / (jobs - 1) - work,
    }


CASES: dict[str, Callable[..., _Row]] = {
    case.__name__: case
    for case in (_loop, _pipeline, _growth, training, _phases, finished, _start_up, tracking, sweep)
}


def measure(case: str, options: _Row) -> _Row:
    """One row: the options, what the case measured, and the peak memory of this process in MiB."""
    _quiet()
    return options | CASES[case](**options) | {"peak_memory_mib": _peak_memory()}
