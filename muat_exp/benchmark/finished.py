"""What is done with a finished dataset, and how fast.

It is read, validated, rendered and written, and each signature method is taken.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from muat_exp.app.compose import load_config
from muat_exp.config.groups import Config, SignatureConfig
from muat_exp.dataset.reading import Subjects
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.signatures.methods import METHODS

_ROW_GROUP = 200  # examples, as a dataset has them


def shortest(
    function: Callable[[], object], clock: Callable[[], float] = time.perf_counter, runs: int = 3
) -> float:
    """Seconds of the shortest of a few runs."""
    taken = []
    for _ in range(runs):
        begin = clock()
        function()
        taken.append(clock() - begin)
    return min(taken)


def finished(examples: int) -> dict[str, Any]:
    """Examples per second of each task on a default dataset of so many.

    It is one thread where nothing else is said.
    """
    from muat_exp.dataset.reading import load_subjects
    from muat_exp.executors.threads import worker_threads
    from muat_exp.generation.pipeline import generate

    config = load_config([f"dataset.num_examples={examples}", "logger=none"])
    with tempfile.TemporaryDirectory() as folder, worker_threads(config.threads) as workers:
        dataset = generate(config, Path(folder)).dataset
        subjects = load_subjects(dataset)
        return {
            "examples": examples,
            **_rates(config, dataset, examples, workers),
            "milliseconds_by_method": _method_milliseconds(config, subjects),
        }


def _rates(
    config: Config, dataset: Path, examples: int, workers: ThreadExecutor
) -> dict[str, float]:
    """Examples per second of reading, rendering, writing and validating."""
    from muat_exp.dataset.reading import load_subjects
    from muat_exp.prompts.rendering import Renderer
    from muat_exp.validation.validate import validate

    renderer = Renderer(config)
    tables = {part: pq.read_table(dataset / part) for part in ("prompts", "subjects")}
    records = tables["subjects"]
    with tempfile.TemporaryDirectory() as folder:
        writing = shortest(lambda: _write(tables, Path(folder)), time.process_time)
    reading = shortest(lambda: load_subjects(dataset).population())
    rendering = shortest(lambda: renderer.table(records), time.thread_time)
    validating = shortest(lambda: validate(dataset, workers), runs=1)
    return {
        "read_per_second": examples / reading,
        "rendered_per_second": examples / rendering,
        "written_per_second": examples / writing,
        "validated_per_second": examples / validating,
    }


def _write(tables: dict[str, pa.Table], folder: Path) -> None:
    """Writes tables as a dataset's shards are written."""
    for part, table in tables.items():
        path = folder / f"{part}.parquet"
        pq.write_table(table, path, _ROW_GROUP, compression="zstd", compression_level=1)


def _method_milliseconds(config: Config, subjects: Subjects) -> dict[str, float]:
    """Milliseconds per subject of each signature method."""
    from muat_exp.evaluation.measurement import RunContext
    from muat_exp.signatures.profiling import profile

    population = subjects.population()
    probes = RunContext.build(config).probes
    everyone = np.arange(len(subjects))
    milliseconds = {}
    for method in METHODS:
        signature = SignatureConfig((method,))

        def take(chosen: SignatureConfig = signature) -> None:
            profile(chosen, population, probes, everyone)

        profile(signature, population, probes, everyone[:8])  # loads the kernel
        seconds = shortest(take, time.thread_time)
        milliseconds[method] = 1000 * seconds / len(subjects)
    return milliseconds
