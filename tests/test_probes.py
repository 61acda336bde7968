"""Probe and benchmark sets.

Files that say what is true, files that are refused, and runs that take theirs from a file.
"""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import small_config
from hypothesis import given
from hypothesis import strategies as st
from test_cli import call
from test_patterns import PUBLISHED, REFERENCE

from muat_exp.app.compose import load_config
from muat_exp.config.groups import (
    Config,
    PatternsConfig,
    SignatureConfig,
    TrainingConfig,
    from_dict,
)
from muat_exp.config.identity import config_signature
from muat_exp.dataset.reading import load_subjects, read_config
from muat_exp.errors import ConfigurationError, DatasetError, ProbeSetError
from muat_exp.evaluation.benchmark_set import LabelGroups, draw_benchmark, read_benchmark
from muat_exp.generation.derive import derive
from muat_exp.generation.pipeline import generate
from muat_exp.progress import Silent
from muat_exp.sequences.space import encode, space_arrays
from muat_exp.signatures.probe_file import ProbeFile, digest, parse
from muat_exp.signatures.probe_set import draw_probes
from muat_exp.validation.validate import validate

FEW = Config(training=TrainingConfig(test_examples=100))
PUBLISHED_PATTERNS = PatternsConfig(definitions="published", vocab_size=7, sequence_length=6)


@pytest.fixture(scope="module")
def content(space):
    """A probe set of 42 sequences as a file holds it."""
    config = Config(signature=SignatureConfig(probes=42, probe_seed=9))
    return draw_probes(config, space).to_json(config)


@pytest.fixture
def probe_file(content, tmp_path):
    path = tmp_path / "probes.json"
    path.write_bytes(content)
    return path


def changed(content, **values):
    return json.dumps(json.loads(content) | values).encode()


@pytest.mark.parametrize(
    ("config", "reference"),
    [(FEW, REFERENCE), (replace(FEW, patterns=PUBLISHED_PATTERNS), PUBLISHED)],
    ids=["own", "published"],
)
def test_benchmark_labels_are_those_of_plain_python(config, reference):
    benchmark = draw_benchmark(config, space_arrays(config.patterns.build()))
    assert len(np.unique(benchmark.tokens, axis=0)) == len(benchmark.tokens)
    for place, name in enumerate(config.patterns.enabled):
        assert benchmark.labels[:, place].tolist() == [
            reference[name](row) for row in benchmark.tokens.tolist()
        ]


def test_a_benchmark_set_has_members_of_every_pattern_and_sequences_of_none(space):
    benchmark = draw_benchmark(FEW, space)
    sizes = np.array([pattern.size for pattern in FEW.patterns.build()])
    assert (benchmark.labels.sum(axis=0) >= np.minimum(100, sizes)).all()
    assert (~benchmark.labels.any(axis=1)).sum() > 10
    assert 1000 < len(benchmark.tokens) <= 15 * 100


def test_benchmark_sets_follow_from_their_seed_alone(space):
    first, again, other = (
        draw_benchmark(config, space).to_json(FEW) for config in (FEW, FEW, replace(FEW, seed=1))
    )
    assert first == again
    assert first != other


def test_groups_hold_the_sequences_of_the_same_labels(space):
    benchmark = draw_benchmark(FEW, space)
    groups = LabelGroups.of(benchmark)
    labels = {
        tuple(row): tuple(label)
        for row, label in zip(benchmark.tokens.tolist(), benchmark.labels.tolist(), strict=True)
    }
    assert groups.sizes.sum() == len(labels)
    for number, label in enumerate(groups.labels.tolist()):
        rows = groups.tokens[groups.starts[number] : groups.starts[number + 1]].tolist()
        assert {labels[tuple(row)] for row in rows} == {tuple(label)}


def test_a_benchmark_file_is_read_as_it_was_written(space, tmp_path):
    drawn = draw_benchmark(FEW, space)
    (tmp_path / "set.json").write_bytes(drawn.to_json(FEW))
    read = read_benchmark(tmp_path / "set.json", FEW)
    assert np.array_equal(read.tokens, drawn.tokens)
    assert np.array_equal(read.labels, drawn.labels)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda v: v["labels"].__setitem__(2, ["no_repeats", "all_same"]),
            r"labels\[2\] says that '.*' satisfies no_repeats, all_same",
        ),
        (lambda v: v["labels"].pop(), "labels must be a list of"),
        (lambda v: v["labels"].__setitem__(0, ["palindrom"]), "'palindrom'"),
        (lambda v: v.update(patterns=["palindrome"]), "it is of the patterns palindrome;"),
        (lambda v: v.update(definitions="published"), "its definitions is 'published'"),
        (lambda v: v["sequences"].__setitem__(1, v["sequences"][0]), "stands there 2 times"),
        (lambda v: v.pop("labels"), "the key 'labels' is missing"),
        (lambda v: v.update(vocab_size=11), "its vocab_size is 11, but patterns.vocab_size is 10"),
        (
            lambda v: v.update(sequences=v["sequences"][:2], labels=v["labels"][:2]),
            "both kinds are needed",
        ),
    ],
)
def test_a_wrong_benchmark_file_is_a_sentence(space, tmp_path, change, sentence):
    values = json.loads(draw_benchmark(FEW, space).to_json(FEW))
    change(values)
    (tmp_path / "set.json").write_text(json.dumps(values))
    with pytest.raises(ProbeSetError, match=sentence):
        read_benchmark(tmp_path / "set.json", FEW)


def test_a_probe_file_round_trips(content):
    assert parse(content).to_json() == content
    assert isinstance(parse(content), ProbeFile)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(json.dumps)
)
def test_what_is_no_probe_set_is_refused_and_nothing_else(text):
    with pytest.raises(ProbeSetError):
        parse(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))


@given(st.data())
def test_mutated_probe_files_are_read_or_refused(content, data):
    at = data.draw(st.integers(0, len(content) - 1))
    mutated = content[:at] + data.draw(st.binary(max_size=3)) + content[at + 1 :]
    refusal = ""
    try:
        parse(mutated)
    except ProbeSetError as error:
        refusal = str(error)
    assert "\n" not in refusal


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sequences": ["AAAA"] * 42}, "sequences[0] is 'AAAA'; it must be 5 letters from A to J"),
        ({"sequences": ["AAAAZ"] * 42}, "it must be 5 letters from A to J"),
        ({"sequences": "AAAAA"}, "sequences must be a list"),
        ({"patterns": ["palindrome"]}, "42 sequences, but 1 patterns"),
        ({"patterns": ["palindrom"] * 42}, "patterns[0] is 'palindrom'"),
        ({"patterns": ["all_same"] * 42}, "'all_same', which is not in patterns.enabled"),
        (
            {"sequences": ["AAAAA"] * 42, "patterns": ["palindrome"] * 42},
            "sequences[1] 'AAAAA' stands for palindrome",
        ),
        ({"vocab_size": 26}, "its vocab_size is 26, but patterns.vocab_size is 10"),
        ({"vocab_size": 10**9}, "vocab_size is 1000000000; it must be a whole number from 5 to 26"),
        ({"seed": -1}, "seed is -1"),
        ({"extra": 1}, "the key 'extra' is unknown"),
    ],
)
def test_a_wrong_probe_file_is_refused_while_the_configuration_is_composed(
    content, probe_file, values, sentence
):
    probe_file.write_bytes(changed(content, **values))
    with pytest.raises(ConfigurationError) as caught:
        load_config([f"signature.probe_set={probe_file}"])
    assert sentence in str(caught.value)
    assert str(probe_file) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "sentence"), [("nowhere.json", "there is no such file"), ("", "there is no such file")]
)
def test_a_probe_file_that_is_none_is_refused(tmp_path, name, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        load_config([f"signature.probe_set={tmp_path / name}"])


def test_a_checksum_without_a_file_is_refused():
    with pytest.raises(ConfigurationError, match="leave it out"):
        load_config(["signature.probe_set_sha256=abc"])
    with pytest.raises(ConfigurationError, match="was not read"):
        SignatureConfig(probe_set="probes.json")


def test_the_content_and_not_the_path_determines_the_signature(content, probe_file, tmp_path):
    copy = shutil.copy(probe_file, tmp_path / "copy.json")
    config, same = (load_config([f"signature.probe_set={path}"]) for path in (probe_file, copy))
    assert config.signature.probes == 42
    assert config.signature.probe_set_sha256 == digest(content)
    assert (
        config_signature(config)
        == config_signature(same)
        != config_signature(load_config(["signature.probes=42"]))
    )


def with_probes(path, **changes):
    """A small configuration whose probes come from a file."""
    composed = load_config([f"signature.probe_set={path}"])
    return small_config(signature=replace(composed.signature, components=3), **changes)


@pytest.fixture(scope="module")
def given_run(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    (folder / "probes.json").write_bytes(content)
    return generate(with_probes(folder / "probes.json"), folder / "run")


def test_a_run_takes_its_probes_from_the_file(content, given_run, workers):
    assert (given_run.dataset / "probe_set.json").read_bytes() == content
    assert (
        given_run.subjects().probes.tokens.tolist()
        == encode(json.loads(content)["sequences"]).tolist()
    )
    assert "42 fixed sequences" in (given_run.dataset / "README.md").read_text()
    assert "probes.json" not in (given_run.dataset / "config.yaml").read_text()
    assert validate(given_run.dataset, workers).faults == []


def test_the_signature_is_taken_on_the_given_probes(content, given_run):
    import torch

    subject = given_run.subjects()[0]
    probes = torch.from_numpy(encode(json.loads(content)["sequences"])).float()
    first = subject.to_module()[0](probes).double().detach().numpy()
    _, _, axes = np.linalg.svd(first - first.mean(axis=0))
    ours = subject.signature[: first.shape[1], 0]
    assert np.abs(np.abs(ours) - np.abs(axes[0])).max() < 1e-4


def test_a_run_continues_without_the_file_that_it_began_with(content, given_run, tmp_path):
    run = shutil.copytree(given_run.folder, tmp_path / "run")
    (given_run.folder.parent / "probes.json").rename(tmp_path / "elsewhere")
    try:
        config = load_config([f"resume={run}", "logger=none", "dataset.num_examples=42"])
        assert len(generate(config, run).subjects()) == 42
        assert (run / "dataset/probe_set.json").read_bytes() == content
    finally:
        (tmp_path / "elsewhere").rename(given_run.folder.parent / "probes.json")


def test_a_file_that_was_changed_does_not_continue_a_run(content, given_run, tmp_path):
    run = shutil.copytree(given_run.folder, tmp_path / "run")
    (run / "probe_set.json").write_bytes(content + b"\n")
    with pytest.raises(ConfigurationError, match="not what it was when the run began"):
        load_config([f"resume={run}"])


def test_a_dataset_with_other_probes_than_its_own_is_refused(content, given_run, tmp_path, workers):
    dataset = shutil.copytree(given_run.dataset, tmp_path / "dataset")
    (dataset / "probe_set.json").write_bytes(changed(content, seed=1))
    with pytest.raises(DatasetError, match="probe_set_sha256"):
        validate(dataset, workers)
    with pytest.raises(DatasetError, match="probe_set_sha256"):
        _ = load_subjects(dataset).probes


def test_drawn_probes_that_were_changed_are_a_fault(run, tmp_path, workers):
    dataset = shutil.copytree(run.dataset, tmp_path / "dataset")
    path = dataset / "probe_set.json"
    path.write_bytes(changed(path.read_bytes(), seed=77))
    assert any("does not hold the probes" in fault for fault in validate(dataset, workers).faults)


def test_a_path_in_a_datasets_configuration_is_not_followed(given_run, tmp_path):
    dataset = shutil.copytree(given_run.dataset, tmp_path / "dataset")
    path = dataset / "config.yaml"
    path.write_text(path.read_text().replace("probe_set: ''", "probe_set: /etc/hostname"))
    assert "/etc/hostname" in path.read_text()
    assert read_config(dataset).signature.probe_set == ""


def test_prompts_are_rendered_anew_with_the_datasets_own_probes(
    content, given_run, tmp_path, workers
):
    config = small_config(task="render")
    made = derive(given_run.dataset, config, [], tmp_path / "dataset", workers, Silent())
    assert (made / "probe_set.json").read_bytes() == content


def test_a_probe_that_is_no_member_of_its_pattern_is_refused_by_a_run(content, tmp_path):
    values = json.loads(content)
    place = values["patterns"].index("alternating")
    values["sequences"][place] = "ABCDE"
    (tmp_path / "probes.json").write_text(json.dumps(values))
    with pytest.raises(ConfigurationError, match="'ABCDE' is no member of alternating"):
        generate(with_probes(tmp_path / "probes.json"), tmp_path / "run")


def test_the_command_makes_and_checks_sets(tmp_path):
    settings = [
        "task=probes",
        "signature.probes=30",
        "training.test_examples=50",
        "patterns.vocab_size=7",
    ]
    made = call(tmp_path, *settings, "hydra.run.dir=out")
    assert made.returncode == 0, made.stderr
    assert "out/probe_set.json" in made.stdout
    assert "benchmark_set.json" in made.stdout
    config = from_dict({"patterns": {"vocab_size": 7}, "training": {"test_examples": 50}})
    assert read_benchmark(tmp_path / "out/benchmark_set.json", config).tokens.max() == 6
    checked = call(
        tmp_path, "task=probes", "patterns.vocab_size=7", "signature.probe_set=out/probe_set.json"
    )
    assert checked.returncode == 0, checked.stderr
    assert digest((tmp_path / "out/probe_set.json").read_bytes()) in checked.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_a_wrong_file_is_refused_before_torch_is_imported(tmp_path):
    (tmp_path / "probes.json").write_text("{}")
    environment = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    done = call(tmp_path, "signature.probe_set=probes.json", env=environment)
    assert done.returncode == 2
    assert "error: signature.probe_set=probes.json: the key 'vocab_size' is missing" in done.stderr
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert not imported & {"torch", "numba"}
