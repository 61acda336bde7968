"""Trains a cohort of subjects in Lightning: one module around all of them, one `Trainer.fit` a stage.

One training step is one epoch of every subject still in training; the callbacks hold the rules of the stages.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger

from muat_exp.config import Config
from muat_exp.engine import Engine, Problem, Workers, build_engine, evaluate_stored, folded, stage_problem
from muat_exp.population import Population
from muat_exp.storage import as_stored
from muat_exp.subject import Specs, SubjectData, draw_population

STAGES = ("degraded", "clean")
BOUND = 1e8  # a loss or parameter of this size or beyond, or NaN, has diverged
QUANTILES = (0.1, 0.5, 0.9)

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


class LitCohort(pl.LightningModule):
    """All subjects of a cohort in one stage.

    Attributes:
        problem: what is trained, and on what.
        active: bool `(S,)`, subjects still training.
        diverged: bool `(S,)`, subjects whose numbers blew up.
        train_loss, train_accuracy, validation_loss, validation_accuracy: float64 `(S,)` of the last epoch, NaN where
            a subject did not train.
    """

    def __init__(self, engine: Engine, problem: Problem, active: NDArray[np.bool_]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.engine, self.problem = engine, problem
        self.active = active.copy()
        self.diverged = np.zeros(len(active), bool)
        self.train_loss = self.train_accuracy = np.full(len(active), np.nan)
        self.validation_loss = self.validation_accuracy = np.full(len(active), np.nan)

    @property
    def stage_name(self) -> str:
        """Name of the stage in logs."""
        return STAGES[self.problem.stage]

    def training_step(self, batch: Any, batch_index: int) -> None:
        """One epoch of every active subject."""
        self.train_loss, self.train_accuracy = self.engine.train_epoch(np.flatnonzero(self.active), self.current_epoch)

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Clean validation of every active subject."""
        self.validation_loss, self.validation_accuracy = self.engine.evaluate(np.flatnonzero(self.active))

    def configure_optimizers(self) -> None:
        """None: each subject has an Adam of its own inside the engine."""

    def train_dataloader(self) -> list[int]:
        """One batch an epoch, the whole cohort; the data lies in `problem`."""
        return [0]

    def val_dataloader(self) -> list[int]:
        """One batch an epoch."""
        return [0]

    def stop(self, which: NDArray[np.bool_]) -> None:
        """Ends training of these subjects; the fit ends with the last one."""
        self.active &= ~which
        if not self.active.any():
            self.trainer.should_stop = True


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
        score = cohort.validation_accuracy if self.monitor == "accuracy" else -cohort.validation_loss
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
            for quantile, value in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True):
                row[f"{name}_q{round(100 * quantile)}"] = float(value)
        for logger in trainer.loggers:
            logger.log_metrics({f"{cohort.stage_name}/{key}": value for key, value in row.items()}, trainer.current_epoch + 1)


class History(pl.Callback):
    """Keeps every epoch's losses and accuracies of every subject; it must stand before the callbacks that stop subjects."""

    def __init__(self, subjects: int) -> None:
        self.epochs: list[NDArray[np.float32]] = []
        self.subjects = subjects

    def on_validation_end(self, trainer: pl.Trainer, cohort: LitCohort) -> None:  # type: ignore[override]
        """Keeps one epoch; what did not train is NaN."""
        columns = (cohort.train_loss, cohort.train_accuracy, cohort.validation_loss, cohort.validation_accuracy)
        self.epochs.append(np.where(cohort.active[:, None], np.stack(columns, axis=1), np.nan).astype(np.float32))

    @property
    def values(self) -> NDArray[np.float32]:
        """float32 `(S, epochs, 4)`: training loss and accuracy, validation loss and accuracy."""
        return np.stack(self.epochs, axis=1) if self.epochs else np.empty((self.subjects, 0, 4), np.float32)


@dataclass(frozen=True)
class StageResult:
    """Outcome of one stage for S subjects.

    Attributes:
        problem: the stage's problem; its population holds the weights that the stage ended with.
        population: folded weights, as stored: quantised and rounded as configured.
        accuracy: float64 `(S,)`, validation accuracy of the folded weights.
        epoch: int64 `(S,)`, the epoch that the weights are from, counted from 1.
        passed: bool `(S,)`, subjects that reached the end of the stage.
        diverged: bool `(S,)`.
        history: float32 `(S, epochs, 4)`, see `History`; no epochs where `dataset.columns` do not ask for them.
    """

    problem: Problem
    population: Population
    accuracy: NDArray[np.float64]
    epoch: NDArray[np.int64]
    passed: NDArray[np.bool_]
    diverged: NDArray[np.bool_]
    history: NDArray[np.float32]


def fit(cohort: LitCohort, max_epochs: int, callbacks: list[pl.Callback], loggers: list[Logger]) -> None:
    """One Lightning fit without its own files or progress bar."""
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=max_epochs,
        callbacks=callbacks,
        logger=loggers or False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        plugins=[LightningEnvironment()],
    )
    trainer.fit(cohort)
    # Lightning's objects refer to each other in circles, which live until a full garbage collection: they drop the arrays now.
    trainer.callbacks.clear()  # type: ignore[attr-defined]
    del cohort.engine, cohort.problem


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keeps Lightning's advice off the terminal; filters are the process's, so this goes around all threads that train."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        yield


def train_degraded(config: Config, specs: Specs, data: SubjectData, workers: Workers, loggers: list[Logger]) -> StageResult:
    """The first stage, on corrupted labels, until each subject switches or, at a plateau, stops."""
    problem = stage_problem(config, specs, data, draw_population(config, specs), 0)
    recipe, count = config.training, len(specs)
    cohort = LitCohort(build_engine(config, problem, workers), problem, np.ones(count, bool))
    switch = StageSwitch(count, recipe.switch_threshold)
    best = BestWeights(problem.population, "loss")
    history = History(count)
    rules = [switch] if recipe.until == "switch" else [best]
    callbacks = [*watching(config, history), DivergenceGuard(), *rules, EarlyStop(count, recipe.degraded.patience)]
    fit(cohort, recipe.degraded.max_epochs, callbacks, loggers)
    if recipe.until == "plateau":
        problem.population.parameters[:] = best.parameters
        passed, epoch = best.epoch > 0, best.epoch
    else:
        passed, epoch = switch.switched, switch.epoch
    return finish(config, cohort, problem, epoch, passed, history, workers)


def train_clean(
    config: Config, specs: Specs, data: SubjectData, degraded: StageResult, workers: Workers, loggers: list[Logger]
) -> StageResult:
    """The second stage, on clean labels, from the degraded weights with a fresh Adam; keeps the best accuracy."""
    start = degraded.problem.population
    population = start.with_parameters(start.parameters.copy())
    problem = stage_problem(config, specs, data, population, 1)
    recipe = config.training
    active = degraded.passed & ~degraded.diverged
    cohort = LitCohort(build_engine(config, problem, workers), problem, active)
    best, history = BestWeights(population, "accuracy"), History(len(specs))
    if active.any():
        callbacks = [*watching(config, history), DivergenceGuard(), best, EarlyStop(len(specs), recipe.clean.patience)]
        fit(cohort, recipe.clean.max_epochs, callbacks, loggers)
    population.parameters[:] = best.parameters
    return finish(config, cohort, problem, best.epoch, active & (best.epoch > 0), history, workers)


def watching(config: Config, history: History) -> list[pl.Callback]:
    """The callbacks that only look on."""
    return [MetricsLogging(), history] if config.dataset.needs_history else [MetricsLogging()]


def finish(
    config: Config, cohort: LitCohort, problem: Problem, epoch: NDArray[np.int64], passed: NDArray[np.bool_],
    history: History, workers: Workers,
) -> StageResult:  # fmt: skip
    """Folds the stage's weights and measures what will be stored."""
    population = as_stored(folded(problem), config.architecture)
    blown = np.logical_or.reduceat(~(np.abs(population.parameters) < BOUND), population.offsets[:-1])
    diverged = cohort.diverged | (passed & blown)
    _, accuracy = evaluate_stored(problem, population, workers)
    return StageResult(problem, population, accuracy, epoch, passed & ~diverged, diverged, history.values)
