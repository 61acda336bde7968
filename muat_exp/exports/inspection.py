"""The Inspect AI task `muat_exp/classification`: a language model on the prompts of a dataset.

    inspect eval muat_exp/classification -T dataset=outputs/demo/dataset --model <model>

Inspect finds this module by its entry point in `pyproject.toml`. Answers are read, and scored, as
`task=score` does.
"""

from collections.abc import Sequence

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import (
    CORRECT,
    INCORRECT,
    Metric,
    SampleScore,
    Score,
    Scorer,
    Target,
    accuracy,
    metric,
    scorer,
    stderr,
)
from inspect_ai.solver import TaskState, generate

from muat_exp.dataset.hub import dataset_folder
from muat_exp.errors import DatasetError
from muat_exp.exports.trl import load_rows
from muat_exp.score.classification import ClassificationScore, read_answer, score_classification
from muat_exp.score.predictions import CLASSIFICATION
from muat_exp.score.truth import Truth, load_truth, split_names


@task
def classification(dataset: str, split: str = "") -> Task:
    """Which patterns does a network call positive?

    Args:
        dataset: its folder, or its `<owner>/<name>` on the Hugging Face Hub.
        split: train, validation or test; empty for all examples.

    Raises:
        DatasetError: there is no such dataset or split, or it holds no classification prompts.
    """
    folder = dataset_folder(dataset)
    truth = load_truth(folder)
    splits = [split] if split else list(dict.fromkeys(truth.splits))
    samples = [
        Sample(input=row["prompt"], target=row["completion"], id=row["example_id"])
        for name in splits
        for row in load_rows(folder, name)
        if row["task"] == CLASSIFICATION
    ]
    if not samples:
        raise DatasetError(f"{folder} holds no classification prompts.")
    return Task(
        dataset=MemoryDataset(samples, name=dataset),
        solver=generate(),
        scorer=named_patterns(list(truth.patterns)),
    )


@metric
def macro_f1() -> Metric:
    """The mean F1 of the patterns that occur in the truth or in an answer."""

    def compute(scores: list[SampleScore]) -> float:
        if not scores:  # of an evaluation that was interrupted
            return float("nan")
        return _judged(scores).overall.macro_f1 or 0.0

    return compute


@metric
def unparseable() -> Metric:
    """Answers that are no list of known patterns; they count as wrong."""

    def compute(scores: list[SampleScore]) -> int:
        return _judged(scores).overall.unparseable if scores else 0

    return compute


@scorer(metrics=[accuracy(), stderr(), macro_f1(), unparseable()])
def named_patterns(patterns: Sequence[str]) -> Scorer:
    """Right are the answers that name just the true patterns.

    Args:
        patterns: the names that an answer may hold.
    """
    known = frozenset(patterns)

    async def score(state: TaskState, target: Target) -> Score:
        given = state.output.completion
        answer = read_answer(given, known)
        right = answer == frozenset(split_names(target.text))
        return Score(
            value=CORRECT if right else INCORRECT,
            answer=given if answer is None else ", ".join(sorted(answer)),
            explanation="no list of known patterns" if answer is None else None,
            metadata={"given": given, "target": target.text, "patterns": list(patterns)},
        )

    return score


def _judged(scores: Sequence[SampleScore]) -> ClassificationScore:
    """The answers of some samples, at least one, as `task=score` judges them."""
    known = [score.score.metadata or {} for score in scores]
    names = [str(number) for number in range(len(scores))]
    truth = Truth(
        rows={name: number for number, name in enumerate(names)},
        splits=("",) * len(scores),
        completions=tuple(entry["target"] for entry in known),
        patterns=tuple(known[0]["patterns"]),
    )
    given = [entry["given"] for entry in known]
    return score_classification(truth, dict(zip(names, given, strict=True)))
