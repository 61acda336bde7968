"""The configurations of a sweep's jobs, composed and checked."""

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from muat_exp.app.compose import read_request
from muat_exp.app.messages import sentences
from muat_exp.app.overrides import given_keys
from muat_exp.config.checks import require
from muat_exp.config.groups import Config

_SWEPT_TASK = "generate"
ONE_RUN = "resume continues one run; a sweep is continued by hydra.sweep.dir=<its folder>."


def job_config(composed: DictConfig, overrides: Sequence[str]) -> Config:
    """The checked configuration of one job.

    Args:
        composed: as Hydra composed it, without its own part.
        overrides: of the job.

    Raises:
        ConfigurationError: it is wrong, or asks for what a sweep can't do.
    """
    request = read_request(composed, given_keys(overrides))
    require_swept(request.keys.task)
    require(not request.keys.resume, ONE_RUN)
    return request.config


def require_swept(task: str) -> None:
    """Raises `ConfigurationError` for a task that makes no dataset: there is nothing to gather."""
    require(
        task == _SWEPT_TASK,
        f"A multirun makes datasets; run task={task} by itself, without -m.",
    )


class JobComposer:
    """Composes the jobs of a sweep before they are launched, as Hydra will compose each of them.

    Hydra reads and merges the YAML files for every job, which takes a tenth of a second. Jobs that
    choose the same options of all groups differ only in the values that are set afterwards, so the
    files are merged once for each choice, and the values of one job overwrite those of the last.
    """

    def __init__(self, config: DictConfig) -> None:
        """Takes the configuration of the whole multirun, Hydra's own part included."""
        self._config = config
        self._loader = cast("ConfigLoaderImpl", GlobalHydra.instance().config_loader())
        self._merged: dict[tuple[str, ...], tuple[DictConfig, DictConfig]] = {}

    def compose(self, number: int, overrides: Sequence[str]) -> tuple[Config, str]:
        """The checked configuration of a job, and its folder within the sweep's.

        The folder is empty where it is not known before the job runs.

        Raises:
            ConfigurationError: the configuration is wrong, or asks for what a sweep can't do.
        """
        parsed = [_parse(override) for override in overrides]
        with sentences():
            whole, own = self._compose(overrides, parsed)
        return job_config(own, overrides), _folder(whole, number, parsed)

    def _compose(
        self, overrides: Sequence[str], parsed: Sequence[Override]
    ) -> tuple[DictConfig, DictConfig]:
        """A job's configuration with Hydra's own part, and without it."""
        values = [override for override in parsed if self._sets_value(override)]
        chosen = [override for override in parsed if not self._sets_value(override)]
        choice = tuple(str(override.input_line) for override in chosen)
        merged = self._merged.get(choice)
        if merged is None:
            whole = self._loader.load_sweep_config(self._config, list(overrides))
            own = whole.copy()
            with open_dict(own):
                del own["hydra"]
            self._merged[choice] = (whole, own)
            return whole, own
        for composed in merged:
            ConfigLoaderImpl._apply_overrides_to_config(values, composed)
        return merged

    def _sets_value(self, override: Override) -> bool:
        """Whether an override does no more than to set the value of a key that there is."""
        changes_keys = override.is_add() or override.is_force_add() or override.is_delete()
        is_group = self._loader.repository.group_exists(override.key_or_group)
        is_plain = not isinstance(override.value(), dict)
        return is_plain and not (changes_keys or is_group or override.package is not None)


@lru_cache(maxsize=4096)
def _parse(override: str) -> Override:
    """An override in Hydra's grammar."""
    return OverridesParser.create().parse_override(override)


def _folder(whole: DictConfig, number: int, parsed: Sequence[Override]) -> str:
    """The folder of a job within that of its sweep; empty where it can't be told beforehand."""
    job = whole.hydra.job
    job.num = number
    job.id = str(number)
    naming = job.config.override_dirname
    job.override_dirname = get_overrides_dirname(
        [override for override in parsed if not override.is_hydra_override()],
        kv_sep=naming.kv_sep,
        item_sep=naming.item_sep,
        exclude_keys=naming.exclude_keys,
    )
    try:
        return str(OmegaConf.select(whole, "hydra.sweep.subdir"))
    except OmegaConfBaseException:  # it refers to what Hydra knows of a running job
        return ""
