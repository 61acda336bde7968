"""Running the configuration of a dataset again: `config=<its folder>`."""

from collections.abc import Collection
from copy import deepcopy
from pathlib import Path
from typing import Any

from muat_exp.config.checks import require
from muat_exp.config.identity import MARK, config_signature, determines_data
from muat_exp.config.reading import flatten, set_key
from muat_exp.errors import ConfigurationError, DatasetError

_FILE = "config.yaml"
_WHOLE = ("experiment", "sweep")  # groups whose options set keys anywhere
_PROBES = ("signature.probe_set_sha256", "signature.probes")  # of a file that was given


def repeated(place: str, composed: dict[str, Any], given: Collection[str]) -> dict[str, Any]:
    """The configuration that a dataset was made with, but for what the command line names.

    Args:
        place: the dataset's folder, or its `config.yaml`.
        composed: what the command line composes; where keys that change no data come from.
        given: the dotted keys and groups that were named there.

    Raises:
        ConfigurationError: no dataset's configuration is there, it was changed by hand or made by
            another version, or an option was named that can't be told apart from it.
    """
    for group in _WHOLE:
        require(
            group not in given,
            f"config={place} is a whole configuration; leave out {group}, and name single keys or "
            "groups to change it.",
        )
    folder = _dataset_folder(place)
    values = deepcopy(composed)
    for key, value in _stored_values(place, folder).items():
        if not _is_named(key, given):
            set_key(values, key, value)
    if values["signature"]["probe_set_sha256"] and not values["signature"]["probe_set"]:
        values["signature"]["probe_set"] = str(folder / "probe_set.json")
    return values


def _dataset_folder(place: str) -> Path:
    """The folder of the dataset that a place names."""
    path = Path(place)
    folder = path.parent if path.name == _FILE else path
    if not (folder / _FILE).is_file():
        within = folder / "dataset"
        hint = f" Did you mean {within}?" if (within / _FILE).is_file() else ""
        raise ConfigurationError(
            f"config={place}: no dataset is there; name the folder of one, or the config.yaml in "
            f"it.{hint}"
        )
    return folder


def _stored_values(place: str, folder: Path) -> dict[str, Any]:
    """What a dataset's file holds, by dotted key: groups that determine the data, and its size."""
    from muat_exp.dataset.reading import read_config

    try:
        config = read_config(folder)
    except DatasetError as error:
        raise ConfigurationError(f"config={place}: {error}") from error
    with (folder / _FILE).open(encoding="utf-8") as file:
        signed = file.readline().strip()
    require(
        signed == f"{MARK}{config_signature(config)}",
        f"config={place} does not have the signature of its values: it was changed, is of another "
        "program, or of another version of this one. Give what is to differ on the command line.",
    )
    stored = dict(flatten(config.to_dict()))
    del stored["signature.probe_set"]  # a path of elsewhere
    return {key: stored[key] for key in stored if determines_data(key.partition(".")[0])}


def _is_named(key: str, given: Collection[str]) -> bool:
    """Whether a key, its group, or the file that it is read from was named."""
    if key in _PROBES and "signature.probe_set" in given:
        return True
    return any(key == name or key.startswith(f"{name}.") for name in given)
