"""Trains a cohort of subjects in Lightning: one module around all of them, one `Trainer.fit` a stage.

One training step is one epoch of every subject still in training; the callbacks hold the rules of the stages.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger

from muat_exp.config.groups import Config
from muat_exp.executors.threads import Workers
from muat_exp.subjects.data import SubjectData
from muat_exp.subjects.initialization import draw_population
from muat_exp.subjects.population import Population
from muat_exp.subjects.quantization import as_stored
from muat_exp.subjects.specs import Specs
from muat_exp.training.callbacks import (
    BOUND,
    BestWeights,
    DivergenceGuard,
    EarlyStop,
    History,
    MetricsLogging,
    StageSwitch,
)
from muat_exp.training.engines.base import Engine, Problem, stage_problem
from muat_exp.training.engines.compiled import CompiledEngine, evaluate_stored, folded
from muat_exp.training.engines.torch import TorchEngine
from muat_exp.training.module import LitCohort

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


@dataclass(frozen=True)
class _StageResult:
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


def fit(
    cohort: LitCohort, max_epochs: int, callbacks: list[pl.Callback], loggers: list[Logger]
) -> None:
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


def train_degraded(
    config: Config, specs: Specs, data: SubjectData, workers: Workers, loggers: list[Logger]
) -> _StageResult:
    """The first stage, on corrupted labels, until each subject switches or, at a plateau, stops."""
    problem = stage_problem(config, specs, data, draw_population(config, specs), 0)
    recipe = config.training
    count = len(specs)
    cohort = LitCohort(_build_engine(config, problem, workers), problem, np.ones(count, bool))
    switch = StageSwitch(count, recipe.switch_threshold)
    best = BestWeights(problem.population, "loss")
    history = History(count)
    rules = [switch] if recipe.until == "switch" else [best]
    callbacks = [
        *_watching(config, history),
        DivergenceGuard(),
        *rules,
        EarlyStop(count, recipe.degraded.patience),
    ]
    fit(cohort, recipe.degraded.max_epochs, callbacks, loggers)
    if recipe.until == "plateau":
        problem.population.parameters[:] = best.parameters
        passed = best.epoch > 0
        epoch = best.epoch
    else:
        passed = switch.switched
        epoch = switch.epoch
    return finish(config, cohort, problem, epoch, passed, history, workers)


def train_clean(
    config: Config,
    specs: Specs,
    data: SubjectData,
    degraded: _StageResult,
    workers: Workers,
    loggers: list[Logger],
) -> _StageResult:
    """The second stage, on clean labels, from the degraded weights with a fresh Adam; keeps the best accuracy."""
    start = degraded.problem.population
    population = start.with_parameters(start.parameters.copy())
    problem = stage_problem(config, specs, data, population, 1)
    recipe = config.training
    active = degraded.passed & ~degraded.diverged
    cohort = LitCohort(_build_engine(config, problem, workers), problem, active)
    best = BestWeights(population, "accuracy")
    history = History(len(specs))
    if active.any():
        callbacks = [
            *_watching(config, history),
            DivergenceGuard(),
            best,
            EarlyStop(len(specs), recipe.clean.patience),
        ]
        fit(cohort, recipe.clean.max_epochs, callbacks, loggers)
    population.parameters[:] = best.parameters
    return finish(config, cohort, problem, best.epoch, active & (best.epoch > 0), history, workers)


def _watching(config: Config, history: History) -> list[pl.Callback]:
    """The callbacks that only look on."""
    return [MetricsLogging(), history] if config.dataset.needs_history else [MetricsLogging()]


def finish(
    config: Config, cohort: LitCohort, problem: Problem, epoch: NDArray[np.int64], passed: NDArray[np.bool_],
    history: History, workers: Workers,
) -> _StageResult:  # fmt: skip
    """Folds the stage's weights and measures what will be stored."""
    population = as_stored(folded(problem), config.architecture)
    blown = np.logical_or.reduceat(
        ~(np.abs(population.parameters) < BOUND), population.offsets[:-1]
    )
    diverged = cohort.diverged | (passed & blown)
    _, accuracy = evaluate_stored(problem, population, workers)
    return _StageResult(
        problem, population, accuracy, epoch, passed & ~diverged, diverged, history.values
    )


def _build_engine(config: Config, problem: Problem, workers: Workers) -> Engine:
    """The configured engine for one stage."""
    return TorchEngine(problem) if config.engine == "torch" else CompiledEngine(problem, workers)
