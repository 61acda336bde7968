"""Configurations from the YAML files and overrides. Reads no dataset and no network."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from muat_exp.app.messages import absent_key, sentences
from muat_exp.app.overrides import given_keys, hydra_overrides
from muat_exp.app.request import Request
from muat_exp.app.resuming import holds_run
from muat_exp.app.tasks import own_keys, task_module
from muat_exp.config.checks import require
from muat_exp.config.files import conf_folder
from muat_exp.config.groups import Config
from muat_exp.config.keys import walk
from muat_exp.config.reading import read
from muat_exp.errors import ConfigurationError, shown

VERSION_BASE = "1.3"  # of Hydra
_COMPOSING = Lock()  # Hydra's plugins and version are global


def load_config(overrides: Sequence[str] = ()) -> Config:
    """The configuration that the command line would compose from these overrides.

    Neither the network nor a dataset is looked at. Several threads may call it, also while a Hydra
    of the caller's own is initialised.

    Args:
        overrides: as on the command line, such as `["signature=pca_15", "seed=1"]`.

    Raises:
        ConfigurationError: a sentence about what is wrong, where, and what is allowed.

    >>> load_config(["signature=pca_15"]).signature.components
    15
    """
    listed = isinstance(overrides, Sequence) and not isinstance(overrides, str | bytes)
    require(
        listed and all(isinstance(override, str) for override in overrides),
        f"load_config takes a list of overrides, such as ['seed=1'], not {shown(overrides)}.",
    )
    translated = hydra_overrides(overrides)
    composed = _compose(translated)
    request = read_request(composed, given_keys(translated))
    return request.config


def _compose(overrides: Sequence[str]) -> DictConfig:
    """What the YAML files and these overrides give, without Hydra's own part.

    `hydra.compose` does the same on one global Hydra, which can't be initialised twice.
    """
    with sentences(), _COMPOSING, _our_version_base():
        setup_globals()
        search_path = create_config_search_path(str(conf_folder()))
        loader = ConfigLoaderImpl(search_path)
        composed = loader.load_configuration(
            "config", list(overrides), RunMode.RUN, from_shell=False
        )
    with open_dict(composed):
        del composed["hydra"]
    return composed


def require_primary(name: str, folder: str | None) -> None:
    """Raises `ConfigurationError` unless a configuration of the user's own is based on ours.

    Args:
        name: its name, as `--config-name` gives it.
        folder: where it may be, as `--config-dir` gives it.
    """
    with sentences(), _COMPOSING, _our_version_base():
        setup_globals()
        search_path = create_config_search_path(str(conf_folder()))
        if folder is not None:
            search_path.prepend("command-line", f"file://{Path(folder).resolve()}")
        loader = ConfigLoaderImpl(search_path)
        composed = loader.load_configuration(name, [], RunMode.RUN, from_shell=False)
    require(
        "task" in composed and "run" in composed.hydra.callbacks,
        f"--config-name={name} is not based on the configuration of this program; "
        "one of your own begins with 'defaults: [config, _self_]'.",
    )


@contextmanager
def _our_version_base() -> Iterator[None]:
    """Has Hydra behave as the version that this package is written for; then as it did before."""
    current = version.VersionBase.instance()
    before = current.version_base
    version.setbase(VERSION_BASE)
    try:
        yield
    finally:
        current.version_base = before


def read_request(
    composed: DictConfig, given: Sequence[str] = (), folder: Path = Path()
) -> Request[Any]:
    """What a composed configuration asks of its task.

    Args:
        composed: without Hydra's own part.
        given: the dotted keys that were named on the command line.
        folder: where results go.

    Raises:
        ConfigurationError: an unknown key, a value that can't be resolved, or a wrong one of the
            task's own keys.
    """
    with sentences():
        values: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    task = values["task"]
    own = {name: values.pop(name) for name in own_keys(task)}
    _require_known(values)
    keys = read(own, task_module(task).Keys)
    return Request(keys, values, tuple(given), folder)


def _require_known(names: Iterable[str]) -> None:
    """Raises `ConfigurationError` for a name that is neither a key nor a group of a run."""
    known = {name for name, _ in walk(Config)}
    for name in names:
        if name not in known:
            raise ConfigurationError(absent_key(name))


def _run_folder(resumed: str, otherwise: str) -> str:
    """The folder of the run that is to be continued, or else another one."""
    if resumed:
        holds_run(resumed)
    return resumed or otherwise


def _unless(value: str, otherwise: str) -> str:
    """The folder of the command for what writes nothing as a value is given, else another one."""
    return "." if value else otherwise


def _job_number(number: int, first: int) -> int:
    """The number of a job: Hydra counts from 0 whenever a search is continued."""
    return first + number


# Resolvers are the process's: a caller may have some of these short names.
OmegaConf.register_new_resolver("muat_exp.job_number", _job_number, replace=True)
OmegaConf.register_new_resolver("muat_exp.run_folder", _run_folder, replace=True)
OmegaConf.register_new_resolver("muat_exp.unless", _unless, replace=True)
