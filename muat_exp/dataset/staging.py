"""Puts a dataset in its place: written beside it, then renamed, and only over one of our own.

A dataset's mark is the first line of its `config.yaml`. It is written first, so that whatever a
killed process leaves bears it, and nothing is ever removed that does not.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from muat_exp.claims import claim
from muat_exp.config.groups import SPLITS, Config
from muat_exp.config.identity import MARK, to_yaml
from muat_exp.dataset.checksums import CHECKSUMS, read_checksums, walk
from muat_exp.dataset.column_names import PARTS
from muat_exp.documents import LONGEST_YAML
from muat_exp.errors import RunFolderError
from muat_exp.files import flush_file
from muat_exp.opening import read_file

_MARKED = "config.yaml"
_FILES = (_MARKED, "README.md", "probe_set.json", "summary.json", CHECKSUMS)
_SHARD = re.compile(rf"({'|'.join(PARTS)})/({'|'.join(SPLITS)})-\d{{5}}-of-\d{{5}}\.parquet")


def dataset_names(final: Path) -> list[str]:
    """The names that a dataset takes in its folder: its own, and its next and older versions'."""
    return [final.name, _staged_path(final).name, _old_path(final).name]


def claim_dataset(final: Path, config: Config) -> None:
    """Claims the place of a dataset, before any work, and mends what a killed replacement left.

    Args:
        final: where the dataset is going to be; a dataset of the same configuration may be there.
        config: its configuration.

    Raises:
        RunFolderError: something is there that we did not make, or not with this configuration.
    """
    staged = _staged_path(final)
    old = _old_path(final)
    claim(final.parent, folders=dataset_names(final))
    signed = _first_line(to_yaml(config))
    for path, mark in ((final, signed), (old, signed), (staged, MARK)):
        _require_ours(path, mark)
    if old.exists() and not final.exists():
        old.rename(final)  # killed between the two renames of `replace_folder`
    elif old.exists():
        _discard(old, final)


def staged_folder(final: Path, config: Config) -> Path:
    """A folder beside the final one to write into; it holds nothing but the mark."""
    staged = _staged_path(final)
    if staged.exists():
        _remove_marked(staged)
    staged.mkdir()
    (staged / _MARKED).write_bytes(to_yaml(config).encode())
    return staged


@contextmanager
def removed_on_failure(staged: Path) -> Iterator[None]:
    """Takes a half-written folder of ours away where the block fails."""
    try:
        yield
    except BaseException:
        if staged.exists():
            _remove_marked(staged)
        raise


def replace_folder(staged: Path, final: Path) -> None:
    """Puts a finished folder in the place of an older one, and keeps what others put into that.

    Raises:
        RunFolderError: what is there is not ours, or a file of somebody else is where a new one is
            to go.
    """
    old = _old_path(final)
    _require_ours(final, _first_line((staged / _MARKED).read_text("utf-8")))
    if final.exists():
        for path in _foreign(final):
            if os.path.lexists(staged / path.relative_to(final)):
                raise RunFolderError(f"{path} is in the way of the dataset; move it away.")
        final.rename(old)
    staged.rename(final)
    if old.exists():
        _discard(old, final)


def flush_folder(folder: Path) -> None:
    """Has every file of a folder on the disk before it is renamed."""
    for path in walk(folder):
        flush_file(path)


def _discard(old: Path, final: Path) -> None:
    """Removes a dataset that was replaced; what others put into it moves to the new one."""
    for path in list(_foreign(old)):
        target = final / path.relative_to(old)
        if os.path.lexists(target):
            raise RunFolderError(f"{path} is in the way of the dataset; move it away.")
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    _remove_marked(old)


def _remove_marked(folder: Path) -> None:
    """Removes a folder of ours, its mark last, so that what a kill leaves is still ours."""
    for path in list(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != _MARKED:
            path.unlink()
    (folder / _MARKED).unlink(missing_ok=True)
    folder.rmdir()


def _foreign(dataset: Path, below: str = "") -> Iterator[Path]:
    """What others put into a dataset: files, and whole folders with nothing of ours in them."""
    for path in sorted((dataset / below).iterdir()):
        name = f"{below}{path.name}"
        is_folder = path.is_dir() and not path.is_symlink()
        if is_folder and _holds_ours(dataset, path):
            yield from _foreign(dataset, f"{name}/")
        elif is_folder and name in PARTS:
            continue  # ours, though empty
        elif not _is_ours(name):
            yield path


def _holds_ours(dataset: Path, folder: Path) -> bool:
    """Whether a file of ours is anywhere in a folder of a dataset."""
    names = [path.relative_to(dataset).as_posix() for path in walk(folder)]
    return any(_is_ours(name) for name in names)


def _is_ours(name: str) -> bool:
    """Whether a file of a dataset, named from its folder, is one that we write."""
    return name in _FILES or _SHARD.fullmatch(name) is not None


def _require_ours(path: Path, mark: str) -> None:
    """Raises `RunFolderError` where something is at a path that does not bear a mark."""
    if os.path.lexists(path) and not _bears(path, mark):
        raise RunFolderError(
            f"{path} is not the dataset of this run; move it away, or choose another folder."
        )


def _bears(folder: Path, mark: str) -> bool:
    """Whether a path is a folder, no link, that is empty or has a mark that begins so.

    Where `config.yaml` is damaged, a list of checksums that names our files stands in for the mark.
    """
    if folder.is_symlink() or not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        content = read_file(folder / _MARKED, LONGEST_YAML)
        first = _first_line(content.decode("utf-8", "replace"))
    except OSError:
        first = ""
    if first.startswith(MARK):
        return first.startswith(mark)
    try:
        noted = read_checksums(folder / CHECKSUMS)
    except OSError:
        return False
    return {_MARKED, "summary.json"} <= noted.keys()


def _first_line(text: str) -> str:
    """The first line of a text, without its end."""
    return text.partition("\n")[0]


def _staged_path(final: Path) -> Path:
    """Where a dataset is written."""
    return final.with_name(f".{final.name}.staged")


def _old_path(final: Path) -> Path:
    """Where a dataset is while another one takes its place."""
    return final.with_name(f".{final.name}.old")
