"""Trains a cohort in Lightning: one module around all subjects, one `Trainer.fit` per stage.

One training step is one epoch of every subject still in training; callbacks hold the rules of the
stages.
"""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.loggers import Logger

from muat_exp.config.groups import Config
from muat_exp.executors.base import Executor
from muat_exp.shared_context import SharedContext
from muat_exp.subjects.data import SubjectData
from muat_exp.subjects.initialization import draw_population
from muat_exp.subjects.specs import Specs
from muat_exp.training.callbacks import (
    BestWeights,
    DivergenceGuard,
    EarlyStop,
    History,
    MetricsLogging,
    StageSwitch,
    StoredWeights,
)
from muat_exp.training.engines.base import Engine, Problem, stage_problem
from muat_exp.training.engines.compiled import CompiledEngine
from muat_exp.training.engines.torch import TorchEngine
from muat_exp.training.module import LitCohort, StageResult

_LOGGER = logging.getLogger("pytorch_lightning")

# Lightning takes an argument that is not given from the environment, such as
# PL_TRAINER_LIMIT_VAL_BATCHES: a trainer of ours is given all of them.
_TRAINER_DEFAULTS = {
    name: parameter.default for name, parameter in inspect.signature(pl.Trainer).parameters.items()
}


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keeps Lightning's advice off the terminal."""
    level = _LOGGER.level
    anomalies = torch.is_anomaly_enabled()
    raises = torch.is_anomaly_check_nan_enabled()
    try:
        _LOGGER.setLevel(logging.ERROR)
        torch.autograd.set_detect_anomaly(False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            yield
    finally:
        # Trainers in two threads each put it back to what they found, which may be the other's.
        torch.autograd.set_detect_anomaly(anomalies, raises)
        _LOGGER.setLevel(level)


QUIET_LIGHTNING = SharedContext(_quiet_lightning)  # goes around all threads that train


class _OneProcess(LightningEnvironment):
    """This process on its own, whatever a cluster or a launcher has put into the environment."""

    @property
    def creates_processes_externally(self) -> bool:
        """Nobody creates any."""
        return False

    def local_rank(self) -> int:
        """The only one."""
        return 0

    def node_rank(self) -> int:
        """The only one."""
        return 0

    def teardown(self) -> None:
        """Leaves the environment alone, where Lightning's own would remove WORLD_SIZE."""


class Observers(NamedTuple):
    """What looks on while a stage trains.

    Attributes:
        loggers: are told the curves, epoch by epoch.
        callbacks: stand behind those of the stage, and find its result at the end of the fit.
    """

    loggers: Sequence[Logger] = ()
    callbacks: Sequence[pl.Callback] = ()


NOBODY = Observers()


def train_degraded(
    config: Config,
    specs: Specs,
    data: SubjectData,
    executor: Executor,
    observers: Observers = NOBODY,
) -> StageResult:
    """The first stage, on corrupted labels, until each subject switches or, at a plateau, stops.

    Args:
        config: the recipe and the engine.
        specs: the subjects.
        data: their sequences.
        executor: runs the kernels.
        observers: look on.
    """
    recipe = config.training
    count = len(specs)
    population = draw_population(config, specs)
    problem = stage_problem(config, specs, data, population, 0)
    engine = _build_engine(config, problem, executor)
    cohort = LitCohort(engine, problem, np.ones(count, bool))
    rule: pl.Callback
    if recipe.until == "switch":
        rule = StageSwitch(count, recipe.switch_threshold)
    elif recipe.until == "plateau":
        rule = BestWeights(population, "loss")
    else:
        raise ValueError(f"There is no rule '{recipe.until}' for the end of a stage.")
    stopping = EarlyStop(count, recipe.degraded.patience)
    callbacks = _stage_callbacks(config, [rule, stopping], count, executor)
    return fit(cohort, recipe.degraded.max_epochs, callbacks, observers)


def train_clean(
    config: Config,
    specs: Specs,
    data: SubjectData,
    degraded: StageResult,
    executor: Executor,
    observers: Observers = NOBODY,
) -> StageResult:
    """The second stage, on clean labels, from the degraded weights with a fresh Adam.

    The weights with the best accuracy are kept.

    Takes what `train_degraded` takes, and what it returned as `degraded`.
    """
    start = degraded.trained
    population = start.with_parameters(start.parameters.copy())
    recipe = config.training
    problem = stage_problem(config, specs, data, population, 1)
    engine = _build_engine(config, problem, executor)
    active = degraded.passed & ~degraded.diverged
    cohort = LitCohort(engine, problem, active)
    rule = BestWeights(population, "accuracy")
    stopping = EarlyStop(len(specs), recipe.clean.patience)
    callbacks = _stage_callbacks(config, [rule, stopping], len(specs), executor)
    # Where nobody got so far there is no epoch, but the end of the stage all the same.
    epochs = recipe.clean.max_epochs if active.any() else 0
    return fit(cohort, epochs, callbacks, observers)


def fit(
    cohort: LitCohort,
    max_epochs: int,
    callbacks: Sequence[pl.Callback] = (),
    observers: Observers = NOBODY,
) -> StageResult:
    """One Lightning fit without its own files or progress bar; returns what it made."""
    ours = {
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": max_epochs,
        "callbacks": [*callbacks, *observers.callbacks],
        "logger": list(observers.loggers) or False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "plugins": [_OneProcess()],
    }
    trainer = pl.Trainer(**_TRAINER_DEFAULTS | ours)
    trainer.fit(cohort)
    # Lightning's objects refer to each other in circles, which live until a full garbage
    # collection: they drop the arrays here.
    trainer.callbacks.clear()  # type: ignore[attr-defined]
    result = cohort.result
    del cohort.engine, cohort.problem, cohort.result
    return result


def _stage_callbacks(
    config: Config, rules: list[pl.Callback], subjects: int, executor: Executor
) -> list[pl.Callback]:
    """A stage's callbacks: those that look on, those that stop subjects, and its end."""
    history = History(subjects)
    watching = [MetricsLogging(), history] if config.dataset.needs_history else [MetricsLogging()]
    definitions = config.signature.definitions
    stored = StoredWeights(config.architecture, definitions, history, executor)
    return [*watching, DivergenceGuard(), *rules, stored]


def _build_engine(config: Config, problem: Problem, executor: Executor) -> Engine:
    """The configured engine for one stage."""
    if config.engine == "torch":
        return TorchEngine(problem)
    if config.engine == "compiled":
        return CompiledEngine(problem, executor)
    raise ValueError(f"There is no engine '{config.engine}'.")
