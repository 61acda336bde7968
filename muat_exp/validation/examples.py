"""Checks of some examples: all that can be drawn or measured again is compared."""

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.schema import SCORES, lists
from muat_exp.evaluation.measurement import Pair, RunContext, measure, unbounded
from muat_exp.executors.serial import SerialExecutor
from muat_exp.prompts.rendering import Renderer
from muat_exp.sequences.space import matches
from muat_exp.signatures.methods import method_columns
from muat_exp.subjects.activations import ACTIVATIONS
from muat_exp.subjects.architecture import Architecture
from muat_exp.subjects.data import SubjectData, draw_data
from muat_exp.subjects.initialization import empty_population
from muat_exp.subjects.population import Population
from muat_exp.subjects.quantization import as_stored, rounded
from muat_exp.subjects.shapes import hidden_widths
from muat_exp.subjects.specs import Specs, draw_specs
from muat_exp.validation.faults import Faults

_LARGEST_BATCH = 200  # examples checked at a time by one worker
_BATCH_NUMBERS = 20_000_000  # of weights, or of data, that such a batch has at most
_QUANTUM = 1e-5  # relative difference that rounding twice may leave
_TOLERANCES = {"accuracy": 1e-6, "response": 1e-6, "signature": 1e-3}


@dataclass
class Checked:
    """What is kept of some examples that were checked.

    Attributes:
        records: their scalar columns.
        digests: of their weights, to find equal ones.
        tokens: of their texts by task, where there is a tokenizer.
        faults: what was found.
    """

    records: pa.Table
    digests: list[bytes]
    tokens: dict[str, list[int]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)


def batch_size(config: Config) -> int:
    """Examples that are checked at a time.

    Fewer of large networks, or of long data, so that memory stays flat.
    """
    shape = config.architecture
    patterns = config.patterns
    depth = shape.num_layers.max
    widths = hidden_widths(shape.shape, depth, shape.neurons_per_layer.max)
    largest = Architecture(patterns.sequence_length, widths, shape.activations[0])
    each = largest.parameters + patterns.examples_per_subject * patterns.sequence_length
    return max(1, min(_LARGEST_BATCH, _BATCH_NUMBERS // each))


def check_examples(
    context: RunContext, renderer: Renderer, subjects: pa.Table, prompts: pa.Table
) -> Checked:
    """Checks the same examples of both configurations; thread-safe."""
    values, offsets = lists(subjects, "weights")
    parts = [values[start:stop].tobytes() for start, stop in pairwise(offsets)]
    checked = Checked(
        _scalars(subjects), [hashlib.blake2b(part, digest_size=16).digest() for part in parts]
    )
    faults = checked.faults
    ids = subjects["example_id"].to_numpy()
    if not np.array_equal(ids, prompts["example_id"].to_numpy()):
        faults.add(
            "ids", f"example {ids[0]} and on: prompts and subjects do not hold the same examples."
        )
    elif check_networks(context.config, subjects, faults):
        _check_rules(context.config, subjects, faults)
        _check_measures(context, subjects, faults)
        checked.tokens = _check_prompts(renderer, subjects, prompts, faults)
    return checked


def _scalars(subjects: pa.Table) -> pa.Table:
    """The columns that are no lists of numbers."""
    keep = [field.name for field in subjects.schema if field.type != pa.list_(pa.float32())]
    return subjects.select(keep)


def check_networks(config: Config, subjects: pa.Table, faults: Faults) -> bool:
    """Whether the networks can be run and measured.

    Their arrays fit what was drawn for them, and their numbers are sound.
    """
    if not _check_shapes(config, subjects, faults):
        return False
    ids = subjects["example_id"].to_numpy()
    sound = True
    specs = draw_specs(config, ids)
    for name in ("weights", "degraded_weights"):
        population = stored_population(config, specs, subjects, name)
        wild = unbounded(population)
        faults.compare(
            "weights",
            ids,
            wild,
            f"{name} has a number that is not finite, or so large that it can't be measured.",
        )
        sound &= not wild.any()
        if sound:
            _check_storage(config, ids, population, name, faults)
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
    if (
        architecture.precision == "float32"
    ):  # quantising twice changes the last digits alone; coarser rounding hides levels
        again = as_stored(population, architecture).parameters
        stray |= np.abs(again - values) > _QUANTUM * np.maximum(np.abs(values), np.abs(again))
    wrong = np.logical_or.reduceat(stray, population.offsets[:-1])
    stored = f"{architecture.precision}, quantization {architecture.quantization}"
    faults.compare(
        "weights",
        ids,
        wrong,
        f"{name} has a number that is not stored as the configuration says ({stored}).",
    )


def _check_shapes(config: Config, subjects: pa.Table, faults: Faults) -> bool:
    """What was drawn for each subject is what is stored of it.

    False where its arrays don't fit, so that it can't be run.
    """
    ids = subjects["example_id"].to_numpy()
    if (ids < 0).any():
        faults.add("ids", "an example_id is negative.")
        return False
    specs = draw_specs(config, ids)
    names = np.array(config.patterns.enabled)
    activations = np.array(ACTIVATIONS)
    stored = {
        "num_layers": specs.depths.tolist(),
        "neurons_per_layer": specs.widths.tolist(),
        "activation": activations[specs.activations].tolist(),
        "target_pattern": names[specs.targets].tolist(),
        "learning_rate": specs.rates.tolist(),
        "selected_patterns": [names[row].tolist() for row in specs.selected],
    }
    sound = True
    for name, drawn in stored.items():
        wrong = _unequal(subjects[name].to_pylist(), drawn)
        faults.compare(
            "specification", ids, wrong, f"{name} is not what its number and the seed give."
        )
        sound &= not wrong.any()
    counts = np.diff(empty_population(config, specs).offsets)
    for name in ("weights", "degraded_weights"):
        wrong = np.diff(lists(subjects, name)[1]) != counts
        faults.compare(
            "weights", ids, wrong, f"{name} has not as many numbers as its architecture."
        )
        sound &= not wrong.any()
    return bool(sound) and _check_lengths(config, specs, subjects, faults)


def _unequal(values: list[Any], expected: list[Any]) -> NDArray[np.bool_]:
    """Where two lists differ, bool `(n,)`."""
    return np.array([here != there for here, there in zip(values, expected, strict=True)], bool)


def _check_rules(config: Config, subjects: pa.Table, faults: Faults) -> None:
    """Histories are losses and shares, as long as the stages that they tell of."""
    if not config.dataset.needs_history:
        return
    ids, (values, offsets) = subjects["example_id"].to_numpy(), lists(subjects, "history")
    losses = values.reshape(-1, 4)[:, ::2]
    shares = values.reshape(-1, 4)[:, 1::2]
    wrong = ~((losses >= 0) & np.isfinite(losses) & (shares >= 0) & (shares <= 1)).all(axis=1)
    faults.compare(
        "history",
        ids,
        np.logical_or.reduceat(wrong, offsets[:-1] // 4),
        "its history has a number that can't be.",
    )
    if config.training.until == "switch":
        early = subjects["degraded_epochs"].to_numpy() != subjects["switch_epoch"].to_numpy()
        faults.compare("history", ids, early, "its degraded stage did not end with the switch.")


def _check_lengths(config: Config, specs: Specs, subjects: pa.Table, faults: Faults) -> bool:
    """Signatures and histories have as many numbers as they should."""
    ids = subjects["example_id"].to_numpy()
    sound = True
    columns = sum(
        width for _, width in method_columns(config.signature, len(config.patterns.enabled))
    )
    expected: dict[str, Any] = dict.fromkeys(
        ("signature", "degraded_signature"), empty_population(config, specs).neurons * columns
    )
    if config.dataset.needs_history:
        epochs = np.diff(lists(subjects, "history")[1]) // 4
        degraded = subjects["degraded_epochs"].to_numpy()
        long = (degraded >= subjects["switch_epoch"].to_numpy()) & (
            epochs - degraded >= subjects["clean_epoch"].to_numpy()
        )
        expected["history"] = np.where(long, 4 * epochs, -1)
    for name in expected.keys() & set(subjects.column_names):
        wrong = np.diff(lists(subjects, name)[1]) != expected[name]
        faults.compare(name, ids, wrong, f"{name} has not as many numbers as it should.")
        sound &= not wrong.any()
    return sound


def stored_population(config: Config, specs: Specs, subjects: pa.Table, name: str) -> Population:
    """Subjects with the parameters of a column."""
    return empty_population(config, specs).with_parameters(
        np.ascontiguousarray(lists(subjects, name)[0], np.float32)
    )


def _check_measures(context: RunContext, subjects: pa.Table, faults: Faults) -> None:
    """Labels, accuracies, behaviour and signatures are what the stored networks give."""
    config = context.config
    ids = subjects["example_id"].to_numpy()
    specs = draw_specs(config, ids)
    data = draw_data(config, context.space, specs)
    _check_data(context, specs, data, ids, subjects, faults)
    improved, degraded = (
        stored_population(config, specs, subjects, name) for name in ("weights", "degraded_weights")
    )
    measured = measure(context, specs, data, Pair(degraded, improved), SerialExecutor())
    for name, values in zip(SCORES, measured.scores.T, strict=True):
        _compare_scores(name, values, subjects, faults)
    stored = np.array(
        [
            [row[name] for name in config.patterns.enabled]
            for row in subjects["response"].to_pylist()
        ]
    )
    off: NDArray[np.bool_] = np.any(
        ~(np.abs(stored - measured.responses) <= _TOLERANCES["response"]), axis=1
    )
    faults.compare("response", ids, off, "its response is not what its network gives.")
    _compare_signatures("signature", measured.signatures, ids, subjects, faults)
    if config.dataset.needs_degraded_signature:
        _compare_signatures(
            "degraded_signature", measured.degraded_signatures, ids, subjects, faults
        )


def _compare_scores(
    name: str, measured: NDArray[np.float64], subjects: pa.Table, faults: Faults
) -> None:
    """A stored score is what was measured again."""
    stored = subjects[name].to_numpy()
    off = ~(np.abs(stored - measured) <= _TOLERANCES["accuracy"])
    for example, here, there in zip(
        subjects["example_id"].to_numpy()[off], stored[off], measured[off], strict=True
    ):
        faults.add(
            "accuracy",
            f"example {example}: {name} is {here:.6f}, but its network gives {there:.6f}.",
        )


def _compare_signatures(
    name: str,
    measured: NDArray[np.float32],
    ids: NDArray[np.int64],
    subjects: pa.Table,
    faults: Faults,
) -> None:
    """Stored signatures are what was measured again."""
    stored, offsets = lists(subjects, name)
    far = (
        np.add.reduceat(~(np.abs(measured - stored) <= _TOLERANCES["signature"]), offsets[:-1]) > 0
    )
    faults.compare(name, ids, far, f"its {name} is not what its network gives.")


def _check_data(
    context: RunContext,
    specs: Specs,
    data: SubjectData,
    ids: NDArray[np.int64],
    subjects: pa.Table,
    faults: Faults,
) -> None:
    """Labels are true by predicate, and the sides share no sequence.

    As many labels are corrupted as are stored.
    """
    patterns = context.config.patterns.build()
    count = len(ids)
    rows = data.tokens.reshape(-1, data.tokens.shape[2])
    members = np.stack([matches(pattern, rows) for pattern in patterns]).reshape(
        len(patterns), count, -1
    )  # (P, S, rows)
    truth = (members & specs.selected.T[:, :, None]).any(axis=0)
    faults.compare(
        "labels",
        ids,
        (truth != (data.labels > 0.5)).any(axis=1),
        "a label is not what its pattern's predicate says.",
    )
    sides = [
        [{*map(bytes, side)} for side in np.split(own, [data.training_rows])] for own in data.tokens
    ]
    shared = np.array([bool(training & validation) for training, validation in sides])
    faults.compare("split", ids, shared, "a sequence is in both training and validation.")
    wrong = data.flips != subjects["corrupted_labels"].to_numpy()
    faults.compare(
        "corruption", ids, wrong, "the number of corrupted labels is not what was corrupted."
    )


def _check_prompts(
    renderer: Renderer, subjects: pa.Table, prompts: pa.Table, faults: Faults
) -> dict[str, list[int]]:
    """Prompts, metadata and JSON columns are a rendering of the arrays.

    Returns the tokens of the texts by kind of prompt.
    """
    fresh, tokens = renderer.table(subjects)
    ids = subjects["example_id"].to_numpy()
    for name in fresh.column_names:
        if not fresh[name].equals(prompts[name]):
            wrong = _unequal(fresh[name].to_pylist(), prompts[name].to_pylist())
            faults.compare("prompts", ids, wrong, f"{name} is not a rendering of its arrays.")
    return tokens
