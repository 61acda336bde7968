"""The trackers that a configuration asks for."""

from pathlib import Path

from muat_exp.config.groups import Config
from muat_exp.tracking.tracker import MetricsFile, Tracker


def build_trackers(config: Config, folder: Path) -> list[Tracker]:
    """The trackers of a run in this folder.

    Raises:
        ConfigurationError: W&B is to be online and nobody is logged in, or a package is not installed.
    """
    if config.logger.name == "none":
        return []
    trackers: list[Tracker] = [MetricsFile(folder / "metrics.csv")]
    if config.logger.name == "wandb":
        from muat_exp.tracking.weights_and_biases import WandbTracker

        trackers.append(WandbTracker(config, folder))
    if config.logger.name == "tensorboard":
        from muat_exp.tracking.tensorboard import TensorBoardTracker

        trackers.append(TensorBoardTracker(folder / "tensorboard"))
    return trackers
