"""Plain PyTorch, one network at a time: the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muat_exp.executors.base import Indices
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.kernels import training as kernels
from muat_exp.kernels.network import draw_mask
from muat_exp.subjects.architecture import from_module
from muat_exp.training.engines.base import Metrics, Problem


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
        self.modules = [
            problem.population.to_module(i).to(self.dtype) for i in range(len(problem.population))
        ]
        self.optimizers = [
            torch.optim.Adam(module.parameters(), lr=float(rate))
            for module, rate in zip(self.modules, problem.rates, strict=True)
        ]

    def inputs(self, tokens: NDArray[np.uint8]) -> Any:
        """Scaled inputs `(rows, L)` as a tensor."""
        import torch

        shift, scale = self.problem.scaling
        return torch.from_numpy((tokens.astype(np.float32) - shift) * scale).to(self.dtype)

    def forward(self, s: int, x: Any, state: NDArray[np.uint64]) -> Any:
        """Logits `(batch, 1)` of one subject in training.

        With the dropout masks that the kernels draw from this state.
        """
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
        size = len(self.problem.population)
        losses = np.full(size, np.nan)
        accuracies = np.full(size, np.nan)
        for s in which:
            loss, right = self._train_subject(s, epoch)
            losses[s] = loss / self.problem.data.training_rows
            accuracies[s] = right / self.problem.data.training_rows
            self.problem.population.subject(s)[:] = from_module(self.modules[s])
        return losses, accuracies

    def _train_subject(self, s: int, epoch: int) -> tuple[float, int]:
        """One epoch of one subject: summed loss, right answers."""
        import torch

        p = self.problem
        order = kernels.batch_order(p.keys[s], p.stage, epoch, p.data.training_rows)
        x = self.inputs(p.data.tokens[s, order])
        y = torch.from_numpy(p.labels[s, order]).to(self.dtype)
        loss = 0.0
        right = 0
        for start in range(0, len(order), p.batch_size):
            batch = slice(start, start + p.batch_size)
            state = kernels.mask_state(p.keys[s], p.stage, epoch, start)
            out = self.forward(s, x[batch], state).squeeze(-1)
            batch_loss = torch.nn.functional.binary_cross_entropy_with_logits(out, y[batch])
            self.optimizers[s].zero_grad()
            batch_loss.backward()
            self.optimizers[s].step()
            loss += batch_loss.item() * len(y[batch])
            right += int(((out > 0) == (y[batch] > 0.5)).sum())
        return loss, right

    def evaluate(self, which: Indices) -> Metrics:
        """See `Engine`."""
        import torch

        size = len(self.problem.population)
        losses = np.full(size, np.nan)
        accuracies = np.full(size, np.nan)
        tokens, labels = self.problem.validation
        y = torch.from_numpy(labels).to(self.dtype)
        with torch.no_grad():
            for s in which:
                out = self.modules[s](self.inputs(tokens[s])).squeeze(-1)
                losses[s] = torch.nn.functional.binary_cross_entropy_with_logits(out, y).item()
                accuracies[s] = ((out > 0) == (y > 0.5)).double().mean().item()
        return losses, accuracies
