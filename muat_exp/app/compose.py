"""Configurations from the YAML files and overrides, and Hydra's errors as sentences."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, read_write

from muat_exp.app.messages import conf_folder, sentences
from muat_exp.config.checks import require
from muat_exp.config.groups import DERIVING, ON_DATASETS, USED_BY, Config, from_dict
from muat_exp.config.identity import determines_data
from muat_exp.config.reading import flatten
from muat_exp.errors import ConfigurationError, ProbeSetError, RunFolderError
from muat_exp.signatures.probe_file import digest, parse, read_file

_ADDED_GROUP = re.compile(r"^\+(?=(experiment|sweep)=)")
_LOCAL_RAY = {"include_dashboard": False, "logging_level": "warning"}
_LOCAL_RAY_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
}  # it serves nobody else, and tells nobody


def load_config(overrides: Sequence[str] = ()) -> Config:
    """The configuration that the command line would compose from these overrides.

    Args:
        overrides: as on the command line, such as `["signature=pca_15", "dataset.num_examples=200"]`.

    Raises:
        ConfigurationError: a sentence about what is wrong, where, and what is allowed.

    >>> load_config(["signature=pca_15"]).signature.components
    15
    """
    with sentences(), initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return to_config(compose("config", _normalise(overrides)))


def to_config(composed: DictConfig) -> Config:
    """The checked configuration that a composed one holds.

    Raises:
        ConfigurationError: an unknown key, a value that can't be resolved, or a wrong one.
    """
    with sentences():
        values: dict[str, Any] = OmegaConf.to_container(
            composed, resolve=True, throw_on_missing=True
        )  # type: ignore[assignment]
    if values.get("task") in DERIVING and values.get("dataset_dir"):
        values["patterns"] = _dataset_patterns(
            str(values["dataset_dir"])
        )  # what a signature must fit
    signature = values.get("signature")
    given = isinstance(signature, dict) and (
        signature.get("probe_set") or signature.get("probe_set_sha256")
    )
    return _with_probes(values) if given else from_dict(values)


def _dataset_patterns(name: str) -> dict[str, Any]:
    """The patterns of a dataset, as its configuration holds them.

    Raises:
        DatasetError: there is no such dataset.
    """
    from muat_exp.dataset.hub import dataset_folder
    from muat_exp.dataset.reading import read_config

    return asdict(read_config(dataset_folder(name)).patterns)


def _with_probes(values: dict[str, Any]) -> Config:
    """The checked configuration with the number and the checksum of the probes that `signature.probe_set` holds.

    Raises:
        ConfigurationError: the file is absent, no probe set, of other patterns, or not the one that a run began with.
    """
    settings = values["signature"]
    path = str(settings.get("probe_set", ""))
    begun = settings.get("probe_set_sha256", "")
    require(
        bool(path),
        "signature.probe_set_sha256 is filled in from the file that signature.probe_set names; leave it out.",
    )
    try:
        content = read_file(Path(path))
        probes = parse(content)
        settings |= {"probes": len(probes.sequences), "probe_set_sha256": digest(content)}
        config = from_dict(values)
        probes.check(config.patterns)
    except ProbeSetError as error:
        raise ConfigurationError(f"signature.probe_set={path}: {error}") from error
    require(
        begun in ("", digest(content)),
        f"signature.probe_set={path}: the file is not what it was when the run began.",
    )
    return config


def _normalise(overrides: Sequence[str]) -> list[str]:
    """The overrides with `+experiment=` as `experiment=` and `+sweep=` as `sweep=`, so that both spellings work.

    >>> _normalise(["+experiment=smoke", "seed=1"])
    ['experiment=smoke', 'seed=1']
    """
    return [_ADDED_GROUP.sub("", override) for override in overrides]


def prepare(arguments: Sequence[str]) -> list[str]:
    """What Hydra gets to see of the command line: `resume=` spelled out, and a folder for what has none of its own.

    Raises:
        ConfigurationError: see `_resumed`.
    """
    prepared = _normalise(_resumed(arguments))
    _check_arguments(prepared)
    if any(f"task={task}" in prepared for task in ON_DATASETS):
        makes_one = any(f"task={task}" in prepared for task in ("signature", "render", "score"))
        return [
            *map(_named_folder, prepared),
            "hydra.output_subdir=null",
            *([] if makes_one else ["hydra.run.dir=."]),
        ]
    if (
        any(argument.startswith("--") and argument != "--multirun" for argument in prepared)
        or "-c" in prepared
    ):
        return prepared  # help, or printing the configuration
    keys = [argument.partition("=")[0] for argument in prepared]
    checked = "task=probes" in prepared and "signature.probe_set" in keys
    if "task=dashboard" in prepared or checked:
        return [*prepared, "hydra.output_subdir=null", "hydra.run.dir=."]
    if "task=gather" in prepared:
        folder = next(
            (
                argument.partition("=")[2]
                for argument in prepared
                if argument.startswith("sweep_dir=")
            ),
            "",
        )
        exists = folder and Path(folder).is_dir()
        return [
            *prepared,
            "hydra.output_subdir=null",
            f"hydra.run.dir={json.dumps(folder) if exists else '.'}",
        ]
    if (
        {"-m", "--multirun", "sweep"} & set(keys)
        and "hydra.sweep.dir" not in keys
        and "sweep=null" not in prepared
    ):
        prepared.append(f"hydra.sweep.dir={claim_folder(Path('multirun'))}")
    return prepared


def _check_arguments(prepared: Sequence[str]) -> None:
    """Raises `ConfigurationError` for a folder without a name, several jobs of one task, and keys of another task."""
    if any(argument.startswith("--") and argument != "--multirun" for argument in prepared):
        return  # help, or printing the configuration
    values = {
        key: value.strip("'\"")
        for key, _, value in (argument.partition("=") for argument in prepared)
    }
    for key in ("hydra.run.dir", "hydra.sweep.dir"):
        require(values.get(key) != "", f"{key}= names no folder.")
    task = values.get("task", "generate")
    several = {"-m", "--multirun", "sweep"} & values.keys() and values.get("sweep") != "null"
    require(
        not several or task == "generate", f"A multirun makes datasets; run task={task} by itself."
    )
    for key, tasks in USED_BY.items():
        needless = not values.get(key) or task in tasks
        require(
            needless,
            f"{key}={values.get(key)} is for task={' or '.join(tasks)}, but task is {task}.",
        )


def _named_folder(argument: str) -> str:
    """An argument `dataset=<folder>` as the key of that folder: what these tasks work on has its own configuration."""
    key, _, value = argument.partition("=")
    return f"dataset_dir={json.dumps(value)}" if key == "dataset" else argument


def claim_folder(parent: Path) -> Path:
    """A folder `<date>/<time>` that no other process has: of two claims in one second, the second becomes `<time>-2`."""
    start = datetime.now()
    for number in count(1):
        folder = (
            parent
            / f"{start:%Y-%m-%d}"
            / (f"{start:%H-%M-%S}" + (f"-{number}" if number > 1 else ""))
        )
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise RunFolderError(f"The folder {folder} can't be made: {error.strerror}.") from error
    raise AssertionError("numbers do not end")


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def launched_threads(hydra: DictConfig, threads: int) -> int:
    """Worker threads of one job of a sweep, so that its jobs together take no more than the processors there are."""
    launcher = hydra.launcher
    name = hydra.runtime.choices["hydra/launcher"]
    if name == "joblib":
        return max(1, threads // (launcher.n_jobs if launcher.n_jobs > 0 else processors()))
    if name == "submitit_local":
        return int(launcher.cpus_per_task or 1)
    if name == "ray":
        return int((launcher.ray.remote or {}).get("num_cpus") or 1)
    return threads


def limit_jobs(config: DictConfig) -> None:
    """Has joblib, or a Ray cluster of this machine alone, run no more jobs at a time than there are processors."""
    launcher = config.hydra.launcher
    name = config.hydra.runtime.choices["hydra/launcher"]
    with read_write(launcher):
        if name == "joblib" and launcher.n_jobs > processors():
            launcher.n_jobs = processors()
        if name == "ray" and launcher.ray.init.get("address") is None:
            launcher.ray.init = _LOCAL_RAY | {"num_cpus": processors()} | dict(launcher.ray.init)
            for variable, value in _LOCAL_RAY_ENVIRONMENT.items():
                os.environ.setdefault(variable, value)


def _resumed(arguments: Sequence[str]) -> list[str]:
    """The arguments with `resume=<run folder>` replaced by the configuration that the folder holds.

    Raises:
        ConfigurationError: the folder holds no run, or another argument changes what determines its data.
    """
    folders = [
        argument.partition("=")[2] for argument in arguments if argument.startswith("resume=")
    ]
    others = [argument for argument in arguments if not argument.startswith("resume=")]
    if not folders:
        return others
    path = Path(folders[-1]) / "config.json"
    require(
        path.is_file(),
        f"resume={folders[-1]}: that folder holds no run; name one that has a config.json.",
    )
    keys = [
        argument.partition("=")[0].lstrip("+~")
        for argument in others
        if not argument.startswith("-")
    ]
    for key in keys:
        free = key.startswith("hydra.") or not determines_data(key)
        require(
            free,
            f"resume={folders[-1]} continues a run as it was configured; leave out '{key}', or start another run.",
        )
    stored = dict(flatten(json.loads(path.read_bytes())["config"]))
    copy = path.with_name("probe_set.json")
    if stored.get("signature.probe_set") and copy.is_file():
        stored["signature.probe_set"] = str(copy)
    kept = [
        f"{key}={json.dumps(value)}"
        for key, value in stored.items()
        if key not in keys and key.split(".")[0] not in keys
    ]
    return [*kept, *others, f"hydra.run.dir={json.dumps(folders[-1])}"]
