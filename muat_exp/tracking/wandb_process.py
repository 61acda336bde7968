"""The process that talks to Weights & Biases: reads commands as lines of JSON, writes a line for each that wants an answer.

A process of its own because importing W&B, starting its service and building tables take a second of Python, which would
be taken from the training; here it runs beside the imports and the kernels of the run.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from muat_exp.config.groups import Config, from_dict
from muat_exp.config.identity import config_signature, published_values

_SCORES = (
    "degraded_accuracy",
    "improved_accuracy",
    "improvement",
    "degraded_test_accuracy",
    "test_accuracy",
)
_COLUMNS = (
    "example_id",
    "target_pattern",
    "num_layers",
    "neurons_per_layer",
    "activation",
    "learning_rate",
    *_SCORES,
)
_RESULTS = ("accepted", "attempts", "acceptance", "attempts_per_second", "accepted_per_second")
_BINS = np.linspace(0, 1, 51)
_FOLDERS = ("CACHE", "DATA", "CONFIG", "ARTIFACT")


@contextmanager
def _contained(folder: Path) -> Iterator[None]:
    """Environment in which W&B writes into `folder` alone, is silent, and reports no errors to its makers."""
    values = {f"WANDB_{name}_DIR": str(folder / name.lower()) for name in _FOLDERS}
    values |= {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def start(
    config: Config, folder: Path, job_type: str, name: str, identity: str | None = None
) -> Any:
    """A W&B run that writes into `folder/wandb`."""
    import wandb

    recipe = [
        config.training.recipe,
        *config.signature.methods,
        f"corruption {config.corruption.rate:g}",
    ]
    signature = {"config_signature": config_signature(config), "git_commit": _git_commit()}
    settings = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, x_disable_meta=True, x_save_requirements=False, disable_git=True,
        disable_code=True,
    )  # fmt: skip
    mode: Any = config.logger.mode
    return wandb.init(
        project=config.logger.project,
        entity=config.logger.entity or None,
        group=config.logger.group or None,
        name=config.logger.run_name or name,
        tags=[*recipe, *config.logger.tags],
        job_type=job_type,
        id=identity,
        resume="allow" if identity else None,
        mode=mode,
        dir=str(folder),
        config=published_values(config) | signature,
        settings=settings,
        reinit="create_new",
    )


def _git_commit() -> str | None:
    """The commit that the working folder is at, where it is a git repository."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _run_identity(folder: Path) -> str | None:
    """The W&B id of a run's folder, made once, so that a continued run goes on where it was; an agent's runs have theirs."""
    if "WANDB_SWEEP_ID" in os.environ:
        return None
    path = folder / "wandb" / "id"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(uuid.uuid4().hex[:12])
    return path.read_text()


class _Session:
    """One W&B run at a time."""

    def __init__(self) -> None:
        self.config = Config()
        self.folder = Path()
        self.run: Any = None

    def start(self, config: dict[str, Any], folder: str) -> None:
        """Begins the run of a job, or goes on with that of the same folder."""
        self.config = from_dict(config)
        self.folder = Path(folder)
        self.run = start(
            self.config, self.folder, "generate", self.folder.name, _run_identity(self.folder)
        )
        for stage in ("degraded", "clean"):
            self.run.define_metric(f"{stage}/*", step_metric=f"{stage}/epoch")
        for part in ("progress", "rejected"):
            self.run.define_metric(f"{part}/*", step_metric="progress/attempts")

    def log(self, values: dict[str, Any]) -> None:
        """Logs one row."""
        self.run.log(values)

    def result(
        self, dataset: str, summary: dict[str, Any], curves: list[dict[str, Any]], columns: int
    ) -> None:
        """Logs the curves, what came out, and the dataset."""
        import wandb

        for row in curves:
            self.run.log(
                {f"{row['stage']}/{key}": value for key, value in row.items() if key != "stage"}
            )
        self.run.summary.update({key: summary[key] for key in _RESULTS} | summary["accuracy"])
        self.run.summary.update(
            {f"rejected_{key}": count for key, count in summary["rejected"].items()}
        )
        patterns = [
            [name, row["accepted"] / max(1, row["attempts"])]
            for name, row in summary["patterns"].items()
        ]
        acceptance = wandb.Table(columns=["pattern", "acceptance"], data=patterns)
        reasons = wandb.Table(
            columns=["reason", "count"], data=[list(item) for item in summary["rejected"].items()]
        )
        self.run.log(
            {
                "acceptance by pattern": wandb.plot.bar(
                    acceptance, "pattern", "acceptance", "Acceptance by pattern"
                )
            }
            | {"rejections": wandb.plot.bar(reasons, "reason", "count", "Rejections by reason")}
            | (views(Path(dataset), self.config, columns) if summary["accepted"] else {})
        )
        self.run.log_artifact(_dataset_artifact(Path(dataset), self.config, summary))

    def sweep(
        self, config: dict[str, Any], folder: str, keys: list[str], rows: list[dict[str, Any]]
    ) -> None:
        """A run of its own for a gathered sweep, in the group of its jobs: the table, and the plots as images."""
        import wandb

        path = Path(folder)
        columns = list(dict.fromkeys(key for row in rows for key in row))
        self.run = start(
            from_dict(config), path, "sweep", f"{path.name} gathered", _run_identity(path)
        )
        self.run.log(
            {
                "sweep": wandb.Table(
                    columns=list[Any](columns),
                    data=[[row.get(column) for column in columns] for row in rows],
                )
            }
            | {
                f"plots/{image.stem}": wandb.Image(str(image))
                for image in sorted(path.glob("*.png"))
            }
        )
        self.run.summary["swept"] = keys

    def finish(self) -> None:
        """Ends the run."""
        if self.run is not None:
            self.run.finish()
            self.run = None


def views(dataset: Path, config: Config, columns: int) -> dict[str, Any]:
    """The table of subjects, histograms of their accuracies, and their signatures in the plane."""
    import wandb

    scores = pq.read_table(dataset / "subjects", columns=list(_SCORES))
    shown = _first_rows(dataset, config.logger.table_rows, [*_COLUMNS, "signature"])
    plane = _signature_plane(
        [row.values.to_numpy().reshape(-1, columns) for row in shown["signature"]]
    )
    listed = [shown[name].to_pylist() for name in _COLUMNS]
    points = [[float(x), float(y), name] for (x, y), name in zip(plane, listed[1], strict=True)]
    places = wandb.Table(columns=["first", "second", "pattern"], data=points)
    title = "Signatures: principal components of their neurons' means and deviations"
    return (
        {
            "subjects": wandb.Table(
                columns=list(_COLUMNS), data=[list(row) for row in zip(*listed, strict=True)]
            )
        }
        | {
            f"histograms/{name}": wandb.Histogram(
                np_histogram=np.histogram(scores[name].to_numpy(), _BINS)
            )
            for name in _SCORES
            if name != "improvement"
        }
        | {"signatures": wandb.plot.scatter(places, "first", "second", title)}
    )


def _dataset_artifact(dataset: Path, config: Config, summary: dict[str, Any]) -> Any:
    """The dataset as an artifact: its files where they are few enough MiB, else a reference to its folder."""
    import wandb

    artifact = wandb.Artifact(
        f"dataset-{summary['config_signature']}",
        "dataset",
        metadata={"accepted": summary["accepted"]},
    )
    size = sum(path.stat().st_size for path in dataset.rglob("*") if path.is_file())
    if size <= config.logger.artifact_mib * 2**20:
        artifact.add_dir(
            str(dataset), policy="mutable"
        )  # no copy: a sync uploads the files from where they are
    else:
        artifact.add_reference(dataset.resolve().as_uri(), checksum=False)
    return artifact


def _first_rows(dataset: Path, count: int, columns: list[str]) -> pa.Table:
    """Some columns of the first `count` subjects."""
    first = min((dataset / "subjects").glob("*.parquet"))
    with pq.ParquetFile(first) as file:
        batch = next(file.iter_batches(batch_size=count, columns=columns))
    return pa.Table.from_batches([batch])


def _signature_plane(signatures: list[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Signatures `(neurons, columns)` in the plane, `(n, 2)`: principal components of their means and deviations by column.

    Subjects differ in their number of neurons; mean and deviation over neurons have one length for all.
    """
    pooled = np.array(
        [np.concatenate([each.mean(axis=0), each.std(axis=0)]) for each in signatures], float
    )
    left, scale, _ = np.linalg.svd(
        pooled - pooled.mean(axis=0), full_matrices=False
    )  # pooled (n, 2 columns)
    plane = (left * scale)[:, :2]
    return np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))


def main() -> None:
    """Does what the lines of standard input say; an error is kept for the answer to `finish`."""
    session = _Session()
    errors = []
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(
        sys.stderr.fileno(), sys.stdout.fileno()
    )  # nothing that a library prints may pass for an answer
    import wandb  # while the run is still importing

    wandb.Table(columns=["warm"], data=[[1]])
    np.linalg.svd(np.eye(2))
    folder = Path()
    for line in sys.stdin.buffer:
        command = orjson.loads(line)
        name = command.pop("do")
        folder = Path(command.get("folder", folder))
        try:
            with _contained(folder / "wandb"):
                getattr(session, name)(**command)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
        if name == "finish":
            answers.write(orjson.dumps(errors) + b"\n")
            errors = []


if __name__ == "__main__":
    main()
