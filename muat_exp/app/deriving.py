"""A dataset from the stored networks of another one, for the tasks `signature` and `render`."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from muat_exp.app.request import DatasetKeys, Request
from muat_exp.app.startup import heavy_imports


def derive_dataset(request: Request[Any]) -> float:
    """Makes a dataset in the run's folder from the one that the task's keys name."""
    keys: DatasetKeys = request.keys
    from muat_exp.dataset.hub import dataset_folder

    source = dataset_folder(keys.dataset_dir)
    from muat_exp.dataset.published.files import is_published

    if is_published(source):
        _derive_published(request, source)
    else:
        _derive_own(request, source)
    return 0.0


def _derive_own(request: Request[Any], source: Path) -> None:
    """Makes a dataset from one of this program."""
    from muat_exp.dataset.reading import read_config, read_figures, read_summary

    # A signature has to fit the patterns of the dataset, whatever the command line composes.
    patterns = asdict(read_config(source).patterns)
    config = request.config_with(patterns=patterns)
    count = read_figures(source, config.patterns.enabled)["accepted"]
    target = request.folder / "dataset"
    with heavy_imports():
        from muat_exp.app.printing import print_location
        from muat_exp.executors.threads import worker_threads
        from muat_exp.generation.derive import derive
        from muat_exp.progress import reporter

    with (
        worker_threads(config.threads) as workers,
        reporter(count, config.progress) as display,
    ):
        made = derive(source, config, request.changed, target, workers, display)
    splits = read_summary(made)["splits"]
    first_split = next(iter(splits), "train")
    print_location(os.path.relpath(made), first_split)


def _derive_published(request: Request[Any], source: Path) -> None:
    """Makes a repository in the published layout from another one."""
    from muat_exp.dataset.published.reading import read_published

    stored = read_published(source)
    config = request.config_with(patterns=asdict(stored.config.patterns))
    target = request.folder / "dataset"
    with heavy_imports():
        from muat_exp.app.printing import print_location
        from muat_exp.executors.threads import worker_threads
        from muat_exp.generation.derive_published import derive_published
        from muat_exp.progress import reporter

    with (
        worker_threads(config.threads) as workers,
        reporter(stored.table.num_rows, config.progress) as display,
    ):
        made = derive_published(stored, config, request.changed, target, workers, display)
    print_location(os.path.relpath(made), "train")
