"""Plain PyTorch, one network at a time: the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muat_exp.executors.base import Indices
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.kernels import training as kernels
from muat_exp.kernels.network import draw_mask
from muat_exp.subjects.architecture import from_module
from muat_exp.training.engines.base import Metrics, Problem

if TYPE_CHECKING:
    import torch


class TorchEngine:
    """The plain reference: one `nn.Sequential` and one `torch.optim.Adam` per subject.

    Gradients by autograd, the same batches as the kernels'.
    """

    def __init__(
        self, problem: Problem, workers: ThreadExecutor | None = None, dtype: str = "float32"
    ) -> None:
        import torch

        self.problem = problem
        self.dtype = getattr(torch, dtype)
        subjects = range(len(problem.population))
        self.modules = [problem.population.to_module(s).to(self.dtype) for s in subjects]
        self.optimizers = [
            torch.optim.Adam(module.parameters(), lr=float(rate))
            for module, rate in zip(self.modules, problem.rates, strict=True)
        ]

    def inputs(self, tokens: NDArray[np.uint8]) -> torch.Tensor:
        """Scaled inputs `(rows, L)` as a tensor."""
        import torch

        shift, scale = self.problem.scaling
        return torch.from_numpy((tokens.astype(np.float32) - shift) * scale).to(self.dtype)

    def forward(self, s: int, x: torch.Tensor, state: NDArray[np.uint64]) -> torch.Tensor:
        """Logits `(batch, 1)` of one subject in training.

        With the dropout masks that the kernels draw from this state.
        """
        import torch

        module = self.modules[s]
        if not self.problem.dropout:
            return module(x)
        *hidden, logit = module.children()
        for linear, activation in zip(hidden[::2], hidden[1::2], strict=True):
            x = activation(linear(x))
            batch, width = x.shape
            mask = np.empty((width, batch), np.float32)
            draw_mask(state, self.problem.dropout, mask)
            x = x * torch.from_numpy(mask.T).to(self.dtype)
        return logit(x)

    def train_epoch(self, which: Indices, epoch: int) -> Metrics:
        """See `Engine`."""
        losses, accuracies = self._empty_metrics()
        rows = self.problem.data.training_rows
        for s in which:
            loss, right = self._train_subject(s, epoch)
            losses[s] = loss / rows
            accuracies[s] = right / rows
            parameters = self.problem.population.subject(s)
            parameters[:] = from_module(self.modules[s])
        return losses, accuracies

    def _train_subject(self, s: int, epoch: int) -> tuple[float, int]:
        """One epoch of one subject: summed loss, right answers."""
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

        problem = self.problem
        key = problem.keys[s]
        rows = problem.data.training_rows
        order = kernels.batch_order(key, problem.stage, epoch, rows)
        tokens = problem.data.tokens[s, order]
        labels = torch.from_numpy(problem.labels[s, order]).to(self.dtype)
        loss = 0.0
        right = 0
        for start in range(0, rows, problem.batch_size):
            batch = slice(start, start + problem.batch_size)
            state = kernels.mask_state(key, problem.stage, epoch, start)
            x = self.inputs(tokens[batch])
            y = labels[batch]
            out = self.forward(s, x, state).squeeze(-1)
            batch_loss = cross_entropy(out, y)
            self._step(s, batch_loss)
            loss += batch_loss.item() * len(y)
            right += int(_right(out, y).sum())
        return loss, right

    def _step(self, s: int, loss: torch.Tensor) -> None:
        """One step of one subject's Adam down the gradient of a loss."""
        optimizer = self.optimizers[s]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def evaluate(self, which: Indices) -> Metrics:
        """See `Engine`."""
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

        losses, accuracies = self._empty_metrics()
        tokens, labels = self.problem.validation
        y = torch.from_numpy(labels).to(self.dtype)
        with torch.no_grad():
            for s in which:
                x = self.inputs(tokens[s])
                out = self.modules[s](x).squeeze(-1)
                losses[s] = cross_entropy(out, y).item()
                accuracies[s] = _right(out, y).double().mean().item()
        return losses, accuracies

    def _empty_metrics(self) -> Metrics:
        """NaN for every subject."""
        size = len(self.problem.population)
        return np.full(size, np.nan), np.full(size, np.nan)


def _right(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which answers are right: a logit above 0 says 1."""
    return (logits > 0) == (labels > 0.5)
