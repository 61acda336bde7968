"""What is done with a finished dataset: how fast it is read, validated, rendered, written, and each signature method taken."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from muat_exp.app.compose import load_config
from muat_exp.config.groups import SignatureConfig
from muat_exp.signatures.methods import METHODS


def seconds(
    function: Callable[[], Any], clock: Callable[[], float] = time.perf_counter, runs: int = 3
) -> float:
    """The shortest of a few runs."""
    taken = []
    for _ in range(runs):
        begin = clock()
        function()
        taken.append(clock() - begin)
    return min(taken)


def finished(examples: int) -> dict[str, Any]:
    """Examples a second of each task on a default dataset of so many, one thread where nothing else is said."""
    from muat_exp.dataset.reading import load_subjects
    from muat_exp.evaluation.measurement import RunContext
    from muat_exp.executors.threads import worker_threads
    from muat_exp.generation.pipeline import generate
    from muat_exp.prompts.rendering import Renderer
    from muat_exp.signatures.profiling import profile
    from muat_exp.validation.validate import validate

    config = replace(load_config([f"dataset.num_examples={examples}", "logger=none"]))
    with tempfile.TemporaryDirectory() as folder, worker_threads(config.threads) as workers:
        dataset = generate(config, Path(folder)).dataset
        subjects = load_subjects(dataset)
        population = subjects.population()
        probes = RunContext.build(config).probes
        everyone = np.arange(len(subjects))
        tables = {part: pq.read_table(dataset / part) for part in ("prompts", "subjects")}
        methods = {}
        for method in METHODS:
            signature = SignatureConfig((method,))
            profile(signature, population, probes, everyone[:8])
            taken = seconds(
                lambda chosen=signature: profile(  # type: ignore[misc]
                    chosen, population, probes, everyone
                ),
                time.thread_time,
            )
            methods[method] = 1000 * taken / examples

        def write() -> None:
            for part, table in tables.items():
                pq.write_table(
                    table,
                    Path(folder) / f"{part}.parquet",
                    200,
                    compression="zstd",
                    compression_level=1,
                )

        renderer = Renderer(config)
        return {
            "examples": examples,
            "read_per_second": examples / seconds(lambda: load_subjects(dataset).population()),
            "rendered_per_second": examples
            / seconds(lambda: renderer.table(tables["subjects"]), time.thread_time),
            "written_per_second": examples / seconds(write, time.process_time),
            "validated_per_second": examples / seconds(lambda: validate(dataset, workers), runs=1),
            "milliseconds_by_method": methods,
        }
