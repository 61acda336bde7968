"""A sceptic's check: silent on a sound dataset, and a sentence for each way to spoil one."""

import json
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import call

from muat_exp.dataset.checksums import write_checksums
from muat_exp.dataset.validate import validate
from muat_exp.errors import DatasetError


@pytest.fixture
def dataset(run, tmp_path):
    return shutil.copytree(run.dataset, tmp_path / "dataset")


def change(folder, part, column, row, value):
    """Rewrites one cell of a dataset, checksums included."""
    (path,) = (folder / part).glob("*.parquet")
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[row] = value(values[row], values) if callable(value) else value
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type)), path)
    (folder / "SHA256SUMS").unlink()
    write_checksums(folder)


def test_a_fresh_dataset_is_sound(dataset, workers):
    assert validate(dataset, workers) == []


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
        ("subjects", "signature", shifted, "its signature is not what its network gives"),
        ("subjects", "target_pattern", "palindrome", "target_pattern is not what its number and the seed give"),
        ("subjects", "corrupted_labels", 99, "number of corrupted labels"),
        ("subjects", "example_id", lambda number, column: column[0], "more than once"),
        ("subjects", "response", lambda shares, column: dict.fromkeys(shares, 0.5), "response is not what its network gives"),
        ("prompts", "classification_completion", "alternating or so", "classification_completion is not a rendering"),
        ("prompts", "metadata", json.dumps({"target_pattern": "x"}), "metadata is not a rendering"),
    ],
)
def test_a_changed_cell_is_found(dataset, workers, part, column, value, sentence):
    change(dataset, part, column, 5, value)
    assert sentence in " ".join(validate(dataset, workers))


def test_damage_is_found_by_checksums(dataset, workers):
    (dataset / "probe_set.json").write_bytes((dataset / "probe_set.json").read_bytes() + b" ")
    (dataset / "README.md").unlink()
    (dataset / "extra").write_text("x")
    faults = " ".join(validate(dataset, workers))
    for sentence in ("probe_set.json does not have its checksum", "README.md is missing", "extra is not in SHA256SUMS"):
        assert sentence in faults


def test_a_card_that_tells_other_counts_is_found(dataset, workers):
    card = dataset / "README.md"
    card.write_text(re.sub(r"(\| palindrome \| \d+ \| )\d+", r"\g<1>9", card.read_text(), count=1))
    assert "examples of palindrome" in " ".join(validate(dataset, workers))


def test_the_command_tells_and_fails(dataset, tmp_path):
    assert call(tmp_path, "task=validate", "dataset=dataset").returncode == 0
    change(dataset, "subjects", "improvement", 0, 0.123)
    done = call(tmp_path, "task=validate", "dataset=dataset")
    assert done.returncode == 1
    assert "metadata is not a rendering" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("arguments", "sentence"), [(["dataset=nowhere"], "nowhere"), ([], "task=validate needs dataset")])
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
    try:
        assert validate(folder, workers) != []
    except DatasetError as error:
        assert str(folder) in str(error) or path.name in str(error)
