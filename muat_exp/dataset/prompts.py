"""Prompts: a subject's arrays as the text that an interpreter reads, in the shape of the published dataset.

Sections in this order (style `separate`): architecture, weights, signature, task. Numbers have six decimals: weights as
one JSON object, indented, one number a line (orjson's shortest spelling of the rounded value); signatures as one line a
method and layer, always six digits, one bracketed list a neuron where a method has several numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from muat_exp.config import Config
from muat_exp.patterns import Pattern
from muat_exp.population import layer_shapes, split_parameters

DECIMALS = 6


def rounded(values: NDArray[np.float32]) -> list[Any]:
    """Nested lists of float64 rounded to six decimals, without negative zeros."""
    return (np.round(values.astype(np.float64), DECIMALS) + 0.0).tolist()  # type: ignore[no-any-return]


def render_weights(parameters: NDArray[np.float32], shapes: Sequence[tuple[int, int]]) -> str:
    """Weights as one JSON object of `network.<i>.weight` (out x in) and `network.<i>.bias`, i = 0, 2, 4, ..."""
    entries = {}
    for i, (weight, bias) in enumerate(split_parameters(parameters, shapes)):
        entries[f"network.{2 * i}.weight"] = rounded(weight)
        entries[f"network.{2 * i}.bias"] = rounded(bias)
    return orjson.dumps(entries, option=orjson.OPT_INDENT_2).decode()


def render_profile(values: NDArray[np.float32]) -> str:
    """One method's numbers of one layer, `(neurons, columns)`, on one line; a list a neuron where columns > 1."""
    neurons, columns = values.shape
    numbers = ", ".join(["%.6f"] * columns)
    template = ", ".join([f"[{numbers}]" if columns > 1 else numbers] * neurons)
    return template % tuple((np.round(values.astype(np.float64), DECIMALS) + 0.0).ravel().tolist())


class PromptRenderer:
    """Renders the prompts of one dataset.

    Args:
        patterns: the enabled patterns, all listed in the task section.
        methods: the signature's methods and their columns, in order.
        features: inputs of a subject, the sequence length.
        vocab_size: number of tokens.
    """

    def __init__(
        self, patterns: Sequence[Pattern], methods: Sequence[tuple[str, int]], features: int, vocab_size: int
    ) -> None:
        self.methods, self.features, self.vocab_size = list(methods), features, vocab_size
        listed = "\n".join(f"- {pattern.name}: {pattern.description}" for pattern in patterns)
        self.task = f"## Task\nWhich patterns does this model classify as positive?\n{listed}\n\n## Answer\n"

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
        shapes = layer_shapes(self.features, num_layers, neurons)
        return (
            f"## Architecture\n{num_layers} hidden layers of {neurons} neurons, {activation}; "
            f"input: {self.features} tokens of {self.vocab_size}, output: 1 logit\n\n"
            f"## Weights\n{render_weights(parameters, shapes)}\n\n"
            f"## Signature\n{self.render_signature(signature, shapes)}\n\n{self.task}"
        )

    def render_signature(self, signature: NDArray[np.float32], shapes: Sequence[tuple[int, int]]) -> str:
        """One `### <i>` block a Linear layer, one line a method."""
        blocks, start = [], 0
        for i, (neurons, _) in enumerate(shapes):
            lines, column = [f"### {2 * i}"], 0
            for method, columns in self.methods:
                lines.append(f"{method}: {render_profile(signature[start : start + neurons, column : column + columns])}")
                column += columns
            blocks.append("\n".join(lines))
            start += neurons
        return "\n".join(blocks)

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
    content = {"target_pattern": record["target_pattern"]} | {key: round(record[key], 6) for key in keys} | {
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
    return orjson.dumps(content).decode()
