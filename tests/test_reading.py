"""Datasets of anywhere: joined, and whatever is wrong with one is a sentence."""

import os
import shutil
import socket
from contextlib import suppress

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import small_config
from hypothesis import given
from hypothesis import strategies as st
from mutations import USES, all_mutations, damaged, one_file, prepare, with_column

from muat_exp.config.groups import DatasetConfig, PatternsConfig
from muat_exp.dataset.checksums import differences
from muat_exp.dataset.parquet import open_parquet
from muat_exp.dataset.reading import load_subjects, read_config
from muat_exp.documents import parse_json, parse_yaml
from muat_exp.errors import DatasetError, DocumentError, MuatError, PredictionsError
from muat_exp.generation.pipeline import generate
from muat_exp.generation.source import Source
from muat_exp.opening import open_file, read_file
from muat_exp.score.predictions import survey
from muat_exp.score.truth import load_truth
from muat_exp.sequences.patterns import NAMES

TRIED = 100  # of the mutations, evenly


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A dataset of other patterns, in another order than the registry's."""
    config = small_config(
        patterns=PatternsConfig(enabled=("alternating", "all_same", "palindrome")),
        dataset=DatasetConfig(num_examples=6),
    )
    return generate(config, tmp_path_factory.mktemp("other")).dataset


@pytest.fixture
def dataset(run, tmp_path):
    return shutil.copytree(run.dataset, tmp_path / "dataset")


def test_a_response_has_a_field_for_every_pattern(other, run):
    for folder in (other, run.dataset):
        subjects = load_subjects(folder)
        enabled = set(subjects.config.patterns.enabled)
        for subject in subjects:
            response = subject.record["response"]
            assert tuple(response) == NAMES
            assert {name for name, share in response.items() if share is not None} == enabled


@pytest.mark.parametrize("part", ["subjects", "prompts"])
def test_datasets_of_other_patterns_are_joined(other, run, part):
    folders = (other, run.dataset)
    tables = [pq.read_table(folder / part).replace_schema_metadata() for folder in folders]
    assert pa.concat_tables(tables).num_rows == 34
    loaded = [datasets.load_dataset(str(folder), part, split="train") for folder in folders]
    joined = datasets.concatenate_datasets(loaded)
    assert joined.to_list() == [row for table in tables for row in table.to_pylist()]


def test_a_dataset_whose_responses_are_of_its_own_patterns_only_is_refused(dataset):
    enabled = load_subjects(dataset).config.patterns.enabled
    path = one_file(dataset, "subjects")
    fewer = pa.struct([(name, pa.float32()) for name in enabled])
    pq.write_table(with_column("response", lambda c: c.cast(fewer), pq.read_table(path)), path)
    with pytest.raises(DatasetError, match="the column response is struct<"):
        load_subjects(dataset)


@pytest.fixture(scope="module")
def scratch(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutations")
    prepare(run.dataset, folder)
    return folder


def test_whatever_is_wrong_with_a_dataset_is_a_sentence(run, scratch, workers):
    mutations = list(all_mutations(run.dataset))
    refused = 0
    for name, mutate in mutations[:: max(1, len(mutations) // TRIED)]:
        for use in ("load", "score", "publish"):
            copy = damaged(run.dataset, mutate, scratch)
            try:
                USES[use](copy, scratch, workers)
            except MuatError:
                refused += 1
            except Exception as error:
                raise AssertionError(f"{use} of {name}") from error
    assert refused > TRIED  # most of them are refused by most of the uses


@pytest.mark.parametrize("use", ["render", "signature"])
def test_what_cannot_be_derived_from_is_a_sentence(run, scratch, workers, use):
    for name, mutate in list(all_mutations(run.dataset))[5:300:29]:
        copy = damaged(run.dataset, mutate, scratch)
        try:
            USES[use](copy, scratch, workers)
        except MuatError:
            pass
        except Exception as error:
            raise AssertionError(f"{use} of {name}") from error


def rewrite(folder, part, column, change):
    """Another column in a file; returns the file."""
    path = one_file(folder, part)
    pq.write_table(with_column(column, change, pq.read_table(path)), path)
    return path


def without_decoding(monkeypatch):
    """Fails a test that decodes a file."""

    def refuse(*arguments, **named):
        raise AssertionError("a file was decoded")

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", refuse)


def zeros_first(column):
    """The lists of a column, but 20 million zeros for the first."""
    long = pa.array([np.zeros(20_000_000, np.float32)], column.type)
    return pa.concat_arrays([long, column.slice(1)])


@pytest.mark.parametrize("name", ["weights", "signature"])
def test_repeated_numbers_are_refused_before_they_are_decoded(dataset, monkeypatch, name):
    path = rewrite(dataset, "subjects", name, zeros_first)
    assert path.stat().st_size < 2**20
    without_decoding(monkeypatch)
    with pytest.raises(DatasetError, match=rf"holds more than a dataset does: row group 0: {name}"):
        load_subjects(dataset)
    with pytest.raises(DatasetError, match="holds more than a dataset does"):
        Source.open(dataset)


def test_more_rows_than_the_configuration_asks_for_are_refused(dataset, monkeypatch):
    path = one_file(dataset, "subjects")
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table] * 200), path)
    without_decoding(monkeypatch)
    with pytest.raises(DatasetError, match="5600 rows; at most 28"):
        load_subjects(dataset)


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_text_of_70_mb_is_refused_before_it_is_decoded(dataset, dictionary):
    path = one_file(dataset, "prompts")
    table = pq.read_table(path)
    texts = pa.array(["x" * (70 * 2**20), *table["classification_completion"].to_pylist()[1:]])
    table = with_column("classification_completion", lambda column: texts, table)
    pq.write_table(table, path, use_dictionary=dictionary, dictionary_pagesize_limit=2**30)
    with pytest.raises(DatasetError, match=r"more than a dataset does: .*completion"):
        load_truth(dataset)


def test_forged_counts_are_refused(dataset):
    path = one_file(dataset, "subjects")
    content = path.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little")
    end = content[-8 - footer :]
    whole = b"\x16"  # begins a whole number of 64 bits in Thrift's compact protocol
    forged = end.replace(whole + bytes([2 * 28]), whole + bytes([2 * 27]))
    path.write_bytes(content[: -8 - footer] + forged)
    with pytest.raises(DatasetError, match="has 28 values for 27 rows"):
        load_subjects(dataset)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_files_that_others_wrote_are_read(dataset, compression, version):
    before = load_subjects(dataset).table
    for part in ("subjects", "prompts"):
        path = one_file(dataset, part)
        pq.write_table(
            pq.read_table(path),
            path,
            compression=compression,
            data_page_version=version,
            row_group_size=5,
            data_page_size=100,
        )
    assert load_subjects(dataset).table.equals(before)
    assert len(load_truth(dataset).completions) == 28


@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=60), st.booleans())
def test_any_file_of_texts_may_be_opened(tmp_path_factory, texts, dictionary):
    path = tmp_path_factory.getbasetemp() / "texts.parquet"
    pq.write_table(pa.table({"x": pa.array(texts, pa.string())}), path, use_dictionary=dictionary)
    assert open_parquet(path).read()["x"].to_pylist() == texts


def pipe(path):
    os.mkfifo(path)


def plug(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.close()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (pipe, "it is a pipe, no file"),
        (plug, "it is a socket, no file"),
        (lambda path: path.mkdir(), "it is a folder, no file"),
        (lambda path: path.symlink_to("/dev/zero"), "leads out of"),
        (lambda path: path.symlink_to("/etc/passwd"), "leads out of"),
        (lambda path: path.symlink_to("../outside"), "leads out of"),
        (lambda path: path.symlink_to(path.name), "[Ll]evels of symbolic links"),
    ],
)
def test_what_is_no_file_of_the_folder_is_not_opened(tmp_path, monkeypatch, make, sentence):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    folder = tmp_path / "d"
    folder.mkdir()
    (tmp_path / "outside").write_text("secret")
    os.chdir(folder)
    make((folder / "x").relative_to(folder))
    with pytest.raises(OSError, match=sentence):
        open_file(folder / "x", folder)


def test_links_within_a_folder_and_those_of_the_hubs_client_are_followed(tmp_path):
    snapshot = tmp_path / "datasets--a--b/snapshots/0123"
    (snapshot / "subjects").mkdir(parents=True)
    blobs = tmp_path / "datasets--a--b/blobs"
    blobs.mkdir()
    (blobs / "abc").write_bytes(b"x")
    (snapshot / "subjects/x").symlink_to("../../../blobs/abc")
    (snapshot / "y").symlink_to("subjects/x")
    for name in ("subjects/x", "y"):
        assert read_file(snapshot / name, 1, snapshot) == b"x"
    with pytest.raises(OSError, match="more than 0 bytes"):
        read_file(snapshot / "y", 0, snapshot)


def test_a_dataset_in_the_layout_of_the_hubs_client_is_read(run, tmp_path):
    snapshot = tmp_path / "datasets--a--b/snapshots/0123"
    blobs = tmp_path / "datasets--a--b/blobs"
    blobs.mkdir(parents=True)
    for number, path in enumerate(p for p in run.dataset.rglob("*") if p.is_file()):
        shutil.copy(path, blobs / str(number))
        link = snapshot / path.relative_to(run.dataset)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blobs / str(number), link.parent))
    assert len(load_subjects(snapshot)) == 28
    assert list(differences(snapshot)) == []


def test_a_link_out_of_a_dataset_is_a_fault_of_it(dataset):
    (dataset / "README.md").unlink()
    (dataset / "README.md").symlink_to("/etc/passwd")
    os.mkfifo(dataset / "pipe")
    faults = " ".join(differences(dataset))
    assert "README.md can't be read: it is a link that leads out of" in faults
    assert "pipe is not in SHA256SUMS" in faults


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_answers_may_be_a_link_but_no_pipe(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(PredictionsError, match="it is a pipe, no file"):
        survey(tmp_path / name)
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    with pytest.raises(PredictionsError, match="it is a device, no file"):
        survey(tmp_path / "zero.jsonl")
    (tmp_path / "elsewhere").write_text('{"example_id": 1, "completion": "x"}\n')
    (tmp_path / "link.jsonl").symlink_to("elsewhere")
    assert survey(tmp_path / "link.jsonl").names == {"1": "x"}


def test_a_text_that_many_answers_share_is_in_memory_once(tmp_path):
    text = "x" * 2**20
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(500, np.int32)), pa.array([text]))
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"example_id": range(500), "completion": column}), path)
    with open_parquet(path, dictionaries=["completion"]) as file:
        [batch] = file.iter_batches()
    assert batch["completion"].nbytes < 2 * len(text)
    assert len(survey(path).names) == 500


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[" * 60_000, "more than 32 levels"),
        ("- " * 30_000, "more than 32 levels"),
        ("a: &x 1\nb: *x", "line 2 has an alias"),
        ("a: !!python/object/apply:os.getcwd []", "line 1 has a tag"),
        ("a: 1\nb:\n  c: 1\n  c: 2", "line 4: the key 'c' is there twice"),
        ("1: 2", "line 1: a key must be a text"),
        ("? [a, b]\n: 1", "line 1: a key must be a text"),
        ("a: " + "9" * 5000, "is no number that can be used"),
        ("a: 0x" + "f" * 5000, "is no number that can be used"),
        ("a: " + "1:" * 500 + "1.5", "is no number that can be used"),
        ("a: .nan", "line 1: .nan is no number"),
        ("a: -.inf", "line 1: -.inf is no number"),
        ("a: 0b_", "line 1: 0b_ is no number"),
        ("a: b: c", "line 1 is not YAML"),
        ("a: 'x", "line 1 is not YAML"),
        ("\0", "it is not YAML"),
    ],
)
def test_yaml_of_anything_but_plain_values_is_a_sentence(text, sentence):
    with pytest.raises(DocumentError, match=sentence):
        parse_yaml(text.encode())


def test_yaml_of_plain_values_is_read():
    text = b"a: 1\nb: [1.5, x, null, true]\nc: {d: 2024-01-01, e: -3}\nf: '1'\n"
    assert parse_yaml(text) == {
        "a": 1,
        "b": [1.5, "x", None, True],
        "c": {"d": "2024-01-01", "e": -3},
        "f": "1",
    }


@given(st.one_of(st.binary(max_size=80), st.text(max_size=80).map(lambda t: t.encode())))
def test_any_bytes_are_a_document_or_a_sentence(content):
    for parse in (parse_yaml, parse_json):
        with suppress(DocumentError):
            parse(content)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[" * 2000, "not JSON"),
        (b"[" * 990 + b"]" * 990, "more than 32 levels"),
        (b'{"a": {"b": 1, "b": 2}}', "the key 'b' is there 2 times"),
        (b"1e999", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b'{"a": NaN}', "not JSON"),
    ],
)
def test_json_of_anything_else_is_a_sentence(content, sentence):
    with pytest.raises(DocumentError, match=sentence):
        parse_json(content)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("seed: 2024-01-01", "seed is '2024-01-01'; it must be a whole number"),
        ("seed: " + "9" * 30, "is no number that can be used"),
        ("seed: 1\nseed: 2", "the key 'seed' is there twice"),
        ("{}: 1", "a key must be a text"),
    ],
)
def test_a_wrong_configuration_names_its_file(dataset, change, sentence):
    path = dataset / "config.yaml"
    path.write_text(path.read_text().replace("seed: 0", change, 1))
    with pytest.raises(DatasetError, match=sentence) as caught:
        read_config(dataset)
    assert "config.yaml" in str(caught.value)


def put(row, value):
    """A change of a column: another value in a row."""

    def changed(column):
        values = column.to_pylist()
        return pa.array([*values[:row], value, *values[row + 1 :]], column.type)

    return changed


@pytest.mark.parametrize(
    ("column", "change", "sentence"),
    [
        ("num_layers", put(3, 5), r"example 3: num_layers is 5; it must be 2 to 4"),
        ("neurons_per_layer", put(0, -8), "neurons_per_layer is -8; it must be 5 to 9"),
        ("activation", put(0, "cosine"), "activation is 'cosine'; it must be one of relu"),
        ("target_pattern", put(0, "x"), "target_pattern is 'x'; it must be one of palindrome"),
        ("selected_patterns", put(0, []), r"selected_patterns is \[\]; it must be some of"),
        ("selected_patterns", put(0, ["x"]), r"selected_patterns is \['x'\]"),
        ("weights", put(2, [1.0]), r"example 2: weights has 1 numbers; its network needs \d+"),
        ("signature", put(0, []), "signature has 0 numbers; its network needs"),
        ("improved_accuracy", put(0, float("nan")), "improved_accuracy is nan; it must be 0 to 1"),
        ("switch_epoch", put(0, -5), "switch_epoch is -5; it must be 0 to"),
        ("example_id", put(0, 3), "example_id 3 occurs more than once"),
        ("example_id", put(0, -3), "example_id is -3"),
        ("learning_rate", put(0, None), "learning_rate has a null where a value is needed"),
        ("weights", lambda c: pc.cast(c, pa.list_(pa.float64())), "is list<.*double>; it must be"),
    ],
)
def test_a_wrong_value_names_file_example_and_what_is_allowed(dataset, column, change, sentence):
    rewrite(dataset, "subjects", column, change)
    with pytest.raises(DatasetError, match=sentence) as caught:
        load_subjects(dataset)
    assert str(dataset) in str(caught.value)


def test_a_missing_shard_is_not_passed_over(dataset):
    path = one_file(dataset, "subjects")
    path.rename(path.with_name("train-00000-of-00002.parquet"))
    with pytest.raises(DatasetError, match="subjects has 1 of 2 shards of train"):
        load_subjects(dataset)
    path.with_name("train-00000-of-00002.parquet").rename(path.with_name("part.parquet"))
    with pytest.raises(DatasetError, match=r"part\.parquet is no name of a shard"):
        load_subjects(dataset)
