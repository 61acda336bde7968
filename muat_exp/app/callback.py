"""Hydra's callback at the start of a single run: its folder, before Hydra makes it."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from muat_exp.output_folder import OutputFolder

RUN_FOLDERS: list[OutputFolder] = []  # of this process's single job: one, or none


class NoteRun(Callback):
    """Notes what the folder of a run held before; one that nobody named is its own."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called before Hydra makes the folder; what a callback raises is a mere warning."""
        with suppress(OmegaConfBaseException, OSError):  # Hydra meets them too, and makes no folder
            RUN_FOLDERS.append(_output_folder(config))


def _output_folder(config: DictConfig) -> OutputFolder:
    """The folder of a run, before Hydra makes it."""
    folder = Path(config.hydra.run.dir)
    if folder == Path() or not _is_named_after_now(config):
        return OutputFolder.before(folder)
    claimed = OutputFolder.claim(folder)
    with read_write(config.hydra):
        config.hydra.run.dir = str(claimed.path)
    return claimed


def _is_named_after_now(config: DictConfig) -> bool:
    """Whether results go to a folder that is named after the time, and by nobody else."""
    values: Any = OmegaConf.to_container(config.hydra.run, resolve=False)
    given = config.hydra.overrides.hydra
    named = config.get("resume") or any("hydra.run.dir=" in override for override in given)
    return not named and "${now:" in values["dir"]
