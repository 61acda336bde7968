"""The task `dashboard`: saves the project's W&B dashboard, or prints what it would send."""

from dataclasses import dataclass
from typing import ClassVar

from muat_exp.app.request import Request, TaskKeys
from muat_exp.config.keys import key


@dataclass(frozen=True)
class Keys(TaskKeys):
    """What it is told beside the configuration."""

    task: ClassVar[str] = "dashboard"
    dry_run: bool = key()


def run(request: Request[Keys]) -> float:
    """Saves the dashboard and prints its addresses."""
    config = request.config
    from muat_exp.tracking.dashboard import print_specification, require_workspaces, save_dashboard
    from muat_exp.tracking.wandb_environment import resolved

    if request.keys.dry_run:
        require_workspaces()
        logger = resolved(config.logger)
        print_specification(logger.entity or "entity", logger.project)
        return 0.0
    for address in save_dashboard(config):
        print(address)
    return 0.0
