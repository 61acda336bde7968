"""Hydra's callback at the start of a multirun: notes which jobs there will be, so that missing ones can be named."""

from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from muat_exp.compose import limit_jobs
from muat_exp.sweep.jobs import write_plan

STARTED: list[Path] = []  # folders of the multiruns of this process


class NoteMultirun(Callback):
    """Writes the plan of a multirun into its folder."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called once, in the process that launches the jobs."""
        folder = Path(config.hydra.sweep.dir)
        STARTED.append(folder)
        limit_jobs(config)
        if config.hydra.runtime.choices["hydra/sweeper"] == "basic":
            write_plan(folder, planned_jobs(config))


def planned_jobs(config: DictConfig) -> list[list[str]]:
    """Overrides of every job that Hydra's basic sweeper will run."""
    swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    overrides = OverridesParser.create().parse_overrides([*swept, *config.hydra.overrides.task])
    return BasicSweeper.split_arguments(overrides, None)[0]
