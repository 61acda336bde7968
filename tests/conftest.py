"""Shared fixtures: small configurations and one finished run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from muat_exp.config import ArchitectureConfig, Config, DatasetConfig, LoggerConfig, Range
from muat_exp.engine import Workers, worker_threads
from muat_exp.generate import Result, generate
from muat_exp.sequences import SpaceArrays, space_arrays

settings.register_profile("compiled", deadline=None)  # a first call compiles
settings.load_profile("compiled")


def small_config(**changes: object) -> Config:
    """A configuration whose runs take a second or two."""
    defaults: dict[str, object] = {
        "architecture": ArchitectureConfig(Range(2, 4), Range(5, 9)),
        "dataset": DatasetConfig(num_examples=28),
        "cohort_size": 96,
        "workers": 2,
        "logger": LoggerConfig("csv"),
    }
    return Config(**(defaults | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def config() -> Config:
    return small_config()


@pytest.fixture(scope="session")
def space() -> SpaceArrays:
    return space_arrays(Config().patterns.build())


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    with worker_threads(2) as threads:
        yield threads


@pytest.fixture(scope="session")
def run(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("run")
    return generate(config, folder)
