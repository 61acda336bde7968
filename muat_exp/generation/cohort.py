"""A cohort: attempts that are trained together.

What becomes of it is a pure function of the configuration, the seed and the attempts' numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger

from muat_exp.evaluation.measurement import RunContext
from muat_exp.evaluation.truth import Behaviour
from muat_exp.executors.base import Executor
from muat_exp.generation.callbacks import Judge, SignatureExtraction
from muat_exp.generation.outcomes import ACCEPTED
from muat_exp.subjects.data import SubjectData, draw_data
from muat_exp.subjects.population import Population
from muat_exp.subjects.specs import Specs, draw_specs
from muat_exp.training.stages import Observers, train_clean, train_degraded


@dataclass(frozen=True)
class CohortResult:
    """What became of S attempts.

    Attributes:
        specs: what the attempts were.
        outcomes: object `(S,)`, "accepted" or one of `outcomes.REASONS`.
        data: their sequences.
        degraded, improved: folded weights of both stages.
        degraded_accuracy, improved_accuracy: float64 `(S,)`, validation accuracies.
        test_accuracy: float64 `(S, 2)`, balanced accuracy on fresh sequences, degraded and
            improved; NaN if untested.
        behaviour: what the accepted subjects call positive, in their order.
        switch_epoch, clean_epoch: int64 `(S,)`, the epochs that the weights are from.
        signatures, signature_offsets: of the accepted subjects, as `profiling.profile` returns
            them.
        degraded_signatures: the same of their degraded weights; empty where nothing that is written
            shows them.
        degraded_history, clean_history: float32 `(S, epochs, 4)`, see `training.History`.
    """

    specs: Specs
    outcomes: NDArray[np.object_]
    data: SubjectData
    degraded: Population
    improved: Population
    degraded_accuracy: NDArray[np.float64]
    improved_accuracy: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    behaviour: Behaviour
    switch_epoch: NDArray[np.int64]
    clean_epoch: NDArray[np.int64]
    signatures: NDArray[np.float32]
    signature_offsets: NDArray[np.int64]
    degraded_signatures: NDArray[np.float32]
    degraded_history: NDArray[np.float32]
    clean_history: NDArray[np.float32]

    @property
    def accepted(self) -> NDArray[np.int64]:
        """Positions of the accepted subjects."""
        return np.flatnonzero(self.outcomes == ACCEPTED)


def run_cohort(
    context: RunContext,
    indices: NDArray[np.int64],
    executor: Executor,
    loggers: Sequence[Logger],
    callbacks: Sequence[pl.Callback] = (),
) -> CohortResult:
    """Trains, judges and profiles the attempts with these numbers.

    Args:
        context: what all cohorts of the run share.
        indices: int64 `(S,)`, numbers of the attempts.
        executor: runs the kernels.
        loggers: are told the curves of both stages, epoch by epoch.
        callbacks: further callbacks of both stages, behind our own.
    """
    config = context.config
    specs = draw_specs(config, indices)
    data = draw_data(config, context.space, specs)
    observers = Observers(loggers, callbacks)
    degraded = train_degraded(config, specs, data, executor, observers)
    judge = Judge(context, specs, data, degraded, executor)
    extraction = SignatureExtraction(context, degraded.stored, executor)
    ending = Observers(loggers, [judge, extraction, *callbacks])
    clean = train_clean(config, specs, data, degraded, executor, ending)
    return CohortResult(
        specs=specs,
        outcomes=judge.outcomes,
        data=data,
        degraded=degraded.stored,
        improved=clean.stored,
        degraded_accuracy=degraded.accuracy,
        improved_accuracy=clean.accuracy,
        test_accuracy=judge.tests,
        behaviour=judge.behaviour,
        switch_epoch=degraded.epoch,
        clean_epoch=clean.epoch,
        signatures=extraction.signatures,
        signature_offsets=extraction.offsets,
        degraded_signatures=extraction.degraded_signatures,
        degraded_history=degraded.history,
        clean_history=clean.history,
    )
