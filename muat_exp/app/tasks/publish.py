"""The task `publish`: uploads a dataset to the Hugging Face Hub, or lists what would go there."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from muat_exp.app.request import DatasetKeys, Request
from muat_exp.config.checks import require, require_repo_id
from muat_exp.config.keys import key


@dataclass(frozen=True)
class Keys(DatasetKeys):
    """What it is told beside the configuration."""

    task: ClassVar[str] = "publish"
    repo: str = key()
    private: bool = key()
    dry_run: bool = key()

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.repo), "task=publish needs repo=<owner>/<name>, a dataset on the Hub.")
        require_repo_id("repo", self.repo)


def run(request: Request[Keys]) -> float:
    """Uploads the dataset and prints its address."""
    config = request.config
    keys = request.keys
    from muat_exp.dataset.hub import Publication, print_plan, publish

    publication = Publication(Path(keys.dataset_dir), keys.repo, keys.private)
    if keys.dry_run:
        print_plan(publication)
    else:
        address = publish(publication, config.progress)
        print(f"{keys.dataset_dir} is published: {address}")
    return 0.0
