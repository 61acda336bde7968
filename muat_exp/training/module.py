"""The LightningModule around all subjects of a cohort."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from muat_exp.training.engines.base import Engine, Problem

_STAGES = ("degraded", "clean")


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
        self.engine = engine
        self.problem = problem
        self.active = active.copy()
        self.diverged = np.zeros(len(active), bool)
        self.train_loss = self.train_accuracy = np.full(len(active), np.nan)
        self.validation_loss = self.validation_accuracy = np.full(len(active), np.nan)

    @property
    def stage_name(self) -> str:
        """Name of the stage in logs."""
        return _STAGES[self.problem.stage]

    def training_step(self, batch: Any, batch_index: int) -> None:
        """One epoch of every active subject."""
        self.train_loss, self.train_accuracy = self.engine.train_epoch(
            np.flatnonzero(self.active), self.current_epoch
        )

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Clean validation of every active subject."""
        self.validation_loss, self.validation_accuracy = self.engine.evaluate(
            np.flatnonzero(self.active)
        )

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
