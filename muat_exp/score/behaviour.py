"""What stored and predicted networks do on the benchmark set, measured by the compiled kernels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import COMPACT
from muat_exp.dataset.reading import Subjects
from muat_exp.errors import DatasetError
from muat_exp.evaluation.benchmark_set import LabelGroups
from muat_exp.evaluation.measurement import unbounded
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.kernels import training as kernels
from muat_exp.prompts.codings import DECIMALS
from muat_exp.prompts.compact import rounded_weights
from muat_exp.subjects.architecture import recorded_architecture, recorded_networks
from muat_exp.subjects.population import Population

BATCH = 256  # networks measured at a time
# Of a weight, at most: all networks are taken as prompts show them. Compact ones may have fewer.
_DECIMALS = DECIMALS[1]
_COLUMNS = (
    "example_id",
    "target_pattern",
    "selected_patterns",
    "num_layers",
    "neurons_per_layer",
    "activation",
)


@dataclass(frozen=True)
class Behaviour:
    """What N networks do on the benchmark set.

    Attributes:
        accuracy: float64 `(N,)`, balanced accuracy on the network's own task: call the members of
            its selected patterns positive and nothing else.
        others: float64 `(N, P)`, share called positive of each pattern's members that satisfy no
            selected pattern; NaN where there are none.
    """

    accuracy: NDArray[np.float64]
    others: NDArray[np.float64]

    def copy(self) -> "Behaviour":
        """The same in arrays of its own."""
        return Behaviour(self.accuracy.copy(), self.others.copy())

    def put(self, rows: NDArray[np.int64], part: "Behaviour") -> None:
        """Takes over the behaviour of some networks."""
        self.accuracy[rows] = part.accuracy
        self.others[rows] = part.others

    def change(self, other: "Behaviour") -> NDArray[np.float64]:
        """Mean absolute difference of the responses to the other patterns, `(N,)`.

        NaN where there are no others.
        """
        there = ~np.isnan(self.others)
        apart = np.abs(self.others - other.others)
        total = np.where(there, apart, 0).sum(axis=1)
        count = there.sum(axis=1)
        return np.where(count > 0, total / np.maximum(1, count), np.nan)


class Bench:
    """Runs networks of a dataset's shapes on a benchmark set.

    Args:
        subjects: the dataset's subjects.
        groups: the benchmark set's sequences by their labels.
        workers: threads.
    """

    def __init__(self, subjects: Subjects, groups: LabelGroups, workers: ThreadExecutor) -> None:
        self.table = subjects.table
        self.groups = groups
        self.workers = workers
        self.folder = subjects.folder
        self.config = subjects.config
        self.records = self.table.select(_COLUMNS)
        self.targets = self.table["target_pattern"].to_pylist()
        self.enabled = self.config.patterns.enabled
        self.selected = self._selected_patterns()

    def _selected_patterns(self) -> NDArray[np.bool_]:
        """Which enabled patterns each subject learned to call positive, `(N, P)`."""
        named = self.table["selected_patterns"].to_pylist()
        selected = np.zeros((len(named), len(self.enabled)), np.bool_)
        for row, names in enumerate(named):
            for name in names:
                column = self.enabled.index(name)
                selected[row, column] = True
        return selected

    def _fault(self, sentence: str) -> DatasetError:
        """The error about the dataset."""
        return DatasetError(f"{self.folder}: {sentence}")

    def shapes(self, row: int) -> dict[str, tuple[int, ...]]:
        """Shapes of one subject's weights by name."""
        [record] = self.records.slice(row, 1).to_pylist()
        return recorded_architecture(record, self.config).shapes

    def _as_shown(self, row: int, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """One subject's weights as the dataset's compact prompts show them, others as they are."""
        if self.config.dataset.style != COMPACT:
            return weights
        [record] = self.records.slice(row, 1).to_pylist()
        architecture = recorded_architecture(record, self.config)
        return rounded_weights(self.config.prompts.built(), architecture, weights)

    def stored(self, name: str) -> Behaviour:
        """The behaviour of all stored networks: of `weights` or `degraded_weights`."""
        parts = []
        count = self.table.num_rows
        for start in range(0, count, BATCH):
            stop = min(count, start + BATCH)
            column = self.table.slice(start, BATCH)[name]
            stored = [row.values.to_numpy(zero_copy_only=False) for row in column]
            weights = [self._as_shown(row, values) for row, values in enumerate(stored, start)]
            parts.append(self.measure(np.arange(start, stop), weights))
        accuracy = np.concatenate([part.accuracy for part in parts])
        others = np.concatenate([part.others for part in parts])
        return Behaviour(accuracy, others)

    def measure(self, rows: NDArray[np.int64], weights: list[NDArray[np.float32]]) -> Behaviour:
        """The behaviour of networks with the shapes of some subjects and these flat weights.

        Raises:
            DatasetError: a network can't be measured, or the benchmark set lacks a label for a
                subject's task.
        """
        shapes = Population(recorded_networks(self.records.take(rows), self.config))
        values = np.concatenate(weights).astype(np.float64)
        shown = np.round(values, _DECIMALS).astype(np.float32)
        population = shapes.with_parameters(shown)
        wild = rows[unbounded(population)]
        if len(wild):
            sentence = f"row {wild[0] + 1} has weights so large that it can't be measured."
            raise self._fault(sentence)
        return self.behave(rows, population)

    def behave(self, rows: NDArray[np.int64], population: Population) -> Behaviour:
        """Runs a population on the benchmark set."""
        labels = self.groups.labels  # (G, P), whether the sequences of a group have a pattern
        selected = self.selected[rows].astype(np.int64)
        own = selected @ labels.T > 0  # (rows, G), groups of the network's own task
        positives = self._count_positives(population)
        accuracy = self._balanced_accuracy(rows, positives, own)
        others = self._others(positives, ~own)
        return Behaviour(accuracy, others)

    def _balanced_accuracy(
        self, rows: NDArray[np.int64], positives: NDArray[np.float64], own: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The mean of the shares that are called right in and outside the own groups, `(N,)`."""
        sizes = self.groups.sizes
        hits = _ratio((positives * own).sum(axis=1), (sizes * own).sum(axis=1))
        alarms = _ratio((positives * ~own).sum(axis=1), (sizes * ~own).sum(axis=1))
        accuracy = (hits + 1 - alarms) / 2
        self._check_balanced(rows, accuracy)
        return accuracy

    def _others(
        self, positives: NDArray[np.float64], foreign: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Share called positive of each pattern's members in the foreign groups, `(N, P)`."""
        members = self.groups.labels.astype(np.float64)
        called = (positives * foreign) @ members
        there = (self.groups.sizes * foreign) @ members
        return _ratio(called, there)

    def _count_positives(self, population: Population) -> NDArray[np.float64]:
        """How many sequences of each group the networks call positive, `(N, G)`."""
        groups = self.groups
        count = len(population)
        shares = np.empty((count, len(groups.sizes)))

        def kernel(chunk: NDArray[np.int64]) -> None:
            kernels.respond(population.networks, groups.tokens, groups.starts, chunk, shares)

        self.workers.map_chunks(np.arange(count), kernel)
        return np.rint(shares * groups.sizes)

    def _check_balanced(self, rows: NDArray[np.int64], accuracy: NDArray[np.float64]) -> None:
        """Raises `DatasetError` where the benchmark set lacks one label for a subject's task."""
        undefined = rows[np.isnan(accuracy)]
        if len(undefined):
            sentence = "the benchmark set has sequences of one label only for the patterns of row"
            raise self._fault(f"{sentence} {undefined[0] + 1}.")


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Elementwise part / whole; NaN where the whole is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return part / whole
