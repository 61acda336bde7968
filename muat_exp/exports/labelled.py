"""The networks of a dataset with what a reader is to learn of each: its split and its label."""

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muat_exp.dataset.parquet import parse_shard_name
from muat_exp.dataset.published.files import is_published
from muat_exp.dataset.reading import Subjects, load_subjects
from muat_exp.dataset.records import record_files
from muat_exp.errors import DatasetError
from muat_exp.subjects.population import Population


def require_own_layout(folder: Path) -> None:
    """Raises `DatasetError` for a repository in the published layout, which is not exported."""
    if is_published(folder):
        raise DatasetError(
            f"{folder} is in the published layout, which lacks columns that exports tell of; "
            "datasets of this program are exported."
        )


class LabelledSubjects:
    """The N networks of a dataset, in the order of `load_subjects`.

    Args:
        dataset: its folder; a text may also be its `<owner>/<name>` on the Hugging Face Hub.

    Raises:
        DatasetError: there is no such dataset, it is not readable, or in the published layout.
    """

    def __init__(self, dataset: Path | str) -> None:
        self.subjects: Subjects = load_subjects(dataset)
        require_own_layout(self.subjects.folder)

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The enabled patterns, which labels count."""
        return self.subjects.config.patterns.enabled

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """What `dataset.label` says of each, as an index into `patterns`: int64 `(N,)`."""
        codes = {name: code for code, name in enumerate(self.patterns)}
        names = self.subjects.table[self.subjects.config.dataset.label_column].to_pylist()
        return np.array([codes[name] for name in names], np.int64)

    @cached_property
    def splits(self) -> NDArray[np.str_]:
        """The split of each, `(N,)`."""
        files = record_files(self.subjects.folder, self.subjects.config)
        names = [_split_of(file.path) for file in files]
        return np.repeat(names, [int(file.group_rows.sum()) for file in files])

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """The number of each example, int64 `(N,)`."""
        return np.asarray(self.subjects.table["example_id"].to_numpy(), np.int64)

    @cached_property
    def population(self) -> Population:
        """The networks in flat arrays."""
        return self.subjects.population()

    def counts(self) -> dict[str, int]:
        """How many networks each split has."""
        names, counts = np.unique(self.splits, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _split_of(path: Path) -> str:
    """The split that the name of a shard tells."""
    shard = parse_shard_name(path.name)
    return shard.split if shard else ""
