"""Two ways to train a cohort: compiled kernels on threads over subjects, and plain PyTorch as the reference."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from muat_exp.config import Config
from muat_exp.kernels import random
from muat_exp.kernels import training as kernels
from muat_exp.kernels.network import draw_mask
from muat_exp.population import Population, from_module
from muat_exp.subject import Specs, SubjectData

Indices = NDArray[np.int64]
Item = TypeVar("Item")
Output = TypeVar("Output")
Metrics = tuple[NDArray[np.float64], NDArray[np.float64]]
SMALLEST = 8  # subjects a kernel call at least


def flush_denormals() -> None:
    """Makes this thread round numbers below 1e-38 to 0: the faint gradients of saturated units slow it down sixfold."""
    import torch

    torch.set_flush_denormal(True)


def guided_chunks(which: Indices, threads: int) -> list[Indices]:
    """Chunks that shrink towards the end (guided self-scheduling): few calls, and threads that finish together.

    >>> [len(chunk) for chunk in guided_chunks(np.arange(100), 2)]
    [25, 18, 14, 10, 8, 8, 8, 8, 1]
    """
    chunks = []
    while len(which):
        size = max(SMALLEST, len(which) // (2 * threads))
        chunks.append(which[:size])
        which = which[size:]
    return chunks


class Parallel(Protocol):
    """Runs a kernel over slices of some subjects."""

    def over(self, which: Indices, kernel: Callable[[Indices], Any]) -> list[Any]:
        """Calls the kernel on chunks of the subjects; results in the chunks' order. Raises what a kernel raises."""


class Here:
    """Runs kernels in the calling thread, which may be a worker itself."""

    def over(self, which: Indices, kernel: Callable[[Indices], Any]) -> list[Any]:
        """See `Parallel`."""
        return [kernel(which)]


class Workers:
    """Threads that run GIL-free kernels over slices of a cohort's subjects."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="muat-worker", initializer=flush_denormals)

    def over(self, which: Indices, kernel: Callable[[Indices], Any]) -> list[Any]:
        """See `Parallel`."""
        return list(self.pool.map(kernel, guided_chunks(which, self.threads)))

    def stream(self, function: Callable[[Item], Output], items: Iterable[Item]) -> Iterator[Output]:
        """Results in the items' order; at most three items a thread are under way, so memory stays flat."""
        pending: deque[Future[Output]] = deque()
        for item in items:
            pending.append(self.pool.submit(function, item))
            if len(pending) >= 3 * self.threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def close(self) -> None:
        """Ends the threads after what is running."""
        self.pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def worker_threads(threads: int) -> Iterator[Workers]:
    """Workers for one run; torch, BLAS and OpenMP keep to one thread each meanwhile."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    workers = Workers(threads)
    try:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            yield workers
    finally:
        workers.close()
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Problem:
    """What one stage trains on.

    Attributes:
        population: the subjects; `parameters` are trained in place.
        data: their sequences.
        labels: float32 `(S, training rows)`, this stage's training labels.
        rates: float32 `(S,)`, learning rates of this stage.
        keys: uint64 `(S,)`, keys of the batch order.
        stage: 0 degraded, 1 clean.
        batch_size: examples an Adam step.
        dropout: share of each hidden layer's activations that training sets to 0.
        shift, scale: inputs are (token - shift) * scale.
    """

    population: Population
    data: SubjectData
    labels: NDArray[np.float32]
    rates: NDArray[np.float32]
    keys: NDArray[np.uint64]
    stage: int
    batch_size: int
    dropout: float
    shift: np.float32
    scale: np.float32

    @property
    def validation(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Validation tokens `(S, rows, L)` and the labels `(rows,)` that all subjects share."""
        return self.data.tokens[:, self.data.training_rows :], self.data.labels[self.data.training_rows :]


def stage_problem(config: Config, specs: Specs, data: SubjectData, population: Population, stage: int) -> Problem:
    """The problem of one stage: corrupted labels first, then clean ones at the clean stage's learning rate."""
    settings = (config.training.degraded, config.training.clean)[stage]
    clean = np.broadcast_to(data.labels[: data.training_rows], data.corrupted.shape)
    shift, scale = input_scaling(config)
    return Problem(
        population,
        data,
        data.corrupted if stage == 0 else np.ascontiguousarray(clean),
        (specs.rates * settings.learning_rate_factor).astype(np.float32),
        random.generator_keys(config.seed, specs.indices, random.ORDER),
        stage,
        config.training.batch_size,
        config.architecture.dropout,
        shift,
        scale,
    )


def input_scaling(config: Config) -> tuple[np.float32, np.float32]:
    """Shift and scale of the inputs while training: mean and deviation of a uniform token, or none."""
    tokens = config.patterns.vocab_size
    if not config.training.standardize:
        return np.float32(0), np.float32(1)
    return np.float32((tokens - 1) / 2), np.float32((12 / (tokens**2 - 1)) ** 0.5)


class Engine(Protocol):
    """Trains the subjects of a problem in place; both metrics are float64 `(S,)`, valid for the subjects asked for."""

    def train_epoch(self, which: Indices, epoch: int) -> Metrics:
        """One epoch of the given subjects: mean loss and accuracy on this stage's training labels."""

    def evaluate(self, which: Indices) -> Metrics:
        """Loss and accuracy of the given subjects on their validation rows."""


class CompiledEngine:
    """Numba kernels, threads over subjects."""

    def __init__(self, problem: Problem, workers: Parallel) -> None:
        self.problem, self.workers = problem, workers
        parameters = len(problem.population.parameters)
        self.first_moment = np.zeros(parameters, np.float32)  # not zeros_like, which touches all pages in this thread
        self.second_moment = np.zeros(parameters, np.float32)
        tokens, self.validation_labels = problem.validation
        self.validation_tokens = np.ascontiguousarray(tokens)

    def train_epoch(self, which: Indices, epoch: int) -> Metrics:
        """See `Engine`."""
        p, subjects = self.problem, self.problem.population
        losses, accuracies = np.full(len(subjects), np.nan), np.full(len(subjects), np.nan)

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
        p, subjects = self.problem, self.problem.population
        losses, accuracies = np.full(len(subjects), np.nan), np.full(len(subjects), np.nan)

        def kernel(chunk: Indices) -> None:
            kernels.evaluate(
                subjects.depths, subjects.widths, subjects.kinds, subjects.parameters, subjects.offsets,
                self.validation_tokens, self.validation_labels, chunk, p.shift, p.scale, losses, accuracies,
            )  # fmt: skip

        self.workers.over(which, kernel)
        return losses, accuracies


class TorchEngine:
    """The plain reference: one `nn.Sequential` and one `torch.optim.Adam` a subject, autograd, the same batches."""

    def __init__(self, problem: Problem, workers: Workers | None = None, dtype: str = "float32") -> None:
        import torch

        self.problem, self.dtype = problem, getattr(torch, dtype)
        self.modules = [problem.population.to_module(i).to(self.dtype) for i in range(len(problem.population))]
        self.optimizers = [
            torch.optim.Adam(module.parameters(), lr=float(rate))
            for module, rate in zip(self.modules, problem.rates, strict=True)
        ]

    def inputs(self, tokens: NDArray[np.uint8]) -> Any:
        """Scaled inputs `(rows, L)` as a tensor."""
        import torch

        return torch.from_numpy((tokens.astype(np.float32) - self.problem.shift) * self.problem.scale).to(self.dtype)

    def forward(self, s: int, x: Any, state: NDArray[np.uint64]) -> Any:
        """Logits `(batch, 1)` of one subject in training, with the dropout masks that the kernels draw from this state."""
        import torch

        if not self.problem.dropout:
            return self.modules[s](x)
        *hidden, logit = self.modules[s].children()
        for linear, activation in zip(hidden[::2], hidden[1::2], strict=True):
            x = activation(linear(x))  # (batch, width)
            mask = np.empty((x.shape[1], x.shape[0]), np.float32)
            draw_mask(state, self.problem.dropout, mask)
            x = x * torch.from_numpy(mask.T).to(self.dtype)
        return logit(x)

    def train_epoch(self, which: Indices, epoch: int) -> Metrics:
        """See `Engine`."""
        import torch

        p, size = self.problem, len(self.problem.population)
        losses, accuracies = np.full(size, np.nan), np.full(size, np.nan)
        for s in which:
            order = kernels.batch_order(p.keys[s], p.stage, epoch, p.data.training_rows)
            x = self.inputs(p.data.tokens[s, order])
            y = torch.from_numpy(p.labels[s, order]).to(self.dtype)
            loss, right = 0.0, 0
            starts = range(0, len(order), p.batch_size)
            for start, batch_x, batch_y in zip(starts, x.split(p.batch_size), y.split(p.batch_size), strict=True):
                out = self.forward(s, batch_x, kernels.mask_state(p.keys[s], p.stage, epoch, start)).squeeze(-1)
                batch_loss = torch.nn.functional.binary_cross_entropy_with_logits(out, batch_y)
                self.optimizers[s].zero_grad()
                batch_loss.backward()
                self.optimizers[s].step()
                loss += batch_loss.item() * len(batch_y)
                right += int(((out > 0) == (batch_y > 0.5)).sum())
            losses[s], accuracies[s] = loss / len(order), right / len(order)
            p.population.subject(s)[:] = from_module(self.modules[s])
        return losses, accuracies

    def evaluate(self, which: Indices) -> Metrics:
        """See `Engine`."""
        import torch

        size = len(self.problem.population)
        losses, accuracies = np.full(size, np.nan), np.full(size, np.nan)
        tokens, labels = self.problem.validation
        y = torch.from_numpy(labels).to(self.dtype)
        with torch.no_grad():
            for s in which:
                out = self.modules[s](self.inputs(tokens[s])).squeeze(-1)
                losses[s] = torch.nn.functional.binary_cross_entropy_with_logits(out, y).item()
                accuracies[s] = ((out > 0) == (y > 0.5)).double().mean().item()
        return losses, accuracies


def build_engine(config: Config, problem: Problem, workers: Workers) -> Engine:
    """The configured engine for one stage."""
    return TorchEngine(problem) if config.engine == "torch" else CompiledEngine(problem, workers)


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
