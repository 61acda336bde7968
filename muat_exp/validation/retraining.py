"""Trains subjects again from their numbers, and compares what comes out with what is stored."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import ArchitectureConfig, Config
from muat_exp.dataset.faults import Faults
from muat_exp.dataset.schema import history_lists, lists
from muat_exp.evaluation.measurement import RunContext
from muat_exp.executors.budget import Budget
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.generation.cohort import CohortResult, run_cohort
from muat_exp.generation.outcomes import ACCEPTED
from muat_exp.subjects.population import Population
from muat_exp.subjects.quantization import as_stored
from muat_exp.training.stages import QUIET_LIGHTNING
from muat_exp.validation.makers import Arithmetic

# Other arithmetic moves the weights of nearly all subjects by under 1e-3 of their size, those
# of one in some dozens by a tenth, where it ends in another epoch. Those of a network that never
# trained from these numbers are off by about their own size.
_NEAR = 0.05  # relative distance of weights that are the same but for rounding
_FAR = 0.5  # relative distance of weights that rounding can't explain
_STRAYING = 0.25  # share of the subjects that may be neither

_EPOCHS = ("switch_epoch", "clean_epoch")
_Distances = NDArray[np.float64]


class Difference(NamedTuple):
    """How a subject that was trained again is not what is stored of it.

    Attributes:
        example: its number.
        columns: those that differ in any bit.
        distance: of its weights, relative to their size.
        strays: whether that is more than rounding does to nearly all subjects.
        outcome: what became of it when it was trained again.
    """

    example: int
    columns: tuple[str, ...]
    distance: float
    strays: bool
    outcome: str


@dataclass
class Verdict:
    """What came of training again.

    Attributes:
        exact: whether every subject had to come out to the last bit.
        equal: subjects that came out to the last bit.
        near: subjects that came out but for rounding.
        straying: others that rounding may explain.
        wrong: subjects that are not what their numbers give.
    """

    exact: bool = True
    equal: int = 0
    near: int = 0
    straying: int = 0
    wrong: int = 0

    @property
    def total(self) -> int:
        """Subjects that were trained again."""
        return self.equal + self.near + self.straying + self.wrong


class Retraining:
    """Trains subjects again, some at a time, and keeps how they differ from what is stored.

    Args:
        context: that of the dataset.
        workers: run the kernels; `add` and `finish` must not be called from their threads.
        derived: whether the networks are those of another dataset, stored anew: they are trained
            as they were then, and stored as they are here.

    Attributes:
        differences: of the subjects that did not come out to the last bit.
        equal: how many did.
        rejected: attempts that were trained besides and came to nothing, by pattern and reason.
        omitted: numbers of such attempts that are accepted.
    """

    def __init__(self, context: RunContext, workers: ThreadExecutor, derived: bool) -> None:
        self.config = context.config
        self.derived = derived
        self.differences: list[Difference] = []
        self.equal = 0
        self.rejected: Counter[tuple[str, str]] = Counter()
        self.omitted: list[int] = []
        self.size = Budget(replace(self.config, cohort_size="auto")).cohort_size
        self._context = replace(context, config=plainly_stored(self.config)) if derived else context
        self._workers = workers
        self._waiting: list[pa.Table] = []

    @property
    def waiting(self) -> int:
        """Subjects that were added and not trained yet."""
        return sum(table.num_rows for table in self._waiting)

    def add(self, subjects: pa.Table) -> None:
        """Takes in subjects, and trains when there are as many as fit a cohort."""
        if subjects.num_rows:
            self._waiting.append(subjects)
        if self.waiting >= self.size:
            self.finish()

    def finish(self) -> None:
        """Trains the subjects that are waiting."""
        if not self._waiting:
            return
        subjects = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting = []
        for start in range(0, subjects.num_rows, self.size):
            self._compare(subjects.slice(start, self.size))

    def _compare(self, subjects: pa.Table) -> None:
        """Trains some subjects and notes how they differ from what is stored."""
        result = self._train(subjects["example_id"].to_numpy())
        for difference in _differences(self.config, subjects, result, self.derived):
            if difference is None:
                self.equal += 1
            else:
                self.differences.append(difference)

    def train_rejected(self, numbers: NDArray[np.int64]) -> None:
        """Trains attempts of which nothing is stored, and counts what becomes of them."""
        result = self._train(numbers)
        names = self.config.patterns.enabled
        for number, target, outcome in zip(
            numbers.tolist(), result.specs.targets, result.outcomes, strict=True
        ):
            if outcome == ACCEPTED:
                self.omitted.append(number)
            else:
                self.rejected[names[target], outcome] += 1

    def _train(self, numbers: NDArray[np.int64]) -> CohortResult:
        """A cohort of the attempts with these numbers.

        In a thread of its own, since Lightning would take an interrupt of the main one for its own.
        """
        with QUIET_LIGHTNING, ThreadPoolExecutor(1, "muat-cohort") as driver:
            try:
                return driver.submit(run_cohort, self._context, numbers, self._workers, ()).result()
            except BaseException:
                self._workers.close()  # the cohort ends at its next call of a kernel
                raise

    def judge(self, arithmetic: Arithmetic, faults: Faults) -> Verdict:
        """Says of every subject whether it is what its number gives.

        Args:
            arithmetic: whether all must come out to the last bit. Where most of them do, the
                arithmetic is the same, whatever the makers were; unless there were several.
            faults: takes those that are not.
        """
        mostly_equal = self.equal > len(self.differences)
        exact = arithmetic.same or (mostly_equal and not arithmetic.several)
        verdict = Verdict(exact, self.equal)
        if exact:
            verdict.wrong = len(self.differences)
            for difference in self.differences:
                faults.add("training", _exact_sentence(difference))
            return verdict
        for difference in self.differences:
            if difference.distance > _FAR:
                verdict.wrong += 1
                faults.add("training", _far_sentence(difference))
            elif difference.strays:
                verdict.straying += 1
            else:
                verdict.near += 1
        if verdict.straying > max(1, _STRAYING * verdict.total):
            faults.add("training", _straying_sentence(verdict))
        return verdict


def plainly_stored(config: Config) -> Config:
    """The configuration with weights stored as they are trained."""
    architecture = replace(config.architecture, precision="float32", quantization="none")
    return replace(config, architecture=architecture)


def _differences(
    config: Config, subjects: pa.Table, result: CohortResult, derived: bool
) -> Iterator[Difference | None]:
    """How each subject differs from what came out; None where no bit does."""
    ways = _ways(config.architecture) if derived else [[]]
    unequal: dict[str, NDArray[np.bool_]] = {}
    distances: list[_Distances] = []
    for name, trained in (("weights", result.improved), ("degraded_weights", result.degraded)):
        forms = [_stored(trained, way, config.signature.definitions) for way in ways]
        found = _distances(subjects, name, forms)
        unequal[name] = found > 0
        distances.append(found)
    for name in _EPOCHS:
        unequal[name] = subjects[name].to_numpy() != getattr(result, name)
    strays = unequal["switch_epoch"] | unequal["clean_epoch"]
    if config.dataset.needs_history:
        unequal |= _unequal_histories(subjects, result)
    outcomes = np.where(derived, ACCEPTED, result.outcomes)  # others judged a derived one
    furthest: _Distances = np.max(distances, axis=0)
    for row, example in enumerate(subjects["example_id"].to_pylist()):
        columns = tuple(name for name, wrong in unequal.items() if wrong[row])
        distance = float(furthest[row])
        outcome = str(outcomes[row])
        if columns or outcome != ACCEPTED:
            far = bool(strays[row]) or distance > _NEAR or outcome != ACCEPTED
            yield Difference(example, columns, distance, far, outcome)
        else:
            yield None


def _ways(architecture: ArchitectureConfig) -> list[list[ArchitectureConfig]]:
    """The ways by which weights may have come to be stored as they are.

    At once; or first of the precision or by the quantization alone, as of a dataset that was itself
    derived from another.
    """
    precise = replace(architecture, quantization="none")
    quantized = replace(architecture, precision="float32")
    return [[architecture], [precise, architecture], [quantized, architecture]]


def _stored(trained: Population, way: list[ArchitectureConfig], definitions: str) -> Population:
    """Networks stored one way after another."""
    for architecture in way:
        trained = as_stored(trained, architecture, definitions)
    return trained


def _distances(subjects: pa.Table, name: str, forms: list[Population]) -> _Distances:
    """How far stored weights are from the nearest of several forms, relative to their size.

    0 where every bit is the same, float64 `(S,)`.
    """
    values, offsets = lists(subjects, name)
    starts = offsets[:-1]
    found = []
    for form in forms:
        squares = np.square(values.astype(np.float64) - form.parameters)
        sizes = np.square(form.parameters.astype(np.float64))
        total = np.add.reduceat(sizes, starts)
        distances = np.sqrt(np.add.reduceat(squares, starts) / np.maximum(total, 1e-30))
        # The signs of zeros count as well.
        bits = values.view(np.uint32) != form.parameters.view(np.uint32)
        moved = np.logical_or.reduceat(bits, starts)
        found.append(np.where(moved, np.maximum(distances, 1e-30), 0.0))
    nearest: _Distances = np.min(found, axis=0)
    return np.where(np.isfinite(nearest), nearest, np.inf)


def _unequal_histories(subjects: pa.Table, result: CohortResult) -> dict[str, NDArray[np.bool_]]:
    """Which histories, and ends of their degraded stages, are not those that came out."""
    everyone = np.ones(subjects.num_rows, np.bool_)
    history, epochs = history_lists(result.degraded_history, result.clean_history, everyone)
    trained = pa.table({"history": history})
    stored = subjects["history"].to_pylist()
    wrong = [
        here != there for here, there in zip(stored, trained["history"].to_pylist(), strict=True)
    ]
    return {
        "history": np.array(wrong, np.bool_),
        "degraded_epochs": subjects["degraded_epochs"].to_numpy() != epochs,
    }


def _exact_sentence(difference: Difference) -> str:
    """The sentence on a subject that should have come out to the last bit."""
    start = f"example {difference.example}: trained again from its number,"
    if difference.outcome != ACCEPTED:
        return f"{start} it is rejected as {difference.outcome}."
    return f"{start} it has another {', another '.join(difference.columns)}."


def _far_sentence(difference: Difference) -> str:
    """The sentence on a subject that is too far from what came out, whatever the arithmetic."""
    distance = f"off by {difference.distance:.0%} of their size"
    return (
        f"example {difference.example}: trained again from its number, its weights are {distance}, "
        "which rounding does not explain."
    )


def _straying_sentence(verdict: Verdict) -> str:
    """The sentence on too many subjects that are not quite what came out."""
    return (
        f"{verdict.straying} of {verdict.total} subjects come out otherwise when they are trained "
        "again, which is more than rounding explains."
    )
