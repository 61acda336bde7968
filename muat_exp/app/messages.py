"""Errors of Hydra and OmegaConf as sentences that a user can act on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

from muat_exp.config.groups import ON_DATASETS, Config
from muat_exp.config.reading import schema_keys, unknown_key
from muat_exp.errors import ConfigurationError, first_line, nearest

_HYDRA_ERRORS = (HydraException, OmegaConfBaseException, MissingConfigException)
_PLUGINS = {  # options of Hydra's own groups that an extra brings
    ("hydra/launcher", "joblib"): "joblib",
    ("hydra/launcher", "submitit_local"): "submitit",
    ("hydra/launcher", "submitit_slurm"): "submitit",
    ("hydra/launcher", "ray"): "ray",
    ("hydra/sweeper", "optuna"): "optuna",
}
_SYNTAX = "an override is written key=value or group=option, quoted for the shell where it has spaces or brackets."


def conf_folder() -> Path:
    """The folder of the YAML files: inside an installed package, else at the top of the repository."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


@contextmanager
def sentences() -> Iterator[None]:
    """Turns Hydra's and OmegaConf's errors into `ConfigurationError`."""
    try:
        yield
    except _HYDRA_ERRORS as error:
        raise ConfigurationError(_explain(error)) from error
    except ValueError as error:
        if "Config group override must be" not in str(error):
            raise
        raise ConfigurationError(
            f"A configuration group got a value that names no option; {_group_list()}"
        ) from error


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
    return _first_line(error)


def _missing_option(error: MissingConfigException) -> str:
    """The sentence for an option that a group lacks, or for a group that does not exist."""
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if (group, option) in _PLUGINS:
        return f"{group}={option} needs a plugin that is not installed: pip install 'muat_exp[{_PLUGINS[group, option]}]'."
    options = sorted(error.options or ())
    if group.startswith("dataset/"):
        return f"dataset={group.partition('/')[2]}/{option} names a folder, which needs task={', '.join(ON_DATASETS)}."
    if group and options:
        return f"Group '{group}' has no option '{option}'; it has {', '.join(options)}.{nearest(option, options)}"
    if group:
        return (
            f"There is no configuration group '{group}'; {_group_list()}{nearest(group, groups())}"
        )
    return _first_line(error)


def _composition(text: str) -> str:
    """The sentence for an override that does not fit what was composed."""
    key = next(iter(re.findall(r"'([^']*)'", text)), "")
    if text.startswith(("Could not override", "Could not delete")):
        return _absent_key(key)
    if text.startswith("Could not append"):
        return f"'+{key}' adds a key that is already there; leave out the plus sign: {key}=value."
    if text.startswith("Ambiguous value"):
        return f"'{key}' has several values; add -m to run one job for each, or write a list as key=[value1,value2]."
    return _first_line(text)


def _absent_key(key: str) -> str:
    """The sentence for a key or group that the composed configuration lacks."""
    if key.startswith("hydra."):
        return f"Hydra has no key '{key}'; python -m muat_exp --cfg hydra shows all of them."
    head, dot, rest = key.partition(".")
    if not dot and not nearest(head, schema_keys(Config)):
        return f"There is no configuration key or group '{key}'; {_group_list()}"
    matching = nearest(head, groups()).partition("'")[2].partition("'")[0]
    if dot and matching and head != matching and f"{matching}.{rest}" in schema_keys(Config):
        return f"Unknown configuration key '{key}'. Did you mean '{matching}.{rest}'?"
    return unknown_key(key, Config)


def _unresolved(error: OmegaConfBaseException) -> str:
    """The sentence for a value that OmegaConf can't compute."""
    place = error.full_key or "A value"
    if isinstance(error, MissingMandatoryValue):
        return f"{place} is '???', which stands for a missing value; give it one."
    if isinstance(error, InterpolationKeyError):
        missing = next(iter(re.findall(r"'([^']*)'", str(error))), "")
        hint = nearest(missing, schema_keys(Config))
        return f"{place} refers to '${{{missing}}}', which the configuration does not have.{hint}"
    if isinstance(error, InterpolationResolutionError):
        return f"{place} refers to something that can't be computed: {_first_line(error)}"
    return _first_line(error)


def groups() -> list[str]:
    """Names of the configuration groups."""
    return sorted(
        path.name for path in conf_folder().iterdir() if path.is_dir() and any(path.glob("*.yaml"))
    )


def _group_list() -> str:
    """The groups as the end of a sentence."""
    return f"the groups are {', '.join(groups())}."


def _first_line(error: Any) -> str:
    """The first line of an error's text, as a sentence."""
    return f"{first_line(error)}."
