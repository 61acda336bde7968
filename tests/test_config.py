"""Configurations: every YAML file composes, every mistake is told in one sentence.

The sentence names the value and what is allowed.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import hydra.version
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from muat_exp.app.compose import load_config
from muat_exp.config import identity
from muat_exp.config.base_files import base_files
from muat_exp.config.files import conf_folder, first_comment, option_names
from muat_exp.config.groups import ArchitectureConfig, Config, from_dict
from muat_exp.config.identity import config_signature, determines_data, short_digest
from muat_exp.config.keys import key_of, limits_of, walk
from muat_exp.config.reading import flatten, read
from muat_exp.errors import ConfigurationError

OPTIONS = sorted(path.relative_to(conf_folder()) for path in conf_folder().glob("*/*.yaml"))
RUN_OPTIONS = [option for option in OPTIONS if option.parent.name != "task"]
DEFAULTS = Path(__file__).parent / "recorded" / "defaults.json"
GROUPS = [item.name for item in fields(Config) if is_dataclass(item.type)]


def test_the_default_is_the_schema_default():
    assert load_config() == Config()


@pytest.mark.parametrize("option", RUN_OPTIONS, ids=str)
def test_every_option_composes(option: Path):
    assert isinstance(load_config([f"{option.parent}={option.stem}"]), Config)


@pytest.mark.parametrize("path", base_files())
def test_base_files_are_what_the_schema_says(path: str):
    message = "the schema was changed: run python -m muat_exp.config.base_files"
    assert (conf_folder() / path).read_text() == base_files()[path], message


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_every_file_says_what_it_is_in_its_first_comment(option: Path):
    assert len(first_comment(conf_folder() / option)) >= 10


@pytest.mark.parametrize("group", GROUPS)
def test_options_state_only_what_differs_from_the_base(group: str):
    base = yaml.safe_load((conf_folder() / group / "base.yaml").read_text())
    for name in option_names(group):
        stated = yaml.safe_load((conf_folder() / group / f"{name}.yaml").read_text())
        if name == "base":
            continue
        assert stated.pop("defaults")[0] == "base"
        before = dict(flatten(base))
        for key, value in flatten(stated):
            assert value != before[key], f"{group}/{name}.yaml: {key} is that of base.yaml"


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_knows_the_name_that_its_keys_have_in_errors(group: str):
    assert getattr(Config(), group).prefix == f"{group}."


def test_every_key_is_described():
    undescribed = [name for name, item in walk(Config) if not key_of(item).doc]
    within = ("architecture", "dataset.splits.", "num_layers.", "neurons_per_layer.")
    ends = (".min", ".max")
    left = [name for name in undescribed if name not in GROUPS and not name.endswith(ends)]
    assert [name for name in left if not name.startswith(within)] == []


def test_the_defaults_are_those_that_the_hash_takes_for_granted():
    recorded = json.loads(DEFAULTS.read_bytes())
    here = dict(flatten(Config().to_dict()))
    changed = [key for key, value in recorded["values"].items() if here.get(key) != value]
    message = (
        f"the defaults of {', '.join(changed)} changed: config_signature leaves out what is at its "
        "default, so datasets made before and after would bear the same hash. Increase "
        "config.identity.DEFAULTS and record the defaults anew: python tests/test_config.py"
    )
    assert not changed or recorded["number"] != identity.DEFAULTS, message
    assert recorded["number"] == identity.DEFAULTS, (
        "record the defaults anew: python tests/test_config.py"
    )


def test_a_key_at_its_default_changes_no_signature():
    one_key_more = {"defaults": identity.DEFAULTS, "given": {"corruption.rate": 0.2}}
    assert config_signature(load_config(["corruption.rate=0.2"])) == short_digest(one_key_more)


def test_a_key_says_itself_whether_it_determines_the_data():
    assert determines_data("dataset.style")
    assert determines_data("experiment")
    assert not determines_data("dataset.num_examples")
    assert not determines_data("logger.run_name")
    assert not determines_data("logger")


def test_limits_are_read_from_where_they_are_declared():
    assert limits_of(ArchitectureConfig, "num_layers") == (1, 64)
    with pytest.raises(ValueError, match="has no limits"):
        limits_of(ArchitectureConfig, "activations")


def test_a_field_of_another_type_is_an_error_of_the_programmer():
    @dataclass
    class Odd:
        when: complex = 0j

    with pytest.raises(TypeError, match="complex"):
        read({"when": 1}, Odd)


def test_a_whole_number_may_be_written_with_an_exponent():
    assert load_config(["dataset.num_examples=1e4"]).dataset.num_examples == 10_000
    with pytest.raises(ConfigurationError, match=r"dataset.num_examples is 15.5"):
        load_config(["dataset.num_examples=1.55e1"])


def test_configurations_are_composed_in_threads_at_once():
    with ThreadPoolExecutor(4) as pool:
        seeds = pool.map(lambda seed: load_config([f"seed={seed}"]).seed, range(8))
    assert list(seeds) == list(range(8))


def test_a_hydra_of_the_callers_own_is_left_alone():
    with initialize_config_dir(str(conf_folder()), version_base="1.2"):
        assert load_config(["seed=3"]).seed == 3
        assert GlobalHydra.instance().is_initialized()
        assert str(hydra.version.getbase()) == "1.2"
        assert compose("config", ["seed=4"]).seed == 4


def test_composing_looks_at_no_dataset(monkeypatch):
    monkeypatch.setitem(sys.modules, "muat_exp.dataset.hub", None)  # importing it would fail
    config = load_config(["task=signature", "dataset=someone/something", "signature=mean_std"])
    assert config.signature.methods == ("mean", "std")


@pytest.mark.parametrize(
    ("group", "option", "key", "value"),
    [
        ("corruption", "severe", "corruption.rate", 0.45),
        ("architecture", "small", "architecture.num_layers.max", 6),
        ("architecture", "large", "architecture.neurons_per_layer.min", 25),
        ("signature", "mean_std_pca_10", "signature.components", 10),
        ("patterns", "published", "patterns.definitions", "published"),
        ("training", "published", "training.min_test_accuracy", 0.0),
        ("experiment", "muat_pca_10_medium_published", "dataset.balance", False),
    ],
)
def test_options_hold_what_they_promise(group, option, key, value):
    assert dict(flatten(load_config([f"{group}={option}"]).to_dict()))[key] == value


def test_configurations_round_trip_through_plain_containers():
    config = load_config(["experiment=muat_pca_10_medium_published", "seed=5"])
    assert from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    "override",
    ["workers=1", "cohort_size=7", "logger=none", "dataset.num_examples=20", "progress=false"],
)
def test_the_signature_ignores_what_does_not_change_the_data(override):
    assert config_signature(load_config([override])) == config_signature(Config())


@pytest.mark.parametrize(
    "override",
    ["seed=1", "corruption.rate=0.2", "signature.probe_seed=1", "training.batch_size=64"],
)
def test_the_signature_follows_what_changes_the_data(override):
    assert config_signature(load_config([override])) != config_signature(Config())


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["corruption.rate=1.5"], ["corruption.rate is 1.5", "between 0 and 1"]),
        (["corruption.kind=flip"], ["'flip'", "flip_target, flip_any, random_label"]),
        (["corruption.raet=0.1"], ["corruption.raet", "Did you mean 'corruption.rate'"]),
        (["corruptoin.rate=0.1"], ["Did you mean 'corruption.rate'"]),
        (["signature=pca_11"], ["'signature' has no option 'pca_11'", "pca_10"]),
        (["signature.methods=[pcaa]"], ["'pcaa'", "mean, std, min", "Did you mean 'pca'"]),
        (["patterns.enabled=[palindrom]"], ["'palindrom'", "Did you mean 'palindrome'"]),
        (["patterns.vocab_size=5", "patterns.sequence_length=6"], ["no_repeats", "6", "5"]),
        (["architecture.num_layers.min=11"], ["architecture.num_layers.min is 11", "max is 10"]),
        (
            ["architecture.neurons_per_layer.min=3"],
            ["architecture.neurons_per_layer.min is 3", "between 4 and 256"],
        ),
        (["dataset.num_examples=5"], ["dataset.num_examples is 5", "14"]),
        (["workers=many"], ["workers is 'many'", "auto"]),
        (["seed=-1"], ["seed is -1"]),
        (["seed=a"], ["seed is 'a'", "whole number"]),
        (
            ["patterns.examples_per_subject=20", "patterns.per_subject.max=5"],
            ["patterns.examples_per_subject=20"],
        ),
        (["training.learning_rate.max=inf"], ["training.learning_rate.max is inf", "finite"]),
        (["training.switch_threshold=nan"], ["training.switch_threshold is nan", "finite"]),
        (["training.learning_rate.max=1e300"], ["between 1e-12 and 1000000000000000"]),
        ([f"corruption.rate={'1' * 400}"], ["corruption.rate is larger than any real number"]),
        ([f"seed={'1' * 5000}"], ["more than 4300 digits"]),
        (["training.clean.learning_rate_factor=1e-300"], ["between 1e-06 and 1000000"]),
        (["nonsense"], ["nonsense", "key=value"]),
        (["out=1"], ["'out'", "hydra.run.dir=<folder>"]),
        ("experiment=smoke", ["a list of overrides", "not 'experiment=smoke'"]),
        (["logger.run_name=Zürich"], ["logger.run_name=Zürich", "key='value'"]),
        (["architecture.num_layers=[4,6]"], ["num_layers.min=4 architecture.num_layers.max=6"]),
        (["task=gahter"], ["'task' has no option 'gahter'", "Did you mean 'gather'"]),
        (["task=publish", "dataset=x", "repo=no"], ["repo is 'no'", "<owner>/<name>"]),
        (["task=score", "dataset=x"], ["task=score needs predictions=<"]),
        (["task=validate"], ["task=validate needs dataset=<"]),
        (["repo=me/mine"], ["repo=me/mine is for task=publish"]),
        (["+repo=me/mine"], ["repo is for task=publish"]),
        (["task=score", "dataset=x", "repo=me/mine"], ["repo=me/mine is for task=publish"]),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else None,
)
def test_mistakes_are_sentences(overrides, parts):
    with pytest.raises(ConfigurationError) as caught:
        load_config(overrides)
    text = str(caught.value)
    assert all(part in text for part in parts), text
    assert "\n" not in text
    assert text.count(". ") <= 2


def record() -> None:
    """Notes the defaults of every key that determines the data."""
    values = {key: value for key, value in flatten(Config().to_dict()) if determines_data(key)}
    DEFAULTS.write_text(
        json.dumps({"number": identity.DEFAULTS, "values": values}, indent=1) + "\n"
    )


if __name__ == "__main__":
    record()
