"""A whole run: what it writes, and that nothing but the configuration decides the data."""

import csv
import json
from dataclasses import replace

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import small_config

import muat_exp
from muat_exp.config.groups import CorruptionConfig, DatasetConfig, Range
from muat_exp.errors import RunFolderError
from muat_exp.generation.pipeline import generate
from muat_exp.generation.run_folder import load_run_config
from muat_exp.signatures.profiling import profile
from muat_exp.subjects.architecture import zero_networks
from muat_exp.subjects.population import Population


def subjects_table(result):
    files = sorted((result.dataset / "subjects").glob("*.parquet"))
    return pq.read_table(files[0])


def test_the_dataset_is_balanced_and_ordered(run):
    table = subjects_table(run)
    ids = table["example_id"].to_pylist()
    assert ids == sorted(set(ids))
    _, counts = np.unique(table["target_pattern"].to_pylist(), return_counts=True)
    assert counts.tolist() == [2] * 14


def test_load_dataset_reads_both_configurations_offline(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    cache = str(tmp_path)
    prompts = datasets.load_dataset(str(run.dataset), split="train", cache_dir=cache)
    subjects = datasets.load_dataset(str(run.dataset), "subjects", split="train", cache_dir=cache)
    assert prompts["example_id"][:] == subjects["example_id"][:]
    first = prompts[0]
    assert (
        first["classification_text"]
        == first["classification_prompt"] + first["classification_completion"]
    )
    assert json.loads(first["metadata"])["target_pattern"] == subjects[0]["target_pattern"]


def test_datasets_of_one_folder_name_do_not_share_a_cache(run, full, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    cache = str(tmp_path)
    first = datasets.load_dataset(str(run.dataset), split="train", cache_dir=cache)
    plain = generate(small_config(seed=5), tmp_path / "other")
    second = datasets.load_dataset(str(plain.dataset), split="train", cache_dir=cache)
    assert first["metadata"][0] != second["metadata"][0]
    assert second["metadata"][:] == pq.read_table(plain.dataset / "prompts")["metadata"].to_pylist()


def test_the_public_function_can_be_called_again(run):
    again = [muat_exp.generate(load_run_config(run.folder), run.folder) for _ in range(2)]
    assert again[0].summary == again[1].summary
    assert callable(muat_exp.generate)


def test_stored_networks_reproduce_their_accuracy_and_signature(run):
    subjects = muat_exp.load_subjects(run.dataset)
    for subject in subjects:
        tokens, labels = subject.validation()
        logits = subject.to_module()(torch.from_numpy(tokens).float()).squeeze(-1).detach().numpy()
        assert ((logits > 0) == (labels > 0.5)).mean() == pytest.approx(
            subject.record["improved_accuracy"], abs=1e-9
        )
        degraded = (
            subject.to_module(degraded=True)(torch.from_numpy(tokens).float())
            .squeeze(-1)
            .detach()
            .numpy()
        )
        assert ((degraded > 0) == (labels > 0.5)).mean() == pytest.approx(
            subject.record["degraded_accuracy"], abs=1e-9
        )
    depths, widths = (
        np.array([getattr(subject, name) for subject in subjects])
        for name in ("num_layers", "neurons_per_layer")
    )
    codes = np.array([["relu", "gelu"].index(subject.activation) for subject in subjects])
    population = Population(zero_networks("uniform", 5, depths, widths, codes))
    for i, subject in enumerate(subjects):
        population.subject(i)[:] = subject.weights
    flat, _ = profile(
        subjects.config.signature, population, subjects.probes, np.arange(len(subjects))
    )
    assert np.array_equal(flat, np.concatenate([s.signature.ravel() for s in subjects]))


def test_the_summary_adds_up(run):
    summary = json.loads((run.folder / "summary.json").read_bytes())
    assert summary["accepted"] == summary["asked"] == 28
    assert summary["attempts"] == summary["accepted"] + sum(summary["rejected"].values())
    assert sum(p["attempts"] for p in summary["patterns"].values()) == summary["attempts"]
    assert summary["attempts_per_second"] > 0
    assert (
        0.5
        < summary["accuracy"]["degraded_accuracy"]
        < summary["accuracy"]["improved_accuracy"]
        <= 1
    )


def test_the_curves_have_a_row_a_stage_and_epoch(run):
    rows = list(csv.DictReader((run.folder / "metrics.csv").read_text().splitlines()))
    assert {row["stage"] for row in rows} == {"degraded", "clean"}
    assert all(0 <= float(row["validation_accuracy_mean"]) <= 1 for row in rows)
    assert float(rows[0]["training"]) > 0


@pytest.mark.parametrize(("workers", "cohort_size"), [(1, 1000), (2, 17), (3, 40)])
def test_workers_and_cohorts_do_not_change_a_byte(run, tmp_path, workers, cohort_size):
    again = generate(small_config(workers=workers, cohort_size=cohort_size), tmp_path)
    for part in ("subjects", "prompts"):
        (ours,), (theirs,) = ((r.dataset / part).glob("*.parquet") for r in (run, again))
        assert ours.read_bytes() == theirs.read_bytes()
    assert (run.dataset / "probe_set.json").read_bytes() == (
        again.dataset / "probe_set.json"
    ).read_bytes()
    assert (run.dataset / "README.md").read_text() == (again.dataset / "README.md").read_text()


def test_a_finished_run_is_not_trained_again_and_can_be_extended(tmp_path):
    first = generate(small_config(), tmp_path)
    before = subjects_table(first)
    again = generate(small_config(), tmp_path)
    assert again.summary == first.summary
    assert subjects_table(again).equals(before)
    more = generate(small_config(dataset=DatasetConfig(num_examples=42)), tmp_path)
    longer = subjects_table(more)
    assert set(before["example_id"].to_pylist()) < set(longer["example_id"].to_pylist())
    assert longer.num_rows == 42


def test_a_folder_of_another_configuration_is_refused(run):
    with pytest.raises(RunFolderError, match=r"corruption\.rate"):
        generate(small_config(corruption=CorruptionConfig(0.3)), run.folder)


def test_several_patterns_a_subject_and_no_balance(tmp_path):
    config = small_config()
    config = replace(
        config,
        patterns=replace(config.patterns, per_subject=Range(1, 3)),
        dataset=DatasetConfig(num_examples=20, balance=False),
    )
    table = subjects_table(generate(config, tmp_path))
    assert max(len(names) for names in table["selected_patterns"].to_pylist()) > 1
    assert table.num_rows == 20


def test_the_torch_engine_makes_a_dataset_too(tmp_path):
    config = small_config(engine="torch")
    config = replace(
        config, patterns=replace(config.patterns, enabled=("starts_with", "contains_abc"))
    )
    result = generate(
        replace(config, dataset=DatasetConfig(num_examples=4), cohort_size=6), tmp_path
    )
    assert subjects_table(result).num_rows == 4
