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
        lengths = [summary["degraded_epochs"], summary["improved_epochs"]]
        assert [epoch["global_epoch"] for epoch in history] == list(range(summary["total_epochs"]))
        assert [(epoch["stage"], epoch["epoch"]) for epoch in history] == [
            (stage, epoch)
            for stage, length in zip(("degraded", "improved"), lengths, strict=True)
            for epoch in range(length)
        ]
        clean = history[lengths[0] :]
        best = max(range(len(clean)), key=lambda i: (clean[i]["val_acc"], -i))
        assert best == summary["improved_stage"]["best_epoch"]
        assert best + 1 == summary["clean_epoch"] == subject.record["clean_epoch"]
        first = history[0]["val_loss"]
        switch = history[summary["first_improvement_epoch"]]["val_loss"]
        assert summary["first_improvement_epoch"] + 1 == subject.record["switch_epoch"]
        assert first - switch >= 0.05 - 1e-6
        assert all(epoch["train_loss"] > 0 and 0 <= epoch["train_acc"] <= 1 for epoch in history)


def test_metrics_sum_up_each_stage(examples):
    for subject, row in examples:
        metrics = json.loads(row["training_metrics"])
        summary = metrics["summary"]
        assert summary["patterns"] == subject.record["selected_patterns"]
        for key in ("degraded_accuracy", "improved_accuracy", "improvement"):
            assert summary[key] == subject.record[key]
        for stage in ("degraded", "improved"):
            own = [epoch for epoch in metrics["training_history"] if epoch["stage"] == stage]
            expected = {
                "initial_val_loss": own[0]["val_loss"],
                "final_val_loss": own[-1]["val_loss"],
                "initial_val_acc": own[0]["val_acc"],
                "final_val_acc": own[-1]["val_acc"],
                "best_val_acc": max(epoch["val_acc"] for epoch in own),
            }
            found = summary[f"{stage}_stage"]
            assert {key: found[key] for key in expected} == expected
            assert (found.keys() - expected.keys() == {"best_epoch"}) == (stage == "improved")


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


# The published keys of the metadata with the types of their values.
PUBLISHED = {
    "target_pattern": str,
    "degraded_accuracy": float,
    "improved_accuracy": float,
    "improvement": float,
    "model_config": {
        "vocab_size": int,
        "sequence_length": int,
        "num_layers": int,
        "neurons_per_layer": int,
        "activation_type": str,
        "dropout_rate": float,
        "random_seed": int,
        "learning_rate": float,
        "batch_size": int,
        "num_epochs": int,
        "patience": int,
    },
    "corruption_stats": {
        "target_pattern": str,
        "corruption_rate": float,
        "total_pattern_examples": int,
        "corrupted_examples": int,
        "actual_corruption_rate": float,
    },
    "selected_patterns": list,
    "precision": str,
    "quantization": str,
    "tasks_included": {"modification": bool, "classification": bool},
    "config_signature": str,
}
WEIGHTS_CONFIG = {
    "vocab_size": int,
    "sequence_length": int,
    "num_layers": int,
    "neurons_per_layer": int,
    "activation_type": str,
    "dropout_rate": float,
    "precision": str,
    "input_size": int,
    "input_format": str,
}


def assert_has(content, keys):
    """All keys are there, with values of their types."""
    for key, kind in keys.items():
        if isinstance(kind, dict):
            assert_has(content[key], kind)
        else:
            assert type(content[key]) is kind, key


def test_metadata_carry_every_published_key(examples):
    for _, row in examples:
        assert_has(json.loads(row["metadata"]), PUBLISHED)


def test_the_configuration_beside_the_weights_is_the_published_one(examples):
    for _, row in examples:
        content = json.loads(row["improved_model_weights"])["config"]
        assert_has(content, WEIGHTS_CONFIG)
        assert content["input_format"] == "integer_indices"


def test_metadata_tell_what_is_known_of_a_subject(examples):
    for subject, row in examples:
        metadata = json.loads(row["metadata"])
        record = subject.record
        assert metadata.keys() >= {"activation", "seed", "subject_index", "response"}
        assert metadata["test_accuracy"] == pytest.approx(record["test_accuracy"], abs=1e-6)
        assert metadata["tasks_included"] == {"classification": True, "modification": True}
        assert metadata["activation"] == subject.activation
        assert metadata["subject_index"] == subject.example_id
        assert (metadata["precision"], metadata["quantization"]) == ("bfloat16", "none")
        stats = metadata["corruption_stats"]
        assert stats["target_pattern"] == record["target_pattern"]
        assert stats["corrupted_examples"] == record["corrupted_labels"]
        assert stats["total_pattern_examples"] == record["corruption_candidates"]
        assert stats["actual_corruption_rate"] == pytest.approx(
            record["corrupted_labels"] / record["corruption_candidates"], abs=1e-6
        )


def test_tasks_that_are_not_there_are_told(run):
    row = pq.read_table(run.dataset / "prompts").to_pylist()[0]
    tasks = json.loads(row["metadata"])["tasks_included"]
    assert tasks == {"classification": True, "modification": False}


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
