"""Hydra's callback at the start of a single run: its folder, before Hydra makes it."""

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from muat_exp.output_folder import OutputFolder

RUN_FOLDERS: list[OutputFolder] = []  # of this process's single job: one, or none


class NoteRun(Callback):
    """Notes what the folder of a run held before."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called before Hydra makes the folder; what a callback raises is a mere warning."""
        try:
            folder = config.hydra.run.dir
        except OmegaConfBaseException:  # Hydra meets the same error, and makes no folder
            return
        RUN_FOLDERS.append(OutputFolder.before(Path(folder)))
