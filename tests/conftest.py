"""Shared fixtures: small configurations and one finished run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from muat_exp.config.groups import (
    JSON_COLUMNS,
    PROMPT_TASKS,
    ArchitectureConfig,
    Config,
    DatasetConfig,
    LoggerConfig,
    Range,
    SignatureConfig,
    SplitsConfig,
    TrainingConfig,
)
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.generation.pipeline import Result, ensure_compiled, generate
from muat_exp.sequences.space import SpaceArrays, space_arrays
from muat_exp.subjects.activations import ACTIVATIONS

HANGS = 900  # seconds after which a process counts as hung, however loaded the machine is

# A first call compiles; and the folder of the sources may be read-only.
settings.register_profile("compiled", deadline=None, database=None)
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


@pytest.fixture(scope="session", autouse=True)
def kernels() -> None:
    """Compiled kernels: one of pytest's processes compiles them, the others wait for it."""
    ensure_compiled(lambda text: None)


@pytest.fixture(scope="session")
def config() -> Config:
    return small_config()


@pytest.fixture(scope="session")
def space() -> SpaceArrays:
    return space_arrays(Config().patterns.build())


@pytest.fixture(scope="session")
def workers() -> Iterator[ThreadExecutor]:
    # Not `worker_threads`, whose settings of the process would last as long as the session.
    torch.set_num_threads(1)
    threads = ThreadExecutor(2)
    yield threads
    threads.close()


@pytest.fixture(scope="session")
def run(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("run")
    return generate(config, folder)


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A finished run with everything that a dataset can hold."""
    config = small_config(
        architecture=ArchitectureConfig(
            Range(1, 3), Range(5, 9), ACTIVATIONS, dropout=0.05, precision="bfloat16"
        ),
        signature=SignatureConfig(("mean", "std", "pca"), components=4),
        training=TrainingConfig(min_test_accuracy=0.5),
        dataset=DatasetConfig(
            num_examples=42,
            tasks=PROMPT_TASKS,
            columns=JSON_COLUMNS,
            splits=SplitsConfig(0.5, 0.25, 0.25),
            style="interwoven",
        ),
        logger=LoggerConfig("none"),
    )
    return generate(config, tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="session")
def one_shape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of networks of one shape."""
    config = small_config(
        architecture=ArchitectureConfig(Range(3, 3), Range(6, 6)),
        dataset=DatasetConfig(num_examples=14),
        logger=LoggerConfig("none"),
    )
    return generate(config, tmp_path_factory.mktemp("one_shape")).dataset
