"""Many MLPs of any shapes in flat arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import ACTIVATIONS

if TYPE_CHECKING:
    from torch import nn
from muat_exp.subjects.architecture import to_module


@dataclass(frozen=True)
class Population:
    """S subjects: `depths` hidden layers of `widths` neurons, then one logit.

    Attributes:
        features: inputs of every subject, the sequence length.
        depths, widths, kinds: int64 `(S,)`; kinds index `ACTIVATIONS`.
        parameters: float32 `(offsets[-1],)`, each subject's weight (out, in) and bias (out,) layer by layer.
        offsets: int64 `(S + 1,)`.
    """

    features: int
    depths: NDArray[np.int64]
    widths: NDArray[np.int64]
    kinds: NDArray[np.int64]
    parameters: NDArray[np.float32]
    offsets: NDArray[np.int64]

    @classmethod
    def zeros(
        cls,
        features: int,
        depths: NDArray[np.int64],
        widths: NDArray[np.int64],
        kinds: NDArray[np.int64],
    ) -> Population:
        """Subjects of the given shapes with all parameters zero."""
        counts = features * widths + widths + (depths - 1) * (widths * widths + widths) + widths + 1
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(features, depths, widths, kinds, np.zeros(offsets[-1], np.float32), offsets)

    def __len__(self) -> int:
        return len(self.depths)

    @property
    def neurons(self) -> NDArray[np.int64]:
        """Outputs of all Linear layers, the logit included: int64 `(S,)`."""
        return self.depths * self.widths + 1

    def subject(self, index: int) -> NDArray[np.float32]:
        """A view of one subject's flat parameters."""
        return self.parameters[self.offsets[index] : self.offsets[index + 1]]

    def with_parameters(self, parameters: NDArray[np.float32]) -> Population:
        """The same shapes with other parameters."""
        return replace(self, parameters=parameters)

    def copy_subjects(self, source: NDArray[np.float32], which: NDArray[np.int64]) -> None:
        """Copies the parameters of some subjects from an array laid out like `parameters`."""
        for index in which:
            part = slice(self.offsets[index], self.offsets[index + 1])
            self.parameters[part] = source[part]

    def to_module(self, index: int) -> nn.Sequential:
        """One subject as a plain `nn.Sequential` of Linear layers and activations."""
        kind = ACTIVATIONS[self.kinds[index]]
        return to_module(
            self.subject(index),
            self.features,
            int(self.depths[index]),
            int(self.widths[index]),
            kind,
        )
