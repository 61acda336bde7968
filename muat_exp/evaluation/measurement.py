"""What is measured of stored networks: accuracies, behaviour on every pattern, signatures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.evaluation.truth import Behaviour, Truth, truth_of
from muat_exp.executors.base import Executor
from muat_exp.kernels import random
from muat_exp.kernels import training as kernels
from muat_exp.sequences.space import SpaceArrays, space_arrays
from muat_exp.signatures.probe_set import ProbeSet, run_probes
from muat_exp.signatures.profiling import profile
from muat_exp.subjects.architecture import split_parameters
from muat_exp.subjects.data import SubjectData
from muat_exp.subjects.population import Population
from muat_exp.subjects.specs import Specs
from muat_exp.training.engines.base import stage_problem
from muat_exp.training.engines.compiled import evaluate_stored

_LARGEST_TOKEN = 26.0
_OVERFLOW = 1e37  # activations that may grow beyond this are not measured

_Layers = Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]  # weight and bias of each


@dataclass(frozen=True)
class RunContext:
    """What all cohorts of a run share.

    Attributes:
        config: the run's configuration.
        space: the enabled patterns' sequence space.
        probes: the probe set.
        truth: how it is found out what stored networks do.
    """

    config: Config
    space: SpaceArrays
    probes: ProbeSet
    truth: Truth

    @classmethod
    def build(cls, config: Config, probes: ProbeSet | None = None) -> "RunContext":
        """Draws what the configuration fixes; `probes` are those of a finished dataset."""
        space = space_arrays(config.patterns.build())
        return cls(config, space, probes or run_probes(config, space), truth_of(config, space))


class Pair(NamedTuple):
    """Both stored networks of S subjects."""

    degraded: Population
    improved: Population


def measure_tests(
    context: RunContext,
    specs: Specs,
    data: SubjectData,
    pair: Pair,
    which: NDArray[np.int64],
    workers: Executor,
) -> NDArray[np.float64]:
    """Balanced accuracy `(S, 2)` of both weights on fresh sequences of each subject's patterns.

    NaN outside `which`.
    """
    accuracies = np.full((len(specs), 2), np.nan)
    tests = kernels.Tests(
        space=context.space,
        selected=specs.selected,
        targets=specs.targets,
        keys=random.generator_keys(context.config.seed, specs.indices, random.TESTS),
        tokens=data.tokens,
        per_label=context.config.training.test_examples,
    )

    def kernel(chunk: NDArray[np.int64]) -> None:
        kernels.measure_tests(
            tests, pair.degraded.networks, pair.improved.networks, chunk, accuracies
        )

    workers.map_chunks(which, kernel)
    return accuracies


def measure_behaviour(
    context: RunContext,
    population: Population,
    specs: Specs,
    which: NDArray[np.int64],
    workers: Executor,
) -> Behaviour:
    """What the subjects of `which` call positive."""
    return context.truth.behaviour(population, specs, which, workers)


def extract_signatures(
    context: RunContext, population: Population, which: NDArray[np.int64], workers: Executor
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Flat signatures of the subjects of `which`, and their offsets."""
    if not len(which):
        return np.empty(0, np.float32), np.zeros(1, np.int64)
    recipe = context.config.signature
    parts = workers.map_chunks(
        which, lambda chunk: profile(recipe, population, context.probes, chunk)
    )
    signatures = np.concatenate([flat for flat, _ in parts])
    sizes = np.concatenate([np.diff(offsets) for _, offsets in parts])
    ends = np.cumsum(sizes)
    return signatures, np.concatenate([[0], ends]).astype(np.int64)


def bounded(layers: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> bool:
    """Whether no activation of a network can leave float32's range.

    False where a weight is not finite. What is not bounded may give NaN, or break a decomposition,
    and is not measured.
    """
    network = list(layers)
    if not all(np.isfinite(weight).all() and np.isfinite(bias).all() for weight, bias in network):
        return False
    # The sums are quick; of many wide layers they tell too little, where the norms still do.
    return _bounded_by_sums(network) or _bounded_by_norms(network)


def _bounded_by_sums(layers: _Layers) -> bool:
    """Whether the sums of |weights| per neuron, layer by layer, show it."""
    bound = _LARGEST_TOKEN
    for weight, bias in layers:
        sums = np.abs(weight).sum(axis=1, dtype=np.float64) * bound + np.abs(bias)
        bound = max(1.0, float(sums.max()))  # an activation exceeds 1 or its input nowhere
        if bound >= _OVERFLOW:
            return False
    return True


def _bounded_by_norms(layers: _Layers) -> bool:
    """Whether the largest singular values of the layers show it."""
    bound = _LARGEST_TOKEN * float(np.sqrt(layers[0][0].shape[1]))
    for weight, bias in layers:
        largest = float(np.linalg.norm(weight.astype(np.float64), 2))
        shift = float(np.linalg.norm(bias.astype(np.float64)))
        bound = float(np.hypot(largest * bound + shift, np.sqrt(len(bias))))
        if bound >= _OVERFLOW:
            return False
    return True


def unbounded(population: Population) -> NDArray[np.bool_]:
    """Subjects that are not `bounded`, bool `(S,)`."""
    subjects = range(len(population))
    parts = (split_parameters(population.subject(s), population.layers(s)) for s in subjects)
    return np.array([not bounded(layers) for layers in parts], bool)


@dataclass(frozen=True)
class Measured:
    """What S stored networks are, by their weights.

    Attributes:
        degraded_accuracy, improved_accuracy: float64 `(S,)`, on clean validation sequences.
        test_accuracy: float64 `(S, 2)`, balanced accuracy on fresh sequences, degraded and
            improved.
        behaviour: what the improved networks call positive.
        signatures, degraded_signatures: flat float32, as `signature.profile` returns them.
        signature_offsets: int64 `(S + 1,)`, of both.
    """

    degraded_accuracy: NDArray[np.float64]
    improved_accuracy: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    behaviour: Behaviour
    signatures: NDArray[np.float32]
    degraded_signatures: NDArray[np.float32]
    signature_offsets: NDArray[np.int64]

    @property
    def scores(self) -> NDArray[np.float64]:
        """float64 `(S, 5)`: degraded, improved, improvement, degraded test, improved test."""
        improvement = self.improved_accuracy - self.degraded_accuracy
        return np.column_stack(
            [self.degraded_accuracy, self.improved_accuracy, improvement, self.test_accuracy]
        )


def measure(
    context: RunContext,
    specs: Specs,
    data: SubjectData,
    pair: Pair,
    workers: Executor,
) -> Measured:
    """Everything that a dataset says of networks, measured on their weights."""
    config = context.config
    everyone = np.arange(len(specs))

    def clean_accuracy(population: Population) -> NDArray[np.float64]:
        problem = stage_problem(config, specs, data, population, 1)
        _, accuracies = evaluate_stored(problem, population, workers)
        return accuracies

    shown = everyone if config.dataset.needs_degraded_signature else everyone[:0]
    degraded_signatures, _ = extract_signatures(context, pair.degraded, shown, workers)
    signatures, offsets = extract_signatures(context, pair.improved, everyone, workers)
    return Measured(
        degraded_accuracy=clean_accuracy(pair.degraded),
        improved_accuracy=clean_accuracy(pair.improved),
        test_accuracy=measure_tests(context, specs, data, pair, everyone, workers),
        behaviour=measure_behaviour(context, pair.improved, specs, everyone, workers),
        signatures=signatures,
        degraded_signatures=degraded_signatures,
        signature_offsets=offsets,
    )
