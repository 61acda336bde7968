"""The task `validate`: runs every network of a dataset again and checks every figure."""

from dataclasses import dataclass
from typing import ClassVar

from muat_exp.app.request import DatasetKeys, Request
from muat_exp.app.startup import heavy_imports
from muat_exp.config.keys import key
from muat_exp.errors import DatasetError


@dataclass(frozen=True)
class Keys(DatasetKeys):
    """What it is told beside the configuration."""

    task: ClassVar[str] = "validate"
    retrain: int = key(limits=(0, 1_000_000))
    thorough: bool = key()


def run(request: Request[Keys]) -> float:
    """Prints a dataset's faults, what was checked, and what was not.

    Raises:
        DatasetError: it has faults, or there is no such dataset.
    """
    config = request.config
    keys = request.keys
    from muat_exp.dataset.hub import dataset_folder

    name = keys.dataset_dir
    source = dataset_folder(name)
    with heavy_imports():
        from muat_exp.executors.threads import worker_threads
        from muat_exp.progress import reporter
        from muat_exp.validation.files import count_examples
        from muat_exp.validation.own_format import Depth
        from muat_exp.validation.validate import validate

    depth = Depth(keys.retrain, keys.thorough)
    with (
        worker_threads(config.threads) as workers,
        reporter(count_examples(source), config.progress) as display,
    ):
        report = validate(source, workers, display, depth)
    for line in report.lines():
        print(line)
    if report.faults:
        raise DatasetError(f"{name} is not sound: {report.fault_count} faults, listed above.")
    print(f"{name} is sound ({report.headline}).")
    return 0.0
