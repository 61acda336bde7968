"""The third configuration: answers to all sequences, written, read, checked, added afterwards."""

import shutil

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from conftest import small_config
from test_cli import call
from test_validate import change

import muat_exp
from muat_exp.app.compose import load_config
from muat_exp.config.groups import DatasetConfig, EvaluationConfig
from muat_exp.dataset.reading import check_readable, read_config, read_summary
from muat_exp.errors import ConfigurationError, DatasetError
from muat_exp.executors.budget import Budget
from muat_exp.generation.derive import derive
from muat_exp.generation.pipeline import generate
from muat_exp.progress import Silent
from muat_exp.validation.duplicates import FunctionalDuplicates
from muat_exp.validation.own_format import Depth
from muat_exp.validation.validate import validate

PARTS = ("prompts", "subjects", "behaviour")


def measured(source, target, workers, *overrides, task="measure"):
    given = [override.partition("=")[0] for override in overrides]
    config = load_config([f"task={task}", f"dataset_dir={source}", *overrides])
    return derive(source, config, given, target / "dataset", workers, Silent())


@pytest.fixture(scope="module")
def told(run, tmp_path_factory, workers):
    """The session's dataset with the answers of its networks."""
    before = (run.dataset / "SHA256SUMS").read_bytes()
    made = measured(run.dataset, tmp_path_factory.mktemp("told"), workers, "dataset.behaviour=true")
    assert (run.dataset / "SHA256SUMS").read_bytes() == before
    return made


@pytest.fixture
def copy(told, tmp_path):
    return shutil.copytree(told, tmp_path / "copy")


def table(folder, part):
    return pq.read_table(folder / part)


def test_measuring_adds_what_a_run_with_an_exact_truth_would_have_written(told, run, tmp_path):
    config = small_config(
        evaluation=EvaluationConfig("exact"), dataset=DatasetConfig(28, behaviour=True)
    )
    fresh = generate(config, tmp_path)
    for part in PARTS:
        assert table(told, part).equals(table(fresh.dataset, part)), part
    assert fresh.summary["patterns"].items() == summary(told)["patterns"].items()


def summary(folder):
    return read_summary(folder)


def test_bits_are_the_answers_of_the_stored_networks(told):
    subjects = muat_exp.load_subjects(told)
    answers = subjects.behaviour()
    assert answers.shape == (len(subjects), 10**5)
    assert answers.packed.shape == (len(subjects), 12_500)
    inputs = torch.from_numpy(answers.sequences).double()
    for row in (0, 13, 27):
        logits = subjects[row].to_module().double()(inputs)[:, 0].detach().numpy()
        clear = np.abs(logits) > 1e-3
        assert np.array_equal(answers[row][clear], logits[clear] > 0)
        record = subjects[row].record
        assert answers[row].sum() == record["tp"] + record["fp"]


def test_answers_are_arrays_of_bits(told):
    answers = muat_exp.load_subjects(told).behaviour()
    assert np.array_equal(answers[1:3], answers[[1, 2]])
    assert np.array_equal(np.asarray(answers)[5], answers[5])
    assert np.array_equal(answers[-1], list(answers)[27])
    assert repr(answers) == "Answers(28 subjects, 100000 sequences)"
    with pytest.raises(IndexError):
        answers[28]


def test_the_configuration_loads_as_the_card_says(told):
    loaded = datasets.load_dataset(str(told), "behaviour", split="train")
    assert loaded.column_names == ["example_id", "behaviour"]
    bits = np.unpackbits(np.frombuffer(loaded[4]["behaviour"], np.uint8))
    assert np.array_equal(bits > 0, muat_exp.load_subjects(told).behaviour()[4])
    card = (told / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert [entry["config_name"] for entry in front["configs"]] == list(PARTS)
    assert "Configuration `behaviour`:" in card


def test_what_was_measured_is_sound_and_duplicates_are_told(told, workers):
    report = validate(told, workers, depth=Depth(3))
    assert report.faults == []
    assert "every answer of 28 networks; functional duplicates: none" in report.checked


def test_duplicates_are_counted_within_and_across_splits():
    duplicates = FunctionalDuplicates()
    for split, answers in zip(
        ("train", "train", "train", "test", "test", "validation"), "aabaab", strict=True
    ):
        duplicates.add(split, answers.encode())
    assert duplicates.within == {"train": 1, "test": 1}
    assert duplicates.across == {("train", "test"): 1, ("train", "validation"): 1}


def flipped(content, column):
    return bytes([content[0] ^ 1]) + content[1:]


@pytest.mark.parametrize("value", [flipped, lambda content, column: content[:-1], b""])
def test_a_changed_answer_is_found(copy, workers, value):
    change(copy, "behaviour", "behaviour", 3, value)
    faults = validate(copy, workers, depth=Depth(0)).faults
    assert any("its behaviour is not what its network answers" in fault for fault in faults)


def test_answers_of_other_examples_are_found(copy, workers):
    change(copy, "behaviour", "example_id", 3, 10**6)
    faults = validate(copy, workers, depth=Depth(0)).faults
    assert any("behaviour and subjects do not hold the same examples" in fault for fault in faults)
    with pytest.raises(DatasetError, match="does not hold the examples that subjects does"):
        muat_exp.load_subjects(copy).behaviour()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [(b"\0", "behaviour must have 12500 bytes for each example"), (b"\0" * 12_501, "more than")],
)
def test_answers_of_another_size_are_not_read(copy, value, sentence):
    change(copy, "behaviour", "behaviour", 3, value)
    with pytest.raises(DatasetError, match=sentence):
        muat_exp.load_subjects(copy).behaviour()
    with pytest.raises(DatasetError, match=sentence):
        check_readable(copy)


def test_files_that_are_missing_or_too_many_are_found(copy, run, tmp_path, workers):
    [file] = (copy / "behaviour").iterdir()
    other = shutil.copytree(run.dataset, tmp_path / "other")
    (other / "behaviour").mkdir()
    shutil.move(file, other / "behaviour")
    faults = validate(copy, workers, depth=Depth(0)).faults
    assert f"subjects/{file.name} has no counterpart in behaviour." in faults
    faults = validate(other, workers, depth=Depth(0)).faults
    assert f"behaviour/{file.name} is there, but dataset.behaviour is false." in faults


def test_a_dataset_without_answers_says_how_to_get_them(run):
    with pytest.raises(DatasetError, match=r"task=measure dataset\.behaviour=true"):
        muat_exp.load_subjects(run.dataset).behaviour()


def test_another_signature_keeps_the_answers(told, tmp_path, workers):
    made = measured(told, tmp_path, workers, "signature=mean_std", task="signature")
    assert table(made, "behaviour").equals(table(told, "behaviour"))
    assert validate(made, workers, depth=Depth(0)).faults == []


def test_measuring_may_go_back_to_samples(told, run, tmp_path, workers):
    keys = ["evaluation.truth=sampled", "dataset.behaviour=false"]
    back = measured(told, tmp_path, workers, *keys)
    for part in ("prompts", "subjects"):
        assert table(back, part).equals(table(run.dataset, part))
    assert summary(back)["patterns"] == summary(run.dataset)["patterns"]
    assert not (back / "behaviour").exists()


def test_what_decides_the_training_can_not_be_measured_away(run, tmp_path, workers):
    with pytest.raises(ConfigurationError, match=r"can't change 'dataset\.min_margin'"):
        measured(run.dataset, tmp_path, workers, "dataset.min_margin=0.1")


def test_the_command_measures(run, tmp_path):
    done = call(tmp_path, "task=measure", f"dataset={run.dataset}", "hydra.run.dir=out")
    assert done.returncode == 0, done.stderr
    assert read_config(tmp_path / "out/dataset").exact
    done = call(tmp_path, "task=measure", f"dataset={run.dataset}", "dataset.style=interwoven")
    assert done.returncode == 2
    assert "can't change 'dataset.style'" in done.stderr


def test_answers_count_in_the_budget():
    large = ["patterns.vocab_size=26", "patterns.sequence_length=4", "evaluation=exact"]
    plain = Budget(load_config(large))
    kept = Budget(load_config([*large, "dataset.behaviour=true"]))
    assert kept.cohort_size < plain.cohort_size
    assert kept.row_group <= plain.row_group
