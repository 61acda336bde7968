"""A sceptic's check: silent on a sound dataset, and a sentence for each way to spoil one."""

import json
import os
import re
import shutil
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import call

from muat_exp.dataset.checksums import write_checksums
from muat_exp.dataset.parquet import open_parquet
from muat_exp.errors import DatasetError
from muat_exp.validation.own_format import Depth
from muat_exp.validation.validate import validate

NOTHING_TRAINED = Depth(retrain=0)


def faults_of(folder, workers, depth=NOTHING_TRAINED):
    """The faults of a dataset; nothing is trained again, which other tests are about."""
    return validate(folder, workers, depth=depth).faults


@pytest.fixture
def dataset(run, tmp_path):
    return shutil.copytree(run.dataset, tmp_path / "dataset")


def change(folder, part, column, row, value):
    """Rewrites one cell of a dataset, checksums included."""
    path = min((folder / part).glob("*.parquet"))
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[row] = value(values[row], values) if callable(value) else value
    place = table.column_names.index(column)
    pq.write_table(
        table.set_column(
            place, table.schema.field(place), pa.array(values, table.schema.field(place).type)
        ),
        path,
    )
    (folder / "SHA256SUMS").unlink()
    write_checksums(folder)


def test_a_fresh_dataset_is_sound(dataset, workers):
    assert faults_of(dataset, workers) == []


def shifted(weights, column):
    return [*weights[:7], weights[7] + 0.5, *weights[8:]]


@pytest.mark.parametrize(
    ("part", "column", "value", "sentence"),
    [
        ("subjects", "improved_accuracy", 0.77, "improved_accuracy is 0.770000"),
        ("subjects", "test_accuracy", 0.999, "test_accuracy is 0.999000"),
        ("subjects", "weights", shifted, "classification_prompt is not a rendering"),
        ("subjects", "weights", lambda weights, column: column[0], "weights"),
        ("subjects", "weights", lambda weights, column: weights[:-1], "not as many numbers"),
        (
            "subjects",
            "weights",
            lambda weights, column: [float("nan"), *weights[1:]],
            "not finite, or so large",
        ),
        (
            "subjects",
            "weights",
            lambda weights, column: [1e30] * len(weights),
            "not finite, or so large",
        ),
        ("subjects", "weights", None, "weights has a null"),
        ("subjects", "response", None, "response has a null"),
        (
            "subjects",
            "selected_patterns",
            lambda names, column: [None],
            "selected_patterns has a null",
        ),
        ("subjects", "num_layers", -3, "num_layers is not what its number and the seed give"),
        ("subjects", "example_id", -1, "do not hold the same examples"),
        ("prompts", "classification_text", None, "classification_text has a null"),
        ("subjects", "signature", shifted, "its signature is not what its network gives"),
        (
            "subjects",
            "target_pattern",
            "palindrome",
            "target_pattern is not what its number and the seed give",
        ),
        ("subjects", "corrupted_labels", 99, "number of corrupted labels"),
        ("subjects", "example_id", lambda number, column: column[0], "more than once"),
        (
            "subjects",
            "response",
            lambda shares, column: dict.fromkeys(shares, 0.5),
            "response is not what its network gives",
        ),
        (
            "prompts",
            "classification_completion",
            "alternating or so",
            "classification_completion is not a rendering",
        ),
        ("prompts", "metadata", json.dumps({"target_pattern": "x"}), "metadata is not a rendering"),
    ],
)
def test_a_changed_cell_is_found(dataset, workers, part, column, value, sentence):
    change(dataset, part, column, 5, value)
    assert sentence in " ".join(faults_of(dataset, workers))


def test_damage_is_found_by_checksums(dataset, workers):
    (dataset / "probe_set.json").write_bytes((dataset / "probe_set.json").read_bytes() + b" ")
    (dataset / "README.md").unlink()
    (dataset / "extra").write_text("x")
    faults = " ".join(faults_of(dataset, workers))
    for sentence in (
        "probe_set.json does not have its checksum",
        "README.md is missing",
        "extra is not in SHA256SUMS",
    ):
        assert sentence in faults


def test_a_card_that_tells_other_counts_is_found(dataset, workers):
    card = dataset / "README.md"
    card.write_text(re.sub(r"(\| palindrome \| \d+ \| )\d+", r"\g<1>9", card.read_text(), count=1))
    assert "README.md does not have the line that the data give: | palindrome |" in " ".join(
        faults_of(dataset, workers)
    )


def test_a_summary_that_tells_other_figures_is_found(dataset, workers):
    path = dataset / "summary.json"
    summary = json.loads(path.read_bytes())
    summary["patterns"]["palindrome"]["test_accuracy"] += 0.01
    path.write_text(json.dumps(summary))
    assert "patterns.palindrome.test_accuracy is" in " ".join(faults_of(dataset, workers))


def test_a_dataset_with_everything_in_it_is_sound(full, workers):
    assert faults_of(full.dataset, workers) == []


@pytest.mark.parametrize(
    ("part", "column", "value", "sentence"),
    [
        (
            "subjects",
            "degraded_signature",
            lambda row, column: [row[0] + 1, *row[1:]],
            "its degraded_signature is not",
        ),
        ("subjects", "history", lambda row, column: row[:4], "history has not as many numbers"),
        (
            "subjects",
            "weights",
            lambda row, column: [row[0] * 1.001, *row[1:]],
            "not stored as the configuration says",
        ),
        ("prompts", "modification_completion", "{}", "modification_completion is not a rendering"),
        ("prompts", "training_metrics", "{}", "training_metrics is not a rendering"),
    ],
)
def test_a_changed_cell_of_an_optional_column_is_found(
    full, tmp_path, workers, part, column, value, sentence
):
    folder = shutil.copytree(full.dataset, tmp_path / "dataset")
    change(folder, part, column, 3, value)
    assert sentence in " ".join(faults_of(folder, workers))


def test_an_example_in_another_split_is_found(full, tmp_path, workers):
    folder = shutil.copytree(full.dataset, tmp_path / "dataset")
    for part in ("subjects", "prompts"):
        train, test = (next((folder / part).glob(f"{split}-*")) for split in ("train", "test"))
        swapped = test.with_name("swapped")
        train.rename(swapped), test.rename(train), swapped.rename(test)
    assert "it is not in the split that it belongs to" in " ".join(faults_of(folder, workers))


def test_the_command_tells_and_fails(dataset, tmp_path):
    sound = call(tmp_path, "task=validate", "dataset=dataset", "retrain=2")
    assert sound.returncode == 0
    assert "28 examples, every network run again, 2 trained again" in sound.stdout
    assert "checked: 6 files against SHA256SUMS" in sound.stdout
    change(dataset, "subjects", "improvement", 0, 0.123)
    done = call(tmp_path, "task=validate", "dataset=dataset")
    assert done.returncode == 1
    assert "metadata is not a rendering" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["dataset=nowhere"], "nowhere"), ([], "task=validate needs dataset")],
)
def test_a_folder_without_a_dataset_is_a_sentence(tmp_path, arguments, sentence):
    done = call(tmp_path, "task=validate", *arguments)
    assert done.returncode in (1, 2)
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


@settings(max_examples=25)
@given(st.data())
def test_mutated_files_are_found_without_a_crash(run, workers, tmp_path_factory, data):
    folder = shutil.copytree(run.dataset, tmp_path_factory.mktemp("mutated") / "dataset")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), at]))])
    if path.name == "config.yaml":  # it may be changed so that no dataset could be checked
        with suppress(DatasetError):
            assert faults_of(folder, workers) != []
    else:
        assert faults_of(folder, workers) != []


@pytest.fixture
def elsewhere(run, tmp_path):
    """The published fields alone, as a dataset made elsewhere has them."""
    table = pq.read_table(run.dataset / "prompts")
    (tmp_path / "elsewhere/data").mkdir(parents=True)
    pq.write_table(table, tmp_path / "elsewhere/data/train.parquet")
    return tmp_path / "elsewhere"


def test_a_dataset_of_published_fields_alone_is_checked_as_far_as_they_go(elsewhere, workers):
    assert faults_of(elsewhere, workers) == []


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        (
            "classification_prompt",
            lambda row, column: column[0],
            "its weights are those of example",
        ),
        (
            "classification_prompt",
            lambda row, column: row.replace("network.0.bias", "x"),
            "can't be read from its prompt",
        ),
        ("classification_completion", "palindrome or so", "not its prompt followed by"),
        ("example_id", lambda row, column: column[0], "occurs more than once"),
        ("metadata", "[]", "metadata is no JSON object"),
        (
            "metadata",
            lambda row, column: row.replace('"improvement":', '"improvement":9'),
            "not the difference",
        ),
        (
            "metadata",
            lambda row, column: row.replace('"num_layers":', '"num_layers":1'),
            "model_config says num_layers",
        ),
        (
            "metadata",
            lambda row, column: row.replace('"target_pattern":"', '"target_pattern":"x'),
            "no known pattern",
        ),
    ],
)
def test_faults_of_published_fields_are_found(elsewhere, workers, column, value, sentence):
    (path,) = (elsewhere / "data").glob("*.parquet")
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[5] = value(values[5], values) if callable(value) else value
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(values)), path)
    assert sentence in " ".join(faults_of(elsewhere, workers))


def test_a_folder_of_other_files_is_no_dataset(tmp_path, workers):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    with pytest.raises(DatasetError, match="holds no dataset"):
        validate(tmp_path, workers)


def test_what_would_fill_the_memory_is_refused(dataset, workers):
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    (dataset / "config.yaml").write_text(bomb)
    assert "has an alias" in " ".join(faults_of(dataset, workers))


def test_lists_that_are_too_long_are_not_read(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("muat_exp.dataset.parquet.MAX_LIST_VALUES", 100)
    with pytest.raises(DatasetError, match="holds more than a dataset does"):
        open_parquet(min((dataset / "subjects").glob("*.parquet")))


def test_an_interpolation_in_a_configuration_is_not_resolved(dataset, workers, monkeypatch):
    monkeypatch.setenv("CANARY", "secret-value")
    path = dataset / "config.yaml"
    path.write_text(path.read_text().replace("recipe: robust", "recipe: ${oc.env:CANARY}"))
    assert "secret-value" not in " ".join(faults_of(dataset, workers))


@pytest.mark.parametrize(
    ("move", "sentence"),
    [
        (
            lambda path: path.rename(path.with_name("part.parquet")),
            "part.parquet is no name of a shard",
        ),
        (
            lambda path: path.rename(path.with_name("train-00001-of-00002.parquet")),
            "has no counterpart in",
        ),
        (lambda path: path.unlink(), "has no counterpart in subjects"),
        (lambda path: path.write_bytes(b"PAR1"), "can't be read"),
        (
            lambda path: shutil.copy(path, path.with_name("train-00001-of-00002.parquet")),
            "train has 1 of 2 shards",
        ),
    ],
)
def test_all_faults_of_files_are_listed(dataset, workers, move, sentence):
    move(next((dataset / "subjects").glob("*.parquet")))
    (dataset / "probe_set.json").unlink()
    faults = " ".join(faults_of(dataset, workers))
    for expected in (sentence, "probe_set.json is missing", "probe_set.json does not hold"):
        assert expected in faults


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda summary: summary.update(attempts=summary["attempts"] + 1),
            "summary.json: attempts is",
        ),
        (
            lambda summary: summary["patterns"]["alternating"]["rejected"].update(diverged=1),
            "attempts of alternating are not",
        ),
        (lambda summary: summary.update(config_signature="0" * 16), "config_signature is '0000"),
        (lambda summary: summary["patterns"].pop("alternating"), "lacks figures"),
    ],
)
def test_counts_that_contradict_each_other_are_found(dataset, workers, change, sentence):
    path = dataset / "summary.json"
    summary = json.loads(path.read_bytes())
    change(summary)
    path.write_text(json.dumps(summary))
    assert sentence in " ".join(faults_of(dataset, workers))


def test_an_example_that_the_rules_would_have_rejected_is_found(run, tmp_path, workers):
    folder = shutil.copytree(run.dataset, tmp_path / "dataset")
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("min_test_accuracy: 0.55", "min_test_accuracy: 0.99"))
    assert "less improvement or test accuracy than the configuration accepts" in " ".join(
        faults_of(folder, workers)
    )


def test_weights_that_are_not_quantised_are_found(run, tmp_path, workers):
    folder = shutil.copytree(run.dataset, tmp_path / "dataset")
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("quantization: none", "quantization: int4"))
    assert "quantization int4" in " ".join(faults_of(folder, workers))


def emptied(folder, *names):
    for name in names:
        (folder / name).unlink()


TEXTS = ("config.yaml", "summary.json", "README.md", "probe_set.json", "SHA256SUMS")


@pytest.mark.parametrize(
    "gone",
    [
        ("config.yaml",),
        TEXTS,  # `subjects` tells
        (*TEXTS, "subjects/train-00000-of-00001.parquet"),  # the metadata of `prompts` tell
        ("config.yaml", *("README.md", "SHA256SUMS", "summary.json")),
    ],
)
def test_a_dataset_of_ours_without_its_configuration_is_a_faulty_one(dataset, workers, gone):
    emptied(dataset, *gone)
    report = validate(dataset, workers)
    assert "config.yaml is missing: a dataset of this program has one." in report.faults
    assert report.headline == "no network was run again"
    assert any("networks, texts and figures" in clause for clause in report.unchecked)


def test_what_is_no_file_is_a_sentence_wherever_it_lies(dataset, workers):
    for name in ("config.yaml", "SHA256SUMS"):
        (dataset / name).unlink()
        os.mkfifo(dataset / name)
    (dataset / "zero").symlink_to("/dev/zero")
    (dataset / "loop").symlink_to("loop")
    found = faults_of(dataset, workers)
    for sentence in (
        "config.yaml is a FIFO, which is not read.",
        "config.yaml is no file: a dataset of this program has one.",
        "SHA256SUMS is no file: files can't be checked.",
        "zero is a link out of the dataset's folder.",
        "loop is a link that leads nowhere.",
    ):
        assert sentence in found


@pytest.mark.parametrize("name", ["summary.json", "README.md", "probe_set.json"])
@pytest.mark.parametrize(
    ("put", "state"),
    [(os.mkfifo, "is no file"), (os.mkdir, "is a folder"), (lambda path: None, "is missing")],
)
def test_a_text_that_is_none_leaves_the_rest_to_be_checked(dataset, workers, name, put, state):
    (dataset / name).unlink()
    put(dataset / name)
    report = validate(dataset, workers, depth=NOTHING_TRAINED)
    assert f"{name} {state}." in report.faults
    assert any("28 of 28 examples" in clause for clause in report.checked)


def test_links_within_a_snapshot_of_the_hubs_cache_are_none_out_of_it(run, tmp_path, workers):
    blobs = shutil.copytree(run.dataset, tmp_path / "cache" / "blobs")
    snapshot = tmp_path / "cache" / "snapshots" / "0a1b"
    for path in sorted(blobs.rglob("*")):
        place = snapshot / path.relative_to(blobs)
        if path.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)
    assert faults_of(snapshot, workers) == []


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("0" * 64 + "  ../x\n", "line 7: ../x is not a file within the dataset."),
        ("0" * 64 + "  /etc/passwd\n", "line 7: /etc/passwd is not a file within the dataset."),
        ("0" * 64 + "  README.md\n", "line 7: README.md is listed twice."),
        ("hello\n", "line 7: it is no checksum."),
        ("0" * 64 + "  gone.txt\n", "gone.txt is missing."),
    ],
)
def test_a_list_of_checksums_that_lists_more_is_found(dataset, workers, line, sentence):
    with (dataset / "SHA256SUMS").open("a") as file:
        file.write(line)
    assert sentence in " ".join(faults_of(dataset, workers))


def test_names_that_can_not_be_printed_are_told_all_the_same(dataset, workers):
    (dataset / os.fsdecode(b"\xff\x1b[2J\n")).write_text("x")
    report = validate(dataset, workers, depth=NOTHING_TRAINED)
    assert "\\udcff\\x1b[2J\\n is not in SHA256SUMS." in report.faults
    assert all(line.isprintable() for line in report.lines())


def test_what_was_checked_is_told(dataset, workers):
    (dataset / "notes.txt").write_text("x")
    (dataset / "SHA256SUMS").unlink()
    write_checksums(dataset)
    report = validate(dataset, workers, depth=Depth(retrain=3))
    assert report.faults == []
    assert report.headline == "28 examples, every network run again, 3 trained again"
    told = "\n".join(report.lines())
    for clause in (
        "checked: 7 files against SHA256SUMS",
        "checked: 28 of 28 examples: data drawn again, both networks run again",
        "in prompts (metadata, classification_prompt, classification_completion",
        "checked: 3 of 28 subjects trained again from their numbers: 3 to the last bit",
        "checked: every figure of summary.json",
        "checked: every line of README.md",
        "not checked: what no dataset needs: notes.txt",
        "not checked: the training of 25 subjects (thorough=true trains all again)",
        "not checked: why each attempt was rejected, but that the counts add up",
    ):
        assert clause in told


def test_one_network_that_can_not_be_run_keeps_no_other_from_it(dataset, workers):
    change(dataset, "subjects", "weights", 5, lambda row, column: [float("inf"), *row[1:]])
    change(dataset, "subjects", "test_accuracy", 6, 0.999)
    report = validate(dataset, workers, depth=NOTHING_TRAINED)
    assert any("27 of 28 examples" in clause for clause in report.checked)
    assert any("networks and texts of 1 example" in clause for clause in report.unchecked)
    assert "test_accuracy is 0.999000" in " ".join(report.faults)


@pytest.mark.parametrize("epoch", [-5, 0, 1, 21])
def test_an_epoch_that_no_stage_has_is_found(dataset, workers, epoch):
    change(dataset, "subjects", "switch_epoch", 2, epoch)
    assert "switch_epoch is not one from 2 to 20" in " ".join(faults_of(dataset, workers))


def test_examples_that_stand_twice_or_in_another_order_are_found(dataset, workers):
    for part in ("subjects", "prompts"):
        [path] = (dataset / part).glob("*.parquet")
        table = pq.read_table(path)
        pq.write_table(pa.concat_tables([table.slice(2, 25), table.slice(0, 3)]), path)
    found = " ".join(faults_of(dataset, workers))
    for sentence in (
        "not in the order of their numbers",
        "an example_id occurs more than once",
        "its weights are those of example",
    ):
        assert sentence in found


def test_a_configuration_that_tells_another_signature_is_found(dataset, workers):
    path = dataset / "config.yaml"
    path.write_text(path.read_text().replace("# config_signature: ", "# config_signature: 0"))
    assert "config.yaml does not begin with `# config_signature: " in " ".join(
        faults_of(dataset, workers)
    )


def test_checksums_of_a_dataset_made_elsewhere_are_compared(elsewhere, workers):
    write_checksums(elsewhere)
    report = validate(elsewhere, workers)
    assert report.faults == []
    assert "1 file against SHA256SUMS" in report.checked
    assert "in the published layout" in report.headline
    (elsewhere / "SHA256SUMS").write_text("0" * 64 + "  data/train.parquet\n")
    assert "data/train.parquet does not have its checksum" in " ".join(
        faults_of(elsewhere, workers)
    )


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("weights", [[1.0], [float("nan")]], "weights holds a number that is not finite"),
        ("weights", [[[1.0]], [[-np.inf]]], "weights holds a number that is not finite"),
        ("improved_model_weights", [None, '{"a": [NaN]}'], "no JSON with finite numbers"),
        ("degraded_model_weights", ["{}", '{"a": [1, null]}'], "missing or not finite"),
        ("improved_signature", [None, '{"a": 1e999}'], "no JSON with finite numbers"),
    ],
)
def test_numbers_that_are_not_finite_are_found_in_any_column(
    elsewhere, workers, name, values, sentence
):
    [path] = (elsewhere / "data").glob("*.parquet")
    table = pq.read_table(path).slice(0, 2)
    pq.write_table(table.append_column(name, pa.array(values)), path)
    [fault] = faults_of(elsewhere, workers)
    assert sentence in fault
