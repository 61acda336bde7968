"""The rules of the stages, each a Lightning callback.

At the end of a fit, the stage's rule says which weights count, then `StoredWeights` measures them.
Callbacks of others may follow and read `LitCohort.result`: Lightning calls them in their order.
"""

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from muat_exp.config.groups import ArchitectureConfig
from muat_exp.executors.base import Executor
from muat_exp.subjects.population import Population
from muat_exp.subjects.quantization import as_stored
from muat_exp.training.engines.compiled import evaluate_stored, folded
from muat_exp.training.module import LitCohort, StageResult
from muat_exp.training.statistics import METRICS, QUANTILES, SUBJECTS, mean_name, quantile_name

_BOUND = 1e8  # a loss or parameter of this size or beyond, or NaN, has diverged


class DivergenceGuard(pl.Callback):
    """Stops subjects whose loss blew up."""

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:
        """Looks at both losses of the epoch."""
        sound = (np.abs(cohort.train_loss) < _BOUND) & (np.abs(cohort.validation_loss) < _BOUND)
        blown = cohort.active & ~sound
        cohort.diverged |= blown
        cohort.stop(blown)


class BestWeights(pl.Callback):
    """A rule: each subject's best weights count, by validation accuracy or loss.

    The earliest ones on a tie.

    Attributes:
        kept: the best weights so far.
        score: float64 `(S,)`, how good they are; the higher the better.
        epoch: int64 `(S,)`, epoch of the best weights, counted from 1; 0 where there are none.
    """

    def __init__(self, population: Population, monitor: str) -> None:
        self.monitor = monitor
        self.kept = population.with_parameters(population.parameters.copy())
        self.score = np.full(len(population), -np.inf)
        self.epoch = np.zeros(len(population), np.int64)

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:
        """Copies the weights of subjects with a new best score."""
        score = (
            cohort.validation_accuracy if self.monitor == "accuracy" else -cohort.validation_loss
        )
        better = cohort.active & (score > self.score)
        self.score[better] = score[better]
        self.epoch[better] = trainer.current_epoch + 1
        self.kept.copy_subjects(cohort.problem.population.parameters, np.flatnonzero(better))

    def on_fit_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:
        """Puts the best weights in the place of the last ones; who has any has passed."""
        cohort.problem.population.parameters[:] = self.kept.parameters
        cohort.epoch = self.epoch
        cohort.passed = self.epoch > 0


class EarlyStop(pl.Callback):
    """Stops each subject after `patience` epochs without a lower validation loss."""

    def __init__(self, subjects: int, patience: int) -> None:
        self.patience = patience
        self.best = np.full(subjects, np.inf)
        self.waited = np.zeros(subjects, np.int64)

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:
        """Counts epochs without a new best."""
        better = cohort.active & (cohort.validation_loss < self.best)
        self.best[better] = cohort.validation_loss[better]
        self.waited = np.where(better, 0, self.waited + 1)
        cohort.stop(cohort.active & (self.waited >= self.patience))


class StageSwitch(pl.Callback):
    """A rule: a subject stops when its validation loss is `threshold` below its first one.

    Attributes:
        first: float64 `(S,)`, validation loss of the first epoch.
        switched: bool `(S,)`, subjects that got there.
        epoch: int64 `(S,)`, the epoch of that, counted from 1; 0 where there was none.
    """

    def __init__(self, subjects: int, threshold: float) -> None:
        self.threshold = threshold
        self.first = np.full(subjects, np.nan)
        self.switched = np.zeros(subjects, bool)
        self.epoch = np.zeros(subjects, np.int64)

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:
        """Compares with the first epoch."""
        if trainer.current_epoch == 0:
            self.first = cohort.validation_loss.copy()
            return
        learned = cohort.active & (self.first - cohort.validation_loss >= self.threshold)
        self.switched |= learned
        self.epoch[learned] = trainer.current_epoch + 1
        cohort.stop(learned)

    def on_fit_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:
        """The last weights of a subject are those that it switched with."""
        cohort.epoch = self.epoch
        cohort.passed = self.switched


class MetricsLogging(pl.Callback):
    """Logs an epoch's number of subjects in training, and statistics of their metrics.

    It must stand before the callbacks that stop subjects.
    """

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:
        """One row to every logger."""
        row = {f"{cohort.stage_name}/{name}": value for name, value in _statistics(cohort).items()}
        for logger in trainer.loggers:
            logger.log_metrics(row, trainer.current_epoch + 1)


class History(pl.Callback):
    """Keeps every epoch's losses and accuracies of every subject.

    It must stand before the callbacks that stop subjects.
    """

    def __init__(self, subjects: int) -> None:
        self.epochs: list[NDArray[np.float32]] = []
        self.subjects = subjects

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:
        """Keeps one epoch; what did not train is NaN."""
        values = np.stack([getattr(cohort, name) for name in METRICS], axis=1)  # (S, 4)
        trained = np.where(cohort.active[:, None], values, np.nan)
        self.epochs.append(trained.astype(np.float32))

    @property
    def values(self) -> NDArray[np.float32]:
        """float32 `(S, epochs, 4)`: training loss and accuracy, validation loss and accuracy."""
        if not self.epochs:
            return np.empty((self.subjects, 0, len(METRICS)), np.float32)
        return np.stack(self.epochs, axis=1)


class StoredWeights(pl.Callback):
    """Measures the weights that a stage ends with as they will be stored.

    It must stand behind the stage's rule and before the callbacks that read `LitCohort.result`.
    """

    def __init__(
        self,
        architecture: ArchitectureConfig,
        definitions: str,
        history: History,
        executor: Executor,
    ) -> None:
        self.architecture = architecture
        self.definitions = definitions
        self.history = history
        self.executor = executor

    def on_fit_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:
        """Folds, rounds and evaluates them."""
        problem = cohort.problem
        stored = as_stored(folded(problem), self.architecture, self.definitions)
        diverged = cohort.diverged | (cohort.passed & _blown_up(stored))
        _, accuracy = evaluate_stored(problem, stored, self.executor)
        cohort.result = StageResult(
            trained=problem.population,
            stored=stored,
            accuracy=accuracy,
            epoch=cohort.epoch,
            passed=cohort.passed & ~diverged,
            diverged=diverged,
            history=self.history.values,
        )


def _statistics(cohort: LitCohort) -> dict[str, float]:
    """Subjects in training, and of each metric the mean and the quantiles over them.

    Values that blew up are left out; a metric that has no others is missing.
    """
    row = {SUBJECTS: float(cohort.active.sum())}
    for metric in METRICS:
        values = getattr(cohort, metric)[cohort.active]
        values = values[np.abs(values) < _BOUND]
        if not len(values):
            continue
        row[mean_name(metric)] = float(values.mean())
        for quantile, value in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True):
            row[quantile_name(metric, quantile)] = float(value)
    return row


def _blown_up(population: Population) -> NDArray[np.bool_]:
    """Subjects with a parameter that diverged, bool `(S,)`."""
    wild = ~(np.abs(population.parameters) < _BOUND)  # NaN is wild too
    return np.logical_or.reduceat(wild, population.offsets[:-1])
