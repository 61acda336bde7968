"""The task `measure`: runs the stored networks of a dataset on every sequence of their space."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from muat_exp.app.deriving import derive_dataset
from muat_exp.app.request import DatasetKeys, Request, Values
from muat_exp.config.groups import EXACT


@dataclass(frozen=True)
class Keys(DatasetKeys):
    """What it is told beside the configuration."""

    task: ClassVar[str] = "measure"

    def configured(self, values: Values, given: Collection[str]) -> Values:
        """The values with an exact truth, unless the command line names another one."""
        if "evaluation.truth" in given or "evaluation" in given:
            return values
        return {**values, "evaluation": {**values.get("evaluation", {}), "truth": EXACT}}


def run(request: Request[Keys]) -> float:
    """Makes the other dataset in the run's folder."""
    return derive_dataset(request)
