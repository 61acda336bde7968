"""What the card tells of each form of the prompts, and prompts that must fit a number of tokens."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import small_config
from test_family import true_answers

import muat_exp
from muat_exp.app.compose import load_config
from muat_exp.config.groups import PROMPT_TASKS, DatasetConfig, PromptsConfig
from muat_exp.dataset.reading import read_config
from muat_exp.errors import ConfigurationError
from muat_exp.generation.derive import derive, derived_config
from muat_exp.generation.pipeline import generate
from muat_exp.progress import Silent
from muat_exp.prompts.codings import DECIMALS, Coding
from muat_exp.prompts.forms import Form, sampled_places, shown_forms
from muat_exp.prompts.tokens import load_counter
from muat_exp.score.judge import judge
from muat_exp.subjects.architecture import to_module
from muat_exp.validation.validate import validate

LIMIT = 900


@pytest.fixture(scope="module")
def compact(tmp_path_factory):
    """A run with compact prompts of both kinds, not all of which are short enough."""
    config = small_config(
        dataset=DatasetConfig(28, style="compact", tasks=PROMPT_TASKS, max_tokens=LIMIT),
        prompts=PromptsConfig("integer", "auto", signature=False),
    )
    return generate(config, tmp_path_factory.mktemp("compact"))


def rows_of(card):
    """The table of forms as lists of cells, without its heading."""
    section = card.partition("## Forms of the prompts")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def every_sequence():
    """The default space as inputs of a network, `(100000, 5)`."""
    return torch.cartesian_prod(*[torch.arange(10)] * 5).float()


def texts_of(dataset):
    return pq.read_table(dataset / "prompts")["classification_text"].to_pylist()


def test_a_row_of_the_card_is_what_rendering_in_that_form_gives(run, workers, tmp_path):
    composed = replace(
        load_config(
            [
                "dataset.style=compact",
                "prompts.coding=integer",
                "prompts.decimals=2",
                "prompts.signature=false",
            ]
        ),
        task="render",
    )
    given = ["dataset.style", "prompts.coding", "prompts.decimals", "prompts.signature"]
    made = derive(run.dataset, composed, given, tmp_path / "made", workers, Silent())
    assert validate(made, workers).faults == []
    counter = load_counter("llama3")
    assert counter is not None
    texts = texts_of(made)
    counts = [counter.count(text) for text in texts]
    inputs = every_sequence()
    agreements = []
    for place in (0, len(texts) // 2):  # two of 28 networks are asked
        subject = muat_exp.load_subjects(run.dataset)[place]
        parsed = muat_exp.parse_prompt(texts[place])
        rounded = to_module(parsed.parameters, parsed.architecture.layers)
        same = (subject.to_module()(inputs) > 0) == (rounded(inputs) > 0)
        agreements.append(same.float().mean().item())
    rows = rows_of((run.dataset / "README.md").read_text())
    [row] = [row for row in rows if row[:4] == ["compact", "integer", "2", "no"]]
    assert row[4:7] == [str(min(counts)), f"{np.mean(counts):.1f}", str(max(counts))]
    assert float(row[7].rstrip("%")) / 100 == pytest.approx(np.mean(agreements), abs=5e-5)
    own = [row for row in rows_of((made / "README.md").read_text()) if row[0] == "**compact**"]
    assert own == [["**compact**", *row[1:]]]


def test_the_dataset_has_a_row_and_compact_one_for_each_number_of_decimals(run):
    rows = rows_of((run.dataset / "README.md").read_text())
    assert rows[0][:4] == ["**separate**", "decimal", "6", "yes"]
    decimals = [row[2] for row in rows[1:] if row[1] == "integer"]
    assert decimals == [str(number) for number in range(DECIMALS[0], DECIMALS[1] + 1)]
    assert [row[1] for row in rows].count("digits") == 1
    shares = [float(row[7].rstrip("%")) for row in rows]
    assert shares[0] > 99.99
    assert min(shares[1:4]) == shares[1]


@pytest.mark.parametrize(
    ("style", "prompts"),
    [
        ("separate", {}),
        ("interwoven", {}),
        ("compact", {}),
        ("compact", {"coding": "integer", "signature": False}),
        ("compact", {"coding": "digits"}),
    ],
)
def test_the_own_form_is_shown_once(style, prompts):
    config = small_config(dataset=DatasetConfig(style=style), prompts=PromptsConfig(**prompts))
    forms = shown_forms(config)
    assert len(set(forms)) == len(forms)
    own = config.prompts.built() if style == "compact" else Coding()
    assert Form(style, own) in forms


def test_the_sample_is_small_and_spread():
    config = small_config()
    assert sampled_places(config, 5).tolist() == [0, 1, 2, 3, 4]
    assert sampled_places(config, 0).tolist() == []
    places = sampled_places(config, 64_000)
    assert places.tolist() == list(range(0, 64_000, 2000))


def test_without_a_tokenizer_the_card_tells_of_the_answers_alone(run, workers, tmp_path):
    composed = replace(load_config(["dataset.tokenizer=none"]), task="render")
    made = derive(
        run.dataset, composed, ["dataset.tokenizer"], tmp_path / "made", workers, Silent()
    )
    with_tokens = rows_of((run.dataset / "README.md").read_text())
    without = rows_of((made / "README.md").read_text())
    assert without == [[*row[:4], row[7]] for row in with_tokens]
    assert validate(made, workers).faults == []


def test_the_share_that_fits_is_told_and_all_are_kept(compact):
    counter = load_counter("llama3")
    assert counter is not None
    prompts = pq.read_table(compact.dataset / "prompts")
    assert prompts.num_rows == 28
    card = (compact.dataset / "README.md").read_text()
    assert f"Up to {LIMIT} tokens" in card
    assert "| Prompt format | compact, integer, 3 decimals, without the signature |" in card
    fitting = compact.summary["fitting"]
    assert fitting["max_tokens"] == LIMIT
    for task in PROMPT_TASKS:
        counts = [counter.count(text) for text in prompts[f"{task}_text"].to_pylist()]
        assert fitting[task] == sum(count <= LIMIT for count in counts)
        assert f"| {fitting[task] / 28:.1%} |" in card
    assert 0 < fitting["classification"] < 28


def test_both_kinds_of_compact_prompts_are_sound_and_come_back(compact, workers):
    assert validate(compact.dataset, workers).faults == []
    prompts = pq.read_table(compact.dataset / "prompts").to_pylist()
    for subject, row in zip(muat_exp.load_subjects(compact.dataset), prompts, strict=True):
        before = muat_exp.parse_prompt(row["modification_prompt"])
        after = muat_exp.parse_weights(row["modification_text"])
        flat = np.concatenate([array.ravel() for array in after.values()])
        assert np.abs(before.parameters - subject.degraded_weights).max() <= 0.000501
        assert np.abs(flat - subject.weights).max() <= 0.000501
        assert before.signature == {}


def test_the_true_answers_are_judged_as_the_best_there_are(compact, tmp_path):
    answers = true_answers(compact.dataset, "modification", tmp_path / "answers.jsonl")
    assert judge(compact.dataset, answers, "", 2).headline == pytest.approx(1)
    answers = true_answers(compact.dataset, "classification", tmp_path / "names.jsonl")
    assert judge(compact.dataset, answers, "", 2).headline == 1


def test_a_count_that_does_not_fit_the_data_is_a_fault(compact, workers, tmp_path):
    folder = shutil.copytree(compact.dataset, tmp_path / "copy")
    summary = folder / "summary.json"
    summary.write_text(summary.read_text().replace('"max_tokens": 900', '"max_tokens": 901'))
    assert any("fitting.max_tokens is 901" in fault for fault in validate(folder, workers).faults)


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ({}, "with dataset.style=compact prompts.coding=integer they have about"),
        ({"tokenizer": "none"}, "but dataset.tokenizer=none counts no tokens"),
        ({"max_tokens": 20}, "raise it, or ask for smaller networks: in the shortest form"),
        (
            {"style": "compact", "tasks": PROMPT_TASKS, "max_tokens": 1000},
            "modification prompts of the smallest networks here, 2 layers of 5 neurons",
        ),
    ],
)
def test_networks_whose_prompts_can_not_fit_are_refused_before_any_work(
    dataset, sentence, tmp_path
):
    options = {"num_examples": 28, "max_tokens": 1100, **dataset}
    config = small_config(dataset=DatasetConfig(**options))
    with pytest.raises(ConfigurationError, match=sentence):
        generate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rendering_keeps_the_form_where_the_style_stays(compact):
    stored = read_config(compact.dataset)
    composed = replace(load_config(["dataset.columns=[improved_signature]"]), task="render")
    assert derived_config(stored, composed, ["dataset.columns"]).prompts == stored.prompts
    composed = replace(load_config(["dataset.style=separate"]), task="render")
    assert derived_config(stored, composed, ["dataset.style"]).prompts == PromptsConfig()
    composed = replace(
        load_config(["dataset.style=compact", "prompts.coding=digits"]), task="render"
    )
    named = derived_config(stored, composed, ["prompts.coding"]).prompts
    assert named == PromptsConfig("digits", "auto", signature=False)


def test_derived_datasets_tell_of_their_own_limit(compact, workers, tmp_path):
    composed = replace(load_config(["dataset.max_tokens=0"]), task="render")
    made = derive(
        compact.dataset, composed, ["dataset.max_tokens"], tmp_path / "made", workers, Silent()
    )
    assert "fitting" not in json.loads((made / "summary.json").read_text())
    assert "Up to" not in (made / "README.md").read_text()


def test_a_changed_figure_of_a_form_is_a_fault(compact, workers, tmp_path):
    folder = shutil.copytree(compact.dataset, tmp_path / "copy")
    card = folder / "README.md"
    text = card.read_text()
    line = next(line for line in text.splitlines() if line.startswith("| **compact** |"))
    card.write_text(text.replace(line, line.replace("%", "1%")))
    assert any(line in fault for fault in validate(folder, workers).faults)
