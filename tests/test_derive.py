"""Datasets made from the networks of others: nothing is trained, what is stored was measured."""

import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from filelock import FileLock
from test_cli import call
from test_validate import change

import muat_exp
from muat_exp.app.compose import load_config
from muat_exp.config.groups import PROMPT_TASKS
from muat_exp.dataset.checksums import write_checksums
from muat_exp.dataset.hub import dataset_folder
from muat_exp.dataset.reading import read_config
from muat_exp.errors import ConfigurationError, DatasetError, RunFolderError
from muat_exp.generation.derive import derive, derived_config
from muat_exp.generation.pipeline import generate
from muat_exp.generation.run_folder import load_run_config
from muat_exp.progress import Silent
from muat_exp.score.truth import load_truth
from muat_exp.subjects.quantization import rounded
from muat_exp.validation.validate import validate

UNCHANGED = [
    "example_id",
    "target_pattern",
    "learning_rate",
    "switch_epoch",
    "clean_epoch",
    "corrupted_labels",
]


@pytest.fixture
def make(run, tmp_path, workers):
    def made(*overrides, source=run.dataset, folder="made"):
        given = [override.partition("=")[0] for override in overrides[1:]]
        config = load_config([*overrides, f"dataset_dir={source}"])
        found = dataset_folder(str(source))
        return derive(found, config, given, tmp_path / folder / "dataset", workers, Silent())

    return made


def table(folder, part="subjects"):
    return pq.read_table(folder / part)


def test_another_signature_is_the_one_that_a_run_would_have_made(run, make, workers, tmp_path):
    made = make("task=signature", "signature=mean_std")
    assert validate(made, workers).faults == []
    assert (
        table(made).drop_columns("signature").equals(table(run.dataset).drop_columns("signature"))
    )
    signature = read_config(made).signature
    assert read_config(made) == replace(read_config(run.dataset), signature=signature)
    fresh = generate(replace(load_run_config(run.folder), signature=signature), tmp_path / "fresh")
    for part in ("subjects", "prompts"):
        assert table(made, part).equals(table(fresh.dataset, part))


def test_another_style_and_more_columns_and_back_again(run, make, workers):
    keys = ["dataset.tasks=[classification,modification]", "dataset.columns=[improved_signature]"]
    styled = make(
        "task=render",
        "dataset.style=interwoven",
        *keys,
        "dataset.splits={train:0.5,validation:0.5}",
    )
    assert validate(styled, workers).faults == []
    assert read_config(styled).dataset.tasks == PROMPT_TASKS
    assert "### layer_0\n" in table(styled, "prompts")["classification_prompt"][0].as_py()
    plain = ["dataset.style=separate", "dataset.tasks=[classification]", "dataset.columns=[]"]
    plain.append("dataset.splits={train:1,validation:0}")
    back = make("task=render", *plain, source=styled, folder="back")
    for part in ("subjects", "prompts"):
        assert table(back, part).equals(table(run.dataset, part))


@pytest.mark.parametrize(
    "change", ["architecture.precision=bfloat16", "architecture.quantization=ternary"]
)
def test_coarser_weights_are_measured_anew(run, make, workers, change):
    made = make("task=render", change)
    assert validate(made, workers).faults == []
    before, after = muat_exp.load_subjects(run.dataset), muat_exp.load_subjects(made)
    assert table(made).select(UNCHANGED).equals(table(run.dataset).select(UNCHANGED))
    for old, new in zip(before, after, strict=True):
        assert not np.array_equal(old.weights, new.weights)
        if "precision" in change:
            assert np.array_equal(new.weights, rounded(old.weights, "bfloat16"))
        tokens, labels = new.validation()
        right = (
            new.to_module()(torch.from_numpy(tokens).float()).squeeze(-1).detach().numpy() > 0
        ) == (labels > 0.5)
        assert right.mean() == pytest.approx(new.record["improved_accuracy"], abs=0.021)
    with pytest.raises(ConfigurationError, match="can't become"):
        make(
            "task=render",
            "architecture.precision=float32",
            "architecture.quantization=none",
            source=made,
            folder="finer",
        )


def test_the_label_is_the_truth_also_where_no_prompt_asks_for_it(full, make):
    changes = ["dataset.tasks=[modification]", "dataset.label=behaviour"]
    made = make("task=render", *changes, source=full.dataset)
    assert list(load_truth(made).completions) == table(made)["best_pattern"].to_pylist()


def test_the_card_tells_where_the_networks_come_from(run, make):
    card = (make("task=signature", "signature=pca_5") / "README.md").read_text()
    assert f"config_signature `{run.summary['config_signature']}`" in card
    assert "| Neuron profile methods | pca (5) |" in card


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["task=render", "corruption.rate=0.3"], "can't change 'corruption.rate'"),
        (["task=signature", "dataset.style=interwoven"], "can't change 'dataset.style'"),
        (["task=render", "dataset.columns=[training_metrics]"], "did not keep"),
    ],
)
def test_what_was_trained_can_not_be_changed(make, overrides, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        make(*overrides)


def test_a_folder_in_the_way_and_a_folder_without_a_dataset_are_refused(make, tmp_path):
    make("task=signature", "signature=pca_5")
    with pytest.raises(RunFolderError, match="is there already"):
        make("task=signature", "signature=pca_5")
    with pytest.raises(DatasetError, match="There is no folder"):
        make("task=signature", "signature=pca_5", source=tmp_path / "nowhere", folder="other")


def test_one_command_at_a_time_works_in_a_folder(make, tmp_path):
    (tmp_path / "made").mkdir()
    lock = tmp_path / "made/.lock"
    with FileLock(lock), pytest.raises(RunFolderError, match="Another command is at work in"):
        make("task=render", "dataset.style=interwoven")
    lock.write_text("somebody's own")
    with pytest.raises(RunFolderError, match=r"\.lock is there already"):
        make("task=render", "dataset.style=interwoven")
    assert lock.read_text() == "somebody's own"
    assert [path.name for path in lock.parent.iterdir()] == [".lock"]


def test_definitions_stay_unless_they_are_named():
    stored = load_config(["signature.definitions=published", "signature=fourier_3"])
    chosen = load_config(["task=signature", "dataset_dir=x", "signature=fourier_5"])
    made = derived_config(stored, chosen, ["task", "signature"])
    assert made.signature.definitions == "published"
    assert made.signature.n_frequencies == 5
    named = load_config(["task=signature", "dataset_dir=x", "signature.definitions=muat_exp"])
    made = derived_config(stored, named, ["task", "signature.definitions"])
    assert made.signature == replace(stored.signature, definitions="muat_exp")


def test_weights_keep_the_definitions_by_which_they_were_quantised():
    stored = load_config(["architecture.quantization=ternary"])
    named = load_config(["task=signature", "dataset_dir=x", "signature.definitions=published"])
    with pytest.raises(ConfigurationError, match="can't become others"):
        derived_config(stored, named, ["task", "signature.definitions"])
    plain = load_config(["architecture.quantization=int8"])
    made = derived_config(plain, named, ["task", "signature.definitions"])
    assert made.signature.definitions == "published"


def test_only_named_keys_change():
    stored = load_config(["dataset.style=interwoven", "dataset.tasks=[modification]"])
    composed = replace(load_config(["dataset.columns=[improved_signature]"]), task="render")
    derived = derived_config(stored, composed, ["dataset.columns"])
    assert (derived.dataset.style, derived.dataset.tasks) == ("interwoven", ("modification",))
    assert derived.dataset.columns == ("improved_signature",)


def test_the_command_makes_a_dataset_and_says_where(run, tmp_path):
    done = call(
        tmp_path,
        "task=signature",
        f"dataset={run.dataset}",
        "signature=mean_std",
        "hydra.run.dir=out",
    )
    assert done.returncode == 0, done.stderr
    assert 'datasets.load_dataset("out/dataset", split="train")' in done.stdout
    assert table(tmp_path / "out/dataset").num_rows == 28
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_a_signature_keeps_the_probes_and_every_key_that_is_not_named():
    stored = load_config(
        [
            "signature=mean_std",
            "signature.probes=50",
            "signature.probe_seed=7",
            "signature.n_frequencies=3",
        ]
    )
    stored = replace(stored, signature=replace(stored.signature, probe_set_sha256="a" * 64))

    def derived(*overrides):
        composed = replace(load_config(overrides), task="signature")
        return derived_config(
            stored, composed, [override.partition("=")[0] for override in overrides]
        ).signature

    assert derived("signature.site=activations") == replace(stored.signature, site="activations")
    group = derived("signature=pca_5")
    assert (group.methods, group.components) == (("pca",), 5)
    assert (group.probes, group.probe_seed, group.probe_set_sha256) == (50, 7, "a" * 64)
    drawn = derived("signature.probes=60")
    assert (drawn.methods, drawn.probes, drawn.probe_set_sha256) == (("mean", "std"), 60, "")


def test_a_dataset_with_a_tokenizer_of_its_own_is_derived_without_it():
    stored = load_config(["dataset.tokenizer=tokenizer.json"])
    for task in ("signature", "render"):
        composed = replace(load_config(), task=task)
        assert derived_config(stored, composed, []).dataset.tokenizer == "none"
        named = replace(load_config(["dataset.tokenizer=llama3"]), task=task)
        assert derived_config(stored, named, ["dataset.tokenizer"]).dataset.tokenizer == "llama3"


def test_a_damaged_source_is_refused(run, make, tmp_path):
    source = shutil.copytree(run.dataset, tmp_path / "source")
    (source / "README.md").write_text("x")
    with pytest.raises(DatasetError, match=r"is damaged: README\.md"):
        make("task=render", "dataset.style=interwoven", source=source)


def test_a_source_without_all_of_its_examples_is_refused(run, make, tmp_path):
    source = shutil.copytree(run.dataset, tmp_path / "source")
    (path,) = (source / "subjects").iterdir()
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    (source / "SHA256SUMS").unlink()
    write_checksums(source)
    with pytest.raises(DatasetError, match=r"holds 0 examples, but its summary\.json says 28"):
        make("task=render", "dataset.style=interwoven", source=source)


def test_networks_that_are_not_what_was_drawn_are_refused(run, make, tmp_path):
    source = shutil.copytree(run.dataset, tmp_path / "source")
    change(source, "subjects", "target_pattern", 5, "palindrome")
    with pytest.raises(
        DatasetError, match="target_pattern is not what its number and the seed give"
    ):
        make("task=render", "dataset.style=interwoven", source=source)
    assert {path.name for path in (tmp_path / "made").iterdir()} <= {".lock", ".muat_exp"}


def test_weights_beyond_a_type_are_refused(full, run, make, tmp_path):
    source = shutil.copytree(run.dataset, tmp_path / "source")
    change(source, "subjects", "weights", 5, lambda weights, column: [70_000.0, *weights[1:]])
    with pytest.raises(DatasetError, match="float16 can't hold"):
        make("task=render", "architecture.precision=float16", source=source)
