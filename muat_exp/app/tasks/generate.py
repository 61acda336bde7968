"""The task `generate`: trains subjects and writes their dataset."""

import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from muat_exp.app.repeating import repeated
from muat_exp.app.request import Request, TaskKeys
from muat_exp.app.resuming import continued
from muat_exp.app.startup import heavy_imports
from muat_exp.config.checks import require
from muat_exp.config.groups import Config
from muat_exp.config.keys import key


@dataclass(frozen=True)
class Keys(TaskKeys):
    """What it is told beside the configuration."""

    task: ClassVar[str] = "generate"
    resume: str = key(path=True)
    config: str = key(path=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        both = bool(self.resume and self.config)
        require(not both, "resume continues a run, config begins one; leave out either.")

    def configured(self, values: dict[str, Any], given: Collection[str]) -> dict[str, Any]:
        """The values as they were composed, or of the run or dataset that is named."""
        if self.resume:
            return continued(self.resume, values, given)
        if self.config:
            return repeated(self.config, values, given)
        return values


def run(request: Request[Keys]) -> float:
    """Makes a dataset in the run's folder; returns its objective."""
    config = request.config
    resumed = request.keys.resume
    same = not resumed or Path(resumed).resolve() == request.folder.resolve()
    require(same, f"resume={resumed} continues the run in that folder; leave out hydra.run.dir.")
    return make_dataset(config, request.folder)


def make_dataset(config: Config, folder: Path, brief: bool = False) -> float:
    """Runs the pipeline under a progress display.

    Args:
        config: of the run.
        folder: the run's.
        brief: whether one line is printed at the end, rather than the closing table.

    Returns:
        The objective, see `sweep.jobs.objective`.
    """
    from muat_exp.tracking.wandb_environment import require_login

    if config.logger.name == "wandb":
        require_login(config.logger)
    with heavy_imports():
        from muat_exp.app.printing import print_brief, print_summary
        from muat_exp.generation.pipeline import generate
        from muat_exp.progress import reporter
        from muat_exp.sweep.jobs import objective

    shown = config.progress and (sys.stdout.isatty() or not brief)
    with reporter(config.dataset.num_examples, shown) as display:
        result = generate(config, folder, display)
    if brief:
        print_brief(result.summary)
    else:
        print_summary(result.summary, os.path.relpath(result.dataset))
    return objective(result.summary)
