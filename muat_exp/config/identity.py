"""What of a configuration determines the data, its hash, and its form for others to read."""

import os
from collections.abc import Mapping
from typing import Any

import orjson
from omegaconf import OmegaConf

from muat_exp.config.groups import Config
from muat_exp.config.keys import key_of, walk
from muat_exp.config.reading import flatten
from muat_exp.files import short_sha256

# Which defaults the hash takes for granted. Increase it when the default of a key changes: datasets
# made before and after that would bear the same hash, though they hold other data.
DEFAULTS = 1
MARK = "# config_signature: "  # begins the stored configuration; its signature follows
_FREE = frozenset(name for name, item in walk(Config) if not key_of(item).determines_data)


def determines_data(key: str) -> bool:
    """Whether a dotted key changes a subject or its text: it and its groups say if it does not.

    >>> determines_data("corruption.rate"), determines_data("logger.name")
    (True, False)
    """
    parts = key.split(".")
    return not any(".".join(parts[: end + 1]) in _FREE for end in range(len(parts)))


def published_values(config: Config) -> dict[str, Any]:
    """Nested plain containers without paths of the machine, as they may be shown elsewhere."""
    values = config.to_dict()
    values["signature"]["probe_set"] = ""  # the dataset has a file of its own
    values["dataset"]["tokenizer"] = os.path.basename(config.dataset.tokenizer)
    return values


def short_digest(values: Mapping[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of plain containers, as JSON with sorted keys."""
    content = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
    return short_sha256(content)


def config_signature(config: Config) -> str:
    """Hash of what determines the data and is not at its default: a further key changes no hash."""
    defaults = dict(flatten(Config().to_dict()))
    given = {
        key: value
        for key, value in flatten(config.to_dict())
        if determines_data(key) and value != defaults[key]
    }
    return short_digest({"defaults": DEFAULTS, "given": given})


def to_yaml(config: Config) -> str:
    """The configuration with its signature, as stored beside the data that it determines."""
    values = {key: value for key, value in published_values(config).items() if determines_data(key)}
    header = f"{MARK}{config_signature(config)}\n"
    return header + OmegaConf.to_yaml(OmegaConf.create(values))
