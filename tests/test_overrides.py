"""Command-line arguments in Hydra's grammar.

Folders are taken letter by letter, sweeps and other keys as they are.
"""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from muat_exp.app.overrides import hydra_overrides


def read_by_hydra(argument):
    return OverridesParser.create().parse_override(argument).value()


def value_of(argument, *others):
    """What Hydra makes of the last argument's value."""
    return read_by_hydra(hydra_overrides([*others, argument])[-1])


NAMES = [
    "Zürich",
    "a b",
    "b\\c",
    "b\\\\c",
    "it's",
    'say "x"',
    "2024",
    "1e3",
    "back\\",
    "null",
    "a=b",
    "выход",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["resume", "signature.probe_set", "hydra.run.dir"])
def test_folders_are_taken_letter_by_letter(key, name):
    assert value_of(f"{key}={name}") == name


@given(
    st.text(st.characters(exclude_characters="'\",~(", exclude_categories=["Cc", "Cs"]), min_size=1)
)
def test_any_name_without_commas_and_quotes_is_taken_as_it_stands(name):
    assert value_of(f"resume={name}") == name


def test_quotes_around_the_whole_name_are_left_out():
    assert value_of("dataset='a b'", "task=validate") == "a b"
    assert value_of('dataset="a,b"', "task=validate") == "a,b"


def test_the_home_folder_is_filled_in(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert value_of("hydra.run.dir=~/x") == "/home/me/x"


def test_references_to_other_keys_remain():
    assert value_of("hydra.run.dir=outputs/${seed}") == "outputs/${seed}"


@pytest.mark.parametrize(
    "argument",
    ["signature.probe_set=a.json,b.json", "seed=1", "dataset=default", "--help", "-m", "~logger"],
)
def test_everything_else_is_left_to_hydra(argument):
    assert hydra_overrides([argument]) == [argument]


def test_dataset_names_a_folder_for_the_tasks_that_work_on_one():
    assert hydra_overrides(["dataset=x", "task=score"])[0] == "dataset_dir='x'"
    assert hydra_overrides(["dataset=x", "task=probes"])[0] == "dataset=x"
    assert hydra_overrides(["dataset=x", "task=nonsense"])[0] == "dataset=x"
