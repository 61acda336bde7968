"""Many networks of any shapes in flat arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muat_exp.subjects.architecture import Layer, Networks, layers_of, to_module

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Population:
    """S subjects: a chain of Linear layers each, from the tokens of a sequence to one logit.

    Attributes:
        networks: their layers and parameters in flat arrays, which the kernels read.
    """

    networks: Networks

    def __len__(self) -> int:
        return len(self.networks.starts) - 1

    @property
    def parameters(self) -> NDArray[np.float32]:
        """All subjects' weights (out, in) and biases (out,): float32 `(offsets[-1],)`."""
        return self.networks.parameters

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each subject's parameters begin and the last one's end: int64 `(S + 1,)`."""
        return self.networks.offsets

    @property
    def neurons(self) -> NDArray[np.int64]:
        """Outputs of all Linear layers, the logit included: int64 `(S,)`."""
        return self._sums(self._column("fan_out"))

    @property
    def products(self) -> NDArray[np.int64]:
        """Multiplications that an example costs: int64 `(S,)`."""
        return self._sums(self._column("fan_in") * self._column("fan_out"))

    @property
    def input_products(self) -> NDArray[np.int64]:
        """Those of them in the first layer: int64 `(S,)`."""
        products = self._column("fan_in") * self._column("fan_out")
        first = self.networks.starts[:-1]
        return products[first]

    def _column(self, field: str) -> NDArray[np.int64]:
        """One field of all layers, `(all layers,)`."""
        column = Layer._fields.index(field)
        return self.networks.layers[:, column]

    def _sums(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sums over each subject's layers, `(S,)`."""
        running = np.concatenate([[0], np.cumsum(values)])
        return np.diff(running[self.networks.starts])

    def subject(self, index: int) -> NDArray[np.float32]:
        """A view of one subject's flat parameters."""
        return self.parameters[self._part(index)]

    def _part(self, index: int) -> slice:
        """One subject's part of the parameters."""
        return slice(self.offsets[index], self.offsets[index + 1])

    def layers(self, index: int) -> list[Layer]:
        """One subject's Linear layers, the logit's last."""
        starts = self.networks.starts
        rows = slice(starts[index], starts[index + 1])
        return layers_of(self.networks.layers[rows])

    def with_parameters(self, parameters: NDArray[np.float32]) -> Population:
        """The same shapes with other parameters."""
        return replace(self, networks=self.networks._replace(parameters=parameters))

    def copy_subjects(self, source: NDArray[np.float32], which: NDArray[np.int64]) -> None:
        """Copies the parameters of some subjects from an array laid out like `parameters`."""
        for index in which:
            part = self._part(index)
            self.parameters[part] = source[part]

    def to_module(self, index: int) -> nn.Sequential:
        """One subject as a plain `nn.Sequential` of Linear layers and activations."""
        return to_module(self.subject(index), self.layers(index))
