"""Prompts: a subject's arrays as the text that an interpreter reads.

Their shape is that of the published dataset.
Sections in this order (style `separate`): architecture, weights, signature, task. Numbers have six
decimals: weights as one JSON object, indented, one number per line, `network.<i>.weight` (out x in)
and `network.<i>.bias` for i = 0, 2, 4, ...; signatures as one `### <i>` block per layer, one line
per method, one bracketed list per neuron where a method has several numbers. Hidden layers of one
width are written as "3 hidden layers of 10 neurons", others with all widths in order: "3 hidden
layers of 10, 7, 4 neurons". Style `interwoven` has one section of layers in the place of these two:
in each `### <i>` block the layer's own JSON object comes before its lines of signature.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from muat_exp.kernels.text import Labels, Sections, write_object, write_subject
from muat_exp.sequences.patterns import Pattern
from muat_exp.subjects.architecture import Architecture

_CLASSIFICATION = "Which patterns does this model classify as positive?"
_MODIFICATION = (
    "This model was trained on partly mislabelled data. Give improved weights, with which it "
    "classifies as positive just\n"
    "the sequences that satisfy one of these patterns, as one JSON object of all its weights and "
    "biases."
)


def _as_bytes(text: str) -> NDArray[np.uint8]:
    """UTF-8 bytes of a text."""
    return np.frombuffer(text.encode(), np.uint8)


def _spell_architecture(architecture: Architecture) -> str:
    """Hidden layers, their neurons and their activation, as the parser reads them."""
    layers = f"{architecture.num_layers} hidden layers of {architecture.widths_text} neurons"
    return f"{layers}, {architecture.activation}"


class PromptRenderer:
    """Renders the prompts of one dataset.

    Args:
        patterns: the enabled patterns, all listed in the task section.
        methods: the signature's methods and their columns, in order.
        vocab_size: number of tokens.
        style: separate or interwoven.
    """

    def __init__(
        self,
        patterns: Sequence[Pattern],
        methods: Sequence[tuple[str, int]],
        vocab_size: int,
        style: str = "separate",
    ) -> None:
        self.vocab_size = vocab_size
        self.interwoven = style == "interwoven"
        self.letters = f"A = 0 to {chr(ord('A') + vocab_size - 1)} = {vocab_size - 1}"
        labels = [f"{name}: " for name, _ in methods]
        self.labels = Labels(
            text=_as_bytes("".join(labels)),
            starts=np.cumsum([0, *map(len, labels)]),
            columns=np.array([columns for _, columns in methods]),
        )
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
        tokens = f"{architecture.features} tokens of {self.vocab_size} ({self.letters})"
        header = (
            f"## Architecture\n{_spell_architecture(architecture)}; "
            f"input: {tokens}, output: 1 logit\n\n## {self.section}\n"
        )
        sections = Sections(_as_bytes(header), self.between, task)
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
        return self.render(architecture, degraded, signature, self.task(_MODIFICATION, selected))

    def weights(self, architecture: Architecture, parameters: NDArray[np.float32]) -> str:
        """A network's weights alone, as the JSON object that answers a modification prompt."""
        text = write_object(parameters, architecture.table).tobytes()
        return text.decode().rstrip("\n")  # type: ignore[no-any-return]

    @staticmethod
    def names_of(selected: Sequence[Pattern]) -> str:
        """The patterns' names, which answer a classification prompt."""
        return ", ".join(pattern.name for pattern in selected)
