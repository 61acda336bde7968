"""The networks of a repository in the published layout: run on its probes, and compared."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import Config
from muat_exp.dataset.published.probes import as_the_predecessor_reads
from muat_exp.dataset.reading import Subjects
from muat_exp.dataset.schema import lists
from muat_exp.errors import DatasetError
from muat_exp.evaluation.measurement import RunContext, extract_signatures, unbounded
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.signatures.methods import method_columns
from muat_exp.signatures.probe_set import ProbeSet
from muat_exp.subjects.architecture import split_neurons
from muat_exp.validation.report import Report, counted

# Methods that mean the same by all definitions; the signs of components are arbitrary.
_COMPARED = ("mean", "std", "min", "max", "pca")
_TOLERANCE = 0.01  # of a number, relative where it is above 1: weights have six decimals at worst
_AGREEING = 0.95  # share of a signature's columns that agree in every layer, at least


class _Columns(NamedTuple):
    """The columns of one method among those of a signature."""

    method: str
    part: slice


def check_networks(subjects: Subjects, workers: ThreadExecutor, report: Report) -> int:
    """Runs the networks of a repository, and compares their signatures with what is stored.

    Args:
        subjects: its subjects.
        workers: run the networks.
        report: takes what is wrong, what was checked, and what could not be.

    Returns:
        How many networks were run.
    """
    population = subjects.population()
    ids = subjects.table["example_id"].to_numpy()
    wild = unbounded(population)
    sentence = "its weights have a number that is so large that it can't be measured."
    report.found.compare("networks", ids, wild, sentence)
    obstacle = _obstacle(subjects, bool(wild.any()))
    if obstacle:
        report.unchecked.append(f"signatures: {obstacle}")
        return 0
    try:
        probes = subjects.probes
    except DatasetError as error:
        report.unchecked.append(f"signatures: {error}")
        return 0
    _check_signatures(subjects, probes, workers, report)
    return len(subjects)


def _obstacle(subjects: Subjects, wild: bool) -> str:
    """Why no signature can be compared; empty where they can."""
    if "signature" not in subjects.table.column_names:
        return "there are none of the improved networks"
    if wild:
        return "some networks can't be run"
    if not _compared_columns(subjects.config):
        return f"those of {', '.join(subjects.config.signature.methods)} have no one definition"
    return ""


def _check_signatures(
    subjects: Subjects, probes: ProbeSet, workers: ThreadExecutor, report: Report
) -> None:
    """Compares each signature with that of its network on the probes, in either reading of them."""
    ids = subjects.table["example_id"].to_numpy()
    straight = _agreement(subjects, probes, workers)
    clipped = _agreement(subjects, as_the_predecessor_reads(probes), workers)
    told = counted(len(ids), "network")
    way = "run on the probes"
    agreement = straight
    if clipped.sum() > straight.sum():
        agreement = clipped
        way = "run on the probes with H and later letters as A, which the predecessor makes of them"
    sentence = "its signature is not what its network gives on the probes."
    report.found.compare("signatures", ids, ~agreement, sentence)
    names = ", ".join(columns.method for columns in _compared_columns(subjects.config))
    report.checked.append(f"{told} {way}: {names} compared with their signatures")
    others = [name for name in subjects.config.signature.methods if name not in _COMPARED]
    if others:
        report.unchecked.append(f"{', '.join(others)}: they have no one definition")


def _agreement(subjects: Subjects, probes: ProbeSet, workers: ThreadExecutor) -> NDArray[np.bool_]:
    """Whose signature is what their network gives on the probes, bool `(S,)`."""
    context = RunContext.build(subjects.config, probes)
    population = subjects.population()
    everyone = np.arange(len(population))
    measured, offsets = extract_signatures(context, population, everyone, workers)
    stored, _ = lists(subjects.table, "signature")
    columns = _compared_columns(subjects.config)
    agreeing = np.zeros(len(population), np.bool_)
    for row in range(len(population)):
        own = slice(offsets[row], offsets[row + 1])
        layers = population.layers(row)
        neurons = sum(layer.fan_out for layer in layers)
        pair = (measured[own].reshape(neurons, -1), stored[own].reshape(neurons, -1))
        here, there = (split_neurons(values, layers) for values in pair)
        right = [_equal(*layer, columns) for layer in zip(here, there, strict=True)]
        agreeing[row] = np.mean(np.concatenate(right)) >= _AGREEING
    return agreeing


def _compared_columns(config: Config) -> list[_Columns]:
    """The columns that are compared, by method."""
    columns = []
    place = 0
    for name, width in method_columns(config.signature, len(config.patterns.enabled)):
        if name in _COMPARED:
            columns.append(_Columns(name, slice(place, place + width)))
        place += width
    return columns


def _equal(
    here: NDArray[np.float32], there: NDArray[np.float32], compared: list[_Columns]
) -> NDArray[np.bool_]:
    """Which columns of a layer's signature `(neurons, columns)` agree, bool `(compared,)`."""
    agree = []
    for method, part in compared:
        ours = here[:, part]
        theirs = there[:, part]
        allowed = _TOLERANCE * np.maximum(1, np.abs(ours))
        equal = (np.abs(ours - theirs) <= allowed).all(axis=0)
        if method == "pca":
            equal |= (np.abs(ours + theirs) <= allowed).all(axis=0)
        agree.append(equal)
    return np.concatenate(agree)
