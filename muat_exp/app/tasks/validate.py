"""The task `validate`: runs every network of a dataset again and checks every figure."""

from dataclasses import dataclass
from typing import ClassVar

from muat_exp.app.request import DatasetKeys, Request
from muat_exp.app.startup import heavy_imports
from muat_exp.errors import DatasetError


@dataclass(frozen=True)
class Keys(DatasetKeys):
    """What it is told beside the configuration."""

    task: ClassVar[str] = "validate"


def run(request: Request[Keys]) -> float:
    """Prints a dataset's faults.

    Raises:
        DatasetError: it has some, or there is no such dataset.
    """
    config = request.config
    from muat_exp.dataset.hub import dataset_folder

    name = request.keys.dataset_dir
    source = dataset_folder(name)
    with heavy_imports():
        from muat_exp.executors.threads import worker_threads
        from muat_exp.progress import reporter
        from muat_exp.validation.validate import count_examples, validate

    count = count_examples(source)
    with (
        worker_threads(config.threads) as workers,
        reporter(count, config.progress) as display,
    ):
        faults = validate(source, workers, display)
    for fault in faults:
        print(fault)
    if faults:
        raise DatasetError(f"{name} is not sound: {len(faults)} faults, listed above.")
    checked = f"{count} examples, every network run again"
    if not count:
        checked = "as far as the published fields go; no network was run"
    print(f"{name} is sound ({checked}).")
    return 0.0
