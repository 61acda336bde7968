"""The trackers that a configuration asks for."""

from pathlib import Path

from muat_exp.config.groups import Config
from muat_exp.tracking.metrics_file import MetricsFile
from muat_exp.tracking.tensorboard import TensorBoardTracker
from muat_exp.tracking.tracker import Tracker
from muat_exp.tracking.wandb_environment import DISABLED, resolved
from muat_exp.tracking.weights_and_biases import WandbTracker

# What `logger.name` stands for: the trackers, in the order in which they are told of a cohort.
_TRACKERS: dict[str, tuple[type[Tracker], ...]] = {
    "none": (),
    "csv": (MetricsFile,),
    "wandb": (MetricsFile, WandbTracker),
    "tensorboard": (MetricsFile, TensorBoardTracker),
}


def _chosen(config: Config) -> list[type[Tracker]]:
    """The classes of the trackers: W&B's is none of them where it is disabled."""
    chosen = list(_TRACKERS[config.logger.name])
    if WandbTracker in chosen and resolved(config.logger).mode == DISABLED:
        chosen.remove(WandbTracker)
    return chosen


def build_trackers(config: Config, folder: Path) -> list[Tracker]:
    """The trackers of a run in this folder.

    Raises:
        ConfigurationError: W&B is to be online and nobody is logged in, or a package is missing.
    """
    chosen = _chosen(config)
    return [tracker(config, folder) for tracker in chosen]


def tracker_outputs(config: Config) -> tuple[list[str], list[str]]:
    """Names of the files and of the folders that these trackers write into a run's folder."""
    trackers = _chosen(config)
    files = [name for tracker in trackers for name in tracker.files]
    folders = [name for tracker in trackers for name in tracker.folders]
    return files, folders
