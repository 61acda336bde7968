"""Checksums of a dataset's files: written last, compared before it is called sound or published."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from muat_exp.files import file_sha256, short_sha256

CHECKSUMS = "SHA256SUMS"
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
    """Writes the checksums of all files, as `sha256sum --check` reads them."""
    lines = _checksum_lines(folder, walk(folder))
    (folder / CHECKSUMS).write_bytes(lines)


def _checksum_lines(folder: Path, paths: Iterable[Path]) -> bytes:
    """A line for each file: its checksum, two spaces, its name from the folder."""
    lines = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        lines.append(f"{file_sha256(path)}  {name}\n")
    return "".join(lines).encode()


def read_checksums(path: Path) -> dict[str, str]:
    """The checksums that a file of them notes, by name."""
    noted = {}
    for line in path.read_text("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        noted[name] = digest
    return noted


def differences(folder: Path, with_new: bool = True) -> Iterator[str]:
    """A sentence for every file that is missing, new, or not what it was."""
    if not (folder / CHECKSUMS).is_file():
        yield f"{CHECKSUMS} is missing: files can't be checked."
        return
    noted = read_checksums(folder / CHECKSUMS)
    there = dataset_files(folder)
    del there[CHECKSUMS]
    for name in sorted(noted.keys() | there.keys()):
        if name not in there:
            yield f"{name} is missing."
        elif name not in noted:
            if with_new:
                yield f"{name} is not in {CHECKSUMS}."
        elif file_sha256(there[name]) != noted[name]:
            yield f"{name} does not have its checksum: it was changed or damaged."
