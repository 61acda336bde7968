"""The style `compact`: a network as a line of numbers per neuron.

The section of the weights says by which of `codings.CODINGS` its numbers are spelled; then comes a
block `### <i>` for each Linear layer, i = 0, 2, 4, ..., and in it a line for each neuron: its
weights, then its bias. The section of the signature, where there is one, names the methods with
their columns; its blocks have a line for each neuron with the numbers of all methods. By digits a
block begins with a line of the layer's largest magnitude, in the signature of each method's.
Weights alone, as they answer a modification prompt, are the line of the coding and the blocks.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from muat_exp.errors import DatasetError
from muat_exp.kernels.compact import (
    Blocks,
    Spelling,
    largest_profiles,
    largest_weights,
    write_compact,
)
from muat_exp.kernels.text import Sections
from muat_exp.prompts.codings import (
    CENTRE,
    DECIMALS,
    DIGITS,
    INTEGER,
    LARGEST,
    SPAN,
    Coding,
    coding_code,
)
from muat_exp.prompts.sections import COMPACT, METHODS, SIGNATURE
from muat_exp.prompts.sections import LARGEST as LARGEST_LINE
from muat_exp.subjects.architecture import MODULES_PER_LAYER, Architecture

_NEURONS = "A line per neuron of each layer: its weights, then its bias"
# Arrays that can't be written, as those of records and of texts can't: the kernels are compiled for
# each kind of argument anew.
_NOTHING = np.frombuffer(bytes(1), np.uint8)[:0]
_NO_SIGNATURE = np.frombuffer(bytes(4), np.float32)[:0].reshape(0, 0)
_ONE_METHOD = np.zeros(1, np.int64)
_NO_BLOCKS = Blocks(_NOTHING, 1, np.empty((0, 0), np.float32), np.empty(0, np.int64))


def as_bytes(text: str) -> NDArray[np.uint8]:
    """UTF-8 bytes of a text."""
    return np.frombuffer(text.encode(), np.uint8)


class CompactWriter:
    """Writes the networks of one dataset.

    Args:
        coding: how numbers are spelled.
        methods: the signature's methods and their columns, in order.
    """

    def __init__(self, coding: Coding, methods: Sequence[tuple[str, int]]) -> None:
        self.coding = coding
        widths = [columns for _, columns in methods]
        self._methods = np.repeat(np.arange(len(widths)), widths)  # of each column
        self._spelling = Spelling(
            coding_code(coding.name),
            coding.decimals,
            coding.unit,
            10 ** (DECIMALS[1] - coding.decimals),
        )
        self.heading = f"\n## {COMPACT}\n{coding.line}\n{self._meaning}.\n\n"
        named = ", ".join(f"{name} {columns}" for name, columns in methods)
        self._between = as_bytes(f"\n## {SIGNATURE}\n{METHODS}: {named}\n\n")

    @property
    def _meaning(self) -> str:
        """What the numbers are, for a reader of the prompt."""
        if self.coding.name == DIGITS:
            share = f"(n - {CENTRE}) / {SPAN}"
            return f"{_NEURONS}; n of three digits is {share} times the layer's largest magnitude"
        if self.coding.name == INTEGER:
            return f"{_NEURONS}; all numbers times {self.coding.unit}"
        return _NEURONS

    def prompt(
        self,
        header: NDArray[np.uint8],
        architecture: Architecture,
        parameters: NDArray[np.float32],
        signature: NDArray[np.float32],
        task: NDArray[np.uint8],
    ) -> str:
        """A whole prompt: header, weights, signature where it is shown, task.

        Raises:
            DatasetError: a number is too large to be written.
        """
        profiles = _NO_BLOCKS
        shown = _NO_SIGNATURE
        between = _NOTHING
        if self.coding.signature:
            profiles = self._signature_blocks(architecture, signature)
            shown = signature
            between = self._between
        sections = Sections(header, between, task)
        return self._write(architecture, parameters, shown, profiles, sections)

    def weights(self, architecture: Architecture, parameters: NDArray[np.float32]) -> str:
        """A network's weights alone, as they answer a modification prompt.

        Raises:
            DatasetError: a weight is too large to be written.
        """
        sections = Sections(as_bytes(f"{self.coding.line}\n\n"), _NOTHING, _NOTHING)
        text = self._write(architecture, parameters, _NO_SIGNATURE, _NO_BLOCKS, sections)
        return text.removesuffix("\n")

    def _write(
        self,
        architecture: Architecture,
        parameters: NDArray[np.float32],
        signature: NDArray[np.float32],
        profiles: Blocks,
        sections: Sections,
    ) -> str:
        """What the kernel writes, as text."""
        text = write_compact(
            parameters,
            architecture.table,
            self._weight_blocks(architecture, parameters),
            signature,
            profiles,
            sections,
            self._spelling,
        )
        if not len(text):
            raise self._too_large(parameters, signature)
        return text.tobytes().decode()  # type: ignore[no-any-return]

    def _too_large(self, *arrays: NDArray[np.float32]) -> DatasetError:
        """What is raised where the coding can't write a number."""
        largest = max(float(np.abs(values).max()) for values in arrays if values.size)
        return DatasetError(
            f"A network has a number of the magnitude {largest:g}: "
            f"prompts.coding={self.coding.name} writes such as are below {LARGEST:g}; "
            f"{DIGITS} writes any."
        )

    def _weight_blocks(self, architecture: Architecture, parameters: NDArray[np.float32]) -> Blocks:
        """How the blocks of the weights begin."""
        if self.coding.name != DIGITS:
            return _plain_blocks(architecture.num_layers + 1, 1)
        largest = largest_weights(parameters, architecture.table)
        return _scaled_blocks(largest, _ONE_METHOD)

    def _signature_blocks(
        self, architecture: Architecture, signature: NDArray[np.float32]
    ) -> Blocks:
        """How the blocks of the signature `(neurons, columns)` begin."""
        if self.coding.name != DIGITS:
            return _plain_blocks(architecture.num_layers + 1, len(self._methods))
        largest = largest_profiles(signature, architecture.table, self._methods)
        return _scaled_blocks(largest, self._methods)


def rounded_weights(
    coding: Coding, architecture: Architecture, parameters: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The parameters that a reader of a compact prompt has, float32 `(parameters,)`."""
    values = parameters.astype(np.float64)
    if coding.name != DIGITS:
        return (np.rint(values * coding.unit) / coding.unit).astype(np.float32)
    sizes = np.diff([*(layer.offset for layer in architecture.layers), len(parameters)])
    largest = largest_weights(parameters, architecture.table)[:, 0].astype(np.float64)
    factors = np.divide(SPAN, largest, out=np.zeros_like(largest), where=largest > 0)
    shares = np.rint(values * np.repeat(factors, sizes)) / SPAN
    return (shares * np.repeat(largest, sizes)).astype(np.float32)


@lru_cache(maxsize=64)
def _plain_blocks(layers: int, columns: int) -> Blocks:
    """Blocks that begin with the layers' numbers alone."""
    headings = [f"### {MODULES_PER_LAYER * index}\n" for index in range(layers)]
    nothing = np.zeros((layers, 1), np.float32)
    return Blocks(as_bytes("".join(headings)), 1, nothing, np.zeros(columns, np.int64))


def _scaled_blocks(largest: NDArray[np.float32], methods: NDArray[np.int64]) -> Blocks:
    """Blocks that begin with the largest magnitudes of a layer, `(layers, methods)`.

    They are spelled with nine digits, so that a reader has the same numbers in float32.
    """
    text = _magnitude_lines(*largest.shape) % tuple(largest.ravel().tolist())
    return Blocks(as_bytes(text), 2, largest, methods)


@lru_cache(maxsize=64)
def _magnitude_lines(layers: int, methods: int) -> str:
    """The headings of blocks with the places of their largest magnitudes."""
    line = f"{LARGEST_LINE}: {', '.join(['%.9g'] * methods)}"
    return "".join(f"### {MODULES_PER_LAYER * index}\n{line}\n" for index in range(layers))
