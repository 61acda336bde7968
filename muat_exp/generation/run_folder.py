"""A run's folder: whose it is, its cohorts, atomic files, and one run in it at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from filelock import FileLock, SoftFileLock, Timeout

from muat_exp.claims import adopt, check_claim, claim
from muat_exp.config.groups import Config, from_dict
from muat_exp.config.identity import config_signature, determines_data, short_digest
from muat_exp.config.reading import flatten
from muat_exp.dataset.checksums import CHECKSUMS, differences
from muat_exp.dataset.staging import dataset_names
from muat_exp.errors import ConfigurationError, RunFolderError
from muat_exp.files import LOCK, atomic_path, remove_partial_files, write_atomically
from muat_exp.generation.manifest import Manifest
from muat_exp.generation.summary import is_whole
from muat_exp.generation.table import read_cohort
from muat_exp.maker import current_maker
from muat_exp.tracking.choice import tracker_outputs


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
            RunFolderError: another run is at work there, it holds another configuration or files of
                somebody else that a run would replace, or it can't be written.
        """
        _check_folder(path, config)  # nothing is made in a folder that is refused
        with locked(path):
            _check_folder(path, config)
            try:
                _claim_names(path, config)
                (path / "cohorts").mkdir(exist_ok=True)
                folder = cls(path)
                folder.remove_leftovers()
            except RunFolderError:
                raise
            except OSError as error:
                raise _unwritable(path, error) from error
            yield folder

    def remove_leftovers(self) -> None:
        """Removes what a killed run left half-written."""
        remove_partial_files(self.path)
        remove_partial_files(self.cohorts)

    def store_config(self, config: Config) -> None:
        """Writes the configuration that the folder holds a run of."""
        content = {
            "muat_exp": version("muat_exp"),
            "config_signature": config_signature(config),
            "config": config.to_dict(),
        }
        text = orjson.dumps(content, option=orjson.OPT_INDENT_2)
        write_atomically(self.path / "config.json", text)

    def summary(self) -> dict[str, Any]:
        """What an earlier run wrote of itself; empty where there is none, or it is damaged."""
        try:
            values = orjson.loads((self.path / "summary.json").read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return {}
        return values if is_whole(values) else {}

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Writes what this run says of itself."""
        text = orjson.dumps(summary, option=orjson.OPT_INDENT_2)
        write_atomically(self.path / "summary.json", text)

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
        self.manifest.finish(number, path, current_maker())

    def finished_cohort(self, number: int) -> pa.Table | None:
        """A finished cohort's attempts; None where it is missing or not as it was written."""
        path = self.cohort_path(number)
        if not self.manifest.vouches_for(number, path):
            return None
        return read_cohort(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock of a folder that results go to, which is made where it is missing.

    The lock of a killed process is free.

    Raises:
        RunFolderError: another command holds it, it can't be made, or a file of somebody else has
            its name.
    """
    if not _is_lock(path / LOCK):
        check_claim(path, files=[LOCK])
    lock = FileLock(path / LOCK, blocking=False)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        busy = f"Another command is at work in {path}; wait for it, or choose another folder."
        raise RunFolderError(busy) from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _check_folder(path: Path, config: Config) -> None:
    """Raises `RunFolderError` where a run with this configuration may not work.

    It changes nothing but that our own run gets its list where that is missing.
    """
    names = names_of_run(path)
    if names:
        _require_same_run(path, config)
        _adopt(path, names)
    check_claim(path, *_run_names(config))
    if (path / "config.json").exists():
        _require_same_run(path, config)


def names_of_run(path: Path) -> list[str]:
    """What the run in a folder may have written there; empty where its `config.json` is not ours.

    Whether a dataset is that of the run, its mark says.
    """
    if not (path / "config.json").is_file() or (path / "config.json").is_symlink():
        return []
    try:
        config = load_run_config(path)
    except (RunFolderError, ConfigurationError):
        return []
    files, folders = _run_names(config)
    return [LOCK, *files, *folders]


def _adopt(path: Path, names: list[str]) -> None:
    """Lists what a run of ours wrote in a folder that lost its list."""
    try:
        adopt(path, names)
    except OSError as error:
        raise _unwritable(path, error) from error


def _require_same_run(path: Path, config: Config) -> None:
    """Raises `RunFolderError` where a folder holds a run of another configuration."""
    differing = _differing_keys(load_run_config(path).to_dict(), config.to_dict())
    if differing:
        told = [f"{key} ({before!r} there, {here!r} here)" for key, before, here in differing]
        shown = ", ".join(told[:5])
        raise RunFolderError(
            f"{path} already holds a run of another configuration; these keys differ: {shown}. "
            f"Choose another hydra.run.dir, or the same configuration to continue it."
        )


def _claim_names(path: Path, config: Config) -> None:
    """Claims what a run with this configuration writes."""
    claim(path, *_run_names(config))


def _is_lock(path: Path) -> bool:
    """Whether a path is free, or an empty file: a lock, or as good as one.

    Where the system locks no files, the lock is a file that names the process.
    """
    if not os.path.lexists(path):
        return True
    return path.is_file() and (path.stat().st_size == 0 or FileLock is SoftFileLock)


def _run_names(config: Config) -> tuple[list[str], list[str]]:
    """Names of the files and of the folders that a run with this configuration writes."""
    files, folders = tracker_outputs(config)
    return (
        ["config.json", "summary.json", "probe_set.json", *files],
        ["cohorts", *dataset_names(Path("dataset")), *folders],
    )


def _unwritable(path: Path, error: OSError) -> RunFolderError:
    """The sentence for a folder that the system refuses to write."""
    return RunFolderError(f"The run folder {path} can't be written: {error.strerror}.")


def run_digest(config: Config) -> str:
    """Hash of all that decides what a finished run leaves behind, its logs included.

    The names that its log bears are left out: a sweep takes them from its folder, and a folder that
    was moved or copied holds what it held.
    """
    values = config.to_dict()
    for key in ("workers", "cohort_size", "memory_gib", "progress"):
        del values[key]
    for key in ("group", "run_name"):
        del values["logger"][key]
    return short_digest(values)


def is_finished(path: Path, config: Config) -> bool:
    """Whether a run's folder holds all that this configuration asks for, undamaged.

    What others put beside it is no damage.
    """
    if not (path / "summary.json").is_file() or not (path / "dataset" / CHECKSUMS).is_file():
        return False
    run = RunFolder(path)
    if run.summary().get("made_with") != run_digest(config):
        return False
    if any(differences(run.dataset, with_new=False)):
        return False
    cohorts = range(len(run.manifest.plans))
    return all(run.manifest.vouches_for(number, run.cohort_path(number)) for number in cohorts)


def load_run_config(folder: Path) -> Config:
    """The configuration that a run's folder was made with.

    Raises:
        RunFolderError: see `stored_config`; or it is none that this version knows.
    """
    content = _stored_content(folder)
    try:
        return from_dict(content["config"])
    except ConfigurationError as error:
        made = content.get("muat_exp", "of an unknown version")
        raise RunFolderError(
            f"{folder} holds a run that muat_exp {made} began, and its configuration is none for "
            f"this muat_exp {version('muat_exp')}: {error} Continue it with the version that began "
            "it, or choose another folder."
        ) from error


def stored_config(folder: Path) -> dict[str, Any]:
    """The same as nested plain containers.

    Raises:
        RunFolderError: the folder has no `config.json`, or it is damaged, or another program's.
    """
    values: dict[str, Any] = _stored_content(folder)["config"]
    return values


def _stored_content(folder: Path) -> dict[str, Any]:
    """What `RunFolder.store_config` wrote.

    Raises:
        RunFolderError: see `stored_config`.
    """
    path = folder / "config.json"
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        raise RunFolderError(f"{folder} holds no run: {path} can't be read.") from error
    except orjson.JSONDecodeError:
        content = None
    if not _is_stored_config(content):
        raise RunFolderError(
            f"{folder} holds no run that can be continued: "
            "its config.json is damaged, or of another program. Name another folder."
        )
    return content  # type: ignore[no-any-return]


def _is_stored_config(content: object) -> bool:
    """Whether some JSON is what `RunFolder.store_config` writes."""
    if not isinstance(content, dict):
        return False
    return isinstance(content.get("config"), dict) and "config_signature" in content


def _differing_keys(
    before: dict[str, Any], here: dict[str, Any]
) -> list[tuple[str, object, object]]:
    """Keys that determine the data and differ: (key, value there, value here)."""
    old = dict(flatten(before))
    new = dict(flatten(here))
    differing = []
    for key in filter(determines_data, {**old, **new}):
        there = old.get(key)
        value = new.get(key)
        if there != value:
            differing.append((key, there, value))
    return differing
