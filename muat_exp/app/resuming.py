"""Continuing a run as it was configured: `resume=<its folder>`."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from muat_exp.config.checks import require
from muat_exp.config.identity import determines_data

_NOT_OF_THE_RUN = ("task", "resume")


def holds_run(folder: str) -> Path:
    """The file with the configuration of the run that a folder holds.

    Raises:
        ConfigurationError: it holds none.
    """
    path = Path(folder) / "config.json"
    require(
        path.is_file(),
        f"resume={folder}: that folder holds no run; name one that has a config.json.",
    )
    return path


def continued(folder: str, composed: dict[str, Any], given: Collection[str]) -> dict[str, Any]:
    """The configuration of the run in a folder, but for named keys that change no data.

    Args:
        folder: the run's.
        composed: what the command line composes.
        given: the dotted keys that were named there.

    Raises:
        ConfigurationError: the folder holds no run, or a key was named that determines its data.
        RunFolderError: its `config.json` is damaged, or another program's.
    """
    from muat_exp.generation.run_folder import load_run_config

    path = holds_run(folder)
    values = load_run_config(path.parent).to_dict()
    copy = path.with_name("probe_set.json")
    if values["signature"]["probe_set"] and copy.is_file():
        values["signature"]["probe_set"] = str(copy)
    for key in given:
        if key not in _NOT_OF_THE_RUN:
            _require_free(key, folder)
            _copy_key(key, composed, values)
    return values


def _require_free(key: str, folder: str) -> None:
    """Raises `ConfigurationError` for a key that determines the data of the run in a folder."""
    require(
        not determines_data(key),
        f"resume={folder} continues a run as it was configured; leave out '{key}', or start "
        "another run.",
    )


def _copy_key(key: str, source: dict[str, Any], target: dict[str, Any]) -> None:
    """Takes over what stands under a dotted key."""
    *groups, name = key.split(".")
    for group in groups:
        source = source[group]
        target = target[group]
    target[name] = source[name]
