"""Tables of records as tables of prompts: texts and JSON columns from the arrays."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.config.identity import config_signature
from muat_exp.dataset.column_names import ARRAYS
from muat_exp.prompts.columns import (
    metadata,
    metrics_column,
    prompt_schema,
    signature_column,
    weights_column,
)
from muat_exp.prompts.templates import PromptRenderer
from muat_exp.prompts.tokens import load_counter
from muat_exp.signatures.methods import method_columns
from muat_exp.subjects.architecture import Architecture, recorded_architecture

# The JSON columns of weights and signatures, and the columns of `subjects` that they show.
_WEIGHTS = {"improved_model_weights": "weights", "degraded_model_weights": "degraded_weights"}
_SIGNATURES = {"improved_signature": "signature", "degraded_signature": "degraded_signature"}


class Renderer:
    """Renders whole tables of records."""

    def __init__(self, config: Config) -> None:
        patterns = config.patterns
        self.config = config
        self.schema = prompt_schema(config)
        self.identity = config_signature(config)
        self.methods = method_columns(config.signature, len(patterns.enabled))
        self.patterns = {pattern.name: pattern for pattern in patterns.build()}
        self.prompts = PromptRenderer(
            list(self.patterns.values()),
            self.methods,
            patterns.vocab_size,
            config.dataset.style,
            config.architecture.dropout,
            config.prompts.built(),
        )
        self.counter = load_counter(config.dataset.tokenizer)

    def table(self, records: pa.Table) -> tuple[pa.Table, dict[str, list[int]]]:
        """The `prompts` rows of some `subjects` rows.

        And the tokens of each kind of prompt's texts, where there is a tokenizer.
        """
        rows = [self.row(record, arrays) for record, arrays in self._each(records)]
        tokens = self._count_tokens(rows)  # which takes memory: there is no table yet
        return pa.Table.from_pylist(rows, schema=self.schema), tokens

    def each_text(self, task: str, records: pa.Table) -> Iterator[str]:
        """The prompt and the completion of each record together, of one kind."""
        for record, arrays in self._each(records):
            architecture = recorded_architecture(record, self.config)
            prompt, completion = self.texts(task, record, architecture, arrays)
            yield prompt + completion

    def _each(
        self, records: pa.Table
    ) -> Iterator[tuple[dict[str, Any], dict[str, NDArray[np.float32]]]]:
        """Each record's scalar columns and its arrays, by name."""
        names = [name for name in ARRAYS if name in records.column_names]
        columns = {name: records[name].combine_chunks() for name in names}
        for i, record in enumerate(records.drop_columns(names).to_pylist()):
            arrays = {name: column[i].values.to_numpy() for name, column in columns.items()}
            yield record, self._shaped(arrays)

    def _shaped(self, arrays: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """A record's arrays, those of signatures as `(neurons, columns)`."""
        width = sum(columns for _, columns in self.methods)
        signatures = arrays.keys() & set(_SIGNATURES.values())
        return arrays | {name: arrays[name].reshape(-1, width) for name in signatures}

    def _count_tokens(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
        """The tokens of each row's texts by kind of prompt; nothing where there is no tokenizer."""
        if self.counter is None:
            return {}
        counts = {}
        for task in self.config.dataset.tasks:
            texts = [row[f"{task}_text"] for row in rows]
            counts[task] = [self.counter.count(text) for text in texts]
        return counts

    def row(self, record: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
        """One example's columns by name."""
        architecture = recorded_architecture(record, self.config)
        row = {
            "example_id": record["example_id"],
            "metadata": metadata(record, architecture, self.config, self.identity),
        }
        for task in self.config.dataset.tasks:
            prompt, completion = self.texts(task, record, architecture, arrays)
            row[f"{task}_prompt"] = prompt
            row[f"{task}_completion"] = completion
            row[f"{task}_text"] = prompt + completion
        for name in self.config.dataset.columns:
            row[name] = self.column(name, record, architecture, arrays)
        return row

    def texts(
        self,
        task: str,
        record: Mapping[str, Any],
        architecture: Architecture,
        arrays: Mapping[str, Any],
    ) -> tuple[str, str]:
        """One prompt and completion, of the kind that `dataset.tasks` calls `task`.

        Raises:
            ValueError: there is no such kind.
        """
        prompts = self.prompts
        selected = [self.patterns[name] for name in record["selected_patterns"]]
        weights = arrays["weights"]
        if task == "classification":
            prompt = prompts.classification(architecture, weights, arrays["signature"])
            named = selected
            if self.config.dataset.names_behaviour:
                named = [self.patterns[record["best_pattern"]]]
            return prompt, prompts.names_of(named)
        if task == "modification":
            degraded = arrays["degraded_weights"]
            signature = arrays["degraded_signature"]
            prompt = prompts.modification(architecture, degraded, signature, selected)
            return prompt, prompts.weights(architecture, weights)
        raise ValueError(f"'{task}' is no kind of prompt")

    def column(
        self,
        name: str,
        record: Mapping[str, Any],
        architecture: Architecture,
        arrays: Mapping[str, Any],
    ) -> str:
        """One of the optional JSON columns.

        Raises:
            ValueError: there is no such column.
        """
        if name == "training_metrics":
            history = arrays["history"].reshape(-1, 4)
            return metrics_column(record, history)
        if name in _WEIGHTS:
            return weights_column(architecture, self.config, arrays[_WEIGHTS[name]])
        if name in _SIGNATURES:
            signature = arrays[_SIGNATURES[name]]
            return signature_column(architecture, self.config, signature, self.methods)
        raise ValueError(f"'{name}' is no column of JSON")
