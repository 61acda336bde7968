"""The rules of the stages, each a Lightning callback."""

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from muat_exp.subjects.population import Population
from muat_exp.training.module import LitCohort

BOUND = 1e8  # a loss or parameter of this size or beyond, or NaN, has diverged
_QUANTILES = (0.1, 0.5, 0.9)


class DivergenceGuard(pl.Callback):
    """Stops subjects whose loss blew up."""

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:  # type: ignore[override]
        """Looks at both losses of the epoch."""
        sound = (np.abs(cohort.train_loss) < BOUND) & (np.abs(cohort.validation_loss) < BOUND)
        blown = cohort.active & ~sound
        cohort.diverged |= blown
        cohort.stop(blown)


class BestWeights(pl.Callback):
    """Keeps each subject's best weights: by validation accuracy or loss, the earliest on a tie.

    Attributes:
        parameters: float32, laid out like the population's.
        epoch: int64 `(S,)`, epoch of the best weights, counted from 1; 0 where there are none.
    """

    def __init__(self, population: Population, monitor: str) -> None:
        self.monitor = monitor
        self.parameters = population.parameters.copy()
        self.kept = population.with_parameters(self.parameters)
        self.score = np.full(len(population), -np.inf)
        self.epoch = np.zeros(len(population), np.int64)

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:  # type: ignore[override]
        """Copies the weights of subjects with a new best score."""
        score = (
            cohort.validation_accuracy if self.monitor == "accuracy" else -cohort.validation_loss
        )
        better = cohort.active & (score > self.score)
        self.score[better] = score[better]
        self.epoch[better] = trainer.current_epoch + 1
        self.kept.copy_subjects(cohort.problem.population.parameters, np.flatnonzero(better))


class EarlyStop(pl.Callback):
    """Stops each subject after `patience` epochs without a lower validation loss."""

    def __init__(self, subjects: int, patience: int) -> None:
        self.patience = patience
        self.best = np.full(subjects, np.inf)
        self.waited = np.zeros(subjects, np.int64)

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:  # type: ignore[override]
        """Counts epochs without a new best."""
        better = cohort.active & (cohort.validation_loss < self.best)
        self.best[better] = cohort.validation_loss[better]
        self.waited = np.where(better, 0, self.waited + 1)
        cohort.stop(cohort.active & (self.waited >= self.patience))


class StageSwitch(pl.Callback):
    """Stops each subject at the first epoch whose validation loss is `threshold` below that of its first epoch.

    Attributes:
        switched: bool `(S,)`.
        epoch: int64 `(S,)`, the epoch of the switch, counted from 1; 0 where there was none.
    """

    def __init__(self, subjects: int, threshold: float) -> None:
        self.threshold = threshold
        self.first = np.full(subjects, np.nan)
        self.switched = np.zeros(subjects, bool)
        self.epoch = np.zeros(subjects, np.int64)

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:  # type: ignore[override]
        """Compares with the first epoch."""
        if trainer.current_epoch == 0:
            self.first = cohort.validation_loss.copy()
            return
        learned = cohort.active & (self.first - cohort.validation_loss >= self.threshold)
        self.switched |= learned
        self.epoch[learned] = trainer.current_epoch + 1
        cohort.stop(learned)


class MetricsLogging(pl.Callback):
    """Logs, per epoch, how many subjects trained, and mean and quantiles of their losses and accuracies.

    It must stand before the callbacks that stop subjects.
    """

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:  # type: ignore[override]
        """One row to every logger."""
        active = cohort.active
        row: dict[str, float] = {"training": float(active.sum())}
        for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
            values = getattr(cohort, name)[active]
            values = values[np.abs(values) < BOUND]
            if not len(values):
                continue
            row[f"{name}_mean"] = float(values.mean())
            for quantile, value in zip(_QUANTILES, np.quantile(values, _QUANTILES), strict=True):
                row[f"{name}_q{round(100 * quantile)}"] = float(value)
        for logger in trainer.loggers:
            logger.log_metrics(
                {f"{cohort.stage_name}/{key}": value for key, value in row.items()},
                trainer.current_epoch + 1,
            )


class History(pl.Callback):
    """Keeps every epoch's losses and accuracies of every subject; it must stand before the callbacks that stop subjects."""

    def __init__(self, subjects: int) -> None:
        self.epochs: list[NDArray[np.float32]] = []
        self.subjects = subjects

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:  # type: ignore[override]
        """Keeps one epoch; what did not train is NaN."""
        columns = (
            cohort.train_loss,
            cohort.train_accuracy,
            cohort.validation_loss,
            cohort.validation_accuracy,
        )
        self.epochs.append(
            np.where(cohort.active[:, None], np.stack(columns, axis=1), np.nan).astype(np.float32)
        )

    @property
    def values(self) -> NDArray[np.float32]:
        """float32 `(S, epochs, 4)`: training loss and accuracy, validation loss and accuracy."""
        return (
            np.stack(self.epochs, axis=1)
            if self.epochs
            else np.empty((self.subjects, 0, 4), np.float32)
        )
