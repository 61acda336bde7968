"""The LightningModule around all subjects of a cohort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from muat_exp.subjects.population import Population
from muat_exp.training.engines.base import Engine, Problem

_STAGES = ("degraded", "clean")


@dataclass(frozen=True)
class StageResult:
    """What one stage made of S subjects.

    Attributes:
        trained: the weights that the stage ended with, which the next one begins from.
        stored: the same as they are stored: input scaling absorbed, quantised and rounded.
        accuracy: float64 `(S,)`, validation accuracy of the stored weights.
        epoch: int64 `(S,)`, the epoch that the weights are from, counted from 1; 0 for none.
        passed: bool `(S,)`, subjects that reached the end of the stage.
        diverged: bool `(S,)`, subjects whose numbers blew up.
        history: float32 `(S, epochs, 4)`, see `callbacks.History`; without epochs where
            `dataset.columns` do not ask for them.
    """

    trained: Population
    stored: Population
    accuracy: NDArray[np.float64]
    epoch: NDArray[np.int64]
    passed: NDArray[np.bool_]
    diverged: NDArray[np.bool_]
    history: NDArray[np.float32]


class LitCohort(pl.LightningModule):
    """All subjects of a cohort in one stage.

    Attributes:
        problem: what is trained, and on what.
        active: bool `(S,)`, subjects still training.
        diverged: bool `(S,)`, subjects whose numbers blew up.
        epoch: int64 `(S,)`, the epoch that each subject's weights are from, counted from 1; 0 for
            none. The stage's rule says so at its end.
        passed: bool `(S,)`, subjects that reached the end of the stage, by the same rule.
        result: what the stage made of the subjects, from the end of the fit on.
        accepted: int64 `(n,)`, positions of the subjects that are worth recording, from the end of
            the clean stage on.
        train_loss, train_accuracy, validation_loss, validation_accuracy: float64 `(S,)` of the last
            epoch, NaN where a subject did not train.
    """

    result: StageResult
    accepted: NDArray[np.int64]

    def __init__(self, engine: Engine, problem: Problem, active: NDArray[np.bool_]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.engine = engine
        self.problem = problem
        self.active = active.copy()
        self.diverged = np.zeros(len(active), bool)
        self.epoch = np.zeros(len(active), np.int64)
        self.passed = np.zeros(len(active), bool)
        nowhere = np.full(len(active), np.nan)
        self.train_loss = nowhere
        self.train_accuracy = nowhere
        self.validation_loss = nowhere
        self.validation_accuracy = nowhere

    @property
    def stage_name(self) -> str:
        """Name of the stage in logs."""
        return _STAGES[self.problem.stage]

    def training_step(self, batch: object, batch_index: int) -> None:
        """One epoch of every active subject."""
        self.train_loss, self.train_accuracy = self.engine.train_epoch(
            np.flatnonzero(self.active), self.current_epoch
        )

    def validation_step(self, batch: object, batch_index: int) -> None:
        """Clean validation of every active subject."""
        self.validation_loss, self.validation_accuracy = self.engine.evaluate(
            np.flatnonzero(self.active)
        )

    def configure_optimizers(self) -> None:
        """None: each subject has an Adam of its own inside the engine."""

    def train_dataloader(self) -> list[int]:
        """One batch per epoch, the whole cohort; the data lies in `problem`."""
        return [0]

    def val_dataloader(self) -> list[int]:
        """One batch per epoch."""
        return [0]

    def stop(self, which: NDArray[np.bool_]) -> None:
        """Ends training of these subjects; the fit ends with the last one."""
        self.active &= ~which
        if not self.active.any():
            self.trainer.should_stop = True
