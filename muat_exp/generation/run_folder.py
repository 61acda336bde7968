"""A run's folder: whose it is, its cohorts, atomic files, and one run in it at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from muat_exp.config.groups import Config, from_dict
from muat_exp.config.identity import config_signature, determines_data, short_digest
from muat_exp.config.reading import flatten
from muat_exp.dataset.checksums import CHECKSUMS, differences
from muat_exp.errors import RunFolderError
from muat_exp.files import atomic_path, write_atomically
from muat_exp.generation.manifest import Manifest
from muat_exp.generation.table import read_cohort


class RunFolder:
    """The folder of one run.

    Attributes:
        path: the folder.
        dataset: where the dataset goes.
        cohorts: where the cohorts' files go.
        manifest: which of them were planned and finished.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dataset = path / "dataset"
        self.cohorts = path / "cohorts"
        self.manifest = Manifest(self.cohorts / "manifest.jsonl")

    @classmethod
    @contextmanager
    def open(cls, path: Path, config: Config) -> Iterator["RunFolder"]:
        """Creates or continues a run's folder and holds its lock.

        Raises:
            RunFolderError: another run is at work there, it holds another configuration, or it can't be written.
        """
        try:
            (path / "cohorts").mkdir(parents=True, exist_ok=True)
            lock = (path / ".lock").open("w")
        except OSError as error:
            raise RunFolderError(
                f"The run folder {path} can't be written: {error.strerror}."
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                busy = f"Another run is at work in {path}; wait for it or choose another hydra.run.dir."
                raise RunFolderError(busy) from error
            folder = cls(path)
            folder.claim(config)
            folder.sweep()
            yield folder

    def sweep(self) -> None:
        """Removes what a killed run left half-written."""
        for pattern in (
            ".config.json.*",
            ".summary.json.*",
            ".probe_set.json.*",
            "cohorts/.cohort-*",
        ):
            for leftover in self.path.glob(pattern):
                leftover.unlink()

    def claim(self, config: Config) -> None:
        """Stores the configuration, or refuses a folder that holds another one."""
        path = self.path / "config.json"
        values = config.to_dict()
        if path.exists():
            differing = _differing_keys(orjson.loads(path.read_bytes())["config"], values)
            if differing:
                shown = ", ".join(
                    f"{key} ({before!r} there, {here!r} here)"
                    for key, before, here in differing[:5]
                )
                raise RunFolderError(
                    f"{self.path} already holds a run of another configuration; these keys differ: {shown}. "
                    f"Choose another hydra.run.dir, or the same configuration to continue it."
                )
        content = {"config_signature": config_signature(config), "config": values}
        write_atomically(path, orjson.dumps(content, option=orjson.OPT_INDENT_2))

    def summary(self) -> dict[str, Any]:
        """What an earlier run wrote of itself; empty where there is none, or it is damaged."""
        try:
            values = orjson.loads((self.path / "summary.json").read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return {}
        return values if isinstance(values, dict) and {"asked", "accepted"} <= values.keys() else {}

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Writes what this run says of itself."""
        write_atomically(
            self.path / "summary.json", orjson.dumps(summary, option=orjson.OPT_INDENT_2)
        )

    def cohort_path(self, number: int) -> Path:
        """File of one cohort."""
        return self.cohorts / f"cohort-{number:06d}.arrow"

    def finish_cohort(self, number: int, table: pa.Table) -> None:
        """Writes one cohort's attempts atomically, then its line in the manifest."""
        path = self.cohort_path(number)
        with (
            atomic_path(path) as temporary,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as writer,
        ):
            writer.write_table(table)
        self.manifest.finish(number, path)

    def finished_cohort(self, number: int) -> pa.Table | None:
        """A finished cohort's attempts; None where it is missing, unfinished, or not as it was written."""
        path = self.cohort_path(number)
        return read_cohort(path) if self.manifest.vouches_for(number, path) else None


def run_digest(config: Config) -> str:
    """Hash of all that decides what a finished run leaves behind, its logs included: 16 hexadecimal digits."""
    values = {
        key: value
        for key, value in config.to_dict().items()
        if key not in ("workers", "cohort_size", "progress")
    }
    return short_digest(values)


def is_finished(path: Path, config: Config) -> bool:
    """Whether a run's folder holds all that this configuration asks for, undamaged; what was put beside it is no damage."""
    if not (path / "summary.json").is_file() or not (path / "dataset" / CHECKSUMS).is_file():
        return False
    run = RunFolder(path)
    if run.summary().get("made_with") != run_digest(config) or any(
        differences(run.dataset, with_new=False)
    ):
        return False
    return all(
        run.manifest.vouches_for(number, run.cohort_path(number))
        for number in range(len(run.manifest.plans))
    )


def load_run_config(folder: Path) -> Config:
    """The configuration that a run's folder was made with."""
    return from_dict(orjson.loads((folder / "config.json").read_bytes())["config"])


def _differing_keys(
    before: dict[str, Any], here: dict[str, Any]
) -> list[tuple[str, object, object]]:
    """Keys that determine the data and differ: (key, value there, value here)."""
    old = dict(flatten(before))
    new = dict(flatten(here))
    keys = filter(determines_data, {**old, **new})
    return [(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]
