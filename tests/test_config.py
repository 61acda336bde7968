"""Configurations: every YAML file composes, every mistake is one sentence that names the value and what is allowed."""

from pathlib import Path

import pytest

from muat_exp.app.compose import load_config
from muat_exp.app.messages import conf_folder
from muat_exp.config.groups import Config, from_dict
from muat_exp.config.identity import config_signature
from muat_exp.config.reading import flatten
from muat_exp.errors import ConfigurationError

OPTIONS = sorted(path.relative_to(conf_folder()) for path in conf_folder().glob("*/*.yaml"))


def test_the_default_is_the_schema_default():
    assert load_config() == Config()


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_every_option_composes(option: Path):
    assert isinstance(load_config([f"{option.parent}={option.stem}"]), Config)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_every_key_has_a_comment(option: Path):
    for line in (conf_folder() / option).read_text().splitlines():
        bare = not line.strip() or line.lstrip().startswith(("#", "-", "defaults:"))
        assert (
            bare
            or "#" in line
            or option.parent.name in ("experiment", "sweep")
            or line.startswith("  ")
        )


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
        (["nonsense"], ["nonsense", "key=value"]),
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
