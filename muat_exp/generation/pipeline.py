"""The pipeline: attempts in cohorts, accepted subjects, the dataset."""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import (
    PROMPT_TASKS,
    ArchitectureConfig,
    Config,
    DatasetConfig,
    LoggerConfig,
    Range,
)
from muat_exp.dataset.card import render_card
from muat_exp.dataset.reading import Subjects, load_subjects
from muat_exp.dataset.staging import claim_dataset, replace_folder, staged_folder
from muat_exp.dataset.writing import Means, complete, write_shards
from muat_exp.errors import TrackingError
from muat_exp.evaluation.measurement import RunContext
from muat_exp.executors.threads import Workers, worker_threads
from muat_exp.files import write_atomically
from muat_exp.generation.cohort import run_cohort
from muat_exp.generation.ledger import Ledger
from muat_exp.generation.quota import Quotas
from muat_exp.generation.run_folder import RunFolder, is_finished, run_digest
from muat_exp.generation.summary import Stopwatch, describe, performance
from muat_exp.generation.table import attempt_table, gather
from muat_exp.kernels.compiled import compile_once
from muat_exp.progress import Reporter, Silent
from muat_exp.prompts.tokens import load_counter
from muat_exp.tracking.choice import build_trackers
from muat_exp.tracking.curves import attach_curves, attached_curves
from muat_exp.tracking.lightning_logger import Curves
from muat_exp.tracking.tracker import Tracker
from muat_exp.training.stages import quiet_lightning

IN_FLIGHT = (
    2  # cohorts at a time: while one waits for Python or the disk, the other keeps the workers busy
)


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        folder: the run's folder.
        dataset: the Hugging Face dataset folder in it.
        summary: what `summary.json` holds.
    """

    folder: Path
    dataset: Path
    summary: dict[str, Any]

    def subjects(self) -> Subjects:
        """The subjects of the dataset."""
        return load_subjects(self.dataset)


def ensure_compiled(note: Callable[[str], None]) -> None:
    """Compiles the kernels where no earlier run did, by a tiny run, and says so."""
    compile_once(_run_everything, note)


def _run_everything() -> None:
    """A run of two examples in a folder that vanishes: it calls every kernel that a run calls."""
    config = Config(
        architecture=ArchitectureConfig(Range(1, 2), Range(5, 6)),
        dataset=DatasetConfig(2, balance=False, on_shortfall="accept", tasks=PROMPT_TASKS),
        logger=LoggerConfig("none"),
        cohort_size=32,
        workers=2,
    )
    with (
        tempfile.TemporaryDirectory(prefix="muat-kernels-") as folder,
        RunFolder.open(Path(folder), config) as run,
        worker_threads(config.threads) as workers,
        quiet_lightning(),
    ):
        run.store_config(config)
        _make_dataset(config, run, [], workers, Stopwatch(), Silent())


def generate(config: Config, folder: Path | str, reporter: Reporter | None = None) -> Result:
    """Makes a dataset, or continues one in the same folder.

    Args:
        config: the configuration, as `muat_exp.load_config` composes it.
        folder: the run's folder; the dataset goes to `folder/dataset`.
        reporter: told of the progress.

    Raises:
        ConfigurationError: the configured tokenizer or probe set is absent or wrong.
        ShortfallError: a pattern could not fill its quota and `dataset.on_shortfall` is "error".
        RunFolderError: the folder holds another configuration, is in use, or can't be written.
    """
    load_counter(config.dataset.tokenizer)  # a wrong one is refused before any work
    watch = Stopwatch()
    reporter = reporter or Silent()
    with RunFolder.open(Path(folder), config) as run:
        earlier = run.summary()
        if is_finished(run.path, config):
            reporter.note("this run was finished before: nothing to do")
            return Result(run.path, run.dataset, earlier)
        claim_dataset(run.dataset, config)
        run.store_config(config)
        if earlier and earlier["asked"] > config.dataset.num_examples:
            there = earlier["accepted"]
            reporter.note(
                f"the dataset of {there} examples in {run.path} becomes one of {config.dataset.num_examples}"
            )
        with watch.phase("compilation"):
            ensure_compiled(reporter.note)
        watch.restart()
        with (
            tracking(config, run.path) as trackers,
            worker_threads(config.threads) as workers,
            quiet_lightning(),
        ):
            result = _make_dataset(config, run, trackers, workers, watch, reporter)
        result.summary["made_with"] = run_digest(config)  # finished, now that all is logged too
        run.write_summary(result.summary)
        return result


def _make_dataset(
    config: Config,
    run: RunFolder,
    trackers: list[Tracker],
    workers: Workers,
    watch: Stopwatch,
    reporter: Reporter,
) -> Result:
    """Makes the cohorts that are missing, and the dataset of all of them."""
    with watch.phase("setup"):
        task = RunContext.build(config)
        if task.probes.given:
            write_atomically(
                run.path / "probe_set.json", task.probes.given
            )  # a continued run needs no other copy
    ledger = Ledger(Quotas(config), config.patterns.enabled)
    with watch.phase("cohorts"):
        trained = _make_cohorts(task, run, ledger, workers, watch, reporter, trackers)
    reporter.note("writing the dataset")
    with watch.phase("dataset"):
        summary, staged = _write_dataset(task, run, ledger, workers)
    replace_folder(staged, run.dataset)
    measured = performance(config, watch, trained, ledger.quotas.taken)
    summary |= (
        measured
        if trained
        else {key: run.summary().get(key, value) for key, value in measured.items()}
    )
    run.write_summary(summary)
    for tracker in trackers:
        tracker.finish(run.dataset, summary)
    return Result(run.path, run.dataset, summary)


@contextmanager
def tracking(config: Config, folder: Path) -> Iterator[list[Tracker]]:
    """The run's trackers, closed whatever happens."""
    trackers = build_trackers(config, folder)
    with ExitStack() as closing:
        for tracker in reversed(trackers):
            closing.callback(tracker.close)
        try:
            yield trackers
        except BaseException:
            closing.pop_all()  # what ended the run is told, not what can't be logged of it
            for tracker in trackers:
                with suppress(TrackingError):
                    tracker.close()
            raise


def _make_cohorts(
    task: RunContext,
    run: RunFolder,
    ledger: Ledger,
    workers: Workers,
    watch: Stopwatch,
    reporter: Reporter,
    trackers: list[Tracker],
) -> int:
    """Makes cohorts until every quota is full and records them in the order of their numbers; returns attempts trained."""
    trained = 0
    under_way: deque[Future[tuple[pa.Table, int]]] = deque()
    planned = len(run.manifest.plans)
    reporter.note(
        f"continuing: an earlier run planned {planned} cohorts" if planned else "training"
    )
    with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="muat-cohort") as drivers:
        try:
            while True:
                while len(under_way) < IN_FLIGHT:
                    number = len(ledger.places) + len(under_way)
                    indices = _next_attempts(run, ledger.quotas, number, task.config.cohort_size)
                    if not len(indices):
                        break
                    under_way.append(
                        drivers.submit(_make_cohort, task, run, number, indices, workers, reporter)
                    )
                if not under_way:
                    return trained
                table, new = under_way.popleft().result()
                ledger.record(len(ledger.places), table)
                trained += new
                for tracker in trackers:
                    tracker.write(
                        len(ledger.places) - 1, attached_curves(table), ledger.progress(watch.total)
                    )
                reporter.update(ledger.quotas.taken, ledger.quotas.needed, watch.total)
        except BaseException:
            workers.close()  # cohorts under way end at their next call of a kernel
            raise


def _next_attempts(run: RunFolder, quotas: Quotas, number: int, size: int) -> NDArray[np.int64]:
    """Attempt numbers of a cohort, as an earlier run planned it or planned here; empty when nothing more is wanted."""
    if number >= len(run.manifest.plans):
        counts = quotas.plan(size)
        if not counts.any():
            return np.empty(0, np.int64)
        run.manifest.plan(counts)
    return quotas.take(run.manifest.plans[number])


def _make_cohort(
    task: RunContext,
    run: RunFolder,
    number: int,
    indices: NDArray[np.int64],
    workers: Workers,
    reporter: Reporter,
) -> tuple[pa.Table, int]:
    """A cohort's table and the attempts trained for it: none where an intact file of it is there."""
    finished = run.finished_cohort(number)
    if finished is not None:
        return finished, 0
    if number in run.manifest.digests:
        reporter.note(f"{run.cohort_path(number).name} is missing or damaged: made again")
    curves = Curves()
    result = run_cohort(task, indices, workers, [curves])
    table = attach_curves(attempt_table(task.config, result), curves.rows)
    run.finish_cohort(number, table)
    return table, len(indices)


def _write_dataset(
    task: RunContext, run: RunFolder, ledger: Ledger, workers: Workers
) -> tuple[dict[str, Any], Path]:
    """Writes the dataset into a staged folder; returns what the data say, and the folder."""
    config = task.config
    staged = staged_folder(run.dataset, config)
    means = Means()
    paths = {number: run.cohort_path(number) for number in range(len(ledger.places))}
    written = write_shards(
        staged, config, ledger.ordered(), lambda group: gather(group, paths), workers, means.add
    )
    summary = describe(config, ledger, means, written)
    complete(staged, task.probes.to_json(config), summary, render_card(config, summary, written))
    return summary | {"surplus": ledger.quotas.surplus}, staged
