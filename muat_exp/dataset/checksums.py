"""Checksums of a dataset's files: written last, compared before it is called sound or published."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from muat_exp.files import file_sha256, short_sha256

CHECKSUMS = "SHA256SUMS"
FOREIGN = (
    ".gitattributes",
    ".git",
    ".cache/huggingface",
)  # what git and the Hub's client put beside a dataset's files


def walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, in a stable order."""
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def dataset_files(folder: Path) -> dict[str, Path]:
    """The files of a dataset by name, without what git and the Hub's client put there."""
    files = {path.relative_to(folder).as_posix(): path for path in walk(folder)}
    return {
        name: path
        for name, path in files.items()
        if not any(f"{name}/".startswith(f"{part}/") for part in FOREIGN)
    }


def shards_digest(folder: Path) -> str:
    """One digest of all Parquet files below a folder, 16 hexadecimal digits."""
    shards = [path for path in walk(folder) if path.suffix == ".parquet"]
    return short_sha256(_checksum_lines(folder, shards))


def write_checksums(folder: Path) -> None:
    """Writes the checksums of all files, as `sha256sum --check` reads them."""
    (folder / CHECKSUMS).write_bytes(_checksum_lines(folder, walk(folder)))


def _checksum_lines(folder: Path, paths: Iterable[Path]) -> bytes:
    """A line for each file: its checksum, two spaces, its name from the folder."""
    lines = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    return "".join(lines).encode()


def read_checksums(path: Path) -> dict[str, str]:
    """The checksums that a file of them notes, by name."""
    lines = path.read_text("utf-8", "replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


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
