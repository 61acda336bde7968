"""Numba kernels on threads over subjects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from muat_exp.executors.threads import Indices, Parallel
from muat_exp.kernels import training as kernels
from muat_exp.subjects.population import Population
from muat_exp.training.engines.base import Metrics, Problem


class CompiledEngine:
    """Numba kernels, threads over subjects."""

    def __init__(self, problem: Problem, workers: Parallel) -> None:
        self.problem = problem
        self.workers = workers
        parameters = len(problem.population.parameters)
        self.first_moment = np.zeros(
            parameters, np.float32
        )  # not zeros_like, which touches all pages in this thread
        self.second_moment = np.zeros(parameters, np.float32)
        tokens, self.validation_labels = problem.validation
        self.validation_tokens = np.ascontiguousarray(tokens)

    def train_epoch(self, which: Indices, epoch: int) -> Metrics:
        """See `Engine`."""
        p = self.problem
        subjects = self.problem.population
        losses = np.full(len(subjects), np.nan)
        accuracies = np.full(len(subjects), np.nan)

        def kernel(chunk: Indices) -> None:
            kernels.train_epoch(
                subjects.depths, subjects.widths, subjects.kinds, subjects.parameters, self.first_moment,
                self.second_moment, subjects.offsets, p.rates, p.data.tokens, p.labels, p.keys, chunk, p.stage, epoch,
                p.batch_size, p.dropout, p.shift, p.scale, losses, accuracies,
            )  # fmt: skip

        self.workers.over(which, kernel)
        return losses, accuracies

    def evaluate(self, which: Indices) -> Metrics:
        """See `Engine`."""
        p = self.problem
        subjects = self.problem.population
        losses = np.full(len(subjects), np.nan)
        accuracies = np.full(len(subjects), np.nan)

        def kernel(chunk: Indices) -> None:
            kernels.evaluate(
                subjects.depths, subjects.widths, subjects.kinds, subjects.parameters, subjects.offsets,
                self.validation_tokens, self.validation_labels, chunk, p.shift, p.scale, losses, accuracies,
            )  # fmt: skip

        self.workers.over(which, kernel)
        return losses, accuracies


def folded(problem: Problem) -> Population:
    """The subjects with the input scaling absorbed by their first layers: they take raw token indices."""
    subjects = problem.population
    result = np.empty_like(subjects.parameters)
    kernels.fold(
        subjects.depths, subjects.widths, subjects.parameters, subjects.offsets, subjects.features,
        problem.shift, problem.scale, result,
    )  # fmt: skip
    return subjects.with_parameters(result)


def evaluate_stored(problem: Problem, population: Population, workers: Parallel) -> Metrics:
    """Validation loss and accuracy of folded subjects, on raw token inputs: what is stored is what is measured."""
    raw = replace(problem, population=population, shift=np.float32(0), scale=np.float32(1))
    return CompiledEngine(raw, workers).evaluate(np.arange(len(population)))
