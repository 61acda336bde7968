"""The stored networks of a dataset, and whether they can be run and measured."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.faults import Faults, unequal
from muat_exp.dataset.schema import lists
from muat_exp.evaluation.measurement import unbounded
from muat_exp.signatures.methods import method_columns
from muat_exp.subjects.activations import ACTIVATIONS
from muat_exp.subjects.initialization import empty_population
from muat_exp.subjects.population import Population
from muat_exp.subjects.quantization import as_stored, rounded
from muat_exp.subjects.specs import Specs, draw_specs

NETWORKS = ("weights", "degraded_weights")  # the columns that hold them
_QUANTUM = 1e-5  # relative difference that rounding twice may leave
_PER_EPOCH = 4  # numbers of a history


def stored_population(config: Config, specs: Specs, subjects: pa.Table, name: str) -> Population:
    """Subjects with the parameters of a column."""
    values, _ = lists(subjects, name)
    parameters = np.ascontiguousarray(values, np.float32)
    return empty_population(config, specs).with_parameters(parameters)


def check_networks(config: Config, subjects: pa.Table, faults: Faults) -> bool:
    """Whether the networks can be run and measured.

    Their arrays fit what was drawn for them, and their numbers are sound.
    """
    ids = subjects["example_id"].to_numpy()
    if (ids < 0).any():
        faults.add("ids", "an example_id is negative.")
        return False
    specs = draw_specs(config, ids)
    specified = _check_specification(config, specs, subjects, faults)
    shaped = _check_shapes(config, specs, subjects, faults)
    if not (specified and shaped and _check_lengths(config, specs, subjects, faults)):
        return False
    return _check_numbers(config, specs, subjects, faults)


def _check_specification(config: Config, specs: Specs, subjects: pa.Table, faults: Faults) -> bool:
    """Whether what was drawn for each subject is what is stored of it."""
    names = np.array(config.patterns.enabled)
    activations = np.array(ACTIVATIONS)
    drawn = {
        "num_layers": specs.depths.tolist(),
        "neurons_per_layer": specs.widths.tolist(),
        "activation": activations[specs.activations].tolist(),
        "target_pattern": names[specs.targets].tolist(),
        "learning_rate": specs.rates.tolist(),
        "selected_patterns": [names[row].tolist() for row in specs.selected],
    }
    sound = True
    for name, expected in drawn.items():
        wrong = unequal(subjects[name].to_pylist(), expected)
        sentence = f"{name} is not what its number and the seed give."
        faults.compare("specification", specs.indices, wrong, sentence)
        sound &= not wrong.any()
    known = set(config.patterns.enabled)
    strange = np.array([name not in known for name in subjects["best_pattern"].to_pylist()], bool)
    faults.compare("explanation", specs.indices, strange, "best_pattern is no enabled pattern.")
    return sound and not strange.any()


def _check_shapes(config: Config, specs: Specs, subjects: pa.Table, faults: Faults) -> bool:
    """Whether each network has as many numbers as its architecture needs."""
    needed = np.diff(empty_population(config, specs).offsets)
    sound = True
    for name in NETWORKS:
        wrong = _lengths(subjects, name) != needed
        sentence = f"{name} has not as many numbers as its architecture."
        faults.compare("weights", specs.indices, wrong, sentence)
        sound &= not wrong.any()
    return sound


def _lengths(subjects: pa.Table, name: str) -> NDArray[np.int64]:
    """Numbers in each row of a list column, int64 `(S,)`."""
    _, offsets = lists(subjects, name)
    return np.diff(offsets)


def _check_lengths(config: Config, specs: Specs, subjects: pa.Table, faults: Faults) -> bool:
    """Whether signatures and histories have as many numbers as they should."""
    expected = _signature_lengths(config, specs)
    if config.dataset.needs_history:
        expected["history"] = _history_lengths(subjects)
    sound = True
    for name, needed in expected.items():
        if name not in subjects.column_names:
            continue
        wrong = _lengths(subjects, name) != needed
        faults.compare(name, specs.indices, wrong, f"{name} has not as many numbers as it should.")
        sound &= not wrong.any()
    return sound


def _signature_lengths(config: Config, specs: Specs) -> dict[str, NDArray[np.int64]]:
    """Numbers that each subject's signatures have, int64 `(S,)`, by column."""
    methods = method_columns(config.signature, len(config.patterns.enabled))
    columns = sum(width for _, width in methods)
    lengths = empty_population(config, specs).neurons * columns
    return {"signature": lengths, "degraded_signature": lengths}


def _history_lengths(subjects: pa.Table) -> NDArray[np.int64]:
    """Numbers that each subject's history should have, int64 `(S,)`.

    Whole epochs, and of each stage as many as its best one was at least; -1 where it has fewer.
    """
    epochs = _lengths(subjects, "history") // _PER_EPOCH
    degraded = subjects["degraded_epochs"].to_numpy()
    clean = epochs - degraded
    switched = degraded >= subjects["switch_epoch"].to_numpy()
    finished = clean >= subjects["clean_epoch"].to_numpy()
    return np.where(switched & finished, _PER_EPOCH * epochs, -1)


def _check_numbers(config: Config, specs: Specs, subjects: pa.Table, faults: Faults) -> bool:
    """Whether the networks' numbers can be measured; also checks how they are stored."""
    sound = True
    for name in NETWORKS:
        population = stored_population(config, specs, subjects, name)
        wild = unbounded(population)
        sentence = "a number that is not finite, or so large that it can't be measured."
        faults.compare("weights", specs.indices, wild, f"{name} has {sentence}")
        sound &= not wild.any()
        if sound:
            _check_storage(config, specs.indices, population, name, faults)
    return sound


def _check_storage(
    config: Config, ids: NDArray[np.int64], population: Population, name: str, faults: Faults
) -> None:
    """Weights are numbers of the configured precision.

    And of as few levels per neuron as the quantization has.
    """
    architecture = config.architecture
    values = population.parameters
    stray = rounded(values, architecture.precision) != values
    if architecture.precision == "float32":  # coarser rounding hides the levels
        # Quantising what is quantised changes its last digits alone.
        again = as_stored(population, architecture, config.signature.definitions).parameters
        size = np.maximum(np.abs(values), np.abs(again))
        stray |= np.abs(again - values) > _QUANTUM * size
    wrong = np.logical_or.reduceat(stray, population.offsets[:-1])
    stored = f"{architecture.precision}, quantization {architecture.quantization}"
    sentence = f"{name} has a number that is not stored as the configuration says ({stored})."
    faults.compare("weights", ids, wrong, sentence)
