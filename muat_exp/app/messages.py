"""Errors of Hydra and OmegaConf as sentences that a user can act on."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass

import yaml
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from muat_exp.app.tasks import tasks_with
from muat_exp.config.files import group_names, offered
from muat_exp.config.groups import Config
from muat_exp.config.keys import walk
from muat_exp.config.reading import no_group, schema_keys, unknown_key
from muat_exp.errors import ConfigurationError, MuatError, first_line, nearest

_HYDRA_ERRORS = (HydraException, OmegaConfBaseException, MissingConfigException)
_PLUGINS = {  # options of Hydra's own groups that an extra brings
    ("hydra/launcher", "joblib"): "joblib",
    ("hydra/launcher", "submitit_local"): "submitit",
    ("hydra/launcher", "submitit_slurm"): "submitit",
    ("hydra/launcher", "ray"): "ray",
    ("hydra/sweeper", "optuna"): "optuna",
}
_SYNTAX = (
    "an override is written key=value or group=option, quoted for the shell where it has spaces "
    "or brackets; a text with other letters or signs has quotes of its own: \"key='value'\"."
)
_FOLDER_WORDS = {"dir", "folder", "out", "out_dir", "outdir", "output", "output_dir", "outputs"}


@contextmanager
def sentences() -> Iterator[None]:
    """Turns Hydra's and OmegaConf's errors into `ConfigurationError`."""
    try:
        yield
    except _HYDRA_ERRORS as error:
        raise _own_error(error) or ConfigurationError(_explain(error)) from error
    except ValueError as error:
        if "Config group override must be" in str(error):
            sentence = f"A configuration group got a value that names no option; {_group_list()}"
        elif "integer string conversion" in str(error):
            most = sys.get_int_max_str_digits()
            sentence = f"An override has a number of more than {most} digits, which can't be read."
        else:
            raise
        raise ConfigurationError(sentence) from error


def _own_error(error: BaseException | None) -> MuatError | None:
    """An error of ours that OmegaConf wrapped: what it resolves may refuse a value."""
    while error is not None and not isinstance(error, MuatError):
        error = error.__cause__ or error.__context__
    return error


def _explain(error: Exception) -> str:
    """One or two sentences for an error of Hydra or OmegaConf."""
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, OverrideParseException):
        return f"The override '{error.override}' can't be read; {_SYNTAX}"
    if isinstance(error, ConfigCompositionException):
        return _composition(str(error))
    if isinstance(error, OmegaConfBaseException):
        return _unresolved(error)
    return f"{first_line(error)}."


def _missing_option(error: MissingConfigException) -> str:
    """The sentence for an option that a group lacks, or for a group that does not exist."""
    missing = error.missing_cfg_file or ""
    group, _, option = missing.rpartition("/")
    if (group, option) in _PLUGINS:
        extra = _PLUGINS[group, option]
        install = f"pip install 'muat_exp[{extra}]'"
        return f"{group}={option} needs a plugin that is not installed: {install}."
    if group.startswith("dataset/"):
        folder = missing.removeprefix("dataset/")
        tasks = ", ".join(tasks_with("dataset_dir"))
        return f"dataset={folder} names a folder, which needs task={tasks}."
    options = offered(error.options or ())
    if group and options:
        hint = nearest(option, options)
        return f"Group '{group}' has no option '{option}'; it has {', '.join(options)}.{hint}"
    if group:
        hint = nearest(group, group_names())
        return f"There is no configuration group '{group}'; {_group_list()}{hint}"
    return f"{first_line(error)}."


def _composition(text: str) -> str:
    """The sentence for an override that does not fit what was composed."""
    key = _first_quoted(text)
    if text.startswith(("Could not override", "Could not delete")):
        added = re.search(r"use \+(.*)", text)
        return absent_key(key, added.group(1) if added else "")
    if text.startswith("Could not append"):
        return f"'+{key}' adds a key that is already there; leave out the plus sign: {key}=value."
    if text.startswith("Ambiguous value"):
        name, _, value = _as_typed(key).partition("=")
        return (
            f"'{name}={value}' has several values; add -m to run one job for each, or write a list "
            f"as {name}=[{value}], or one text with commas as \"{name}='{value}'\"."
        )
    if text.startswith("Error merging override"):
        override = text.strip().removeprefix("Error merging override ")
        return _unfit(override.rstrip("."))
    return f"{first_line(text)}."


def _first_quoted(text: str) -> str:
    """The first text in single quotes; empty where there is none."""
    found = re.search(r"'([^']*)'", text)
    return found.group(1) if found else ""


def _as_typed(override: str) -> str:
    """An override with `dataset=<folder>` as users write it.

    >>> _as_typed("dataset_dir=x"), _as_typed("seed=1")
    ('dataset=x', 'seed=1')
    """
    return re.sub(r"^dataset_dir=", "dataset=", override)


def _unfit(override: str) -> str:
    """The sentence for a value that stands where a group of keys does."""
    key, _, value = override.partition("=")
    item = dict(walk(Config)).get(key)
    if item is not None and is_dataclass(item.type):
        return no_group(yaml.safe_load(value), item, key)
    return f"The override '{_as_typed(override)}' does not fit what is there; {_SYNTAX}"


def absent_key(key: str, argument: str = "") -> str:
    """The sentence for a key or group that the composed configuration lacks.

    Args:
        key: dotted.
        argument: what was written on the command line; the key alone where that is not known.
    """
    if key.startswith("hydra."):
        return f"Hydra has no key '{key}'; python -m muat_exp --cfg hydra shows all of them."
    tasks = tasks_with(key)
    if tasks:
        owners = " or ".join(tasks)
        return f"{argument or key} is for task={owners}; name that task, or leave out '{key}'."
    known = schema_keys(Config)
    if "." not in key and not nearest(key, known):
        return f"There is no configuration key or group '{key}'; {_advice(key)}"
    meant = _with_nearest_group(key)
    if meant != key and meant in known:
        return f"Unknown configuration key '{key}'. Did you mean '{meant}'?"
    return unknown_key(key, Config)


def _with_nearest_group(key: str) -> str:
    """A dotted key with the group that is most like the one it names.

    >>> _with_nearest_group("coruption.rate"), _with_nearest_group("seed")
    ('corruption.rate', 'seed')
    """
    head, dot, rest = key.partition(".")
    group = _first_quoted(nearest(head, group_names()))
    return f"{group}.{rest}" if dot and group else key


def _advice(key: str) -> str:
    """The end of a sentence on a key that is like no other."""
    if key in _FOLDER_WORDS:
        return "hydra.run.dir=<folder> names the folder of a run."
    return f"python -m muat_exp --cfg job shows the keys, and {_group_list()}"


def _unresolved(error: OmegaConfBaseException) -> str:
    """The sentence for a value that OmegaConf can't compute."""
    place = error.full_key or "A value"
    if isinstance(error, MissingMandatoryValue):
        return f"{place} is '???', which stands for a missing value; give it one."
    if isinstance(error, InterpolationKeyError):
        missing = _first_quoted(str(error))
        hint = nearest(missing, schema_keys(Config))
        return f"{place} refers to '${{{missing}}}', which the configuration does not have.{hint}"
    if isinstance(error, InterpolationResolutionError):
        return f"{place} refers to something that can't be computed: {first_line(error)}."
    return f"{first_line(error)}."


def _group_list() -> str:
    """The groups as the end of a sentence."""
    return f"the groups are {', '.join(group_names())}."
