"""The undamaged datasets, sweep and answers that cases are made from."""

import json
import shutil
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
_LONG = 900.0  # seconds: kernels may have to be compiled


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
    """Makes the datasets and the sweep.

    Raises:
        RuntimeError: one of the commands failed, with what it printed.
    """
    commands = {
        "plain": (*PLAIN, "hydra.run.dir=plain"),
        "full": (*FULL, "hydra.run.dir=full"),
        "quantised": (*QUANTISED, "hydra.run.dir=quantised"),
        "sweep": SWEEP,
    }
    for arguments in commands.values():
        done = run_here(arguments, folder, Limits(_LONG))
        if done.code:
            raise RuntimeError(f"{done.command}\n{done.out}\n{done.err}")
    for name in ("plain", "full", "quantised"):
        write_answers(folder / name / "dataset", folder / f"{name}.jsonl")
    return Originals(folder)


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


def warm(originals: Originals) -> None:
    """Imports what tasks import and loads the kernels, so that forked processes have them."""
    scratch = originals.folder / "warm"
    scratch.mkdir()
    for arguments in (
        ("task=validate", f"dataset={originals.dataset('plain')}"),
        ("task=signature", f"dataset={originals.dataset('plain')}", f"hydra.run.dir={scratch}/a"),
        (*TINY, f"hydra.run.dir={scratch}/b"),
        ("task=gather", f"sweep_dir={shutil.copytree(originals.sweep, scratch / 'sweep')}"),
    ):
        call_main(arguments)
    shutil.rmtree(scratch)
