"""The examples that predictions are judged by: their numbers, their splits and their true completions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from muat_exp.dataset.parquet import open_parquet, shards
from muat_exp.dataset.reading import read_config
from muat_exp.errors import DatasetError

_SHARD = re.compile(r"(\w+)-\d+-of-\d+")
_COMPLETION = "classification_completion"
_QUOTES = "\"'"


@dataclass(frozen=True)
class Truth:
    """The N examples of a dataset.

    Attributes:
        places: example_id, as text, and its place, 0 to N - 1.
        splits: the split of each.
        completions: the true classification completion of each.
        patterns: the names that an answer may hold.
    """

    places: dict[str, int]
    splits: tuple[str, ...]
    completions: tuple[str, ...]
    patterns: tuple[str, ...]

    @property
    def answers(self) -> tuple[frozenset[str], ...]:
        """Names of the patterns in each true completion."""
        return tuple(frozenset(split_names(completion)) for completion in self.completions)


def split_names(text: str) -> list[str]:
    """The names in a completion: parted by commas, without case, surrounding space, quotes or a final full stop.

    >>> split_names(' "Palindrome, alternating." ')
    ['palindrome', 'alternating']
    """
    return [_bare(part) for part in _bare(text).split(",")]


def _bare(text: str) -> str:
    """A text in lower case without surrounding space, quotes and a final full stop."""
    return text.strip().removesuffix(".").strip(_QUOTES).removesuffix(".").strip().lower()


def load_truth(folder: Path) -> Truth:
    """The true completions of a dataset, of this program or with its published fields only.

    They stand in Parquet files of the folder `prompts`, or where there is none anywhere in the dataset's folder, in the
    columns `example_id` and `classification_completion`. A dataset without them tells its subjects' selected patterns.

    Raises:
        DatasetError: there is no dataset, it does not hold them, or two examples have the same number.
    """
    if not folder.is_dir():
        raise DatasetError(f"dataset={folder}: there is no such folder.")
    rows = [*_read_columns(_prompt_files(folder), _COMPLETION)] or [*selected_patterns(folder)]
    if not rows:
        raise DatasetError(
            f"{folder} holds no examples: no Parquet file has the columns example_id and {_COMPLETION}."
        )
    places: dict[str, int] = {}
    for place, (example, _, _) in enumerate(rows):
        if places.setdefault(example, place) != place:
            raise DatasetError(f"{folder}: example_id {example} occurs more than once.")
    completions = tuple(completion for _, _, completion in rows)
    return Truth(
        places,
        tuple(split for _, split, _ in rows),
        completions,
        _known_patterns(folder, completions),
    )


def _prompt_files(folder: Path) -> list[Path]:
    """Parquet files that may hold prompts."""
    own = folder / "prompts"
    return sorted((own if own.is_dir() else folder).rglob("*.parquet"))


def _read_columns(files: list[Path], column: str) -> Iterator[tuple[str, str, str]]:
    """(example, split, value) of every row of the files that have the column."""
    for path in files:
        found = _SHARD.match(path.name)
        try:
            file = open_parquet(path)
            if {"example_id", column} <= set(file.schema_arrow.names):
                table = file.read(["example_id", column])
                for example, value in zip(
                    table["example_id"].to_pylist(), table[column].to_pylist(), strict=True
                ):
                    yield str(example), found[1] if found else "", _as_text(path, value)
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"{path} can't be read: {str(error).splitlines()[0]}") from error


def _as_text(path: Path, value: object) -> str:
    """A completion, or the names of a list as one."""
    listed = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if not listed and not isinstance(value, str):
        raise DatasetError(f"{path}: a completion is {value!r:.40}; it must be a text.")
    return ", ".join(value) if isinstance(value, list) else str(value)


def selected_patterns(folder: Path) -> Iterator[tuple[str, str, str]]:
    """(example, split, names) of a dataset without classification prompts."""
    return _read_columns(shards(folder, "subjects"), "selected_patterns")


def _known_patterns(folder: Path, completions: tuple[str, ...]) -> tuple[str, ...]:
    """The enabled patterns; of a dataset without a configuration of this program those of its completions."""
    named = sorted({name for completion in completions for name in split_names(completion)})
    try:
        enabled = read_config(folder).patterns.enabled
    except DatasetError:
        return tuple(named)
    return (*enabled, *(name for name in named if name not in enabled))
