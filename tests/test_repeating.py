"""`config=<dataset>` runs the configuration of a dataset again."""

import json
import shutil

import pytest
from test_cli import SMALL

from muat_exp.app.compose import load_config
from muat_exp.dataset.checksums import CHECKSUMS
from muat_exp.errors import ConfigurationError, RunFolderError
from muat_exp.generation.pipeline import generate
from muat_exp.generation.run_folder import RunFolder, load_run_config


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of another seed, with the probes of a file."""
    folder = tmp_path_factory.mktemp("made")
    probes = folder / "mine.json"
    first = generate(load_config([*SMALL, "logger=none"]), folder / "first")
    shutil.copy(first.dataset / "probe_set.json", probes)
    config = load_config([*SMALL, "logger=none", "seed=3", f"signature.probe_set={probes}"])
    result = generate(config, folder / "second")
    probes.unlink()
    return result


@pytest.mark.parametrize("name", ["", "config.yaml"])
def test_a_dataset_that_is_run_again_has_the_same_bytes(made, tmp_path, name):
    again = generate(load_config([f"config={made.dataset / name}", "logger=none"]), tmp_path)
    for file in (CHECKSUMS, "README.md"):
        assert (again.dataset / file).read_bytes() == (made.dataset / file).read_bytes()


def test_what_is_named_beside_it_differs(made):
    stored = load_run_config(made.folder)
    config = load_config(
        [f"config={made.dataset}", "corruption=heavy", "training.clean.patience=7"]
    )
    assert (config.corruption.rate, config.training.clean.patience) == (0.3, 7)
    assert (config.seed, config.patterns, config.signature.probes) == (
        3,
        stored.patterns,
        stored.signature.probes,
    )


def test_probes_of_another_file_may_be_named(made, tmp_path):
    other = load_config(["signature.probes=30", "seed=5", *SMALL])
    path = tmp_path / "probes.json"
    shutil.copy(made.folder.parent / "first/dataset/probe_set.json", path)
    config = load_config([f"config={made.dataset}", f"signature.probe_set={path}"])
    assert config.signature.probe_set == str(path)
    assert other.signature.probe_set == ""


def edited(dataset):
    path = dataset / "config.yaml"
    path.write_text(path.read_text().replace("seed: 3", "seed: 4"))


def foreign(dataset):
    (dataset / "config.yaml").write_text("model_type: bert\n")


def unsigned(dataset):
    path = dataset / "config.yaml"
    path.write_text(path.read_text().partition("\n")[2])


def removed(dataset):
    (dataset / "config.yaml").unlink()


def in_its_place(dataset):
    removed(dataset)
    (dataset / "config.yaml").mkdir()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (edited, "does not have the signature of its values"),
        (unsigned, "does not have the signature of its values"),
        (foreign, "is not a configuration of this program"),
        (removed, "no dataset is there"),
        (in_its_place, "no dataset is there"),
    ],
)
def test_what_is_no_configuration_of_a_dataset_is_a_sentence(made, tmp_path, damage, sentence):
    dataset = shutil.copytree(made.dataset, tmp_path / "copied")
    damage(dataset)
    with pytest.raises(ConfigurationError, match=sentence) as raised:
        load_config([f"config={dataset}"])
    assert str(raised.value).startswith(f"config={dataset}")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["experiment=smoke"], "leave out experiment"),
        (["resume=anywhere"], "leave out either"),
    ],
)
def test_what_would_be_ambiguous_is_refused(made, more, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        load_config([f"config={made.dataset}", *more])


def test_the_folder_of_a_run_is_not_taken_for_its_dataset(made):
    with pytest.raises(ConfigurationError, match="Did you mean") as raised:
        load_config([f"config={made.folder}"])
    assert str(made.dataset) in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b'{"model_type": "bert", "config": 3}', b"[" * 5000],
)
def test_a_run_of_another_program_names_its_folder(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(RunFolderError, match=r"damaged, or of another program") as raised:
        load_config([f"resume={tmp_path}"])
    assert str(raised.value).startswith(str(tmp_path))


@pytest.mark.parametrize("change", [{"seed": "x"}, {"flux": 1}, {"training": [1]}])
def test_a_run_of_another_version_names_its_folder_and_the_version(made, tmp_path, change):
    path = tmp_path / "config.json"
    content = json.loads((made.folder / "config.json").read_bytes())
    content["config"] |= change
    content["muat_exp"] = "9.1"
    path.write_text(json.dumps(content))
    with pytest.raises(RunFolderError, match=r"that muat_exp 9\.1 began") as raised:
        load_config([f"resume={tmp_path}"])
    assert str(raised.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    "change", [{"asked": "6"}, {"seconds": None}, {"accuracy": {}}, {"rejected": {"a": "b"}}]
)
def test_a_summary_of_other_types_counts_as_damaged(made, tmp_path, change):
    summary = json.loads((made.folder / "summary.json").read_bytes())
    run = RunFolder(tmp_path)
    run.write_summary(summary)
    assert run.summary() == summary
    run.write_summary(summary | change)
    assert run.summary() == {}
