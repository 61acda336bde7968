"""Any small configuration: what is generated holds in every task.

It validates, renders again, is read back from its texts, and scores as the truth.
"""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
from conftest import small_config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import muat_exp
from muat_exp.app.compose import load_config
from muat_exp.config.groups import (
    COMPACT,
    JSON_COLUMNS,
    PRECISIONS,
    PROMPT_TASKS,
    QUANTIZATIONS,
    SITES,
    STYLES,
    ArchitectureConfig,
    Config,
    CorruptionConfig,
    DatasetConfig,
    LoggerConfig,
    PatternsConfig,
    PromptsConfig,
    Range,
    SignatureConfig,
    SplitsConfig,
    TrainingConfig,
)
from muat_exp.generation.derive import derive
from muat_exp.generation.pipeline import generate
from muat_exp.progress import Silent
from muat_exp.prompts.codings import CODINGS, DECIMALS, DIGITS
from muat_exp.prompts.compact import rounded_weights
from muat_exp.score.judge import judge
from muat_exp.sequences.patterns import DEFINITIONS, NAMES
from muat_exp.signatures.methods import DEFINITIONS as METHOD_DEFINITIONS
from muat_exp.signatures.methods import METHODS
from muat_exp.subjects.activations import ACTIVATIONS
from muat_exp.subjects.corruption import CORRUPTION_KINDS
from muat_exp.subjects.shapes import SHAPES, hidden_widths
from muat_exp.validation.validate import validate

SOME_NAMES = st.lists(st.sampled_from(NAMES), min_size=2, max_size=6, unique=True)


def some(values, least=0):
    return st.lists(st.sampled_from(values), min_size=least, unique=True).map(tuple)


@st.composite
def configurations(draw):
    """Small configurations of any kind whose subjects have a chance to be accepted."""
    splits = draw(
        st.sampled_from([SplitsConfig(), SplitsConfig(0.5, 0.5, 0.0), SplitsConfig(0.4, 0.3, 0.3)])
    )
    low, high = sorted(draw(st.tuples(st.integers(1, 3), st.integers(1, 3))))
    names = tuple(draw(SOME_NAMES))
    style = draw(st.sampled_from(STYLES))
    return small_config(
        seed=draw(st.integers(0, 2**62)),
        logger=LoggerConfig("none"),
        architecture=ArchitectureConfig(
            num_layers=Range(low, high),
            neurons_per_layer=Range(4, draw(st.integers(4, 18))),
            activations=draw(some(ACTIVATIONS, 1)),
            dropout=draw(st.sampled_from([0.0, 0.1])),
            precision=draw(st.sampled_from(PRECISIONS)),
            quantization=draw(st.sampled_from(QUANTIZATIONS[:3])),
            shape=draw(st.sampled_from(SHAPES)),
        ),
        patterns=PatternsConfig(
            enabled=names,
            definitions=draw(st.sampled_from(tuple(DEFINITIONS))),
            vocab_size=draw(st.integers(8, 26)),
            sequence_length=draw(st.integers(4, 8)),
            per_subject=Range(1, draw(st.integers(1, 2))),
            examples_per_subject=draw(st.integers(40, 200)),
        ),
        corruption=CorruptionConfig(
            rate=draw(st.sampled_from([0.0, 0.2])),
            kind=draw(st.sampled_from(tuple(CORRUPTION_KINDS))),
        ),
        signature=SignatureConfig(
            methods=draw(some(tuple(METHODS), 1)),
            definitions=draw(st.sampled_from(tuple(METHOD_DEFINITIONS))),
            site=draw(st.sampled_from(SITES)),
            components=draw(st.integers(1, 12)),
            probes=draw(st.integers(12, 60)),
        ),
        training=TrainingConfig(
            min_improvement=0.01,
            min_test_accuracy=0.0,
            test_examples=100,
            response_examples=50,
        ),
        prompts=draw(forms(style)),
        dataset=DatasetConfig(
            num_examples=12,
            balance=draw(st.booleans()),
            on_shortfall="accept",
            max_attempts_per_example=8,
            tasks=PROMPT_TASKS,
            style=style,
            columns=draw(some(JSON_COLUMNS)),
            splits=splits,
        ),
    )


@st.composite
def forms(draw, style):
    """How the prompts of a style may be written."""
    if style != COMPACT:
        return PromptsConfig()
    coding = draw(st.sampled_from(tuple(CODINGS)))
    decimals = "auto" if coding == DIGITS else draw(st.integers(*DECIMALS))
    return PromptsConfig(coding, decimals, draw(st.booleans()))


def true_answers(dataset, task, path):
    rows = pq.read_table(
        dataset / "prompts", columns=["example_id", f"{task}_completion"]
    ).to_pylist()
    lines = (
        {"example_id": row["example_id"], "completion": row[f"{task}_completion"], "task": task}
        for row in rows
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(configurations())
def test_all_tasks_agree_on_any_small_dataset(workers, tmp_path_factory, config: Config):
    folder = tmp_path_factory.mktemp("family")
    dataset = generate(config, folder).dataset
    assert validate(dataset, workers).faults == []
    subjects = muat_exp.load_subjects(dataset)
    prompts = {row["example_id"]: row for row in pq.read_table(dataset / "prompts").to_pylist()}
    for subject in subjects:
        parsed = muat_exp.parse_prompt(prompts[subject.example_id]["classification_prompt"])
        if config.dataset.style == COMPACT:
            coding = config.prompts.built()
            shown = rounded_weights(coding, subject.architecture, subject.weights)
            assert np.array_equal(parsed.parameters, shown)
        else:
            assert np.allclose(parsed.parameters, subject.weights, rtol=1e-6, atol=6e-7)
        assert parsed.architecture == subject.architecture
        shape = config.architecture.shape
        assert subject.widths == hidden_widths(shape, subject.num_layers, subject.neurons_per_layer)
        model = json.loads(prompts[subject.example_id]["metadata"])["model_config"]
        if shape == "uniform":
            assert "hidden_widths" not in model
        else:
            assert model["hidden_widths"] == list(subject.widths)
    if len(subjects):
        for task in PROMPT_TASKS:
            score = judge(dataset, true_answers(dataset, task, folder / "answers.jsonl"), "", 2)
            assert score.headline > 0.999
    other = STYLES[STYLES.index(config.dataset.style) - 1]
    composed = replace(load_config([f"dataset.style={other}"]), task="render")
    again = derive(
        dataset, composed, ["dataset.style"], folder / "again" / "dataset", workers, Silent()
    )
    assert validate(again, workers).faults == []
    assert pq.read_table(again / "subjects").equals(pq.read_table(dataset / "subjects"))
