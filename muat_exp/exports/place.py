"""The folder of an export: written beside its place, then renamed, and only over one of our own.

Each of its folders has a list of what muat_exp made in it (`claims`). An export that holds anything
else is not replaced.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from muat_exp.claims import LIST, adopt, claim, listed_names
from muat_exp.dataset.checksums import walk
from muat_exp.errors import RunFolderError
from muat_exp.files import flush_file

NAME = "export"
_FLUSHES = 16  # at a time: a disk takes many small files faster together than in turn


def claim_export(folder: Path) -> Path:
    """Claims the place of an export in a run's folder, before the work; returns it.

    Mends what a killed replacement left.

    Raises:
        RunFolderError: something is there that we did not make.
    """
    final = folder / NAME
    old = _old_path(final)
    claim(folder, folders=[final.name, _staged_path(final).name, old.name])
    if old.exists() and not final.exists():
        old.rename(final)  # killed between the two renames of `replaced`
    _require_ours(final)
    _require_ours(old)
    return final


@contextmanager
def replaced(final: Path) -> Iterator[Path]:
    """An empty folder to write into, which takes the place of the export when the block ends well.

    Raises:
        RunFolderError: something was put into the export meanwhile that we did not make.
    """
    staged = _staged_path(final)
    old = _old_path(final)
    shutil.rmtree(staged, ignore_errors=True)  # what a kill left
    staged.mkdir()
    try:
        yield staged
        _list_contents(staged)
        _flush(staged)
        _require_ours(final)
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():
            final.rename(old)
        staged.rename(final)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _list_contents(folder: Path) -> None:
    """Notes in a folder, and in each folder below, what is there as ours."""
    paths = sorted(folder.iterdir())
    for path in paths:
        if path.is_dir():
            _list_contents(path)
    adopt(folder, [path.name for path in paths])


def _flush(folder: Path) -> None:
    """Has every file of a folder on the disk before it is renamed."""
    with ThreadPoolExecutor(_FLUSHES) as pool:
        for _ in pool.map(flush_file, walk(folder)):
            pass


def _require_ours(folder: Path) -> None:
    """Raises `RunFolderError` where a folder holds anything that we did not make."""
    if not folder.exists():
        return
    paths = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in paths:
        ours = {LIST, *listed_names(path)}
        for other in sorted(path.iterdir()):
            if other.name not in ours:
                raise RunFolderError(
                    f"{other} is in the way of the export, and muat_exp did not make it; move it "
                    "away, or choose another hydra.run.dir."
                )


def _staged_path(final: Path) -> Path:
    """Where an export is written."""
    return final.with_name(f".{final.name}.staged")


def _old_path(final: Path) -> Path:
    """Where an export is while another one takes its place."""
    return final.with_name(f".{final.name}.old")
