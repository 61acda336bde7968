"""The undamaged datasets, sweep and answers that cases are made from."""

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from stress.processes import Done, Limits, run_forked, typed_command

TINY = (  # seconds to begin with, and a pattern that every second attempt learns
    "experiment=smoke",
    "training=published",
    "patterns.enabled=[starts_with,ends_with]",
    "dataset.num_examples=8",
    "cohort_size=16",
    "signature.probes=20",
    "logger=csv",
    "workers=2",
)
PLAIN = (*TINY, "dataset.num_examples=12", "dataset.examples_per_shard=4")
FULL = (
    *TINY,
    "architecture.precision=bfloat16",
    "signature.methods=[mean,std,pca]",
    "signature.components=4",
    "dataset.tasks=[classification,modification]",
    "dataset.columns=[improved_signature,improved_model_weights,degraded_signature,"
    "degraded_model_weights,training_metrics]",
    "dataset.splits={train:0.5,validation:0.25,test:0.25}",
    "dataset.style=interwoven",
)
QUANTISED = (*TINY, "architecture.quantization=int8", "architecture.shape=pyramid")
SWEEP = ("-m", *TINY, "corruption.rate=0.05,0.45", "seed=1,2", "hydra.sweep.dir=sweep")
DATASETS = ("plain", "full", "quantised")
_RUNS = {
    "plain": (*PLAIN, "hydra.run.dir=plain"),
    "full": (*FULL, "hydra.run.dir=full"),
    "quantised": (*QUANTISED, "hydra.run.dir=quantised"),
    "sweep": SWEEP,
}


@dataclass(frozen=True)
class Originals:
    """Where the undamaged things are.

    Attributes:
        folder: that holds all of them.
    """

    folder: Path

    def run(self, name: str) -> Path:
        """The folder of a run."""
        return self.folder / name

    def dataset(self, name: str) -> Path:
        """The dataset of a run."""
        return self.folder / name / "dataset"

    @property
    def sweep(self) -> Path:
        """The folder of a sweep of four jobs."""
        return self.folder / "sweep"


def call_main(arguments: Sequence[str]) -> int:
    """Calls the command line in this process."""
    from muat_exp.app.main import main

    return main(list(arguments))


def run_here(arguments: Sequence[str], folder: Path, limits: Limits | None = None) -> Done:
    """Runs the command line in a process forked from this one."""
    command = typed_command(arguments)
    return run_forked(lambda: call_main(arguments), folder, command, limits)


def make_originals(folder: Path) -> Originals:
    """Makes the datasets and the sweep that a folder lacks, in this process.

    What tasks import and the kernels are then loaded, and forked processes have them.

    Raises:
        RuntimeError: one of the commands failed, with what it printed.
    """
    folder.mkdir(exist_ok=True)
    for name, arguments in _RUNS.items():
        if not (folder / name).is_dir():
            _call_quietly(arguments, folder)
    for name in DATASETS:
        write_answers(folder / name / "dataset", folder / f"{name}.jsonl")
    _call_quietly(("task=validate", "dataset=plain/dataset"), folder)
    _call_quietly(("task=gather", "sweep_dir=sweep"), folder)
    return Originals(folder)


def _call_quietly(arguments: Sequence[str], folder: Path) -> None:
    """Calls the command line in this process, with a folder as the current one.

    Raises:
        RuntimeError: it failed, with what it printed.
    """
    printed = io.StringIO()
    streams = contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed)
    with contextlib.chdir(folder), streams[0], streams[1]:
        code = call_main(arguments)
    if code:
        raise RuntimeError(f"{typed_command(arguments)}\n{printed.getvalue()}")


def write_answers(dataset: Path, path: Path) -> None:
    """Writes the true completions of a dataset as predictions."""
    table = pq.read_table(dataset / "prompts")
    with path.open("w") as file:
        for row in table.to_pylist():
            answer = {
                "example_id": row["example_id"],
                "completion": row["classification_completion"],
            }
            file.write(json.dumps(answer) + "\n")
