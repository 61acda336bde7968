"""The pipeline: attempts in cohorts, accepted subjects, the dataset."""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytorch_lightning as pl
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger

from muat_exp.config.groups import (
    PROMPT_TASKS,
    ArchitectureConfig,
    Config,
    DatasetConfig,
    LoggerConfig,
    Range,
)
from muat_exp.dataset.card import render_card
from muat_exp.dataset.figures import ExampleFigures
from muat_exp.dataset.index import RecordLocations
from muat_exp.dataset.reading import Subjects, load_subjects
from muat_exp.dataset.staging import claim_dataset, replace_folder, staged_folder
from muat_exp.dataset.writing import complete, write_shards
from muat_exp.errors import NobodyAcceptedError
from muat_exp.evaluation.measurement import RunContext
from muat_exp.executors import budget
from muat_exp.executors.threads import ThreadExecutor, worker_threads
from muat_exp.files import write_atomically
from muat_exp.generation.cohort import run_cohort
from muat_exp.generation.ledger import Ledger
from muat_exp.generation.quota import Quotas
from muat_exp.generation.run_folder import RunFolder, is_finished, run_digest
from muat_exp.generation.stopwatch import Stopwatch
from muat_exp.generation.summary import describe, performance
from muat_exp.generation.table import attempt_table, gather
from muat_exp.kernels.compiled import compile_once
from muat_exp.maker import current_maker, difference_text
from muat_exp.memory import give_back_memory
from muat_exp.progress import Reporter, Silent, callers_reporter
from muat_exp.prompts.fitting import require_fitting
from muat_exp.prompts.tokens import load_counter
from muat_exp.tracking.choice import build_trackers
from muat_exp.tracking.curves import MeanCurves, attach_curves, attached_curves
from muat_exp.tracking.lightning_logger import Curves
from muat_exp.tracking.tracker import Tracker
from muat_exp.training.stages import QUIET_LIGHTNING


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


@dataclass(frozen=True)
class _Work:
    """What the parts of one run share.

    Attributes:
        context: what all cohorts are made with.
        folder: the run's folder.
        executor: the worker threads.
        reporter: told of the progress.
        watch: seconds so far.
        trackers: told of every cohort in the order of their numbers.
        loggers, callbacks: see `generate`.
    """

    context: RunContext
    folder: RunFolder
    executor: ThreadExecutor
    reporter: Reporter
    watch: Stopwatch
    trackers: list[Tracker]
    loggers: Callable[[int], Sequence[Logger]]
    callbacks: Callable[[int], Sequence[pl.Callback]]

    @property
    def cohort_size(self) -> int:
        """Subjects that are trained together, at most."""
        return budget.Budget(self.context.config).cohort_size


def _nothing(cohort: int) -> Sequence[Any]:
    """No logger or callback for any cohort."""
    return ()


def generate(
    config: Config,
    folder: Path | str,
    reporter: Reporter | None = None,
    loggers: Callable[[int], Sequence[Logger]] = _nothing,
    callbacks: Callable[[int], Sequence[pl.Callback]] = _nothing,
) -> Result:
    """Makes a dataset, or continues one in the same folder.

    Args:
        config: the configuration, as `muat_exp.load_config` composes it.
        folder: the run's folder; the dataset goes to `folder/dataset`.
        reporter: told of the progress; `progress.Silent()` shows none. Without one it is shown in a
            notebook and on a terminal, unless `config.progress` is false.
        loggers: makes Lightning loggers for the cohort with a number, from 0. Two cohorts are under
            way at a time; those that an earlier run finished are not trained again.
        callbacks: makes Lightning callbacks in the same way; they stand behind our own.

    Raises:
        ConfigurationError: the configured tokenizer or probe set is absent or wrong, memory_gib has
            no room for a single subject, or no prompt can fit dataset.max_tokens.
        ShortfallError: a pattern could not fill its quota and `dataset.on_shortfall` is "error".
        NobodyAcceptedError: no attempt was accepted, whatever `dataset.on_shortfall` is.
        RunFolderError: the folder holds another configuration or files of somebody else, is in use,
            or can't be written.
        TrackingError: the dataset is whole, but not all of it could be logged.
    """
    load_counter(config.dataset.tokenizer)  # a wrong one is refused before any work
    require_fitting(config)
    budget.Budget(config).require_room()
    watch = Stopwatch()
    with (
        callers_reporter(reporter, config.dataset.num_examples, config.progress) as reporter,
        RunFolder.open(Path(folder), config) as run,
    ):
        earlier = run.summary()
        if is_finished(run.path, config):
            reporter.note("this run was finished before: nothing to do")
            return _with_examples(Result(run.path, run.dataset, earlier))
        claim_dataset(run.dataset, config)
        run.store_config(config)
        if earlier and earlier["asked"] > config.dataset.num_examples:
            reporter.note(
                f"the dataset of {earlier['accepted']} examples in {run.path} "
                f"becomes one of {config.dataset.num_examples}"
            )
        differing = difference_text(current_maker(), run.manifest.makers)
        if differing:
            reporter.remark(differing)
        with watch.phase("compilation"):
            ensure_compiled(reporter.note)
        watch.restart()
        with (
            tracking(config, run.path) as trackers,
            worker_threads(config.threads) as executor,
            QUIET_LIGHTNING,
        ):
            for note in (note for tracker in trackers for note in tracker.notes):
                reporter.note(note)
            with watch.phase("setup"):
                context = _build_context(config, run)
            result = _make_dataset(
                _Work(context, run, executor, reporter, watch, trackers, loggers, callbacks)
            )
        result.summary["made_with"] = run_digest(config)  # finished, as all is logged too
        run.write_summary(result.summary)
        return _with_examples(result)


def _with_examples(result: Result) -> Result:
    """A finished run; raises `NobodyAcceptedError` where its dataset has no example."""
    summary = result.summary
    if summary["accepted"]:
        return result
    reasons = ", ".join(f"{reason} {count}" for reason, count in summary["rejected"].items())
    raise NobodyAcceptedError(
        f"None of the {summary['attempts']} attempts was accepted ({reasons}): "
        f"{result.dataset} has no example, and can't be loaded."
    )


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
        worker_threads(config.threads) as executor,
        QUIET_LIGHTNING,
    ):
        context = _build_context(config, run)
        _make_dataset(_Work(context, run, executor, Silent(), Stopwatch(), [], _nothing, _nothing))


@contextmanager
def tracking(config: Config, folder: Path) -> Iterator[list[Tracker]]:
    """The run's trackers, every one closed whatever happens, also where closing another one fails.

    Raises:
        TrackingError: something could not be logged. What else ended the block comes first.
    """
    trackers = build_trackers(config, folder)
    closing = ExitStack()
    for tracker in trackers:
        closing.callback(tracker.close)
    try:
        yield trackers
    except BaseException:
        with suppress(Exception):
            closing.close()
        raise
    closing.close()


def _build_context(config: Config, run: RunFolder) -> RunContext:
    """What all cohorts share.

    A probe set that was given is kept, so that the run can go on without its file.
    """
    context = RunContext.build(config)
    if context.probes.given:
        write_atomically(run.path / "probe_set.json", context.probes.given)
    return context


def _make_dataset(work: _Work) -> Result:
    """Makes the cohorts that are missing, and the dataset of all of them."""
    config = work.context.config
    run = work.folder
    ledger = Ledger(Quotas(config), config.patterns.enabled)
    with work.watch.phase("cohorts"):
        trained = _make_cohorts(work, ledger)
    work.reporter.note("writing the dataset")
    with work.watch.phase("dataset"):
        summary, staged = _write_dataset(work, ledger)
    replace_folder(staged, run.dataset)
    measured = performance(config, work.watch, trained, ledger.quotas.taken)
    if not trained:  # the speed of the run that trained stays
        earlier = run.summary()
        measured = {key: earlier.get(key, value) for key, value in measured.items()}
    summary |= measured
    run.write_summary(summary)
    for tracker in work.trackers:
        tracker.finish(run.dataset, summary)
    return Result(run.path, run.dataset, summary)


def _make_cohorts(work: _Work, ledger: Ledger) -> int:
    """Makes cohorts until every quota is full; returns the attempts that were trained.

    They are recorded and tracked in the order of their numbers, whichever is ready first.
    """
    trained = 0
    under_way: deque[Future[tuple[pa.Table, int]]] = deque()
    planned = len(work.folder.manifest.plans)
    work.reporter.note(
        f"continuing: an earlier run planned {planned} cohorts" if planned else "training"
    )
    with ThreadPoolExecutor(budget.IN_FLIGHT, thread_name_prefix="muat-cohort") as drivers:
        try:
            while True:
                while len(under_way) < budget.IN_FLIGHT:
                    number = ledger.cohorts + len(under_way)
                    indices = _next_attempts(work, ledger.quotas, number)
                    if not len(indices):
                        break
                    under_way.append(drivers.submit(_make_cohort, work, number, indices))
                if not under_way:
                    return trained
                table, new = under_way.popleft().result()
                trained += new
                _record(work, ledger, table)
                del table  # before the next cohort begins
        except BaseException:
            work.executor.close()  # cohorts under way end at their next call of a kernel
            raise


def _record(work: _Work, ledger: Ledger, table: pa.Table) -> None:
    """Takes note of the next cohort, and tells those who follow the run."""
    number = ledger.cohorts
    ledger.record(number, table)
    seconds = work.watch.total
    for tracker in work.trackers:
        tracker.write(number, attached_curves(table), ledger.progress(seconds))
    work.reporter.update(ledger.quotas.taken, ledger.quotas.needed, seconds)


def _next_attempts(work: _Work, quotas: Quotas, number: int) -> NDArray[np.int64]:
    """Attempt numbers of a cohort, as an earlier run planned it or planned here.

    Empty when nothing more is wanted.
    """
    manifest = work.folder.manifest
    if number >= len(manifest.plans):
        counts = quotas.plan(work.cohort_size)
        if not counts.any():
            return np.empty(0, np.int64)
        manifest.plan(counts)
    return quotas.take(manifest.plans[number])


def _make_cohort(work: _Work, number: int, indices: NDArray[np.int64]) -> tuple[pa.Table, int]:
    """A cohort's table and the attempts trained for it: none where its intact file is there."""
    run = work.folder
    finished = run.finished_cohort(number)
    if finished is not None:
        return finished, 0
    if number in run.manifest.digests:
        work.reporter.note(f"{run.cohort_path(number).name} is missing or damaged: made again")
    table = _train_cohort(work, number, indices)
    run.finish_cohort(number, table)
    give_back_memory()
    return table, len(indices)


def _train_cohort(work: _Work, number: int, indices: NDArray[np.int64]) -> pa.Table:
    """The table of a cohort, trained in parts where it was planned with more memory than now."""
    means = MeanCurves()
    loggers = work.loggers(number)
    callbacks = work.callbacks(number)
    tables = []
    for start in range(0, len(indices), work.cohort_size):
        part = indices[start : start + work.cohort_size]
        curves = Curves()
        result = run_cohort(work.context, part, work.executor, [curves, *loggers], callbacks)
        tables.append(attempt_table(work.context.config, result))
        means.add(curves.rows)
    return attach_curves(pa.concat_tables(tables), means.rows())


def _write_dataset(work: _Work, ledger: Ledger) -> tuple[dict[str, Any], Path]:
    """Writes the dataset into a staged folder; returns what the data say, and the folder."""
    config = work.context.config
    staged = staged_folder(work.folder.dataset, config)
    give_back_memory()
    figures = ExampleFigures(config)
    paths = {number: work.folder.cohort_path(number) for number in range(ledger.cohorts)}

    def fetch(locations: RecordLocations) -> pa.Table:
        return gather(locations, paths)

    written = write_shards(staged, config, ledger.ordered(), fetch, work.executor, figures.add)
    makers = work.folder.manifest.makers
    made_by = [*(makers[number] for number in range(ledger.cohorts)), current_maker()]
    summary = describe(config, ledger, figures, written, made_by)
    card = render_card(config, summary, written)
    complete(staged, work.context.probes.to_json(config), summary, card)
    return summary | {"surplus": ledger.quotas.surplus}, staged
