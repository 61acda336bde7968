"""Prompts: a subject's arrays as the text that an interpreter reads.

Their structure is that of the published dataset.
Sections in this order (style `separate`): architecture, weights, signature, task, an empty line
between them. The architecture is one line per property; layers of different widths are listed,
`Neurons per Layer: 10, 7, 4`. Weights are one indented JSON object of `network.<i>.weight`
(out x in) and `network.<i>.bias` for i = 0, 2, 4, ..., rounded to six decimals and spelled as JSON
spells numbers. Signatures are one `### <i>` block per layer, one line per method: a number per
neuron, or a list per neuron where a method has several, all with six decimals. Style `interwoven`
has one section of layers in the place of these two: in each `### layer_<i>` block a line of the
weight and one of the bias come before the lines of the signature, which are indented. Style
`compact` has sections of its own for the weights and the signature, see `prompts.compact`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from muat_exp.kernels.text import Labels, Sections, write_object, write_subject
from muat_exp.prompts.codings import PLAIN, Coding
from muat_exp.prompts.compact import CompactWriter, as_bytes
from muat_exp.prompts.sections import (
    ACTIVATION_FUNCTION,
    ARCHITECTURE,
    DROPOUT_RATE,
    HIDDEN_LAYERS,
    INPUT_SIZE,
    LAYERS,
    NEURONS_PER_LAYER,
    SIGNATURE,
    TASK,
    WEIGHTS,
)
from muat_exp.sequences.patterns import Pattern
from muat_exp.subjects.architecture import Architecture

_WEIGHTS = f"\n## {WEIGHTS}\nWeight (out x in) and bias of each layer:\n\n"
_SIGNATURE = f"\n\n## {SIGNATURE}\n\n"
_LAYERS = f"\n## {LAYERS}\n\n"
_CLASSIFICATION = "Which patterns does the network call positive?"
_NAMES = "Answer with names, separated by commas."
_MODIFICATION = (
    "The network learned these patterns from partly wrong labels and is degraded on them. "
    "What are better weights?"
)
_OBJECT = (
    "Answer with one JSON object of `network.<i>.weight` and `network.<i>.bias` of all layers."
)
_BLOCKS = (
    "Answer with the line of the coding, an empty line, and the blocks of all layers, as above."
)
_ROUNDED = ", numbers rounded to six decimals"


class PromptRenderer:
    """Renders the prompts of one dataset.

    Args:
        patterns: the enabled patterns, all listed in the task section.
        methods: the signature's methods and their columns, in order.
        vocab_size: number of tokens.
        style: separate, interwoven or compact.
        dropout: that the networks were trained with.
        coding: how the style compact spells numbers.
    """

    def __init__(
        self,
        patterns: Sequence[Pattern],
        methods: Sequence[tuple[str, int]],
        vocab_size: int,
        style: str = "separate",
        dropout: float = 0.0,
        coding: Coding = PLAIN,
    ) -> None:
        self.vocab_size = vocab_size
        self.dropout = dropout
        self.compact = CompactWriter(coding, methods) if style == "compact" else None
        self.interwoven = style == "interwoven"
        indent = "  " if self.interwoven else ""
        labels = [f"{indent}{name}: " for name, _ in methods]
        self.labels = Labels(
            text=as_bytes("".join(labels)),
            starts=np.cumsum([0, *map(len, labels)]),
            columns=np.array([columns for _, columns in methods]),
        )
        self.between = as_bytes(_SIGNATURE)
        self.question = self.task(_CLASSIFICATION, patterns, _NAMES)
        self._headers: dict[Architecture, NDArray[np.uint8]] = {}  # there are few

    def task(self, question: str, patterns: Sequence[Pattern], request: str) -> NDArray[np.uint8]:
        """The end of a prompt: what is asked, the patterns that it is about, and how to answer."""
        last = chr(ord("A") + self.vocab_size - 1)
        rounded = "" if self.compact else _ROUNDED  # a compact prompt tells of its own coding
        letters = f"Letters A to {last} are 0 to {self.vocab_size - 1}"
        notes = f"{letters}, outputs above 0 positive{rounded}."
        listed = "\n".join(f"- {pattern.name}: {pattern.description}" for pattern in patterns)
        return as_bytes(f"\n## {TASK}\n{notes}\n{question}\n{listed}\n\n{request}\n")

    def _header(self, architecture: Architecture) -> NDArray[np.uint8]:
        """The section of the architecture, and what begins the section behind it."""
        header = self._headers.get(architecture)
        if header is None:
            header = self._headers[architecture] = self._new_header(architecture)
        return header

    def _new_header(self, architecture: Architecture) -> NDArray[np.uint8]:
        """See `_header`, which keeps it."""
        inputs = f"{architecture.features} (integer indices, vocabulary size {self.vocab_size})"
        lines = (
            f"## {ARCHITECTURE}",
            f"{INPUT_SIZE}: {inputs}",
            f"{HIDDEN_LAYERS}: {architecture.num_layers}",
            f"{NEURONS_PER_LAYER}: {architecture.widths_text}",
            f"{ACTIVATION_FUNCTION}: {architecture.activation}",
            f"{DROPOUT_RATE}: {float(self.dropout)}",
        )
        return as_bytes("\n".join(lines) + "\n" + self._section)

    @property
    def _section(self) -> str:
        """What begins the section behind that of the architecture."""
        if self.compact:
            return self.compact.heading
        return _LAYERS if self.interwoven else _WEIGHTS

    def render(
        self,
        architecture: Architecture,
        parameters: NDArray[np.float32],
        signature: NDArray[np.float32],
        task: NDArray[np.uint8],
    ) -> str:
        """A prompt about one network.

        Args:
            architecture: its shape.
            parameters: float32 `(parameters,)`, each Linear's weight (out, in) and bias in turn.
            signature: float32 `(neurons, columns)`, neurons layer by layer, the logit last.
            task: the prompt's end, as `task` makes it.
        """
        header = self._header(architecture)
        if self.compact:
            return self.compact.prompt(header, architecture, parameters, signature, task)
        sections = Sections(header, self.between, task)
        text = write_subject(
            parameters, architecture.table, signature, self.interwoven, sections, self.labels
        )
        return text.tobytes().decode()  # type: ignore[no-any-return]

    def classification(
        self,
        architecture: Architecture,
        improved: NDArray[np.float32],
        signature: NDArray[np.float32],
    ) -> str:
        """The prompt that asks for the patterns of an improved network."""
        return self.render(architecture, improved, signature, self.question)

    def modification(
        self,
        architecture: Architecture,
        degraded: NDArray[np.float32],
        signature: NDArray[np.float32],
        selected: Sequence[Pattern],
    ) -> str:
        """The prompt that asks for better weights of a degraded network."""
        request = _BLOCKS if self.compact else _OBJECT
        task = self.task(_MODIFICATION, selected, request)
        return self.render(architecture, degraded, signature, task)

    def weights(self, architecture: Architecture, parameters: NDArray[np.float32]) -> str:
        """A network's weights alone, as they answer a modification prompt.

        A JSON object, or in the style compact its line of the coding and its blocks.
        """
        if self.compact:
            return self.compact.weights(architecture, parameters)
        text = write_object(parameters, architecture.table).tobytes()
        return text.decode()  # type: ignore[no-any-return]

    @staticmethod
    def names_of(selected: Sequence[Pattern]) -> str:
        """The patterns' names, which answer a classification prompt."""
        return ", ".join(pattern.name for pattern in selected)
