"""The tasks of the command line, one module each.

A module holds `Keys`, what the task is told beside the configuration, and `run`, which does it.

A task is an option of the group `task`: `conf/task/<name>.yaml` holds its keys with their defaults,
where its results go, and what `--help` says of it. It is found by its name; nothing else lists the
tasks.
"""

from dataclasses import fields
from importlib import import_module
from types import ModuleType

from muat_exp.config.files import option_names


def task_names() -> list[str]:
    """Names of all tasks."""
    return option_names("task")


def task_module(name: str) -> ModuleType:
    """The module of a task: its `Keys` and `run`, which returns what a sweeper may maximise."""
    return import_module(f"{__name__}.{name}")


def own_keys(name: str) -> list[str]:
    """Names of a task's own keys."""
    return [item.name for item in fields(task_module(name).Keys)]


def tasks_with(key: str) -> list[str]:
    """The tasks that have a key of this name."""
    return [name for name in task_names() if key in own_keys(name)]
