"""Command-line arguments as Hydra reads them: the names of files and folders letter by letter.

Hydra's grammar has no letters beyond ASCII, turns `2024` into a number and takes a backslash for a
sign of its own. A key that names a file or folder takes its value as it stands instead: only `~` at
the beginning is the home folder, `${...}` refers to another key, and quotes around the whole value
are left out. Commas between several values remain a sweep.
"""

import os
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from muat_exp.app.tasks import task_module, task_names
from muat_exp.config.checks import require
from muat_exp.config.files import group_names, option_names
from muat_exp.config.groups import Config
from muat_exp.config.keys import key_of, walk

_DEFAULT_TASK = "generate"
_HYDRA_FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")
_NULL_GROUPS = ("experiment", "sweep")  # in the list of defaults without an option: not to be added
_DATASET = "dataset"  # the group's name, and what one writes for the dataset that a task works on
_DATASET_FOLDER = "dataset_dir"  # the key of such a task
_LONGEST_NAME = 255  # bytes that file systems take
_LONGEST_PATH = 4095  # bytes that systems take
_SHOWN = 40  # characters of a path in a sentence on its length
_NOT_OURS = ("hydra.", "hydra/", "-")  # beginnings of what Hydra reads for itself


def hydra_overrides(arguments: Sequence[str]) -> list[str]:
    """The arguments in Hydra's grammar; options such as `--help` stay as they are.

    Raises:
        ConfigurationError: `hydra.run.dir=` or `hydra.sweep.dir=` names no folder, or an argument
            has bytes that are no text.

    >>> hydra_overrides(["+experiment=smoke", "seed=1", "hydra.run.dir=Zürich"])
    ['experiment=smoke', 'seed=1', "hydra.run.dir='Zürich'"]
    >>> hydra_overrides(["task=validate", "dataset=2024"])
    ['task=validate', "dataset_dir='2024'"]
    """
    for argument in arguments:
        require(_is_text(argument), f"{argument}: a byte of this is no text in UTF-8.")
    task = _chosen_task(arguments)
    paths = set(_path_keys(task))
    return [_translated(argument, paths) for argument in arguments]


def _is_text(argument: str) -> bool:
    """Whether no byte of an argument stands for itself, as Python keeps what it can't decode."""
    return not any("\ud800" <= letter <= "\udfff" for letter in argument)


def given_keys(overrides: Iterable[str]) -> tuple[str, ...]:
    """The keys and groups that overrides name, without those of Hydra.

    >>> given_keys(["+experiment=smoke", "corruption.rate=0.1", "hydra.run.dir=x", "--cfg"])
    ('experiment', 'corruption.rate')
    """
    keys = [_split(override)[0] for override in overrides]
    named = [key.lstrip("+~") for key in keys]
    return tuple(name for name in named if not name.startswith(_NOT_OURS))


def _chosen_task(arguments: Sequence[str]) -> str:
    """The task that the arguments name; the default one where there is no such task."""
    chosen = _DEFAULT_TASK
    for argument in arguments:
        key, _, value = _split(argument)
        if key == "task":
            chosen = value  # the last one counts
    return chosen if chosen in task_names() else _DEFAULT_TASK


def _path_keys(task: str) -> Iterable[str]:
    """The dotted keys that name a file or folder."""
    yield from _HYDRA_FOLDERS
    for schema in (Config, task_module(task).Keys):
        for name, item in walk(schema):
            if key_of(item).path:
                yield name


def _split(argument: str) -> tuple[str, str, str]:
    """Key, equals sign and value."""
    return argument.partition("=")


def _translated(argument: str, paths: set[str]) -> str:
    """One argument in Hydra's grammar; `paths` are the keys that name a file or folder."""
    key, equals, value = _split(argument)
    if key.startswith("-") or not equals:
        return argument
    name = key.lstrip("+")
    if name in _NULL_GROUPS:
        return f"{name}={value}"
    if key == _DATASET and _DATASET_FOLDER in paths:
        _require_short(key, value)
        return f"{_DATASET_FOLDER}={_path_value(value)}"
    if name in group_names():
        _require_option(name, value)
    if name not in paths:
        return argument
    names_folder = key not in _HYDRA_FOLDERS or value != ""
    require(names_folder, f"{key}= names no folder.")
    _require_short(key, value)
    return f"{key}={_path_value(value)}"


def _require_option(group: str, value: str) -> None:
    """Raises `ConfigurationError` for what can't be the name of a group's option, or several."""
    read = _as_hydra_reads(value)
    if read is None or read.is_sweep_override():
        return
    given = read.value()
    names = given if isinstance(given, list) and group != "task" else [given]
    require(
        all(isinstance(name, str | None) for name in names),
        f"{group}={value} names no option of the group; it has {', '.join(option_names(group))}.",
    )


def _require_short(key: str, value: str) -> None:
    """Raises `ConfigurationError` for a path that no file system takes."""
    longest = max(len(name.encode()) for name in value.split("/"))
    require(
        longest <= _LONGEST_NAME and len(value.encode()) <= _LONGEST_PATH,
        f"{key}={value[:_SHOWN]}... is too long: a name may have {_LONGEST_NAME} bytes, "
        f"and a whole path {_LONGEST_PATH}.",
    )


def _path_value(value: str) -> str:
    """The value of a key that names a file or folder, in Hydra's grammar."""
    text = value
    read = _as_hydra_reads(value)
    if read is not None:
        if read.is_sweep_override():
            return value
        if isinstance(read._value, QuotedString):
            text = read._value.text
    path = os.path.expanduser(text)
    return QuotedString(path, Quote.single).with_quotes()


def _as_hydra_reads(value: str) -> Override | None:
    """A value as Hydra's grammar reads it; None where it can't."""
    try:
        return OverridesParser.create().parse_override(f"key={value}")
    except (HydraException, ValueError):  # or a number that is too long for Python
        return None
