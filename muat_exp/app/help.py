"""What `--help` prints: usage, tasks, groups and keys, each read from where it is defined.

Hydra's own help would compose the configuration first and take a second longer.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from string import Template

from muat_exp.app.tasks import task_names
from muat_exp.config.files import conf_folder, first_comment, group_names, option_names
from muat_exp.config.groups import Config
from muat_exp.config.keys import key_of

_WIDTH = 110
_TEXT = Template("""\
muat_exp trains populations of small neural networks ("subjects") to recognise patterns in token
sequences, first on partly mislabelled data, then on clean data, and writes a dataset of their
weights, activations and behaviour.

== Usage ==
python -m muat_exp                            1000 examples, in outputs/<date>/<time>
python -m muat_exp experiment=smoke           the smallest whole run, a few seconds
python -m muat_exp dataset.num_examples=10000 signature=pca_15 corruption.rate=0.3
python -m muat_exp hydra.run.dir=outputs/mine name the folder; again, it continues a stopped run
python -m muat_exp resume=outputs/mine        continue a run as it was configured
python -m muat_exp +sweep=medium              corruption rates, gathered, in multirun/<date>/<time>
python -m muat_exp -m corruption=none,heavy   a sweep of your own; hydra.sweep.dir=<folder> names it
python -m muat_exp experiment=smoke --cfg job print the configuration, run nothing

== Tasks (task=name; their own keys are in conf/task/<name>.yaml) ==
$tasks

== Configuration groups (group=option) ==
$groups

== Keys (key=value), with their defaults ==
$keys
Every key is explained in conf/base.yaml or conf/<group>/base.yaml; all values: --cfg job

Hydra's own options (multirun, configuration output, shell completion): --hydra-help""")


def help_text() -> str:
    """The whole text."""
    return _TEXT.substitute(
        tasks="\n".join(_task_lines()),
        groups="\n".join(_group_lines()),
        keys="\n".join(_key_lines()),
    )


def _task_lines() -> Iterator[str]:
    """A line on each task."""
    for name in task_names():
        path = conf_folder() / "task" / f"{name}.yaml"
        yield f"task={name:<12} {first_comment(path)}"


def _group_lines() -> Iterator[str]:
    """A line on each group."""
    for group in group_names():
        yield _wrapped(f"{group}:", option_names(group), column=14)


def _key_lines() -> Iterator[str]:
    """A line on each key outside of the groups, then one on the keys of each group."""
    for item in fields(Config):
        if is_dataclass(item.type):
            names = [inner.name for inner in fields(item.type)]
            yield _wrapped(f"{item.name}.*", names, column=19)
        elif item.name != "task":
            default = f"{item.name}={item.default}".lower()
            yield f"{default:<18} {key_of(item).doc}"


def _wrapped(start: str, names: list[str], column: int) -> str:
    """A list of names that begins in a column, below each other where it takes several lines."""
    return textwrap.fill(
        ", ".join(names),
        _WIDTH,
        initial_indent=start.ljust(column),
        subsequent_indent=" " * column,
    )
