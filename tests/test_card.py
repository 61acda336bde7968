"""The card: front matter that others' readers understand, tables, and a meaning for every field."""

from pathlib import Path

import pytest
import yaml
from conftest import small_config
from hatchling.builders.wheel import WheelBuilder
from huggingface_hub import DatasetCard

from muat_exp.config.groups import JSON_COLUMNS, PROMPT_TASKS, SPLITS, PatternsConfig
from muat_exp.dataset.card import render_card
from muat_exp.dataset.reading import read_config, read_summary
from muat_exp.dataset.schema import subject_schema
from muat_exp.dataset.writing import Written
from muat_exp.prompts.columns import prompt_schema

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def card(run):
    return (run.dataset / "README.md").read_text()


@pytest.fixture(scope="module")
def full_card(full):
    return (full.dataset / "README.md").read_text()


def front_matter(card):
    _, text, _ = card.split("---\n", 2)
    return yaml.safe_load(text)


def test_the_front_matter_is_yaml_that_names_licence_size_and_files(card):
    content = front_matter(card)
    assert content["license"] == "mit"
    assert content["pretty_name"] == "Subject Models for Interpretability Training"
    assert content["size_categories"] == ["n<1K"]
    prompts, subjects = content["configs"]
    assert prompts["default"] is True
    assert prompts["data_files"] == [{"split": "train", "path": "prompts/train-*.parquet"}]
    assert subjects["data_files"] == [{"split": "train", "path": "subjects/train-*.parquet"}]


def test_every_split_has_its_files(full_card):
    for part in front_matter(full_card)["configs"]:
        assert [files["split"] for files in part["data_files"]] == list(SPLITS)


def test_the_hubs_own_reader_takes_the_card(card):
    read = DatasetCard(card)
    data = read.data.to_dict()
    assert data["language"] == "en"
    assert data["license"] == "mit"
    assert data["task_categories"] == ["text-generation"]
    assert read.text.startswith("# Subject Models for Interpretability Training")


def tables(card):
    """Lines of each table of a card, by its header."""
    blocks = [block.strip().splitlines() for block in card.split("\n\n")]
    return {lines[0]: lines[2:] for lines in blocks if lines[1:] and "| ---" in lines[1]}


def test_the_published_tables_stand_in_the_card(card, run):
    found = tables(card)
    for title in (
        "Signature extraction",
        "Model architecture",
        "Training datasets",
        "Staged training",
    ):
        assert len(found[f"| {title} |  |"]) >= 5
    enabled = read_config(run.dataset).patterns.enabled
    reasons = " | ".join(run.summary["rejected"])
    counted = found[f"| Pattern | Attempts | Accepted | Acceptance | {reasons} |"]
    assert [line.split(" | ")[0] for line in counted] == [f"| {name}" for name in enabled] + [
        "| **all**"
    ]


def test_every_table_has_as_many_cells_in_each_row(full_card):
    for header, rows in tables(full_card).items():
        assert {row.count(" |") for row in rows} == {header.count(" |")}


def test_every_field_is_explained_once(full, full_card):
    config = read_config(full.dataset)
    assert set(config.dataset.tasks) == set(PROMPT_TASKS)
    assert set(config.dataset.columns) == set(JSON_COLUMNS)
    _, prompts, subjects = full_card.split("| Field | Meaning |")
    assert explained(prompts) == sorted(prompt_schema(config).names)
    assert explained(subjects) == sorted(subject_schema(config).names)


def explained(section):
    """Names in the first column of the table that a section begins with."""
    table, _, _ = section.strip().partition("\n\n")
    cells = [line.split(" | ")[0].strip("| ") for line in table.splitlines()[1:]]
    return sorted(name for cell in cells for name in cell.split(", "))


def test_parts_that_a_dataset_lacks_leave_no_gap(card, full_card):
    assert "## Splits" not in card
    assert "## Splits" in full_card
    for text in (card, full_card):
        assert "\n\n\n" not in text
        assert "$" not in text


def test_what_is_special_about_a_dataset_is_said(run):
    config = small_config(patterns=PatternsConfig(definitions="published"))
    summary = read_summary(run.dataset) | {"asked": 100}
    card = render_card(config, summary, Written({}, {}, "", "0"), "From elsewhere.")
    assert "\n\nFrom elsewhere.\n\n" in card
    assert "**Fewer examples than asked for:** 28 of 100;" in card
    assert "**Patterns that nobody can tell apart:**" in card
    assert "Not counted: no tokenizer" in card


def test_the_wheel_holds_what_stands_beside_the_code():
    files = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    ours = [path for path in (ROOT / "muat_exp").rglob("*.*") if "__pycache__" not in path.parts]
    names = {path.relative_to(ROOT).as_posix() for path in ours if path.is_file()}
    assert "muat_exp/dataset/card.md" in names
    assert names - files == set()
