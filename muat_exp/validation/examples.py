"""Checks of some examples: all that can be drawn or measured again is compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.column_names import BEHAVIOUR, CONFUSION, EXACT_SCORES, SCORES
from muat_exp.dataset.faults import Faults, unequal
from muat_exp.dataset.networks import check_networks, stored_population
from muat_exp.dataset.schema import lists, stray_responses
from muat_exp.evaluation.measurement import Measured, Pair, RunContext, measure
from muat_exp.evaluation.truth import Behaviour, ExactAnswers
from muat_exp.executors.budget import Budget
from muat_exp.executors.serial import SerialExecutor
from muat_exp.prompts.rendering import Renderer
from muat_exp.sequences.space import matches
from muat_exp.subjects.data import SubjectData, draw_data
from muat_exp.subjects.specs import Specs, draw_specs
from muat_exp.validation.equal_weights import weights_digest

_BATCH_NUMBERS = 20_000_000  # of weights, or of data, that such a batch has at most

Tolerances = Mapping[str, float]  # by what is compared

# By how much numbers that are measured again may differ: not at all where the arithmetic is the
# same, and elsewhere as if the answers to a sequence or two were others.
EXACT: Tolerances = {"accuracy": 0.0, "response": 0.0, "signature": 0.0, "answers": 0.0}
ELSEWHERE: Tolerances = {"accuracy": 0.05, "response": 0.05, "signature": 1e-3, "answers": 0.001}


@dataclass
class Checked:
    """What is kept of some examples that were checked.

    Attributes:
        records: their scalar columns.
        digests: of their weights, to find equal ones.
        tokens: of their texts by task, where there is a tokenizer.
        measured: whose networks could be run, and were measured again: bool `(S,)`.
        answers: digests of what these answer to all sequences, where the dataset tells that.
        faults: what was found.
    """

    records: pa.Table
    digests: list[bytes]
    tokens: dict[str, list[int]] = field(default_factory=dict)
    measured: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    answers: list[bytes] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)


def batch_size(config: Config) -> int:
    """Examples that are checked at a time.

    Fewer of large networks, or of long data, so that memory stays flat.
    """
    budget = Budget(config)
    patterns = config.patterns
    data = patterns.examples_per_subject * patterns.sequence_length
    each = budget.largest.parameters + data
    return max(1, min(budget.row_group, _BATCH_NUMBERS // each))


def check_examples(
    context: RunContext,
    renderer: Renderer,
    tolerances: Tolerances,
    subjects: pa.Table,
    prompts: pa.Table,
    behaviour: pa.Table | None = None,
) -> Checked:
    """Checks the same examples of all configurations; thread-safe."""
    checked = Checked(_scalars(subjects), _digests(subjects))
    faults = checked.faults
    checked.measured = np.zeros(subjects.num_rows, np.bool_)
    ids = subjects["example_id"].to_numpy()
    if not np.array_equal(ids, prompts["example_id"].to_numpy()):
        sentence = "prompts and subjects do not hold the same examples."
        faults.add("ids", f"example {ids[0]} and on: {sentence}")
        return checked
    if behaviour is not None and not np.array_equal(ids, behaviour["example_id"].to_numpy()):
        sentence = "behaviour and subjects do not hold the same examples."
        faults.add("ids", f"example {ids[0]} and on: {sentence}")
        return checked
    checked.measured = _measurable(context.config, subjects, faults)
    if checked.measured.any():
        kept = pa.array(checked.measured)
        subjects = subjects.filter(kept).combine_chunks()
        _check_epochs(context.config, subjects, faults)
        _check_histories(context.config, subjects, faults)
        measured = _check_again(context, tolerances, subjects, faults)
        if behaviour is not None and measured.behaviour.exact:
            bits = measured.behaviour.exact.bits
            stored = behaviour.filter(kept)[BEHAVIOUR].to_pylist()
            _compare_answers(context.config, stored, bits, tolerances["answers"], subjects, faults)
            checked.answers = [weights_digest(row.tobytes()) for row in bits]
        checked.tokens = _check_prompts(renderer, subjects, prompts.filter(kept), faults)
    return checked


def _measurable(config: Config, subjects: pa.Table, faults: Faults) -> NDArray[np.bool_]:
    """Whose networks can be run and measured, bool `(S,)`; what keeps the others is a fault."""
    count = subjects.num_rows
    if check_networks(config, subjects, faults):
        return np.ones(count, np.bool_)
    alone = [check_networks(config, subjects.slice(row, 1), Faults()) for row in range(count)]
    return np.array(alone, np.bool_)


def _scalars(subjects: pa.Table) -> pa.Table:
    """The columns that are no lists of numbers."""
    numbers = pa.list_(pa.float32())
    kept = [column.name for column in subjects.schema if column.type != numbers]
    return subjects.select(kept)


def _digests(subjects: pa.Table) -> list[bytes]:
    """A digest of each subject's weights."""
    values, offsets = lists(subjects, "weights")
    digests = []
    for start, stop in pairwise(offsets):
        content = values[start:stop].tobytes()
        digests.append(weights_digest(content))
    return digests


def _check_epochs(config: Config, subjects: pa.Table, faults: Faults) -> None:
    """The epochs that the weights are from are such as the stages of the recipe have."""
    recipe = config.training
    first = 2 if recipe.until == "switch" else 1  # a loss is compared with the first epoch's
    limits = {
        "switch_epoch": (first, recipe.degraded.max_epochs),
        "clean_epoch": (1, recipe.clean.max_epochs),
    }
    ids = subjects["example_id"].to_numpy()
    for name, (low, high) in limits.items():
        epochs = subjects[name].to_numpy()
        wrong = (epochs < low) | (epochs > high)
        faults.compare("epochs", ids, wrong, f"{name} is not one from {low} to {high}.")


def _check_histories(config: Config, subjects: pa.Table, faults: Faults) -> None:
    """Histories hold losses and shares, and the degraded stage ended as the recipe says."""
    if not config.dataset.needs_history:
        return
    ids = subjects["example_id"].to_numpy()
    values, offsets = lists(subjects, "history")
    epochs = values.reshape(-1, 4)  # loss and accuracy on training, then on validation rows
    losses = epochs[:, ::2]
    shares = epochs[:, 1::2]
    sound_losses = (losses >= 0) & np.isfinite(losses)
    sound_shares = (shares >= 0) & (shares <= 1)
    sound = (sound_losses & sound_shares).all(axis=1)
    subject = np.repeat(np.arange(len(ids)), np.diff(offsets) // 4)  # of each epoch
    wrong = np.zeros(len(ids), np.bool_)
    wrong[subject[~sound]] = True
    faults.compare("history", ids, wrong, "its history has a number that can't be.")
    if config.training.until == "switch":
        ends = subjects["degraded_epochs"].to_numpy()
        early = ends != subjects["switch_epoch"].to_numpy()
        faults.compare("history", ids, early, "its degraded stage did not end with the switch.")


def _check_again(
    context: RunContext, tolerances: Tolerances, subjects: pa.Table, faults: Faults
) -> Measured:
    """What is drawn and measured again is what is stored; returns what was measured."""
    specs = draw_specs(context.config, subjects["example_id"].to_numpy())
    data = draw_data(context.config, context.space, specs)
    _check_labels(context.config, specs, data, faults)
    _check_sides(specs, data, faults)
    _check_corruption(specs, data, subjects, faults)
    measured = _measure_again(context, specs, data, subjects)
    _check_measures(context.config, measured, tolerances, subjects, faults)
    return measured


def _check_labels(config: Config, specs: Specs, data: SubjectData, faults: Faults) -> None:
    """Labels are true by predicate."""
    count, rows, length = data.tokens.shape
    sequences = data.tokens.reshape(-1, length)  # (S * rows, L)
    patterns = config.patterns.build()
    members = np.stack([matches(pattern, sequences) for pattern in patterns])  # (P, S * rows)
    by_subject = members.reshape(len(patterns), count, rows)
    truth = (by_subject & specs.selected.T[:, :, None]).any(axis=0)  # (S, rows)
    labels = data.labels > 0.5
    wrong = (truth != labels).any(axis=1)
    faults.compare(
        "labels", specs.indices, wrong, "a label is not what its pattern's predicate says."
    )


def _check_sides(specs: Specs, data: SubjectData, faults: Faults) -> None:
    """Training and validation share no sequence."""
    shared = []
    for sequences in data.tokens:  # (rows, L)
        training = set(map(bytes, sequences[: data.training_rows]))
        validation = set(map(bytes, sequences[data.training_rows :]))
        shared.append(bool(training & validation))
    sentence = "a sequence is in both training and validation."
    faults.compare("split", specs.indices, np.array(shared), sentence)


def _check_corruption(specs: Specs, data: SubjectData, subjects: pa.Table, faults: Faults) -> None:
    """As many labels are corrupted, and could have been, as are stored."""
    wrong = data.flips != subjects["corrupted_labels"].to_numpy()
    sentence = "the number of corrupted labels is not what was corrupted."
    faults.compare("corruption", specs.indices, wrong, sentence)
    wrong = data.candidates != subjects["corruption_candidates"].to_numpy()
    sentence = "corruption_candidates is not the number of labels that could be corrupted."
    faults.compare("corruption", specs.indices, wrong, sentence)


def _measure_again(
    context: RunContext, specs: Specs, data: SubjectData, subjects: pa.Table
) -> Measured:
    """What the stored networks give."""
    improved = stored_population(context.config, specs, subjects, "weights")
    degraded = stored_population(context.config, specs, subjects, "degraded_weights")
    return measure(context, specs, data, Pair(degraded, improved), SerialExecutor())


def _check_measures(
    config: Config, measured: Measured, tolerances: Tolerances, subjects: pa.Table, faults: Faults
) -> None:
    """Accuracies, behaviour and signatures are what the stored networks give."""
    tolerance = tolerances["accuracy"]
    for name, scores in zip(SCORES, measured.scores.T, strict=True):
        _compare_scores(name, scores, tolerance, subjects, faults)
    _compare_explanations(config, measured.behaviour, tolerance, subjects, faults)
    behaviour = measured.behaviour
    if behaviour.exact is not None:
        _compare_exact(behaviour.own, behaviour.exact, tolerance, subjects, faults)
    responses = behaviour.responses.astype(np.float32)  # as they are stored
    names = config.patterns.enabled
    _compare_responses(names, responses, tolerances["response"], subjects, faults)
    signatures = {"signature": measured.signatures}
    if config.dataset.needs_degraded_signature:
        signatures["degraded_signature"] = measured.degraded_signatures
    for name, values in signatures.items():
        _compare_signatures(name, values, tolerances["signature"], subjects, faults)


def _differ(
    stored: NDArray[np.floating], measured: NDArray[np.floating], tolerance: float
) -> NDArray[np.bool_]:
    """Where two arrays of a shape differ by more than a tolerance, or are NaN."""
    return ~(np.abs(stored - measured) <= tolerance)


def _compare_scores(
    name: str, measured: NDArray[np.float64], tolerance: float, subjects: pa.Table, faults: Faults
) -> None:
    """A stored score is what was measured again."""
    ids = subjects["example_id"].to_numpy()
    stored = subjects[name].to_numpy()
    off = _differ(stored, measured, tolerance)
    for example, here, there in zip(ids[off], stored[off], measured[off], strict=True):
        sentence = f"{name} is {_close_up(here, there)}."
        faults.add("accuracy", f"example {example}: {sentence}")


def _compare_explanations(
    config: Config, behaviour: Behaviour, tolerance: float, subjects: pa.Table, faults: Faults
) -> None:
    """The stored pattern is the one that explains a network best, and does so as well as is told.

    Within the tolerance, another one may.
    """
    _compare_scores("best_pattern_score", behaviour.best_scores, tolerance, subjects, faults)
    enabled = config.patterns.enabled
    told = np.array([enabled.index(name) for name in subjects["best_pattern"].to_pylist()])
    scores = np.take_along_axis(behaviour.scores, told[:, None], axis=1)[:, 0]
    wrong = scores < behaviour.best_scores - tolerance
    if not tolerance:
        wrong |= told != behaviour.best
    ids = subjects["example_id"].to_numpy()
    faults.compare("explanation", ids, wrong, "best_pattern is not what explains its network best.")


def _compare_exact(
    own: NDArray[np.float64],
    exact: ExactAnswers,
    tolerance: float,
    subjects: pa.Table,
    faults: Faults,
) -> None:
    """What an exact truth tells is what the networks answer to all sequences."""
    for name, scores in zip(EXACT_SCORES, (exact.task_accuracy, own), strict=True):
        _compare_scores(name, scores, tolerance, subjects, faults)
    ids = subjects["example_id"].to_numpy()
    stored = np.column_stack([subjects[name].to_numpy() for name in CONFUSION])
    moved = np.abs(stored - exact.confusion).max(axis=1)
    wrong = moved > tolerance * stored.sum(axis=1)
    names = ", ".join(CONFUSION)
    faults.compare("confusion", ids, wrong, f"{names} are not what its network gives.")


def _compare_answers(
    config: Config,
    stored: Sequence[bytes],
    measured: NDArray[np.uint8],
    tolerance: float,
    subjects: pa.Table,
    faults: Faults,
) -> None:
    """Stored answers are what the networks answer, but for a share of them."""
    most = tolerance * config.patterns.space_size
    wrong = []
    for content, bits in zip(stored, measured, strict=True):
        same_size = len(content) == len(bits)
        there = np.frombuffer(content, np.uint8) if same_size else ~bits
        wrong.append(int(np.bitwise_count(there ^ bits).sum()) > most)
    ids = subjects["example_id"].to_numpy()
    sentence = "its behaviour is not what its network answers."
    faults.compare("behaviour", ids, np.array(wrong, np.bool_), sentence)


def _close_up(stored: float, measured: float) -> str:
    """Two numbers that differ, with as many digits as it takes to see that."""
    texts = (f"{stored:.6f}", f"{measured:.6f}")
    if texts[0] == texts[1]:
        texts = (repr(float(stored)), repr(float(measured)))
    return f"{texts[0]}, but its network gives {texts[1]}"


def _compare_responses(
    names: Sequence[str],
    measured: NDArray[np.float32],
    tolerance: float,
    subjects: pa.Table,
    faults: Faults,
) -> None:
    """Stored shares called positive `(S, P)` are what was measured again."""
    ids = subjects["example_id"].to_numpy()
    response = subjects["response"].combine_chunks()
    shares = [response.field(name).to_numpy() for name in names]
    stored = np.column_stack(shares)
    off: NDArray[np.bool_] = np.any(_differ(stored, measured, tolerance), axis=1)
    off |= stray_responses(subjects, names)
    faults.compare("response", ids, off, "its response is not what its network gives.")


def _compare_signatures(
    name: str, measured: NDArray[np.float32], tolerance: float, subjects: pa.Table, faults: Faults
) -> None:
    """Stored signatures are what was measured again."""
    ids = subjects["example_id"].to_numpy()
    stored, offsets = lists(subjects, name)
    off = _differ(stored, measured, tolerance)
    wrong = np.logical_or.reduceat(off, offsets[:-1])
    faults.compare(name, ids, wrong, f"its {name} is not what its network gives.")


def _check_prompts(
    renderer: Renderer, subjects: pa.Table, prompts: pa.Table, faults: Faults
) -> dict[str, list[int]]:
    """Prompts, metadata and JSON columns are a rendering of the arrays.

    Returns the tokens of the texts by kind of prompt.
    """
    ids = subjects["example_id"].to_numpy()
    fresh, tokens = renderer.table(subjects)
    for name in fresh.column_names:
        if fresh[name].equals(prompts[name]):
            continue
        wrong = unequal(prompts[name].to_pylist(), fresh[name].to_pylist())
        faults.compare("prompts", ids, wrong, f"{name} is not a rendering of its arrays.")
    return tokens
