"""What stored and predicted networks do on the benchmark set, measured by the compiled kernels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muat_exp.dataset.reading import Subjects
from muat_exp.errors import DatasetError
from muat_exp.evaluation.benchmark_set import LabelGroups
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.kernels import training as kernels
from muat_exp.subjects.activations import ACTIVATIONS
from muat_exp.subjects.architecture import recorded_architecture, recorded_networks
from muat_exp.subjects.population import Population
from muat_exp.subjects.shapes import DEPTH_LIMITS, WIDTH_LIMITS

BATCH = 256  # networks measured at a time
_DECIMALS = 6  # of a weight in a prompt: all networks are taken as prompts show them
_COLUMNS = (
    "example_id",
    "target_pattern",
    "selected_patterns",
    "num_layers",
    "neurons_per_layer",
    "activation",
)
_LIMITS = {"num_layers": DEPTH_LIMITS, "neurons_per_layer": WIDTH_LIMITS}


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
        apart = np.where(there, np.abs(self.others - other.others), 0).sum(axis=1)
        return np.where(there.any(axis=1), apart / np.maximum(1, there.sum(axis=1)), np.nan)


class Bench:
    """Runs networks of a dataset's shapes on a benchmark set.

    Args:
        subjects: the dataset's subjects.
        groups: the benchmark set's sequences by their labels.
        workers: threads.

    Raises:
        DatasetError: a column is missing, or a shape is none of this program.
    """

    def __init__(self, subjects: Subjects, groups: LabelGroups, workers: ThreadExecutor) -> None:
        self.table = subjects.table
        self.groups = groups
        self.workers = workers
        self.folder = subjects.folder
        self.config = subjects.config
        for name in (*_COLUMNS, "weights", "degraded_weights"):
            if name not in self.table.column_names:
                raise DatasetError(f"{self.folder}: the subjects have no column {name}.")
        self.records = self.table.select(_COLUMNS)
        for name in _LIMITS:
            self._check_sizes(name)
        self._check_activations()
        self.targets = self.table["target_pattern"].to_pylist()
        self.enabled = self.config.patterns.enabled
        self.selected = self._selected_patterns()

    def _check_sizes(self, name: str) -> None:
        """Raises `DatasetError` unless a column has numbers of layers or neurons."""
        low, high = _LIMITS[name]
        for row, value in enumerate(self.table[name].to_pylist(), 1):
            if not isinstance(value, int) or not low <= value <= high:
                raise DatasetError(
                    f"{self.folder}: {name} of row {row} is {value!r}; it must be {low} to {high}."
                )

    def _check_activations(self) -> None:
        """Raises `DatasetError` unless every subject has an activation of this program."""
        names = ", ".join(ACTIVATIONS)
        for row, value in enumerate(self.table["activation"].to_pylist(), 1):
            if value not in ACTIVATIONS:
                raise DatasetError(
                    f"{self.folder}: activation of row {row} is {value!r}; "
                    f"it must be one of {names}."
                )

    def _selected_patterns(self) -> NDArray[np.bool_]:
        """Which enabled patterns each subject learned to call positive, `(N, P)`."""
        selected = np.zeros((self.table.num_rows, len(self.enabled)), np.bool_)
        for row, names in enumerate(self.table["selected_patterns"].to_pylist()):
            for name in names or ():
                if name not in self.enabled:
                    raise DatasetError(
                        f"{self.folder}: row {row + 1} has the pattern '{name}', "
                        "which is not enabled."
                    )
                selected[row, self.enabled.index(name)] = True
        return selected

    def shapes(self, row: int) -> dict[str, tuple[int, ...]]:
        """Shapes of one subject's weights by name."""
        [record] = self.records.slice(row, 1).to_pylist()
        return recorded_architecture(record, self.config).shapes

    def stored(self, name: str) -> Behaviour:
        """The behaviour of all stored networks: of `weights` or `degraded_weights`."""
        accuracies = []
        others = []
        count = self.table.num_rows
        for start in range(0, count, BATCH):
            rows = np.arange(start, min(count, start + BATCH))
            column = self.table.slice(start, BATCH)[name]
            weights = [row.values.to_numpy(zero_copy_only=False) for row in column]
            part = self.measure(rows, weights)
            accuracies.append(part.accuracy)
            others.append(part.others)
        return Behaviour(np.concatenate(accuracies), np.concatenate(others))

    def measure(self, rows: NDArray[np.int64], weights: list[NDArray[np.float32]]) -> Behaviour:
        """The behaviour of networks with the shapes of some subjects and these flat weights.

        Raises:
            DatasetError: weights do not fit their shape, or the benchmark set lacks a label for a
                subject's task.
        """
        shapes = Population(recorded_networks(self.records.take(rows), self.config))
        for row, expected, flat in zip(rows, np.diff(shapes.offsets), weights, strict=True):
            if len(flat) != expected:
                raise DatasetError(
                    f"{self.folder}: row {row + 1} has {len(flat)} weights; "
                    f"its shape needs {expected}."
                )
        shown = np.round(np.concatenate(weights).astype(np.float64), _DECIMALS)
        return self.behave(rows, shapes.with_parameters(shown.astype(np.float32)))

    def behave(self, rows: NDArray[np.int64], population: Population) -> Behaviour:
        """Runs a population on the benchmark set."""
        groups = self.groups
        shares = np.empty((len(rows), len(groups.sizes)))

        def kernel(chunk: NDArray[np.int64]) -> None:
            kernels.respond(population.networks, groups.tokens, groups.starts, chunk, shares)

        self.workers.map_chunks(np.arange(len(rows)), kernel)
        positives = np.rint(shares * groups.sizes)  # (rows, G) sequences called positive
        shared = self.selected[rows].astype(np.int64) @ groups.labels.T
        own = shared > 0  # (rows, G) groups of the network's own task
        labels = groups.labels.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            hits = (positives * own).sum(axis=1) / (groups.sizes * own).sum(axis=1)
            alarms = (positives * ~own).sum(axis=1) / (groups.sizes * ~own).sum(axis=1)
            others = ((positives * ~own) @ labels) / ((groups.sizes * ~own) @ labels)
        accuracy = (hits + 1 - alarms) / 2
        if np.isnan(accuracy).any():
            row = rows[np.argmax(np.isnan(accuracy))] + 1
            raise DatasetError(
                f"{self.folder}: the benchmark set has sequences of one label only "
                f"for the patterns of row {row}."
            )
        return Behaviour(accuracy, others)
