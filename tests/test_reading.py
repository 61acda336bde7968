"""Datasets of anywhere: joined, and whatever is wrong with one is a sentence."""

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import small_config

from muat_exp.config.groups import DatasetConfig, PatternsConfig
from muat_exp.dataset.reading import load_subjects
from muat_exp.generation.pipeline import generate
from muat_exp.sequences.patterns import NAMES


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A dataset of other patterns, in another order than the registry's."""
    config = small_config(
        patterns=PatternsConfig(enabled=("alternating", "all_same", "palindrome")),
        dataset=DatasetConfig(num_examples=6),
    )
    return generate(config, tmp_path_factory.mktemp("other")).dataset


def test_a_response_has_a_field_for_every_pattern(other, run):
    for folder in (other, run.dataset):
        subjects = load_subjects(folder)
        enabled = set(subjects.config.patterns.enabled)
        for subject in subjects:
            response = subject.record["response"]
            assert tuple(response) == NAMES
            assert {name for name, share in response.items() if share is not None} == enabled


@pytest.mark.parametrize("part", ["subjects", "prompts"])
def test_datasets_of_other_patterns_are_joined(other, run, part):
    folders = (other, run.dataset)
    tables = [pq.read_table(folder / part).replace_schema_metadata() for folder in folders]
    assert pa.concat_tables(tables).num_rows == 34
    loaded = [datasets.load_dataset(str(folder), part, split="train") for folder in folders]
    joined = datasets.concatenate_datasets(loaded)
    assert joined.to_list() == [row for table in tables for row in table.to_pylist()]
