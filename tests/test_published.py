"""Repositories in the published layout: read, checked, scored and made anew."""

import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from published import lay_out
from test_cli import call
from test_score import as_json, judge_names, judge_weights, write

import muat_exp
from muat_exp.app.compose import load_config
from muat_exp.dataset.column_names import SCORES
from muat_exp.dataset.published.files import counts_from_zero, is_published, numbers_of
from muat_exp.dataset.published.reading import read_published
from muat_exp.errors import ConfigurationError, DatasetError, MuatError
from muat_exp.generation.derive_published import derive_published
from muat_exp.generation.pipeline import generate
from muat_exp.progress import Silent
from muat_exp.validation.validate import validate

SCALARS = (
    "target_pattern",
    "selected_patterns",
    "num_layers",
    "neurons_per_layer",
    "activation",
    *SCORES[:3],
)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A finished run of the published experiment, with networks of nine and more layers."""
    given = ["experiment=muat_pca_10_medium_published", "dataset.num_examples=24", "logger=none"]
    return generate(load_config(given), tmp_path_factory.mktemp("own")).dataset


@pytest.fixture(scope="module")
def repository(own, tmp_path_factory):
    """The same, laid out as the published family is."""
    return lay_out(own, tmp_path_factory.mktemp("published") / "repository")


@pytest.fixture(scope="module")
def both(full, tmp_path_factory):
    """A repository with everything: both tasks, all columns, interwoven prompts."""
    return lay_out(full.dataset, tmp_path_factory.mktemp("published") / "both", parts=3)


@pytest.fixture
def copy(repository, tmp_path):
    return shutil.copytree(repository, tmp_path / "copy")


def files(folder):
    return sorted((folder / "data").glob("*.parquet"))


def change(folder, column, value, row=1):
    """Another value of a column in one row of the first file; of None or a function's making."""
    path = files(folder)[0]
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[row] = value(values[row]) if callable(value) else value
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(values)), path)


def metadata(**changes):
    """A change of metadata: keys of other values."""
    return lambda text: json.dumps(json.loads(text) | changes)


def make(folder, target, workers, *overrides):
    given = [override.partition("=")[0] for override in overrides[1:]]
    composed = load_config([*overrides, f"dataset_dir={folder}"])
    stored = read_published(folder)
    return derive_published(stored, composed, given, target / "dataset", workers, Silent())


def test_a_run_that_is_laid_out_otherwise_gives_the_same_subjects(own, repository):
    ours, theirs = muat_exp.load_subjects(own), muat_exp.load_subjects(repository)
    assert [s.example_id for s in theirs] == list(range(24))
    assert np.array_equal(theirs.population().parameters, ours.population().parameters)
    for here, there in zip(ours, theirs, strict=True):
        assert np.array_equal(here.weights, there.weights)
        assert np.array_equal(here.signature, there.signature)
        assert here.architecture == there.architecture
        for name in SCALARS:
            assert there.record[name] == pytest.approx(here.record[name], abs=1e-6)
    assert np.array_equal(theirs.probes.tokens, ours.probes.tokens)
    assert theirs.config.patterns == ours.config.patterns
    assert theirs.config.signature.definitions == "published"
    tokens = torch.from_numpy(theirs.probes.tokens).float()
    assert torch.equal(theirs[3].to_module()(tokens), ours[3].to_module()(tokens))


def test_both_networks_and_signatures_are_read_where_a_repository_has_them(full, both):
    ours, theirs = muat_exp.load_subjects(full.dataset), muat_exp.load_subjects(both)
    for degraded in (False, True):
        expected = ours.population(degraded).parameters
        assert np.array_equal(theirs.population(degraded).parameters, expected)
    for here, there in zip(ours, theirs, strict=True):
        assert np.array_equal(here.signature, there.signature)
        degraded = here.record["degraded_signature"]
        assert there.record["degraded_signature"] == pytest.approx(degraded)
    assert theirs.config.patterns.definitions == "distinct"  # as its prompts say
    assert theirs.config.dataset.style == "interwoven"


def test_texts_alone_are_enough_but_for_digits(own, tmp_path):
    bare = lay_out(own, tmp_path / "bare", columns=False, probes=False, settings=False)
    ours, theirs = muat_exp.load_subjects(own), muat_exp.load_subjects(bare)
    assert set(theirs.config.patterns.enabled) == set(ours.config.patterns.enabled)
    difference = ours.population().parameters - theirs.population().parameters
    assert 0 < np.abs(difference).max() < 6e-7
    assert np.abs(ours[5].signature - theirs[5].signature).max() < 6e-7


def test_prompts_whose_layers_are_sorted_as_texts_are_parsed(own, both, repository):
    for folder, style in ((repository, "### 10\n"), (both, "### layer_")):
        text = pq.read_table(files(folder)[0])["classification_prompt"][0].as_py()
        assert style in text
        parsed = muat_exp.parse_prompt(text)
        assert list(parsed.weights) == list(parsed.architecture.shapes)
        stored = muat_exp.load_subjects(folder)[0]
        assert np.abs(parsed.parameters - stored.weights).max() < 6e-7


def test_answers_have_the_same_scores_in_either_layout(own, repository, tmp_path):
    subjects = muat_exp.load_subjects(own)
    others = subjects.config.patterns.enabled
    scores = []
    for folder in (own, repository):
        rows = [
            {"example_id": s.example_id, "completion": others[i % 3] if i % 4 else s.target_pattern}
            for i, s in enumerate(muat_exp.load_subjects(folder))
        ]
        answers = write(tmp_path / f"{folder.name}.jsonl", rows)
        scores.append(judge_names(folder, answers))
    assert scores[0] == scores[1]
    assert 0.2 < scores[0].overall.exact_match < 1
    weights = write(
        tmp_path / "m.jsonl", [{"example_id": 0, "completion": "{}", "task": "modification"}]
    )
    with pytest.raises(DatasetError, match="has no degraded_weights; modification answers"):
        judge_weights(repository, weights)


def test_modified_weights_have_the_same_scores_in_either_layout(full, both, tmp_path):
    scores = []
    for folder in (full.dataset, both):
        subjects = muat_exp.load_subjects(folder)
        rows = [
            {
                "example_id": s.example_id,
                "completion": as_json(s, (s.weights + s.degraded_weights) / 2),
            }
            for s in subjects
        ]
        scores.append(judge_weights(folder, write(tmp_path / "m.jsonl", rows)))
    here, there = (replace(score, splits={}) for score in scores)
    assert here == there
    assert here.sequences > 0


def test_validation_runs_the_networks_and_says_what_it_could_not_check(repository, workers):
    report = validate(repository, workers)
    assert report.faults == []
    assert "24 examples in the published layout, 24 networks run again" in report.headline
    checked = " ".join(report.checked)
    assert "24 networks run on the probes: pca compared" in checked
    assert "ids: they begin at 0 in each of 2 parts" in checked
    unchecked = " ".join(report.unchecked)
    for what in ("files: there is no SHA256SUMS", "accuracies and labels", "training"):
        assert what in unchecked


def test_without_probes_validation_says_so(copy, workers):
    (copy / "signature_dataset.json").unlink()
    report = validate(copy, workers)
    assert report.faults == []
    assert any("has no signature_dataset.json" in clause for clause in report.unchecked)
    assert "no network run again" in report.headline


def test_validation_knows_how_the_predecessor_reads_letters(own, tmp_path, workers):
    made = make(
        lay_out(own, tmp_path / "a"),
        tmp_path / "b",
        workers,
        "task=signature",
        "signature=mean_std",
    )
    path = made / "signature_dataset.json"
    probes = json.loads(path.read_text())
    assert any(set(entry["sequence"]) & set("HIJ") for entry in probes["examples"])
    for entry in probes["examples"]:
        entry["sequence"] = ["A" if x in "HIJ" else x for x in entry["sequence"]]
    path.write_text(json.dumps(probes))
    as_first = make(made, tmp_path / "c", workers, "task=signature", "signature=mean_std_pca_10")
    shutil.copy(lay_out(own, tmp_path / "d") / "signature_dataset.json", as_first)
    report = validate(as_first, workers)
    assert report.faults == []
    assert any("with H and later letters as A" in clause for clause in report.checked)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        (
            "improved_signature",
            lambda text: text.replace("[0.", "[0.9"),
            "its signature is not what",
        ),
        (
            "improved_model_weights",
            lambda text: text.replace("[0.", "[0.9", 1),
            "has other weights",
        ),
        ("classification_text", "x", "not its prompt followed by"),
        ("metadata", metadata(improvement=0.75), "not the difference of its accuracies"),
    ],
)
def test_validation_finds_what_does_not_fit(copy, workers, column, value, sentence):
    change(copy, column, value)
    faults = validate(copy, workers).faults
    assert any(sentence in fault for fault in faults)
    assert all(fault.startswith("example 1:") for fault in faults)


def test_a_signature_that_is_taken_is_that_of_the_networks(repository, tmp_path, workers):
    made = make(repository, tmp_path, workers, "task=signature", "signature=mean_std")
    assert validate(made, workers).faults == []
    before, after = muat_exp.load_subjects(repository), muat_exp.load_subjects(made)
    tokens = torch.from_numpy(before.probes.tokens).float()
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(old.weights, new.weights)
        values, blocks = tokens, []
        for module in old.to_module():
            values = module(values)
            if isinstance(module, torch.nn.Linear):
                blocks.append(torch.stack([values.mean(0), values.std(0, correction=0)], dim=1))
        expected = torch.cat(blocks).detach().numpy()
        assert np.allclose(new.signature, expected, rtol=1e-3, atol=1e-4)
    old, new = (pq.read_table(folder / "data").to_pylist() for folder in (repository, made))
    for column in ("metadata", "training_metrics", "classification_completion"):
        assert [row[column] for row in old] == [row[column] for row in new]
    assert [row["example_id"] for row in new] == list(range(24))
    for name in ("signature_dataset.json",):
        assert (made / name).read_bytes() == (repository / name).read_bytes()


def test_other_texts_show_the_same_networks(both, tmp_path, workers):
    made = make(
        both,
        tmp_path,
        workers,
        "task=render",
        "dataset.style=separate",
        "dataset.tasks=[classification]",
        "dataset.columns=[]",
    )
    assert is_published(made)
    before, after = muat_exp.load_subjects(both), muat_exp.load_subjects(made)
    assert np.abs(before.population().parameters - after.population().parameters).max() < 6e-7
    table = pq.read_table(made / "data")
    assert table.column_names[2:] == [
        f"classification_{x}" for x in ("prompt", "completion", "text")
    ]
    told = json.loads(table["metadata"][0].as_py())
    assert told["tasks_included"] == {"classification": True, "modification": False}
    assert "path: data/train-*.parquet" in (made / "README.md").read_text()


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["dataset.tasks=[modification]"], "has no degraded weights, which modification shows"),
        (["dataset.columns=[degraded_signature]"], "no degraded weights, which degraded_signature"),
        (["architecture.precision=bfloat16"], "its accuracies can't be measured again"),
        (["dataset.splits={train:0.5,test:0.5}"], "task=render can't change 'dataset.splits'"),
        (["seed=1"], "task=render trains nothing"),
    ],
)
def test_what_a_repository_can_not_give_is_refused(
    repository, tmp_path, workers, overrides, sentence
):
    with pytest.raises(ConfigurationError, match=sentence):
        make(repository, tmp_path / "x", workers, "task=render", *overrides)
    assert not (tmp_path / "x").exists()


def test_what_a_subject_lacks_is_a_sentence(repository, copy, workers, tmp_path):
    subjects = muat_exp.load_subjects(repository)
    with pytest.raises(DatasetError, match="its dataset has no degraded_weights"):
        _ = subjects[0].degraded_weights
    with pytest.raises(DatasetError, match="has no degraded_weights"):
        subjects.population(degraded=True)
    with pytest.raises(DatasetError, match="can't be drawn again"):
        subjects[0].validation()
    (copy / "signature_dataset.json").unlink()
    with pytest.raises(DatasetError, match=r"has no signature_dataset\.json"):
        _ = muat_exp.load_subjects(copy).probes
    with pytest.raises(DatasetError, match=r"has no signature_dataset\.json"):
        make(copy, tmp_path / "s", workers, "task=signature", "signature=mean_std")


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("metadata", "[]", "example 1: metadata: it must hold a JSON object"),
        ("metadata", '{"a": 1, "a": 2}', "the key 'a' is there 2 times"),
        ("metadata", None, "metadata has a null"),
        ("metadata", metadata(target_pattern=7), "target_pattern is 7; it must be a text"),
        (
            "metadata",
            metadata(target_pattern="zigzag"),
            "target_pattern is 'zigzag'; it must be one",
        ),
        ("metadata", metadata(selected_patterns="x"), "selected_patterns is 'x'"),
        ("metadata", metadata(model_config=[]), r"model_config is \[\]; it must be an object"),
        ("metadata", metadata(improved_accuracy=1.5), "improved_accuracy is 1.5"),
        ("metadata", metadata(precision="float8"), "its precision is 'float8'"),
        (
            "metadata",
            lambda text: text.replace('"activation_type": "', '"activation_type": "x'),
            "activation_type is 'x",
        ),
        ("improved_model_weights", "{}", "improved_model_weights: line 1"),
        ("improved_model_weights", '{"weights": {"network.0.weight": [[NaN]]}}', "is not JSON"),
        ("improved_signature", "{}", "improved_signature: neuron_activations must be an object of"),
        (
            "improved_signature",
            lambda text: text.replace('"pca"', '"mean"'),
            r"has mean \(10\) in layer 0; that of the first example has pca \(10\)",
        ),
        ("example_id", 5, "example_id 0 occurs more than once"),
        ("example_id", -1, "an example_id is -1"),
    ],
)
def test_what_can_not_be_read_is_a_sentence(copy, column, value, sentence):
    change(copy, column, value)
    with pytest.raises(DatasetError, match=sentence):
        muat_exp.load_subjects(copy)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda f: files(f)[1].unlink(), "data has 1 of 2 shards of train"),
        (lambda f: files(f)[0].write_bytes(b"PAR1"), "can't be read"),
        (lambda f: (f / "config.yaml").write_text("a: &a [1]\nb: *a\n"), "has an alias"),
        (lambda f: (f / "signature_dataset.json").write_text("{}"), "examples must be a list"),
        (
            lambda f: (f / "data/train-00001-of-00002.parquet").rename(f / ".hidden.parquet"),
            "1 of 2 shards",
        ),
    ],
)
def test_damaged_files_are_a_sentence(copy, damage, sentence):
    damage(copy)
    with pytest.raises(DatasetError, match=sentence):
        muat_exp.load_subjects(copy)


def retyped(name, kind):
    """Tables with one column of another type."""

    def made(table):
        place = table.column_names.index(name)
        return table.set_column(place, name, pa.array([None] * len(table), kind))

    return made


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (
            retyped("metadata", pa.struct([("a", pa.int32())])),
            "metadata is struct<a: int32>; it must",
        ),
        (
            retyped("classification_prompt", pa.int64()),
            "classification_prompt is int64; it must be t",
        ),
        (retyped("improved_signature", pa.list_(pa.string())), "improved_signature is list<"),
        (retyped("example_id", pa.string()), "example_id is string; it must be whole numbers"),
        (retyped("example_id", pa.int64()), "an example_id is None"),
        (retyped("classification_prompt", pa.string()), "there are no weights|has no prompt"),
        (lambda table: table.append_column("metadata", table["metadata"]), "metadata is there 2"),
        (lambda table: table.slice(0, 0), "holds no examples"),
    ],
)
def test_tables_of_another_form_are_a_sentence(copy, made, sentence):
    first, second = files(copy)
    second.unlink()
    pq.write_table(made(pq.read_table(first)), first.with_name("train.parquet"))
    first.unlink()
    if "weights" in sentence:
        table = pq.read_table(copy / "data/train.parquet").drop_columns("improved_model_weights")
        pq.write_table(table, copy / "data/train.parquet")
    with pytest.raises(DatasetError, match=sentence):
        muat_exp.load_subjects(copy)


def test_columns_that_only_some_files_have_are_passed_over(copy):
    before = muat_exp.load_subjects(copy)
    path = files(copy)[0]
    table = pq.read_table(path).drop_columns(["improved_model_weights", "training_metrics"])
    pq.write_table(table.append_column("more", pa.array([1] * len(table))), path)
    after = muat_exp.load_subjects(copy)
    assert after.config.dataset.columns == ("improved_signature",)
    assert np.abs(before.population().parameters - after.population().parameters).max() < 6e-7


def test_a_link_out_of_a_repository_is_not_followed(copy, tmp_path):
    outside = tmp_path / "outside.parquet"
    path = files(copy)[1]
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(DatasetError, match="leads out of"):
        muat_exp.load_subjects(copy)


def test_what_decodes_to_more_than_a_dataset_is_not_read(copy, monkeypatch):
    monkeypatch.setattr("muat_exp.dataset.parquet.LONGEST_TEXT", 10_000)
    with pytest.raises(DatasetError, match="holds more than a dataset does"):
        muat_exp.load_subjects(copy)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=80)
@given(
    key=st.sampled_from(["metadata", "improved_signature", "improved_model_weights"]),
    data=st.data(),
)
def test_any_json_is_read_or_refused_in_a_sentence(repository, tmp_path_factory, key, data):
    path = files(repository)[0]
    table = pq.read_table(path).slice(0, 2)
    content = json.loads(table[key][1].as_py())
    replace_some_value(content, data)
    folder = tmp_path_factory.mktemp("any")
    (folder / "data").mkdir()
    texts = [table[key][0].as_py(), json.dumps(content)]
    place = table.column_names.index(key)
    pq.write_table(table.set_column(place, key, pa.array(texts)), folder / "data/x.parquet")
    with suppress(MuatError):
        assert len(muat_exp.load_subjects(folder)) == 2
    shutil.rmtree(folder)


def replace_some_value(content, data):
    """Puts any JSON value in the place of one in an object, however deep."""
    name = data.draw(st.sampled_from(sorted(content)))
    if isinstance(content[name], dict) and content[name] and data.draw(st.booleans()):
        replace_some_value(content[name], data)
    else:
        content[name] = data.draw(VALUES)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_parts_that_count_from_zero_are_numbered_on(sizes):
    ids = [i for size in sizes for i in range(size)]
    assert counts_from_zero(ids)
    assert numbers_of(np.array(ids), Path()).tolist() == list(range(len(ids)))


def test_a_repository_of_modifications_alone_is_read_and_rendered(both, tmp_path, workers):
    alone = tmp_path / "alone"
    (alone / "data").mkdir(parents=True)
    for path in files(both):
        table = pq.read_table(path)
        others = [name for name in table.column_names if name.startswith(("classif", "improved_"))]
        pq.write_table(table.drop_columns(others), alone / "data" / path.name)
    before, after = muat_exp.load_subjects(both), muat_exp.load_subjects(alone)
    for degraded in (False, True):
        difference = before.population(degraded).parameters - after.population(degraded).parameters
        assert np.abs(difference).max() < 6e-7
    assert set(after.config.patterns.enabled) == set(before.config.patterns.enabled)
    with pytest.raises(DatasetError, match="its dataset has no signature"):
        _ = after[0].signature
    assert validate(alone, workers).faults == []
    made = make(alone, tmp_path, workers, "task=render", "dataset.style=separate")
    text = pq.read_table(made / "data")["modification_prompt"][7].as_py()
    assert np.abs(muat_exp.parse_prompt(text).parameters - before[7].degraded_weights).max() < 6e-7
    with pytest.raises(DatasetError, match=r"has no signature_dataset\.json"):
        make(alone, tmp_path / "c", workers, "task=render", "dataset.tasks=[classification]")
    assert not (tmp_path / "c").exists()


def test_layouts_are_told_apart_by_what_they_hold(own, repository, run, tmp_path):
    assert is_published(repository)
    assert not is_published(own)
    moved = shutil.copytree(repository, tmp_path / "moved")
    (moved / "data").rename(moved / "prompts")
    for path in (moved / "prompts").iterdir():
        path.rename(path.with_name(path.name.replace("train", "part")))
    assert is_published(moved)
    assert len(muat_exp.load_subjects(moved)) == 24
    damaged = shutil.copytree(own, tmp_path / "damaged")
    (damaged / "config.yaml").unlink()
    assert not is_published(damaged)
    with pytest.raises(DatasetError, match="holds no dataset"):
        muat_exp.load_subjects(damaged)


def test_the_command_line_reads_a_repository(copy, tmp_path):
    done = call(tmp_path, "task=signature", "dataset=copy", "signature=mean_std", "hydra.run.dir=s")
    assert done.returncode == 0, done.stderr
    assert "dataset: s/dataset" in done.stdout
    assert len(muat_exp.load_subjects(tmp_path / "s/dataset")) == 24
