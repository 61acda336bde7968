"""The JSON columns of a dataset: metadata always, others where they are asked for.

They have all keys of the published columns, with their names, types and counting (epochs from 0),
and more beside them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import PROMPT_TASKS, Config
from muat_exp.dataset.column_names import CONFUSION, EXACT_SCORES, SCORES
from muat_exp.subjects.architecture import Architecture, split_neurons, split_parameters

_PARTS = ("prompt", "completion", "text")
_HISTORY = ("train_loss", "train_acc", "val_loss", "val_acc")


def prompt_schema(config: Config) -> pa.Schema:
    """Columns of the `prompts` configuration."""
    texts = [f"{task}_{part}" for task in config.dataset.tasks for part in _PARTS]
    names = ["metadata", *texts, *config.dataset.columns]
    strings = [(name, pa.string()) for name in names]
    return pa.schema([("example_id", pa.int64()), *strings])


def to_json(content: Mapping[str, Any]) -> str:
    """Compact JSON; float32 numbers as the shortest decimals that read back to them."""
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _model_config(architecture: Architecture, config: Config) -> dict[str, Any]:
    """A subject's architecture and input; the widths of all hidden layers where they may differ."""
    widths = {}
    if config.architecture.shape != "uniform":
        widths = {"shape": config.architecture.shape, "hidden_widths": list(architecture.widths)}
    return {
        "vocab_size": config.patterns.vocab_size,
        "sequence_length": config.patterns.sequence_length,
        "num_layers": architecture.num_layers,
        "neurons_per_layer": architecture.neurons_per_layer,
        **widths,
        "activation_type": architecture.activation,
        "dropout_rate": config.architecture.dropout,
        "precision": config.architecture.precision,
        "input_size": architecture.features,
        "input_format": "integer_indices",
    }


def _hyperparameters(record: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """What a subject was trained with; epochs and patience are those of the clean stage."""
    training = config.training
    return {
        "random_seed": config.seed,
        "learning_rate": round(record["learning_rate"], 8),
        "batch_size": training.batch_size,
        "num_epochs": training.clean.max_epochs,
        "patience": training.clean.patience,
        "degraded_num_epochs": training.degraded.max_epochs,
        "degraded_patience": training.degraded.patience,
    }


def _corruption_stats(record: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """What was done to a subject's training labels.

    The examples are those that the kind of corruption chooses from: by default the target
    pattern's.
    """
    candidates = record["corruption_candidates"]
    corrupted = record["corrupted_labels"]
    return {
        "target_pattern": record["target_pattern"],
        "corruption_rate": config.corruption.rate,
        "total_pattern_examples": candidates,
        "corrupted_examples": corrupted,
        "actual_corruption_rate": round(corrupted / candidates, 6) if candidates else 0.0,
        "kind": config.corruption.kind,
    }


def _exact_figures(record: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """What only an exact truth tells of a subject."""
    if not config.exact:
        return {}
    scores = {name: round(record[name], 6) for name in EXACT_SCORES}
    return scores | {"confusion": {name: record[name] for name in CONFUSION}}


def metadata(
    record: Mapping[str, Any], architecture: Architecture, config: Config, config_hash: str
) -> str:
    """The `metadata` column: what is known of a subject, and the hash of its configuration."""
    return to_json(
        {"target_pattern": record["target_pattern"]}
        | {key: round(record[key], 6) for key in SCORES}
        | {
            "response": {
                name: round(record["response"][name], 6) for name in config.patterns.enabled
            },
            "best_pattern": record["best_pattern"],
            "best_pattern_score": round(record["best_pattern_score"], 6),
            **_exact_figures(record, config),
            "model_config": _model_config(architecture, config) | _hyperparameters(record, config),
            "corruption_stats": _corruption_stats(record, config),
            "selected_patterns": record["selected_patterns"],
            "activation": record["activation"],
            "precision": config.architecture.precision,
            "quantization": config.architecture.quantization,
            "config_signature": config_hash,
            "seed": config.seed,
            "subject_index": record["example_id"],
            "tasks_included": {task: task in config.dataset.tasks for task in PROMPT_TASKS},
        }
    )


def weights_column(
    architecture: Architecture, config: Config, parameters: NDArray[np.float32]
) -> str:
    """A network's configuration and weights.

    `network.<i>.weight` (out x in) and `network.<i>.bias`.
    """
    layers = architecture.layers
    weights: dict[str, NDArray[np.float32]] = {}
    for layer, pair in zip(layers, split_parameters(parameters, layers), strict=True):
        weights |= zip(layer.names, pair, strict=True)
    return to_json({"config": _model_config(architecture, config), "weights": weights})


def signature_column(
    architecture: Architecture,
    config: Config,
    signature: NDArray[np.float32],
    methods: Sequence[tuple[str, int]],
) -> str:
    """A signature `(neurons, columns)` by layer, neuron and method.

    A number, or a list where a method has several.
    """
    layers = architecture.layers
    content = {}
    for layer, rows in zip(layers, split_neurons(signature, layers), strict=True):
        info = {
            "num_neurons": layer.fan_out,
            "num_examples": config.signature.probes,
            "profile_methods": list(config.signature.methods),
        }
        profiles = {str(neuron): _neuron_profile(row, methods) for neuron, row in enumerate(rows)}
        content[str(layer.module)] = {"neuron_profiles": profiles, "layer_info": info}
    model = _model_config(architecture, config)
    return to_json({"neuron_activations": content, "model_config": model})


def _neuron_profile(row: NDArray[np.float32], methods: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """One neuron's numbers by method."""
    profile = {}
    column = 0
    for name, width in methods:
        profile[name] = row[column : column + width] if width > 1 else row[column]
        column += width
    return profile


def metrics_column(record: Mapping[str, Any], history: NDArray[np.float32]) -> str:
    """Both stages epoch by epoch: history `(epochs, 4)`, the degraded epochs first.

    Epochs count from 0, each stage's and, as `global_epoch`, those of both. `switch_epoch` and
    `clean_epoch` count from 1, as they do in `subjects`.
    """
    degraded = record["degraded_epochs"]
    rows = []
    for number, values in enumerate(history):
        early = number < degraded
        epoch = {
            "stage": "degraded" if early else "improved",
            "epoch": number if early else number - degraded,
            "global_epoch": number,
        }
        rows.append(epoch | dict(zip(_HISTORY, values, strict=True)))
    best = {"best_epoch": record["clean_epoch"] - 1}
    summary = {
        "total_epochs": len(history),
        "degraded_epochs": degraded,
        "improved_epochs": len(history) - degraded,
        "patterns": record["selected_patterns"],
        "degraded_stage": _stage_summary(history[:degraded]),
        "improved_stage": _stage_summary(history[degraded:]) | best,
        "first_improvement_epoch": record["switch_epoch"] - 1,
    }
    summary |= {key: record[key] for key in ("switch_epoch", "clean_epoch", *SCORES[:3])}
    return to_json({"training_history": rows, "summary": summary})


def _stage_summary(history: NDArray[np.float32]) -> dict[str, Any]:
    """First, last and best validation figures of a stage, from its history `(epochs, 4)`."""
    losses = history[:, _HISTORY.index("val_loss")]
    accuracies = history[:, _HISTORY.index("val_acc")]
    return {
        "initial_val_loss": losses[0],
        "final_val_loss": losses[-1],
        "initial_val_acc": accuracies[0],
        "final_val_acc": accuracies[-1],
        "best_val_acc": accuracies.max(),
    }
