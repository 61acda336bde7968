"""Prompts: a subject's arrays as the text that an interpreter reads, in the shape of the published dataset.

Sections in this order (style `separate`): architecture, weights, signature, task. Numbers have six decimals: weights as
one JSON object, indented, one number a line, `network.<i>.weight` (out x in) and `network.<i>.bias` for i = 0, 2, 4, ...;
signatures as a `### <i>` block a layer, one line a method, one bracketed list a neuron where a method has several numbers.
Style `interwoven` has one section of layers in the place of these two: in each `### <i>` block the layer's own JSON object
comes before its lines of signature.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muat_exp.kernels.text import write_object, write_subject
from muat_exp.sequences.patterns import Pattern

_CLASSIFICATION = "Which patterns does this model classify as positive?"
_MODIFICATION = (
    "This model was trained on partly mislabelled data. Give improved weights, with which it classifies as positive just\n"
    "the sequences that satisfy one of these patterns, as one JSON object of all its weights and biases."
)


@dataclass(frozen=True)
class Shape:
    """Hidden layers, neurons in each, and the name of their activation."""

    num_layers: int
    neurons: int
    activation: str


def _as_bytes(text: str) -> NDArray[np.uint8]:
    """UTF-8 bytes of a text."""
    return np.frombuffer(text.encode(), np.uint8)


class PromptRenderer:
    """Renders the prompts of one dataset.

    Args:
        patterns: the enabled patterns, all listed in the task section.
        methods: the signature's methods and their columns, in order.
        features: inputs of a subject, the sequence length.
        vocab_size: number of tokens.
        style: separate or interwoven.
    """

    def __init__(
        self,
        patterns: Sequence[Pattern],
        methods: Sequence[tuple[str, int]],
        features: int,
        vocab_size: int,
        style: str = "separate",
    ) -> None:
        self.features = features
        self.vocab_size = vocab_size
        self.interwoven = style == "interwoven"
        self.letters = f"A = 0 to {chr(ord('A') + vocab_size - 1)} = {vocab_size - 1}"
        labels = [f"{name}: " for name, _ in methods]
        self.names = _as_bytes("".join(labels))
        self.name_starts = np.cumsum([0, *map(len, labels)])
        self.columns = np.array([columns for _, columns in methods])
        self.section = "Layers" if self.interwoven else "Weights"
        self.between = _as_bytes("\n## Signature\n")
        self.question = self.task(_CLASSIFICATION, patterns)

    @staticmethod
    def task(question: str, patterns: Sequence[Pattern]) -> NDArray[np.uint8]:
        """The end of a prompt: what is asked, and the patterns that it is about."""
        listed = "\n".join(f"- {pattern.name}: {pattern.description}" for pattern in patterns)
        return _as_bytes(f"\n## Task\n{question}\n{listed}\n\n## Answer\n")

    def render(
        self,
        shape: Shape,
        parameters: NDArray[np.float32],
        signature: NDArray[np.float32],
        task: NDArray[np.uint8],
    ) -> str:
        """A prompt about one network.

        Args:
            shape: its architecture.
            parameters: float32 `(parameters,)`, each Linear's weight (out, in) and bias in turn.
            signature: float32 `(num_layers * neurons + 1, columns)`.
            task: its end, as `task` makes it.
        """
        header = (
            f"## Architecture\n{shape.num_layers} hidden layers of {shape.neurons} neurons, {shape.activation}; "
            f"input: {self.features} tokens of {self.vocab_size} ({self.letters}), output: 1 logit\n\n## {self.section}\n"
        )
        text = write_subject(
            parameters, signature, self.features, shape.num_layers, shape.neurons, self.interwoven, _as_bytes(header),
            self.between, self.names, self.name_starts, self.columns, task,
        )  # fmt: skip
        return text.tobytes().decode()  # type: ignore[no-any-return]

    def classification(
        self, shape: Shape, improved: NDArray[np.float32], signature: NDArray[np.float32]
    ) -> str:
        """The prompt that asks for the patterns of an improved network."""
        return self.render(shape, improved, signature, self.question)

    def modification(
        self,
        shape: Shape,
        degraded: NDArray[np.float32],
        signature: NDArray[np.float32],
        selected: Sequence[Pattern],
    ) -> str:
        """The prompt that asks for better weights of a degraded network."""
        return self.render(shape, degraded, signature, self.task(_MODIFICATION, selected))

    def weights(self, shape: Shape, parameters: NDArray[np.float32]) -> str:
        """A network's weights alone, as the JSON object that answers a modification prompt."""
        text = write_object(parameters, self.features, shape.num_layers, shape.neurons).tobytes()
        return text.decode().rstrip("\n")  # type: ignore[no-any-return]

    @staticmethod
    def names_of(selected: Sequence[Pattern]) -> str:
        """The patterns' names, which answer a classification prompt."""
        return ", ".join(pattern.name for pattern in selected)
