"""What stored and predicted networks do on the benchmark set, measured by the compiled kernels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import ACTIVATIONS, ArchitectureConfig
from muat_exp.config.keys import limits_of
from muat_exp.dataset.reading import Subjects
from muat_exp.errors import DatasetError
from muat_exp.evaluation.benchmark_set import LabelGroups
from muat_exp.executors.threads import Workers
from muat_exp.kernels import training as kernels
from muat_exp.prompts.parsing import shapes
from muat_exp.subjects.population import Population

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
_LARGEST = {
    name: limits_of(ArchitectureConfig, name)[1] for name in ("num_layers", "neurons_per_layer")
}


@dataclass(frozen=True)
class Behaviour:
    """What N networks do on the benchmark set.

    Attributes:
        accuracy: float64 `(N,)`, balanced accuracy on the network's own task: call the members of its selected patterns
            positive and nothing else.
        others: float64 `(N, P)`, share called positive of each pattern's members that satisfy no selected pattern; NaN where
            there are none.
    """

    accuracy: NDArray[np.float64]
    others: NDArray[np.float64]

    def copy(self) -> "Behaviour":
        """The same in arrays of its own."""
        return Behaviour(self.accuracy.copy(), self.others.copy())

    def put(self, rows: NDArray[np.int64], part: "Behaviour") -> None:
        """Takes over the behaviour of some networks."""
        self.accuracy[rows], self.others[rows] = part.accuracy, part.others

    def change(self, other: "Behaviour") -> NDArray[np.float64]:
        """Mean absolute difference of the responses to the other patterns, `(N,)`; NaN where there are none."""
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

    def __init__(self, subjects: Subjects, groups: LabelGroups, workers: Workers) -> None:
        self.table = subjects.table
        self.groups = groups
        self.workers = workers
        self.folder = subjects.folder
        self.features = subjects.config.patterns.sequence_length
        missing = [
            name
            for name in (*_COLUMNS, "weights", "degraded_weights")
            if name not in self.table.column_names
        ]
        if missing:
            raise DatasetError(f"{self.folder}: the subjects have no column {missing[0]}.")
        self.depths, self.widths = (
            self.sizes(name) for name in ("num_layers", "neurons_per_layer")
        )
        self.kinds = self.places("activation", ACTIVATIONS)
        self.enabled = enabled = subjects.config.patterns.enabled
        self.targets = self.table["target_pattern"].to_pylist()
        self.selected = np.zeros((len(self.depths), len(enabled)), np.bool_)  # (N, P)
        for row, names in enumerate(self.table["selected_patterns"].to_pylist()):
            for name in names or ():
                if name not in enabled:
                    raise DatasetError(
                        f"{self.folder}: row {row + 1} has the pattern '{name}', which is not enabled."
                    )
                self.selected[row, enabled.index(name)] = True

    def sizes(self, name: str) -> NDArray[np.int64]:
        """A column of numbers of layers or neurons."""
        values = self.table[name].to_pylist()
        for row, value in enumerate(values):
            if not isinstance(value, int) or not 1 <= value <= _LARGEST[name]:
                raise DatasetError(
                    f"{self.folder}: {name} of row {row + 1} is {value!r}; it must be 1 to {_LARGEST[name]}."
                )
        return np.array(values, np.int64)

    def places(self, name: str, allowed: tuple[str, ...]) -> NDArray[np.int64]:
        """A column of names as their places among the allowed ones."""
        values = self.table[name].to_pylist()
        for row, value in enumerate(values):
            if value not in allowed:
                names = ", ".join(allowed)
                raise DatasetError(
                    f"{self.folder}: {name} of row {row + 1} is {value!r}; it must be one of {names}."
                )
        return np.array([allowed.index(value) for value in values], np.int64)

    def shapes(self, row: int) -> dict[str, tuple[int, ...]]:
        """Shapes of one subject's weights by name."""
        return shapes(int(self.depths[row]), int(self.widths[row]), self.features)

    def stored(self, name: str) -> Behaviour:
        """The behaviour of all stored networks: of `weights` or `degraded_weights`."""
        parts = []
        for start in range(0, len(self.depths), BATCH):
            rows = np.arange(start, min(len(self.depths), start + BATCH))
            column = self.table.slice(start, BATCH)[name]
            parts.append(
                self.measure(
                    rows, [weights.values.to_numpy(zero_copy_only=False) for weights in column]
                )
            )
        return Behaviour(
            *(
                np.concatenate(arrays)
                for arrays in zip(*((p.accuracy, p.others) for p in parts), strict=True)
            )
        )

    def measure(self, rows: NDArray[np.int64], weights: list[NDArray[np.float32]]) -> Behaviour:
        """The behaviour of networks with the shapes of some subjects and these flat weights.

        Raises:
            DatasetError: weights do not fit their shape, or the benchmark set lacks a label for a subject's task.
        """
        depths = self.depths[rows]
        widths = self.widths[rows]
        counts = np.array(
            [
                kernels.parameter_count(*shape, self.features)
                for shape in zip(depths, widths, strict=True)
            ]
        )
        for row, expected, flat in zip(rows, counts, weights, strict=True):
            if len(flat) != expected:
                raise DatasetError(
                    f"{self.folder}: row {row + 1} has {len(flat)} weights; its shape needs {expected}."
                )
        flat = np.round(np.concatenate(weights).astype(np.float64), _DECIMALS).astype(np.float32)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return self.behave(
            rows, Population(self.features, depths, widths, self.kinds[rows], flat, offsets)
        )

    def behave(self, rows: NDArray[np.int64], population: Population) -> Behaviour:
        """Runs a population on the benchmark set."""
        groups = self.groups
        shares = np.empty((len(rows), len(self.groups.sizes)))

        def kernel(chunk: NDArray[np.int64]) -> None:
            kernels.respond(
                population.depths, population.widths, population.kinds, population.parameters, population.offsets,
                groups.tokens, groups.starts, chunk, shares,
            )  # fmt: skip

        self.workers.over(np.arange(len(rows)), kernel)
        positives = np.rint(shares * groups.sizes)  # (rows, G) sequences called positive
        own = (
            self.selected[rows].astype(np.int64) @ groups.labels.T > 0
        )  # (rows, G) groups of the network's own task
        labels = groups.labels.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            hits = (positives * own).sum(axis=1) / (groups.sizes * own).sum(axis=1)
            alarms = (positives * ~own).sum(axis=1) / (groups.sizes * ~own).sum(axis=1)
            others = ((positives * ~own) @ labels) / ((groups.sizes * ~own) @ labels)
        accuracy = (hits + 1 - alarms) / 2
        if np.isnan(accuracy).any():
            row = rows[np.argmax(np.isnan(accuracy))] + 1
            raise DatasetError(
                f"{self.folder}: the benchmark set has sequences of one label only for the patterns of row {row}."
            )
        return Behaviour(accuracy, others)
