"""The examples that predictions are judged by: their numbers, splits and true completions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from muat_exp.dataset.parquet import Bounds, open_parquet, parse_shard_name, shards
from muat_exp.dataset.published.files import counts_from_zero, is_published
from muat_exp.dataset.published.reading import read_published, told_patterns
from muat_exp.dataset.reading import read_config
from muat_exp.errors import DatasetError, first_line, shown
from muat_exp.score.column_types import check_types, is_identity, is_text_or_names

_ID = "example_id"
_COMPLETION = "classification_completion"
_QUOTES = "\"'"
_LONGEST_COMPLETION = 10_000  # bytes: a list of names
_MOST_PATTERNS = 256  # different names in all completions
_BOUNDS = Bounds(rows=10_000_000, values=_MOST_PATTERNS, text=_LONGEST_COMPLETION)
_BATCH = 10_000  # rows that are decoded at a time


class _Example(NamedTuple):
    """One example of a dataset: its number as text, its split or nothing, its true completion."""

    example_id: str
    split: str
    completion: str


@dataclass(frozen=True)
class Truth:
    """The N examples of a dataset.

    Attributes:
        rows: by example_id, as text, which of the examples it is, 0 to N - 1.
        splits: the split of each.
        completions: the true classification completion of each.
        patterns: the names that an answer may hold.
    """

    rows: dict[str, int]
    splits: tuple[str, ...]
    completions: tuple[str, ...]
    patterns: tuple[str, ...]

    @property
    def answers(self) -> tuple[frozenset[str], ...]:
        """Names of the patterns in each true completion."""
        named = [split_names(completion) for completion in self.completions]
        return tuple(map(frozenset, named))


def split_names(text: str) -> list[str]:
    """The names in a completion.

    They are parted by commas; case, surrounding space, quotes and a final full stop don't matter.

    >>> split_names(' "Palindrome, alternating." ')
    ['palindrome', 'alternating']
    """
    parts = _bare(text).split(",")
    return [_bare(part) for part in parts]


def _bare(text: str) -> str:
    """A text in lower case without surrounding space, quotes and a final full stop."""
    unquoted = text.strip().removesuffix(".").strip(_QUOTES)
    return unquoted.removesuffix(".").strip().lower()


def load_truth(folder: Path) -> Truth:
    """The true completions of a dataset, of this program or in the published layout.

    They stand in Parquet files of the folder `prompts`, or where there is none anywhere in the
    dataset's folder, in the columns `example_id` and `classification_completion`. Of a dataset
    without them its subjects' patterns are taken, those that `dataset.label` says, or those of its
    metadata. Where ids begin at 0 in each of several parts, examples are numbered in the order of
    the files.

    Raises:
        DatasetError: there is no dataset, it does not hold them, or two examples have the same
            number.
    """
    if not folder.is_dir():
        raise DatasetError(f"dataset={folder}: there is no such folder.")
    examples = _prompted_examples(folder) or _selected_patterns(folder) or _told_patterns(folder)
    examples = _numbered(examples)
    if not examples:
        wanted = f"no Parquet file has the columns {_ID} and {_COMPLETION}"
        raise DatasetError(f"{folder} holds no examples: {wanted}.")
    completions = tuple(example.completion for example in examples)
    return Truth(
        rows=_rows_by_id(folder, examples),
        splits=tuple(example.split for example in examples),
        completions=completions,
        patterns=_known_patterns(folder, completions),
    )


def _rows_by_id(folder: Path, examples: Sequence[_Example]) -> dict[str, int]:
    """Where each example stands among all; raises where two have the same number."""
    rows: dict[str, int] = {}
    for row, example in enumerate(examples):
        if example.example_id in rows:
            raise DatasetError(f"{folder}: example_id {example.example_id} occurs more than once.")
        rows[example.example_id] = row
    return rows


def _prompted_examples(folder: Path) -> list[_Example]:
    """The examples of the files that hold classification prompts."""
    own = folder / "prompts"
    place = own if own.is_dir() else folder
    files = sorted(place.rglob("*.parquet"))
    return list(_read_column(folder, files, _COMPLETION))


def _selected_patterns(folder: Path) -> list[_Example]:
    """The examples of a dataset without classification prompts, as these would name them."""
    files = shards(folder, "subjects")
    column = "best_pattern" if _names_behaviour(folder) else "selected_patterns"
    return list(_read_column(folder, files, column))


def _names_behaviour(folder: Path) -> bool:
    """Whether a dataset tells that its completions name what explains a network best."""
    try:
        return read_config(folder).dataset.names_behaviour
    except DatasetError:
        return False


def _told_patterns(folder: Path) -> list[_Example]:
    """The examples of a repository in the published layout without classification prompts."""
    if not is_published(folder):
        return []
    table = read_published(folder).table
    columns = (table[name].to_pylist() for name in (_ID, "selected_patterns"))
    return [
        _Example(str(number), "train", ", ".join(names))
        for number, names in zip(*columns, strict=True)
    ]


def _numbered(examples: list[_Example]) -> list[_Example]:
    """Examples of several parts, each of which counts from 0, with numbers of their own."""
    ids = [int(one.example_id) if one.example_id.isdecimal() else None for one in examples]
    if len(set(ids)) == len(ids) or not counts_from_zero(ids):
        return examples
    return [one._replace(example_id=str(number)) for number, one in enumerate(examples)]


def _read_column(folder: Path, files: Sequence[Path], column: str) -> Iterator[_Example]:
    """The examples of the files that have the column, which holds their completions."""
    for path in files:
        shard = parse_shard_name(path.name)
        split = shard.split if shard else ""
        for example, value in _read_pairs(folder, path, column):
            yield _Example(str(example), split, _as_text(path, value))


def _read_pairs(folder: Path, path: Path, column: str) -> Iterator[tuple[object, object]]:
    """Number and value of every row of a file; none where it lacks the column."""
    columns = [_ID, column]
    file = open_parquet(path, folder, _BOUNDS, columns, dictionaries=[column])
    schema = file.schema_arrow
    if not set(columns) <= set(schema.names):
        return
    check_types(path, schema, {_ID: is_identity, column: is_text_or_names}, DatasetError)
    try:
        for batch in file.iter_batches(_BATCH, columns=columns):
            numbers, values = (batch[name].to_pylist() for name in columns)
            yield from zip(numbers, values, strict=True)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DatasetError(f"{path} can't be read: {first_line(error)}.") from error


def _as_text(path: Path, value: object) -> str:
    """A completion, or the names of a list as one."""
    if isinstance(value, str):
        if len(value) > _LONGEST_COMPLETION:
            most = f"at most {_LONGEST_COMPLETION} are read"
            raise DatasetError(f"{path}: a completion has {len(value)} characters; {most}.")
        return value
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return ", ".join(value)
    raise DatasetError(f"{path}: a completion is {shown(value)}; it must be a text.")


def _known_patterns(folder: Path, completions: Sequence[str]) -> tuple[str, ...]:
    """The patterns that an answer may name.

    The enabled ones, as far as the dataset tells, and those of the completions.
    """
    named: set[str] = set()
    for completion in completions:
        named.update(split_names(completion))
    enabled = _enabled_patterns(folder)
    others = sorted(named.difference(enabled))
    if len(others) > _MOST_PATTERNS:
        raise DatasetError(
            f"{folder}: its completions hold {len(others)} different names, such as "
            f"{shown(others[0])}; patterns have at most {_MOST_PATTERNS}."
        )
    return (*enabled, *others)


def _enabled_patterns(folder: Path) -> tuple[str, ...]:
    """The enabled patterns; nothing where the dataset tells none."""
    if is_published(folder):
        return told_patterns(folder)
    try:
        return read_config(folder).patterns.enabled
    except DatasetError:
        return ()
