"""Which jobs Hydra's basic sweeper will run: their overrides, from those of the command."""

from collections.abc import Collection
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf


def planned_overrides(config: DictConfig, keys: Collection[str] = ()) -> list[list[str]]:
    """Overrides of every job that the basic sweeper will run, or those of some keys alone."""
    params = config.hydra.sweeper.params or {}
    swept = [f"{key}={value}" for key, value in params.items()]
    named = as_typed(config.hydra.overrides.task)
    overrides = OverridesParser.create().parse_overrides(swept + named)
    if keys:
        overrides = [override for override in overrides if override.key_or_group in keys]
    (jobs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return jobs


def as_typed(overrides: ListConfig) -> list[str]:
    """Overrides with their `${...}` as it stands: what Hydra lists would be resolved in its place.

    >>> as_typed(OmegaConf.create(["seed=${other}"]))
    ['seed=${other}']
    """
    texts: Any = OmegaConf.to_container(overrides, resolve=False)
    return list(texts)
