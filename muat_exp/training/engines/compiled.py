"""Numba kernels on threads over subjects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from muat_exp.executors.base import Executor, Indices
from muat_exp.kernels import training as kernels
from muat_exp.subjects.population import Population
from muat_exp.training.engines.base import RAW, Metrics, Problem


class CompiledEngine:
    """Numba kernels, threads over subjects."""

    def __init__(self, problem: Problem, workers: Executor) -> None:
        self.problem = problem
        self.workers = workers
        data = problem.data
        count = len(problem.population.parameters)
        # Not zeros_like, which touches all pages in this thread.
        first_moment = np.zeros(count, np.float32)
        second_moment = np.zeros(count, np.float32)
        self.adams = kernels.Adam(first_moment, second_moment, problem.rates)
        self.examples = kernels.Examples(data.tokens, problem.labels, problem.keys)
        self.recipe = kernels.Recipe(problem.batch_size, problem.dropout, problem.scaling)
        tokens, self.validation_labels = problem.validation
        self.validation_tokens = np.ascontiguousarray(tokens)

    def train_epoch(self, which: Indices, epoch: int) -> Metrics:
        """See `Engine`."""
        metrics = self._empty_metrics()
        when = kernels.Epoch(self.problem.stage, epoch)
        networks = self.problem.population.networks

        def kernel(chunk: Indices) -> None:
            kernels.train_epoch(
                networks, self.adams, self.examples, chunk, when, self.recipe, metrics
            )

        self.workers.map_chunks(which, kernel)
        return metrics.losses, metrics.accuracies

    def evaluate(self, which: Indices) -> Metrics:
        """See `Engine`."""
        metrics = self._empty_metrics()
        networks = self.problem.population.networks

        def kernel(chunk: Indices) -> None:
            kernels.evaluate(
                networks,
                self.validation_tokens,
                self.validation_labels,
                chunk,
                self.problem.scaling,
                metrics,
            )

        self.workers.map_chunks(which, kernel)
        return metrics.losses, metrics.accuracies

    def _empty_metrics(self) -> kernels.Metrics:
        """NaN for every subject."""
        size = len(self.problem.population)
        losses = np.full(size, np.nan)
        accuracies = np.full(size, np.nan)
        return kernels.Metrics(losses, accuracies)


def folded(problem: Problem) -> Population:
    """The subjects with the input scaling absorbed by their first layers.

    They take raw token indices.
    """
    subjects = problem.population
    result = np.empty_like(subjects.parameters)
    kernels.fold(subjects.networks, problem.scaling, result)
    return subjects.with_parameters(result)


def evaluate_stored(problem: Problem, population: Population, workers: Executor) -> Metrics:
    """Validation loss and accuracy of folded subjects, on raw token inputs.

    What is stored is what is measured.
    """
    raw = replace(problem, population=population, scaling=RAW)
    return CompiledEngine(raw, workers).evaluate(np.arange(len(population)))
