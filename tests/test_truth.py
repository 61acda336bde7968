"""What networks do: kernels against PyTorch, figures against plain Python, samples against all."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import small_config
from test_patterns import REFERENCE
from test_validate import change

import muat_exp
from muat_exp.app.compose import load_config
from muat_exp.config.groups import (
    ArchitectureConfig,
    Config,
    DatasetConfig,
    EvaluationConfig,
    PatternsConfig,
    Range,
    TrainingConfig,
)
from muat_exp.errors import ConfigurationError
from muat_exp.evaluation.measurement import RunContext
from muat_exp.executors.serial import SerialExecutor
from muat_exp.generation.pipeline import generate
from muat_exp.generation.run_folder import load_run_config
from muat_exp.kernels import random
from muat_exp.kernels.data import draw_subjects
from muat_exp.sequences.space import all_sequences, decode
from muat_exp.subjects.activations import ACTIVATIONS
from muat_exp.subjects.initialization import draw_population
from muat_exp.subjects.specs import draw_specs
from muat_exp.validation.own_format import Depth
from muat_exp.validation.validate import validate

EXACT = EvaluationConfig("exact")
COUNT = 24


def tiny_config(**changes):
    """Small networks of every activation on a space of 625 sequences."""
    patterns = PatternsConfig(vocab_size=5, sequence_length=4, examples_per_subject=40)
    return Config(
        architecture=ArchitectureConfig(Range(1, 3), Range(5, 9), ACTIVATIONS),
        patterns=replace(patterns, **changes),
        dataset=DatasetConfig(behaviour=True),
        evaluation=EXACT,
    )


class Asked:
    """Drawn networks, what was found out about them, and their answers by PyTorch."""

    def __init__(self, config, numbers):
        self.config = config
        self.context = RunContext.build(config)
        self.specs = draw_specs(config, numbers)
        self.population = draw_population(config, self.specs)
        rng = np.random.default_rng(0)
        moved = self.population.parameters + rng.normal(0, 0.4, len(self.population.parameters))
        self.population = self.population.with_parameters(moved.astype(np.float32))
        self.which = np.arange(len(numbers))
        self.behaviour = self.found_by(self.context, self.which)
        patterns = config.patterns
        self.tokens = all_sequences(patterns.vocab_size, patterns.sequence_length)
        inputs = torch.from_numpy(self.tokens).double()
        modules = [self.population.to_module(index).double() for index in range(len(numbers))]
        self.logits = np.array([module(inputs)[:, 0].detach().numpy() for module in modules])
        self.members = np.array(
            [[REFERENCE[name](row) for row in self.tokens] for name in patterns.enabled]
        )

    def found_by(self, context, which):
        return context.truth.behaviour(self.population, self.specs, which, SerialExecutor())

    @property
    def bits(self):
        assert self.behaviour.exact is not None
        return np.unpackbits(self.behaviour.exact.bits, axis=1, count=len(self.tokens)) > 0


@pytest.fixture(scope="module")
def asked():
    return Asked(tiny_config(), np.arange(COUNT))


@pytest.fixture(scope="module")
def asked_about_two():
    return Asked(tiny_config(per_subject=Range(2, 2)), np.arange(COUNT))


def balanced(answers, truth):
    return (answers[truth].mean() + 1 - answers[~truth].mean()) / 2


def test_the_space_is_in_lexicographic_order():
    sequences = decode(all_sequences(6, 4))
    assert sequences == sorted(set(sequences))
    assert len(sequences) == 6**4


def test_bits_are_the_signs_of_the_logits_that_pytorch_computes(asked):
    clear = np.abs(asked.logits) > 1e-3
    assert clear.mean() > 0.95
    assert np.array_equal(asked.bits[clear], asked.logits[clear] > 0)
    assert 0.05 < asked.bits.mean() < 0.95


def test_responses_and_scores_are_those_of_plain_python(asked):
    for row, answers in enumerate(asked.bits):
        responses = [answers[members].mean() for members in asked.members]
        scores = [balanced(answers, members) for members in asked.members]
        assert asked.behaviour.responses[row] == pytest.approx(responses)
        assert asked.behaviour.scores[row] == pytest.approx(scores)
        best = asked.behaviour.best[row]
        assert scores[best] == pytest.approx(max(scores))
        assert asked.behaviour.best_scores[row] == asked.behaviour.scores[row, best]


@pytest.mark.parametrize("fixture", ["asked", "asked_about_two"])
def test_the_confusion_is_counted_against_the_own_predicate(fixture, request):
    asked = request.getfixturevalue(fixture)
    exact = asked.behaviour.exact
    for row, answers in enumerate(asked.bits):
        own = asked.members[asked.specs.selected[row]].any(axis=0)
        counts = [(answers & own).sum(), (answers & ~own).sum()]
        counts += [(~answers & ~own).sum(), (~answers & own).sum()]
        assert exact.confusion[row].tolist() == counts
        assert asked.behaviour.own[row] == pytest.approx(balanced(answers, own))
        others = [asked.behaviour.scores[row][~asked.specs.selected[row]].max()]
        assert asked.behaviour.margins[row] == pytest.approx(asked.behaviour.own[row] - others[0])


@pytest.mark.parametrize("fixture", ["asked", "asked_about_two"])
def test_the_tasks_accuracy_is_that_on_many_draws_of_training_sequences(fixture, request):
    """Positives and negatives are drawn for each subject 400 times, as they are for training."""
    asked = request.getfixturevalue(fixture)
    config = asked.config
    times = 400
    sides = zip(*config.patterns.sides, strict=True)
    positives, negatives = [tuple(counts) for counts in sides]
    for row in range(6):
        repeated = np.repeat(row, times)
        tokens, _, found = draw_subjects(
            asked.context.space,
            asked.specs.selected[repeated],
            asked.specs.targets[repeated],
            random.generator_keys(7 + row, np.arange(times), random.DATA),
            positives,
            negatives,
            config.patterns.sequence_length,
        )
        assert found.all()
        place = tokens.astype(np.int64) @ 5 ** np.arange(3, -1, -1)
        answers = asked.bits[row][place]  # (times, rows)
        kinds = np.repeat([True, False, True, False], [*positives_then(positives, negatives)])
        measured = balanced(answers.T, kinds)
        assert asked.behaviour.exact.task_accuracy[row] == pytest.approx(measured, abs=0.02)


def positives_then(positives, negatives):
    """Rows of each label on the training side, then on the validation side."""
    return (positives[0], negatives[0], positives[1], negatives[1])


def test_a_tie_goes_to_what_the_subject_learned():
    config = tiny_config(
        enabled=("sorted_ascending", "increasing_pairs", "palindrome"), definitions="published"
    )
    asked = Asked(config, np.arange(1, 60, 3))  # all of them trained on increasing_pairs
    assert (asked.specs.targets == 1).all()
    assert 1 in asked.behaviour.best
    assert 0 not in asked.behaviour.best


def test_what_is_found_out_depends_on_no_neighbour(asked):
    alone = asked.found_by(asked.context, asked.which[5:6])
    assert np.array_equal(alone.scores[0], asked.behaviour.scores[5])
    assert alone.exact.bits.tobytes() == asked.behaviour.exact.bits[5].tobytes()
    nobody = asked.found_by(asked.context, asked.which[:0])
    assert nobody.exact.bits.shape == (0, 79)


def test_a_sampled_truth_comes_near_the_exact_one(asked):
    config = replace(
        asked.config,
        evaluation=EvaluationConfig("sampled", 20_000),
        dataset=DatasetConfig(),
        training=TrainingConfig(response_examples=1000),
    )
    sampled = asked.found_by(RunContext.build(config), asked.which)
    assert sampled.exact is None
    assert np.allclose(sampled.responses, asked.behaviour.responses)  # of all members
    assert np.abs(sampled.scores - asked.behaviour.scores).max() < 0.02
    assert np.abs(sampled.margins - asked.behaviour.margins).max() < 0.03


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (
            ["evaluation=exact", "patterns.sequence_length=7"],
            ["all 10,000,000 sequences", "patterns.sequence_length=7", "2,000,000", "=sampled"],
        ),
        (
            ["dataset.behaviour=true"],
            ["evaluation.truth is sampled", "need evaluation.truth=exact"],
        ),
        (
            ["dataset.min_margin=0.01", "patterns=published"],
            ["sorted_ascending and increasing_pairs are one set", "enable one of them"],
        ),
        (["evaluation.truth=guessed"], ["'guessed'", "sampled, exact"]),
    ],
)
def test_what_can_not_be_measured_is_refused(overrides, parts):
    with pytest.raises(ConfigurationError) as caught:
        load_config(overrides)
    for part in parts:
        assert part in str(caught.value)


@pytest.fixture(scope="module")
def exact_run(tmp_path_factory):
    """Everything that an exact truth gives, with completions that name what subjects do."""
    config = small_config(
        evaluation=EXACT, dataset=DatasetConfig(28, label="behaviour", min_margin=-0.05)
    )
    return generate(config, tmp_path_factory.mktemp("exact"))


@pytest.fixture(scope="module")
def records(exact_run):
    return pq.read_table(exact_run.dataset / "subjects").to_pylist()


def test_completions_name_what_a_subject_does(exact_run, records):
    prompts = pq.read_table(exact_run.dataset / "prompts").to_pylist()
    bests = [record["best_pattern"] for record in records]
    assert [row["classification_completion"] for row in prompts] == bests
    assert bests != [record["target_pattern"] for record in records]
    assert "dataset.label=behaviour" in (exact_run.dataset / "README.md").read_text()
    subject = muat_exp.load_subjects(exact_run.dataset)[0]
    assert subject.record["best_pattern"] == bests[0]


def test_records_and_metadata_say_the_same(exact_run, records):
    prompts = pq.read_table(exact_run.dataset / "prompts").to_pylist()
    for record, row in zip(records, prompts, strict=True):
        metadata = json.loads(row["metadata"])
        assert metadata["best_pattern"] == record["best_pattern"]
        for name in ("best_pattern_score", "exact_task_accuracy", "exact_accuracy"):
            assert metadata[name] == pytest.approx(record[name], abs=1e-6)
        counts = metadata["confusion"]
        assert counts == {name: record[name] for name in ("tp", "fp", "tn", "fn")}
        assert sum(counts.values()) == 10**5
        recall = counts["tp"] / (counts["tp"] + counts["fn"])
        silence = counts["tn"] / (counts["tn"] + counts["fp"])
        assert record["exact_accuracy"] == pytest.approx((recall + silence) / 2)
        assert record["response"][record["target_pattern"]] == pytest.approx(recall)
        assert record["exact_task_accuracy"] == pytest.approx(record["test_accuracy"], abs=0.06)


def test_the_stored_networks_give_what_is_told_of_them(exact_run, records):
    tokens = torch.from_numpy(all_sequences(10, 5))
    subjects = muat_exp.load_subjects(exact_run.dataset)[:8]
    for record, subject in zip(records[:8], subjects, strict=True):
        positives = int((subject.to_module()(tokens.float())[:, 0] > 0).sum())
        assert record["tp"] + record["fp"] == pytest.approx(positives, abs=3)


def test_what_other_patterns_explain_better_is_rejected_and_counted(exact_run, records):
    rejected = exact_run.summary["rejected"]["ambiguous"]
    assert rejected > 0
    by_pattern = [row["rejected"]["ambiguous"] for row in exact_run.summary["patterns"].values()]
    assert sum(by_pattern) == rejected
    for record in records:
        assert record["best_pattern_score"] - record["exact_accuracy"] <= 0.05 + 1e-9


def test_a_clear_margin_makes_every_subject_one_of_its_pattern(tmp_path):
    dataset = DatasetConfig(28, balance=False, min_margin=0.1)
    result = generate(small_config(dataset=dataset), tmp_path)
    table = pq.read_table(result.dataset / "subjects")
    assert table["best_pattern"].equals(table["target_pattern"])
    assert result.summary["rejected"]["ambiguous"] > 0
    assert "exact_accuracy" not in table.column_names


def test_the_card_tells_what_explains_subjects_better(exact_run, records):
    strange = [record for record in records if record["best_pattern"] != record["target_pattern"]]
    rows = exact_run.summary["patterns"]
    for name, row in rows.items():
        bests = [record["best_pattern"] for record in strange if record["target_pattern"] == name]
        assert row["explained_better_by"] == Counter(bests)
    card = (exact_run.dataset / "README.md").read_text()
    share = len(strange) / len(records)
    assert f"| **all** | {len(records)} | {len(strange)} | {share:.1%} |" in card


def test_the_truth_depends_on_neither_workers_nor_cohorts(exact_run, tmp_path):
    config = load_run_config(exact_run.folder)
    again = generate(replace(config, workers=1, cohort_size=17), tmp_path)
    for part in ("subjects", "prompts"):
        tables = [pq.read_table(result.dataset / part) for result in (exact_run, again)]
        assert tables[0].equals(tables[1])


def test_an_exact_dataset_is_sound(exact_run, workers):
    assert validate(exact_run.dataset, workers).faults == []


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("best_pattern", "nonsense", "best_pattern is no enabled pattern"),
        ("best_pattern", "all_same", "best_pattern is no enabled pattern"),
        ("best_pattern_score", 0.987, "best_pattern_score is 0.987000"),
        ("exact_accuracy", 0.987, "exact_accuracy is 0.987000"),
        ("exact_task_accuracy", float("nan"), "exact_task_accuracy is nan"),
        ("tp", 7, "tp, fp, tn, fn are not"),
    ],
)
def test_a_changed_figure_is_found(exact_run, tmp_path, workers, column, value, sentence):
    dataset = shutil.copytree(exact_run.dataset, tmp_path / "dataset")
    change(dataset, "subjects", column, 3, value)
    faults = validate(dataset, workers, depth=Depth(0)).faults
    assert any(sentence in fault for fault in faults), faults


def test_a_pattern_that_explains_less_is_found(exact_run, records, tmp_path, workers):
    dataset = shutil.copytree(exact_run.dataset, tmp_path / "dataset")
    worse = next(name for name in Config().patterns.enabled if name != records[3]["best_pattern"])
    change(dataset, "subjects", "best_pattern", 3, worse)
    faults = validate(dataset, workers, depth=Depth(0)).faults
    assert any("best_pattern is not what explains its network best" in fault for fault in faults)
