"""The task `gather`: gathers a sweep; one with unfinished jobs as far as it goes."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from muat_exp.app.request import Request, TaskKeys
from muat_exp.config.keys import key
from muat_exp.errors import SweepError


@dataclass(frozen=True)
class Keys(TaskKeys):
    """What it is told beside the configuration."""

    task: ClassVar[str] = "gather"
    sweep_dir: str = key(path=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_given("sweep_dir", "the folder of a multirun")


def run(request: Request[Keys]) -> float:
    """Writes the sweep's table and plots into its folder and prints the table.

    Raises:
        SweepError: the folder holds no sweep, or one of which a job did not finish well; the table
            is there then.
    """
    from muat_exp.app.sweep_job import show_sweep

    folder = request.keys.sweep_dir
    if show_sweep(Path(folder)):
        raise SweepError(f"Not all of the sweep in {folder} finished well; the table says what.")
    return 0.0
