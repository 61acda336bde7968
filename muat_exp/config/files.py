"""Where the YAML files are, and what they say of themselves."""

from collections.abc import Iterable, Iterator
from pathlib import Path

_BASE = "base"


def conf_folder() -> Path:
    """The folder of the YAML files: in an installed package, else at the top of the repository."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


def group_names() -> list[str]:
    """Names of the configuration groups."""
    return sorted(path.name for path in conf_folder().iterdir() if any(path.glob("*.yaml")))


def option_names(group: str) -> list[str]:
    """Names of a group's options, without what they have in common."""
    return offered(path.stem for path in (conf_folder() / group).glob("*.yaml"))


def offered(options: Iterable[str]) -> list[str]:
    """Options as they are shown to a user, by name: `base` is the file that the others build on."""
    return sorted(set(options) - {_BASE})


def first_comment(path: Path) -> str:
    """The first line of comment of a YAML file that is for a reader, not for Hydra."""
    return next(_comments(path), "")


def _comments(path: Path) -> Iterator[str]:
    """The lines of comment of a YAML file, without those that Hydra reads."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and "@package" not in line:
            yield line.lstrip("# ")
