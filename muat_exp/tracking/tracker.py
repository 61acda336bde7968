"""What every tracker is told of a run."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from muat_exp.config.groups import Config
from muat_exp.tracking.curves import Row


@dataclass(frozen=True)
class Progress:
    """A run so far: attempts and accepted ones, rejections by reason, seconds of work."""

    attempts: int
    accepted: int
    rejected: dict[str, int]
    seconds: float


class Tracker(ABC):
    """Told of a run's cohorts in the order of their numbers, then of its result.

    Attributes:
        notes: what the user is told at its start.
        files, folders: names of what it writes into the run's folder, claimed before it is made.
    """

    files: ClassVar[tuple[str, ...]] = ()
    folders: ClassVar[tuple[str, ...]] = ()
    notes: Sequence[str] = ()

    @abstractmethod
    def __init__(self, config: Config, folder: Path) -> None:
        """Begins tracking a run in this folder."""

    @abstractmethod
    def write(self, cohort: int, rows: list[Row], progress: Progress) -> None:
        """Takes the curves of one cohort, and how far the run has come with it."""

    def finish(self, dataset: Path, summary: dict[str, Any]) -> None:  # noqa: B027 - optional
        """Takes the finished dataset and the summary."""

    def close(self) -> None:  # noqa: B027 - optional
        """Ends tracking, after `finish` or where the run stopped short of it."""
