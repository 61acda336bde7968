"""Prompts: a subject's arrays as the text that an interpreter reads, in the shape of the published dataset.

Sections in this order (style `separate`): architecture, weights, signature, task. Numbers have six decimals: weights as
one JSON object, indented, one number a line, `network.<i>.weight` (out x in) and `network.<i>.bias` for i = 0, 2, 4, ...;
signatures as a `### <i>` block a layer, one line a method, one bracketed list a neuron where a method has several numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from muat_exp.config import Config
from muat_exp.kernels.text import write_subject
from muat_exp.patterns import Pattern


def as_bytes(text: str) -> NDArray[np.uint8]:
    """UTF-8 bytes of a text."""
    return np.frombuffer(text.encode(), np.uint8)


class PromptRenderer:
    """Renders the prompts of one dataset.

    Args:
        patterns: the enabled patterns, all listed in the task section.
        methods: the signature's methods and their columns, in order.
        features: inputs of a subject, the sequence length.
        vocab_size: number of tokens.
    """

    def __init__(self, patterns: Sequence[Pattern], methods: Sequence[tuple[str, int]], features: int, vocab_size: int) -> None:
        self.features, self.vocab_size = features, vocab_size
        labels = [f"{name}: " for name, _ in methods]
        self.names = as_bytes("".join(labels))
        self.name_starts = np.cumsum([0, *map(len, labels)])
        self.columns = np.array([columns for _, columns in methods])
        listed = "\n".join(f"- {pattern.name}: {pattern.description}" for pattern in patterns)
        self.between = as_bytes("}\n\n## Signature\n")
        self.task = as_bytes(f"\n## Task\nWhich patterns does this model classify as positive?\n{listed}\n\n## Answer\n")

    def render(
        self,
        num_layers: int,
        neurons: int,
        activation: str,
        parameters: NDArray[np.float32],
        signature: NDArray[np.float32],
    ) -> str:
        """The classification prompt of one subject.

        Args:
            num_layers: hidden layers.
            neurons: neurons a hidden layer.
            activation: name of the activation.
            parameters: float32 `(parameters,)`, each Linear's weight (out, in) and bias in turn.
            signature: float32 `(num_layers * neurons + 1, columns)`.
        """
        header = (
            f"## Architecture\n{num_layers} hidden layers of {neurons} neurons, {activation}; "
            f"input: {self.features} tokens of {self.vocab_size}, output: 1 logit\n\n## Weights\n{{\n"
        )
        text = write_subject(
            parameters, signature, self.features, num_layers, neurons, as_bytes(header), self.between, self.names,
            self.name_starts, self.columns, self.task,
        )  # fmt: skip
        return text.tobytes().decode()  # type: ignore[no-any-return]

    @staticmethod
    def complete(selected: Sequence[Pattern]) -> str:
        """The completion: the names of the patterns that the subject learned."""
        return ", ".join(pattern.name for pattern in selected)


def render_metadata(record: Mapping[str, Any], config: Config, signature: str) -> str:
    """The `metadata` column: a JSON object of what is known of a subject."""
    keys = ("degraded_accuracy", "improved_accuracy", "improvement", "degraded_test_accuracy", "test_accuracy")
    shape = {
        "vocab_size": config.patterns.vocab_size,
        "sequence_length": config.patterns.sequence_length,
        "num_layers": record["num_layers"],
        "neurons_per_layer": record["neurons_per_layer"],
        "activation_type": record["activation"],
        "learning_rate": round(record["learning_rate"], 8),
        "input_size": config.patterns.sequence_length,
        "input_format": "indices",
    }
    corruption = {
        "kind": config.corruption.kind,
        "rate": config.corruption.rate,
        "candidates": record["corruption_candidates"],
        "corrupted": record["corrupted_labels"],
    }
    content = (
        {"target_pattern": record["target_pattern"]}
        | {key: round(record[key], 6) for key in keys}
        | {
            "response": {name: round(share, 6) for name, share in record["response"].items()},
            "model_config": shape,
            "corruption_stats": corruption,
            "selected_patterns": record["selected_patterns"],
            "precision": "float32",
            "quantization": "none",
            "config_signature": signature,
            "seed": config.seed,
            "subject_index": record["example_id"],
            "tasks_included": ["classification"],
        }
    )
    return orjson.dumps(content).decode()
