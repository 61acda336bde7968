"""What a finished run shows in W&B: results, tables, charts, and the dataset as an artifact."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import wandb
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.schema import SCORES
from muat_exp.signatures.methods import method_columns

_COLUMNS = (
    "example_id",
    "target_pattern",
    "num_layers",
    "neurons_per_layer",
    "activation",
    "learning_rate",
    *SCORES,
)
_RESULTS = ("accepted", "attempts", "acceptance", "attempts_per_second", "accepted_per_second")
_BINS = np.linspace(0, 1, 51)
_PLANE = "Signatures: principal components of their neurons' means and deviations"


def results(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers that runs are compared by."""
    rejected = {f"rejected_{reason}": count for reason, count in summary["rejected"].items()}
    return {key: summary[key] for key in _RESULTS} | summary["accuracy"] | rejected


def charts(dataset: Path, config: Config, summary: dict[str, Any]) -> dict[str, Any]:
    """Bars of acceptance and rejections; where there are examples, also `_subject_charts`."""
    shares = [
        [name, row["accepted"] / max(1, row["attempts"])]
        for name, row in summary["patterns"].items()
    ]
    reasons = [[reason, count] for reason, count in summary["rejected"].items()]
    shown = {
        "acceptance by pattern": _bars(shares, "pattern", "acceptance", "Acceptance by pattern"),
        "rejections": _bars(reasons, "reason", "count", "Rejections by reason"),
    }
    return shown | _subject_charts(dataset, config) if summary["accepted"] else shown


def dataset_artifact(dataset: Path, config: Config, summary: dict[str, Any]) -> wandb.Artifact:
    """The dataset: its files where they are few enough MiB, else a reference to its folder."""
    name = f"dataset-{summary['config_signature']}"
    artifact = wandb.Artifact(name, "dataset", metadata={"accepted": summary["accepted"]})
    size = sum(path.stat().st_size for path in dataset.rglob("*") if path.is_file())
    if size <= config.logger.artifact_mib * 2**20:
        # "mutable" makes no copy: a sync uploads the files from where they are.
        artifact.add_dir(str(dataset), policy="mutable")
    else:
        artifact.add_reference(dataset.as_uri(), checksum=False)
    return artifact


def _bars(rows: list[list[Any]], label: str, value: str, title: str) -> Any:
    """A bar chart of rows (label, value)."""
    return wandb.plot.bar(wandb.Table(columns=[label, value], data=rows), label, value, title)


def _subject_charts(dataset: Path, config: Config) -> dict[str, Any]:
    """The table of subjects, histograms of their accuracies, and their signatures in the plane."""
    shown = _first_rows(dataset, config.logger.table_rows, [*_COLUMNS, "signature"])
    columns = [shown[name].to_pylist() for name in _COLUMNS]
    rows = [list(row) for row in zip(*columns, strict=True)]
    names = shown["target_pattern"].to_pylist()
    plane = _signature_plane(_signatures(shown, config))
    points = [[float(x), float(y), name] for (x, y), name in zip(plane, names, strict=True)]
    table = wandb.Table(columns=["first", "second", "pattern"], data=points)
    return {
        "subjects": wandb.Table(columns=list(_COLUMNS), data=rows),
        "signatures": wandb.plot.scatter(table, "first", "second", _PLANE),
        **_histograms(dataset),
    }


def _histograms(dataset: Path) -> dict[str, wandb.Histogram]:
    """A histogram of each accuracy, of all subjects."""
    accuracies = [name for name in SCORES if name != "improvement"]
    scores = pq.read_table(dataset / "subjects", columns=accuracies)
    return {
        f"histograms/{name}": wandb.Histogram(
            np_histogram=np.histogram(scores[name].to_numpy(), _BINS)
        )
        for name in accuracies
    }


def _first_rows(dataset: Path, count: int, columns: list[str]) -> pa.Table:
    """Some columns of the first `count` subjects."""
    first = min((dataset / "subjects").glob("*.parquet"))
    with pq.ParquetFile(first) as file:
        batch = next(file.iter_batches(batch_size=count, columns=columns))
    return pa.Table.from_batches([batch])


def _signatures(subjects: pa.Table, config: Config) -> list[NDArray[np.float32]]:
    """Each subject's signature, `(neurons, columns)`."""
    methods = method_columns(config.signature, len(config.patterns.enabled))
    columns = sum(width for _, width in methods)
    return [row.values.to_numpy().reshape(-1, columns) for row in subjects["signature"]]


def _signature_plane(signatures: list[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Signatures `(neurons, columns)` in the plane, `(n, 2)`.

    Subjects differ in their number of neurons; mean and deviation over neurons, by column, have one
    length for all. The plane holds the principal components of those.
    """
    pooled = np.array(
        [np.concatenate([each.mean(axis=0), each.std(axis=0)]) for each in signatures], float
    )
    centred = pooled - pooled.mean(axis=0)  # (n, 2 columns)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    plane = (left * scale)[:, :2]
    return np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))
