"""The task `score`: judges an interpreter's answers to the prompts of a dataset."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from muat_exp.app.request import DatasetKeys, Request
from muat_exp.config.keys import key


@dataclass(frozen=True)
class Keys(DatasetKeys):
    """What it is told beside the configuration."""

    task: ClassVar[str] = "score"
    predictions: str = key(path=True)
    benchmark_set: str = key(path=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        meaning = "a .jsonl or .parquet file with example_id and completion"
        self.require_given("predictions", meaning)


def run(request: Request[Keys]) -> float:
    """Writes `score.json` into the run's folder, prints tables; returns the headline figure."""
    config = request.config
    keys = request.keys
    from muat_exp.dataset.hub import dataset_folder

    source = dataset_folder(keys.dataset_dir)
    from muat_exp.claims import claim_output, write_output
    from muat_exp.score.judge import judge
    from muat_exp.score.report import print_score

    path = request.folder / "score.json"
    claim_output(path)
    score = judge(source, Path(keys.predictions), keys.benchmark_set, config.threads)
    score = replace(score, dataset=keys.dataset_dir)
    write_output(path, score.to_json())
    print_score(score)
    print(f"score: {os.path.relpath(path)}")
    return score.headline
