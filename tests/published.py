"""Writes a dataset of this program anew as a repository of the published family lays one out.

The format is that of the family's facts, written here from scratch: no function of the program
renders anything. Odd but legal: ids begin at 0 in each uploaded part, layers are sorted as texts,
weights stand in another order than the network's.
"""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

import muat_exp

METADATA = (
    "target_pattern",
    "degraded_accuracy",
    "improved_accuracy",
    "improvement",
    "selected_patterns",
    "precision",
    "quantization",
    "config_signature",
    "tasks_included",
)
MODEL = (
    "vocab_size",
    "sequence_length",
    "num_layers",
    "neurons_per_layer",
    "activation_type",
    "dropout_rate",
    "random_seed",
    "learning_rate",
    "batch_size",
    "num_epochs",
    "patience",
)
STATS = (
    "target_pattern",
    "corruption_rate",
    "total_pattern_examples",
    "corrupted_examples",
    "actual_corruption_rate",
)
STAGES = {"classification": "improved", "modification": "degraded"}


def lay_out(dataset, folder, parts=2, decimals=None, columns=True, probes=True, settings=True):
    """The repository of a dataset.

    Args:
        dataset: the dataset's folder.
        folder: the repository's.
        parts: files of its data, each with ids of its own.
        decimals: of the weights in JSON columns; None for all digits.
        columns, probes, settings: whether it has the JSON columns, its file of probes, its
            `config.yaml`.
    """
    subjects = muat_exp.load_subjects(dataset)
    records = {row["example_id"]: row for row in pq.read_table(dataset / "prompts").to_pylist()}
    rows = [_row(subject, records[subject.example_id], decimals) for subject in subjects]
    if not columns:
        rows = [
            {
                name: row[name]
                for name in row
                if "_model_" not in name and not name.endswith(("_signature", "_metrics"))
            }
            for row in rows
        ]
    (folder / "data").mkdir(parents=True)
    size = -(-len(rows) // parts)
    for part in range(parts):
        own = [
            row | {"example_id": number}
            for number, row in enumerate(rows[part * size : (part + 1) * size])
        ]
        name = f"train-{part:05d}-of-{parts:05d}.parquet"
        pq.write_table(pa.Table.from_pylist(own), folder / "data" / name)
    (folder / "README.md").write_text("# Subject Models for Interpretability Training\n")
    if probes:
        (folder / "signature_dataset.json").write_text(_probes(dataset))
    if settings:
        (folder / "config.yaml").write_text(_settings(subjects.config))
    return folder


def _row(subject, record, decimals):
    metadata = json.loads(record["metadata"])
    row = {"example_id": 0, "metadata": json.dumps(_metadata(metadata, subject))}
    config = subject.config
    for task in config.dataset.tasks:
        stage = STAGES[task]
        listed = [line for line in record[f"{task}_prompt"].split("\n") if line.startswith("- ")]
        prompt = "\n".join(_prompt(subject, stage, task, listed))
        answer = record[f"{task}_completion"]
        if task == "modification":
            answer = json.dumps(_by_text(_weights(subject, "improved", 6)), indent=2)
        row |= {
            f"{task}_prompt": prompt,
            f"{task}_completion": answer,
            f"{task}_text": prompt + answer,
        }
    for stage in {STAGES[task] for task in config.dataset.tasks}:
        if f"{stage}_signature" in config.dataset.columns:
            row[f"{stage}_signature"] = json.dumps(_signature(subject, stage))
        if f"{stage}_model_weights" in config.dataset.columns:
            weights = {"config": _model(metadata), "weights": _weights(subject, stage, decimals)}
            row[f"{stage}_model_weights"] = json.dumps(weights)
    if "training_metrics" in config.dataset.columns:
        row["training_metrics"] = record["training_metrics"]
    return row


def _metadata(metadata, subject):
    own = {key: metadata[key] for key in METADATA}
    own["model_config"] = {key: metadata["model_config"][key] for key in MODEL}
    own["corruption_stats"] = {key: metadata["corruption_stats"][key] for key in STATS}
    return own


def _model(metadata):
    model = metadata["model_config"]
    names = (*MODEL[:6], "precision", "input_size", "input_format")
    return {name: model[name] for name in names}


def _by_text(content):
    """An object with its keys sorted as texts: network.10 before network.2."""
    return dict(sorted(content.items()))


def _layers(subject):
    return subject.architecture.layers


def _arrays(subject, stage):
    flat = subject.weights if stage == "improved" else subject.degraded_weights
    for layer in _layers(subject):
        middle = layer.offset + layer.fan_in * layer.fan_out
        weight = flat[layer.offset : middle].reshape(layer.fan_out, layer.fan_in)
        yield layer.module, weight, flat[middle : middle + layer.fan_out]


def _rounded(array, decimals):
    if decimals is not None:
        array = array.astype(float).round(decimals)
    return (
        [[float(str(x)) for x in row] for row in array]
        if array.ndim == 2
        else [float(str(x)) for x in array]
    )


def _weights(subject, stage, decimals):
    named = {}
    for module, weight, bias in _arrays(subject, stage):
        named[f"network.{module}.weight"] = _rounded(weight, decimals)
        named[f"network.{module}.bias"] = _rounded(bias, decimals)
    return _by_text(named)


def _methods(subject):
    from muat_exp.signatures.methods import method_columns

    config = subject.config
    return method_columns(config.signature, len(config.patterns.enabled))


def _profiles(subject, stage):
    """Rows of a layer's neurons by the layer's number, in the order of its name."""
    neurons = subject.architecture.neurons
    flat = subject.signature if stage == "improved" else subject.record["degraded_signature"]
    table = [list(row) for row in _table(flat, neurons)]
    start = 0
    by_name = {}
    for layer in _layers(subject):
        by_name[str(layer.module)] = table[start : start + layer.fan_out]
        start += layer.fan_out
    return _by_text(by_name)


def _table(flat, neurons):
    import numpy as np

    return np.asarray(flat, np.float32).reshape(neurons, -1)


def _by_method(subject, row):
    profile = {}
    place = 0
    for name, width in _methods(subject):
        values = [float(str(x)) for x in row[place : place + width]]
        profile[name] = values if width > 1 else values[0]
        place += width
    return profile


def _signature(subject, stage):
    activations = {}
    for name, rows in _profiles(subject, stage).items():
        profiles = {str(i): _by_method(subject, row) for i, row in enumerate(rows)}
        info = {
            "num_neurons": len(rows),
            "num_examples": subject.config.signature.probes,
            "profile_methods": [method for method, _ in _methods(subject)],
        }
        activations[name] = {"neuron_profiles": _by_text(profiles), "layer_info": info}
    return {"neuron_activations": activations, "model_config": {}}


def _prompt(subject, stage, task, listed):
    patterns = subject.config.patterns
    yield "## Model Architecture"
    yield (
        f"Input Size: {subject.features} (integer indices for {subject.features} sequence "
        f"positions, vocab size {patterns.vocab_size})"
    )
    yield f"Hidden Layers: {subject.num_layers}"
    yield f"Neurons per Layer: {subject.neurons_per_layer}"
    yield f"Activation Function: {subject.activation}"
    yield f"Dropout Rate: {subject.config.architecture.dropout}"
    yield ""
    if subject.config.dataset.style == "interwoven":
        yield from _interwoven(subject, stage)
    else:
        yield from _separate(subject, stage)
    yield "## Task"
    if task == "modification":
        yield f"It is degraded on the pattern: {subject.target_pattern}"
        yield f"Please modify the weights to {subject.target_pattern}."
        yield ""
        return
    yield "Which patterns is it positive about?"
    yield ""
    yield from listed
    yield ""
    yield "List them."
    yield ""


def _separate(subject, stage):
    yield "## Model Weights"
    yield "The trained model weights:"
    yield ""
    yield json.dumps(_weights(subject, stage, 6), indent=2)
    yield ""
    yield "## Activation Signature"
    yield ""
    for name, rows in _profiles(subject, stage).items():
        yield f"### {name}"
        yield from _lines(subject, rows)
        yield ""


def _interwoven(subject, stage):
    yield "## Model Weights and Activation Signatures"
    yield ""
    arrays = {f"layer_{module}": arrays for module, *arrays in _arrays(subject, stage)}
    profiles = _profiles(subject, stage)
    for name, (weight, bias) in _by_text(arrays).items():
        yield f"### {name}"
        yield f"weight: {_rounded(weight, 6)}"
        yield f"bias: {_rounded(bias, 6)}"
        yield "Signature:"
        yield from (f"  {line}" for line in _lines(subject, profiles[name.partition("_")[2]]))
        yield ""


def _lines(subject, rows):
    profiles = [_by_method(subject, row) for row in rows]
    for name, _ in _methods(subject):
        values = [profile[name] for profile in profiles]
        shown = [
            f"[{', '.join(f'{x:.6f}' for x in value)}]"
            if isinstance(value, list)
            else f"{value:.6f}"
            for value in values
        ]
        yield f"{name}: [{', '.join(shown)}]"


def _probes(dataset):
    ours = json.loads((Path(dataset) / "probe_set.json").read_text())
    pairs = zip(ours["sequences"], ours["patterns"], strict=True)
    examples = [{"sequence": list(letters), "label": 1, "pattern": name} for letters, name in pairs]
    return json.dumps(
        {
            "examples": examples,
            "name": "baseline_probe_dataset",
            "num_examples": len(examples),
            "metadata": {"vocab": list("ABCDEFGHIJ"), "sequence_length": ours["sequence_length"]},
        },
        indent=2,
    )


def _settings(config):
    patterns = config.patterns
    return yaml.safe_dump(
        {
            "dataset": {
                "patterns": {
                    "enabled_patterns": list(patterns.enabled),
                    "min_patterns_per_batch": 1,
                    "max_patterns_per_batch": 1,
                    "negative_ratio": 1,
                    "target_total_examples": 250,
                }
            },
            "hub": {"token": "<REDACTED>"},
            "model": {
                "vocab_size": patterns.vocab_size,
                "sequence_length": patterns.sequence_length,
                "activation_types": list(config.architecture.activations),
            },
            "signature": {
                "dataset_path": "signature_dataset.json",
                "neuron_profile_methods": {name: {} for name in config.signature.methods},
                "prompt_format": {"style": config.dataset.style},
            },
            "staged_training": {"corruption_rate": config.corruption.rate},
            "task_generation": {"include_classification": True, "include_modification": False},
        }
    )
