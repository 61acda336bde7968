"""Scores a file of predictions against a dataset."""

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from muat_exp.config.groups import Config
from muat_exp.dataset.published.files import is_published
from muat_exp.dataset.reading import Subjects, load_subjects
from muat_exp.errors import DatasetError, ProbeSetError
from muat_exp.evaluation.benchmark_set import LabelGroups, draw_benchmark, read_benchmark
from muat_exp.executors.threads import worker_threads
from muat_exp.score.behaviour import Bench
from muat_exp.score.classification import ClassificationScore, score_classification
from muat_exp.score.modification import ModificationScore, score_modification
from muat_exp.score.predictions import CLASSIFICATION, MODIFICATION, Survey, survey
from muat_exp.score.truth import Truth, load_truth
from muat_exp.sequences.space import space_arrays


@dataclass(frozen=True)
class Score:
    """Scores of one file; None for a task that it does not answer."""

    dataset: str
    predictions: str
    classification: ClassificationScore | None
    modification: ModificationScore | None

    @property
    def headline(self) -> float:
        """Exact match of the classification answers, or the share of the improvement recovered."""
        if self.classification:
            return self.classification.overall.exact_match
        recovered = self.modification.overall.recovered if self.modification else None
        return float("nan") if recovered is None else recovered

    def to_json(self) -> bytes:
        """The content of `score.json`."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2)


def judge(folder: Path, predictions: Path, benchmark_set: str, threads: int) -> Score:
    """Scores the answers in a file.

    Args:
        folder: the dataset.
        predictions: a `.jsonl` or `.parquet` file; see `survey`.
        benchmark_set: file of the sequences that modified networks are tested on; empty for those
            of the dataset's seed.
        threads: worker threads.

    Raises:
        PredictionsError: the file is absent or broken, or answers examples that the dataset does
            not have.
        DatasetError: the dataset does not hold what is needed.
        ProbeSetError: the benchmark set is absent or wrong.
    """
    if benchmark_set and not Path(benchmark_set).exists():
        raise ProbeSetError(f"{benchmark_set}: there is no such file.")
    truth = load_truth(folder)
    answers = survey(predictions)
    for kind in answers.locations:
        answers.check_known(kind, truth.rows)
    classification = None
    modification = None
    if CLASSIFICATION in answers.locations:
        classification = score_classification(truth, answers.names)
    if MODIFICATION in answers.locations:
        modification = _judge_weights(folder, truth, answers, benchmark_set, threads)
    return Score(str(folder), str(predictions), classification, modification)


def _judge_weights(
    folder: Path, truth: Truth, answers: Survey, benchmark_set: str, threads: int
) -> ModificationScore:
    """Scores modification answers, which takes the subjects themselves."""
    needed = "modification answers are judged by the subjects' own weights"
    if not (folder / "subjects").is_dir() and not is_published(folder):
        raise DatasetError(f"{folder} has no subjects; {needed}.")
    subjects = load_subjects(folder)
    for name in ("weights", "degraded_weights"):
        if name not in subjects.table.column_names:
            raise DatasetError(f"{folder} has no {name}; {needed}, both degraded and improved.")
    rows = _subject_rows(subjects, truth)
    splits = [truth.splits[truth.rows[example]] for example in rows]
    groups = _load_groups(subjects.config, benchmark_set)
    with worker_threads(threads) as workers:
        bench = Bench(subjects, groups, workers)
        return score_modification(bench, rows, splits, answers.weights())


def _subject_rows(subjects: Subjects, truth: Truth) -> dict[str, int]:
    """The subjects' rows by example_id; raises where the prompts have other examples."""
    examples = [str(example) for example in subjects.table["example_id"].to_pylist()]
    if sorted(examples) != sorted(truth.rows):
        raise DatasetError(
            f"{subjects.folder}: its prompts and its subjects are not of the same examples."
        )
    return {example: row for row, example in enumerate(examples)}


def _load_groups(config: Config, benchmark_set: str) -> LabelGroups:
    """The benchmark set by labels: from its file, or drawn from the dataset's seed."""
    if benchmark_set:
        return LabelGroups.of(read_benchmark(Path(benchmark_set), config))
    space = space_arrays(config.patterns.build())
    return LabelGroups.of(draw_benchmark(config, space))
