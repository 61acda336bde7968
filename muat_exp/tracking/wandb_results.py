"""What a finished run shows in W&B: results, tables, charts, and the dataset as an artifact."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import wandb
from numpy.typing import NDArray
from wandb.plot.custom_chart import CustomChart

from muat_exp.config.groups import Config
from muat_exp.dataset.column_names import SCORES
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
    shown = {key: summary[key] for key in _RESULTS}
    return shown | summary["accuracy"] | rejected


def charts(dataset: Path, config: Config, summary: dict[str, Any]) -> dict[str, Any]:
    """Bars of acceptance and rejections; where there are examples, also `_subject_charts`."""
    shares = []
    for name, row in summary["patterns"].items():
        acceptance = row["accepted"] / max(1, row["attempts"])
        shares.append((name, acceptance))
    reasons = list(summary["rejected"].items())
    shown = {
        "acceptance by pattern": _bars(shares, "pattern", "acceptance", "Acceptance by pattern"),
        "rejections": _bars(reasons, "reason", "count", "Rejections by reason"),
    }
    if summary["accepted"]:
        shown |= _subject_charts(dataset, config)
    return shown


def dataset_artifact(dataset: Path, config: Config, summary: dict[str, Any]) -> wandb.Artifact:
    """The dataset: its files where they are few enough MiB, else a reference to its folder."""
    name = f"dataset-{summary['config_signature']}"
    metadata = {"accepted": summary["accepted"]}
    artifact = wandb.Artifact(name, "dataset", metadata=metadata)
    files = [path for path in dataset.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if size <= config.logger.artifact_mib * 2**20:
        # "mutable" makes no copy: a sync uploads the files from where they are.
        artifact.add_dir(str(dataset), policy="mutable")
    else:
        artifact.add_reference(dataset.as_uri(), checksum=False)
    return artifact


def _bars(rows: list[tuple[str, float]], label: str, value: str, title: str) -> CustomChart:
    """A bar chart of rows (label, value)."""
    table = wandb.Table(columns=[label, value], data=rows)
    return wandb.plot.bar(table, label, value, title)


def _subject_charts(dataset: Path, config: Config) -> dict[str, Any]:
    """The table of subjects, histograms of their accuracies, and their signatures in the plane."""
    subjects = _first_rows(dataset, config.logger.table_rows, [*_COLUMNS, "signature"])
    return {
        "subjects": _subject_table(subjects),
        "signatures": _signature_chart(subjects, config),
        **_histograms(dataset),
    }


def _subject_table(subjects: pa.Table) -> wandb.Table:
    """The shown columns of some subjects."""
    columns = [subjects[name].to_pylist() for name in _COLUMNS]
    rows = list(zip(*columns, strict=True))
    return wandb.Table(columns=list(_COLUMNS), data=rows)


def _signature_chart(subjects: pa.Table, config: Config) -> CustomChart:
    """Some subjects' signatures as points in the plane."""
    plane = _signature_plane(_signatures(subjects, config))
    names = subjects["target_pattern"].to_pylist()
    points = []
    for (x, y), name in zip(plane.tolist(), names, strict=True):
        points.append((x, y, name))
    table = wandb.Table(columns=["first", "second", "pattern"], data=points)
    return wandb.plot.scatter(table, "first", "second", _PLANE)


def _histograms(dataset: Path) -> dict[str, wandb.Histogram]:
    """A histogram of each accuracy, of all subjects."""
    accuracies = [name for name in SCORES if name != "improvement"]
    scores = pq.read_table(dataset / "subjects", columns=accuracies)
    shown = {}
    for name in accuracies:
        counted = np.histogram(scores[name].to_numpy(), _BINS)
        shown[f"histograms/{name}"] = wandb.Histogram(np_histogram=counted)
    return shown


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
    flat = [row.values.to_numpy() for row in subjects["signature"]]
    return [values.reshape(-1, columns) for values in flat]


def _signature_plane(signatures: list[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Signatures `(neurons, columns)` in the plane, `(n, 2)`.

    Subjects differ in their number of neurons; mean and deviation over neurons, by column, have one
    length for all. The plane holds the principal components of those.
    """
    pooled = np.array([_pooled(signature) for signature in signatures], float)
    centred = pooled - pooled.mean(axis=0)  # (n, 2 columns)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    components = left * scale
    plane = components[:, :2]
    missing = 2 - plane.shape[1]  # of a single column there is one component only
    return np.pad(plane, ((0, 0), (0, missing)))


def _pooled(signature: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean and deviation over the neurons of each column, `(2 columns,)`."""
    mean = signature.mean(axis=0)
    deviation = signature.std(axis=0)
    return np.concatenate([mean, deviation])
