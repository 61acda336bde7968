"""The pipeline: attempts in cohorts, accepted subjects, the dataset."""

import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.cohort import ACCEPTED, REASONS, Task, run_cohort
from muat_exp.config import Config, config_signature
from muat_exp.dataset.card import render_card
from muat_exp.dataset.reading import Subjects, load_subjects
from muat_exp.dataset.records import attempt_table
from muat_exp.dataset.store import Means, Places, flush, replace_folder, staged_folder, write_shards
from muat_exp.engine import Workers, worker_threads
from muat_exp.kernels.compiled import kernels_are_cached
from muat_exp.progress import Reporter, Silent
from muat_exp.quota import Quotas
from muat_exp.run_folder import RunFolder, read_cohort, to_yaml, write_atomically
from muat_exp.tracking import build_loggers

SCORES = ["degraded_accuracy", "improved_accuracy", "improvement", "degraded_test_accuracy", "test_accuracy"]
PACKAGES = ("muat_exp", "torch", "pytorch-lightning", "numba", "numpy", "scipy", "pyarrow", "hydra-core")


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


class Stopwatch:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time of a block to its phase."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.start


@dataclass
class Ledger:
    """What is known of all attempts so far.

    Attributes:
        quotas: which attempts are still wanted.
        rejected: (pattern, reason) of the attempts that were needed.
        attempts: needed attempts by pattern.
        places: (example, cohort, row) of the accepted ones, one array `(n, 3)` a cohort.
    """

    quotas: Quotas
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    places: list[NDArray[np.int64]] = field(default_factory=list)

    def record(self, number: int, table: pa.Table) -> None:
        """Takes note of a cohort's attempts."""
        ids, outcomes = table["example_id"].to_numpy(), np.array(table["outcome"].to_pylist(), object)
        accepted = outcomes == ACCEPTED
        needed = self.quotas.record(ids, accepted)
        names = np.array(table["target_pattern"].to_pylist(), object)
        self.attempts.update(names[needed])
        self.rejected.update(zip(names[needed & ~accepted], outcomes[needed & ~accepted], strict=True))
        rows = np.flatnonzero(accepted & needed)
        self.places.append(np.stack([ids[rows], np.full(len(rows), number), rows], axis=1))

    def ordered(self) -> Places:
        """Places of all accepted examples, ordered by example."""
        stacked = np.concatenate(self.places)
        return Places(*stacked[np.argsort(stacked[:, 0])].T)


def generate(config: Config, folder: Path | str, reporter: Reporter | None = None) -> Result:
    """Makes a dataset, or continues one in the same folder.

    Args:
        config: the configuration, as `muat_exp.load_config` composes it.
        folder: the run's folder; the dataset goes to `folder/dataset`.
        reporter: told of the progress.

    Raises:
        ShortfallError: a pattern could not fill its quota and `dataset.on_shortfall` is "error".
        RunFolderError: the folder holds another configuration, is in use, or can't be written.
    """
    watch, reporter = Stopwatch(), reporter or Silent()
    with RunFolder.open(Path(folder), config) as run, worker_threads(config.threads) as workers:
        if not kernels_are_cached():
            reporter.note("compiling kernels (once, under a minute)")
        with watch.phase("setup"):
            task = Task.build(config)
        ledger = resume(run, config)
        trained = make_cohorts(task, run, ledger, workers, watch, reporter)
        reporter.note("writing the dataset")
        with watch.phase("dataset"):
            summary, staged = write_dataset(task, run, ledger, workers)
        replace_folder(staged, run.dataset)
        measured = performance(config, watch, trained, ledger.quotas.taken)
        summary |= measured if trained else earlier_performance(run, measured)
        write_atomically(run.path / "summary.json", orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    return Result(run.path, run.dataset, summary)


def resume(run: RunFolder, config: Config) -> Ledger:
    """What earlier runs of the same configuration left in the folder."""
    ledger = Ledger(Quotas(config))
    for number, path in enumerate(run.cohort_paths()):
        ledger.record(number, read_cohort(path))
    return ledger


def make_cohorts(task: Task, run: RunFolder, ledger: Ledger, workers: Workers, watch: Stopwatch, reporter: Reporter) -> int:
    """Trains cohorts until every quota is full, writing each in the background; returns the attempts trained."""
    loggers, number, trained = build_loggers(task.config, run.path), len(run.cohort_paths()), 0
    writing: list[Future[None]] = []
    with ThreadPoolExecutor(1, thread_name_prefix="muat-writer") as writer:
        while len(indices := ledger.quotas.plan(task.config.cohort_size)):
            reporter.note("training")
            for logger in loggers:
                logger.cohort = number
            with watch.phase("cohorts"):
                table = attempt_table(task.config, run_cohort(task, indices, workers, list(loggers)))
            for done in writing:
                done.result()
            writing = [writer.submit(run.write_cohort, number, table)]
            ledger.record(number, table)
            number, trained = number + 1, trained + len(indices)
            reporter.update(ledger.quotas.taken, ledger.quotas.needed, watch.total)
        for done in writing:
            done.result()
    return trained


def write_dataset(task: Task, run: RunFolder, ledger: Ledger, workers: Workers) -> tuple[dict[str, Any], Path]:
    """Writes the dataset into a staged folder; returns what the data say, and the folder."""
    config, staged = task.config, staged_folder(run.dataset)
    means = Means(SCORES)
    paths = dict(enumerate(run.cohort_paths()))
    tokens = write_shards(staged, config, ledger.ordered(), paths, workers, means.add)
    summary = describe(config, ledger, means)
    (staged / "config.yaml").write_text(to_yaml(config))
    (staged / "probe_set.json").write_bytes(task.probes.to_json(config))
    (staged / "README.md").write_text(render_card(config, summary, tokens))
    flush(staged)
    return summary, staged


def describe(config: Config, ledger: Ledger, means: Means) -> dict[str, Any]:
    """Counts and accuracies: everything in the summary that is the same however the run was made."""

    def row(name: str) -> dict[str, Any]:
        attempts = ledger.attempts[name]
        rejected = {reason: ledger.rejected[name, reason] for reason in REASONS}
        accepted = attempts - sum(rejected.values())
        return {"attempts": attempts, "accepted": accepted, "rejected": rejected} | means.by_pattern(name)

    quotas = ledger.quotas
    return {
        "config_signature": config_signature(config),
        "asked": config.dataset.num_examples,
        "accepted": quotas.taken,
        "attempts": quotas.needed,
        "acceptance": quotas.taken / max(1, quotas.needed),
        "rejected": {reason: sum(ledger.rejected[name, reason] for name in config.patterns.enabled) for reason in REASONS},
        "accuracy": means.overall(),
        "patterns": {name: row(name) for name in config.patterns.enabled},
        "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in PACKAGES},
        "surplus": quotas.surplus,
    }


def performance(config: Config, watch: Stopwatch, trained: int, accepted: int) -> dict[str, Any]:
    """Seconds, rates and memory of this process: what differs between two runs of one configuration."""
    return {
        "attempts_trained": trained,
        "seconds": {"total": watch.total, **watch.seconds},
        "attempts_per_second": trained / watch.total,
        "accepted_per_second": accepted / watch.total if trained else 0.0,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "workers": config.threads,
    }


def earlier_performance(run: RunFolder, measured: dict[str, Any]) -> dict[str, Any]:
    """What the run that trained the attempts measured, where its summary is still there."""
    path = run.path / "summary.json"
    earlier = orjson.loads(path.read_bytes()) if path.exists() else {}
    return {key: earlier.get(key, value) for key, value in measured.items()}
