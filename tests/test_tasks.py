"""The tasks of the command line: each has a file and a module of its name, which agree."""

from dataclasses import fields

import pytest
import yaml

from muat_exp.app.compose import load_config
from muat_exp.app.request import DatasetKeys
from muat_exp.app.tasks import own_keys, task_module, task_names, tasks_with
from muat_exp.config.files import conf_folder
from muat_exp.config.groups import Config
from muat_exp.errors import ConfigurationError

OF_HYDRA = {"task", "hydra"}


def stated(name):
    """What the file of a task says."""
    return yaml.safe_load((conf_folder() / "task" / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", task_names())
def test_the_file_and_the_module_of_a_task_have_the_same_keys(name):
    assert stated(name)["task"] == task_module(name).Keys.task == name
    assert set(stated(name)) - OF_HYDRA == set(own_keys(name))


@pytest.mark.parametrize("name", task_names())
def test_the_keys_of_a_task_are_no_keys_of_a_run(name):
    assert not set(own_keys(name)) & {item.name for item in fields(Config)}


@pytest.mark.parametrize("name", tasks_with("dataset_dir"))
def test_tasks_on_a_dataset_need_one(name):
    assert issubclass(task_module(name).Keys, DatasetKeys)
    with pytest.raises(ConfigurationError, match=f"task={name} needs dataset=<"):
        load_config([f"task={name}"])


def test_keys_are_known_by_their_tasks():
    assert tasks_with("predictions") == ["score"]
    assert tasks_with("dry_run") == ["dashboard", "publish"]
    assert tasks_with("seed") == []


@pytest.mark.parametrize("value", ["perhaps", "1.5"])
def test_a_wrong_value_of_a_tasks_key_is_a_sentence(value):
    with pytest.raises(ConfigurationError, match=r"dry_run is .* it must be true or false"):
        load_config(["task=dashboard", f"dry_run={value}"])
