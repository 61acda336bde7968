"""The task `signature`: describes the stored networks of a dataset by another signature."""

from dataclasses import dataclass
from typing import ClassVar

from muat_exp.app.deriving import derive_dataset
from muat_exp.app.request import DatasetKeys, Request


@dataclass(frozen=True)
class Keys(DatasetKeys):
    """What it is told beside the configuration."""

    task: ClassVar[str] = "signature"


def run(request: Request[Keys]) -> float:
    """Makes the other dataset in the run's folder."""
    return derive_dataset(request)
