"""What of a configuration determines the data, its hash, and its form for others to read."""

import hashlib
import json
import os
from typing import Any

from omegaconf import OmegaConf

from muat_exp.config.groups import Config
from muat_exp.config.reading import flatten

# What changes neither a subject nor how it is presented: left out of the signature, free to differ when a run continues.
_PRESENTATION = (
    "task",
    "sweep_dir",
    "dataset_dir",
    "predictions",
    "benchmark_set",
    "repo",
    "private",
    "dry_run",
    "workers",
    "cohort_size",
    "logger",
    "progress",
    "dataset.num_examples",
    "dataset.on_shortfall",
    "dataset.max_attempts_per_example",
    "dataset.examples_per_shard",
    "dataset.tokenizer",
    "signature.probe_set",
)


def published_values(config: Config) -> dict[str, Any]:
    """Nested plain containers without paths of the machine, as they may be shown elsewhere."""
    values = config.to_dict()
    values["signature"]["probe_set"] = ""  # the dataset has a file of its own
    values["dataset"]["tokenizer"] = os.path.basename(config.dataset.tokenizer)
    for name in ("sweep_dir", "dataset_dir", "predictions", "benchmark_set"):
        values[name] = ""
    return values


def determines_data(key: str) -> bool:
    """Whether a dotted key changes a subject or its text."""
    return key not in _PRESENTATION and key.split(".")[0] not in _PRESENTATION


def config_signature(config: Config) -> str:
    """Hash of every key that determines a subject's data: the first 16 hex digits of a SHA-256."""
    keys = {key: value for key, value in flatten(config.to_dict()) if determines_data(key)}
    return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()[:16]


def to_yaml(config: Config) -> str:
    """The resolved configuration with its signature, as stored beside the data: what determines the data and its size."""
    values = {
        key: value for key, value in published_values(config).items() if key not in _PRESENTATION
    }
    return f"# config_signature: {config_signature(config)}\n" + OmegaConf.to_yaml(
        OmegaConf.create(values)
    )
