"""The JSON columns and the other optional parts of a dataset, read back as a user reads them."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import muat_exp
from muat_exp.config.groups import JSON_COLUMNS


@pytest.fixture(scope="module")
def examples(full):
    prompts = {
        row["example_id"]: row for row in pq.read_table(full.dataset / "prompts").to_pylist()
    }
    return [
        (subject, prompts[subject.example_id]) for subject in muat_exp.load_subjects(full.dataset)
    ]


@pytest.mark.parametrize("stage", ["improved", "degraded"])
def test_weights_are_a_state_of_the_network(examples, stage):
    for subject, row in examples:
        content = json.loads(row[f"{stage}_model_weights"])
        state = {
            name.removeprefix("network."): torch.tensor(values)
            for name, values in content["weights"].items()
        }
        module = subject.to_module(degraded=stage == "degraded")
        assert state.keys() == module.state_dict().keys()
        assert all(torch.equal(state[name], value) for name, value in module.state_dict().items())
        shape = {
            "num_layers": subject.num_layers,
            "neurons_per_layer": subject.neurons_per_layer,
            "dropout_rate": 0.05,
        }
        assert (
            content["config"].items()
            >= (shape | {"precision": "bfloat16", "activation_type": subject.activation}).items()
        )


@pytest.mark.parametrize("stage", ["improved", "degraded"])
def test_parse_weights_reads_a_column_of_weights(examples, stage):
    for subject, row in examples:
        arrays = muat_exp.parse_weights(row[f"{stage}_model_weights"])
        stored = subject.weights if stage == "improved" else subject.degraded_weights
        assert {name: array.shape for name, array in arrays.items()} == subject.architecture.shapes
        assert np.array_equal(np.concatenate([a.ravel() for a in arrays.values()]), stored)


@pytest.mark.parametrize("stage", ["improved", "degraded"])
def test_signatures_are_by_layer_neuron_and_method(examples, stage):
    for subject, row in examples:
        layers = json.loads(row[f"{stage}_signature"])["neuron_activations"]
        assert list(layers) == [str(2 * i) for i in range(subject.num_layers + 1)]
        rows = [
            [profile["mean"], profile["std"], *profile["pca"]]
            for layer in layers.values()
            for profile in layer["neuron_profiles"].values()
        ]
        stored = (
            subject.signature
            if stage == "improved"
            else np.reshape(subject.record["degraded_signature"], (-1, 6))
        )
        assert np.array_equal(np.array(rows, np.float32), np.asarray(stored, np.float32))
        assert layers["0"]["layer_info"] == {
            "num_neurons": subject.neurons_per_layer,
            "num_examples": 200,
            "profile_methods": ["mean", "std", "pca"],
        }


def test_metrics_tell_both_stages_epoch_by_epoch(examples):
    for subject, row in examples:
        metrics = json.loads(row["training_metrics"])
        history, summary = metrics["training_history"], metrics["summary"]
        assert [epoch["global_epoch"] for epoch in history] == list(
            range(1, summary["total_epochs"] + 1)
        )
        stages = [epoch["stage"] for epoch in history]
        assert (
            stages
            == ["degraded"] * summary["degraded_epochs"] + ["improved"] * summary["improved_epochs"]
        )
        clean = history[summary["degraded_epochs"] :]
        best = max(range(len(clean)), key=lambda i: (clean[i]["val_acc"], -i))
        assert best + 1 == summary["clean_epoch"] == subject.record["clean_epoch"]
        first, switch = history[0]["val_loss"], history[summary["switch_epoch"] - 1]["val_loss"]
        assert first - switch >= 0.05 - 1e-6
        assert all(epoch["train_loss"] > 0 and 0 <= epoch["train_acc"] <= 1 for epoch in history)


def test_a_modification_asks_for_the_improved_weights(examples):
    for subject, row in examples:
        before = muat_exp.parse_prompt(row["modification_prompt"])
        after = muat_exp.parse_weights(row["modification_completion"])
        assert np.allclose(before.parameters, subject.degraded_weights, rtol=1e-6, atol=6e-7)
        flat = np.concatenate([array.ravel() for array in after.values()])
        assert np.allclose(flat, subject.weights, rtol=1e-6, atol=6e-7)
        assert (
            row["modification_text"] == row["modification_prompt"] + row["modification_completion"]
        )


def test_metadata_carry_every_published_key(examples):
    for subject, row in examples:
        metadata = json.loads(row["metadata"])
        assert metadata.keys() >= {
            "target_pattern",
            "degraded_accuracy",
            "improved_accuracy",
            "improvement",
            "model_config",
            "corruption_stats",
            "selected_patterns",
            "precision",
            "quantization",
            "config_signature",
            "tasks_included",
            "activation",
            "seed",
            "subject_index",
            "test_accuracy",
            "response",
        }
        assert metadata["tasks_included"] == ["classification", "modification"]
        assert (metadata["activation"], metadata["subject_index"]) == (
            subject.activation,
            subject.example_id,
        )
        assert (metadata["precision"], metadata["quantization"]) == ("bfloat16", "none")


def test_columns_are_there_only_where_they_were_asked_for(run, full):
    assert set(JSON_COLUMNS) <= set(
        pq.read_schema(next((full.dataset / "prompts").glob("*"))).names
    )
    assert not set(JSON_COLUMNS) & set(
        pq.read_schema(next((run.dataset / "prompts").glob("*"))).names
    )


def test_stored_weights_are_numbers_of_their_type(examples):
    for subject, _ in examples:
        for weights in (subject.weights, subject.degraded_weights):
            assert np.array_equal(torch.tensor(weights).to(torch.bfloat16).float().numpy(), weights)
