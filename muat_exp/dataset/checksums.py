"""Checksums of a dataset's files: written last, compared before it is called sound or published."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from muat_exp.files import file_sha256, short_sha256
from muat_exp.opening import open_file, read_file, reason

CHECKSUMS = "SHA256SUMS"
_MOST_BYTES = 2**24  # that are read of a file of checksums
# What git and the Hub's client put beside a dataset's files.
FOREIGN = (".gitattributes", ".git", ".cache/huggingface")


def walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, in a stable order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path


def dataset_files(folder: Path) -> dict[str, Path]:
    """The files of a dataset by name, without what git and the Hub's client put there."""
    files = {}
    for path in walk(folder):
        name = path.relative_to(folder).as_posix()
        if not _is_foreign(name):
            files[name] = path
    return files


def _is_foreign(name: str) -> bool:
    """Whether a file, named from the dataset's folder, is one that git or the client put there."""
    return any(f"{name}/".startswith(f"{part}/") for part in FOREIGN)


def shards_digest(folder: Path) -> str:
    """One digest of all Parquet files below a folder, 16 hexadecimal digits."""
    shards = [path for path in walk(folder) if path.suffix == ".parquet"]
    return short_sha256(_checksum_lines(folder, shards))


def write_checksums(folder: Path) -> None:
    """Writes the checksums of all other files, as `sha256sum --check` reads them."""
    others = [path for path in walk(folder) if path != folder / CHECKSUMS]
    lines = _checksum_lines(folder, others)
    (folder / CHECKSUMS).write_bytes(lines)


def _checksum_lines(folder: Path, paths: Iterable[Path]) -> bytes:
    """A line for each file: its checksum, two spaces, its name from the folder."""
    lines = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        lines.append(f"{file_sha256(path)}  {name}\n")
    return "".join(lines).encode()


def read_checksums(path: Path, folder: Path | None = None) -> dict[str, str]:
    """The checksums that a file of them notes, by name.

    Args:
        path: the file.
        folder: the dataset that it has to be in; None for anywhere.

    Raises:
        OSError: it can't be read, or is larger than any dataset's.
    """
    noted = {}
    content = read_file(path, _MOST_BYTES, folder)
    for line in content.decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        noted[name] = digest
    return noted


def differences(folder: Path, with_new: bool = True) -> Iterator[str]:
    """A sentence for every file that is missing, new, or not what it was.

    What is no file, or a link that leads out of the folder, is not read.
    """
    try:
        noted = read_checksums(folder / CHECKSUMS, folder)
    except FileNotFoundError:
        yield f"{CHECKSUMS} is missing: files can't be checked."
        return
    except OSError as error:
        yield f"{CHECKSUMS} can't be read: {reason(error)}; files can't be checked."
        return
    there = _all_files(folder)
    for name in sorted(noted.keys() | there.keys()):
        if name not in there:
            yield f"{name} is missing."
        elif name not in noted:
            if with_new:
                yield f"{name} is not in {CHECKSUMS}."
        else:
            yield from _difference(folder, name, noted[name])


def _all_files(folder: Path) -> dict[str, Path]:
    """What is in a dataset but folders, by name, without the checksums."""
    others = [path for path in folder.rglob("*") if not path.is_dir() and not path.is_file()]
    named = {path.relative_to(folder).as_posix(): path for path in others}
    own = {name: path for name, path in named.items() if not _is_foreign(name)}
    there = dataset_files(folder) | own
    there.pop(CHECKSUMS, None)
    return there


def _difference(folder: Path, name: str, noted: str) -> Iterator[str]:
    """A sentence where a file is not what was noted of it."""
    path = folder / name
    try:
        open_file(path, folder).close()
        if file_sha256(path) != noted:
            yield f"{name} does not have its checksum: it was changed or damaged."
    except OSError as error:
        yield f"{name} can't be read: {reason(error)}."
