"""Splits: the same shares in each pattern, and fixed when an example is found."""

from dataclasses import replace

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import small_config
from hypothesis import given
from hypothesis import strategies as st

from muat_exp.config.groups import Config, DatasetConfig, SplitsConfig
from muat_exp.dataset.splits import assign_splits
from muat_exp.errors import ConfigurationError
from muat_exp.generation.pipeline import generate

SHARES = st.tuples(st.integers(0, 10), st.integers(0, 10), st.integers(0, 10)).filter(any)


def configured(shares, seed=0):
    train, validation, test = (share / sum(shares) for share in shares)
    return replace(
        Config(), seed=seed, dataset=DatasetConfig(splits=SplitsConfig(train, validation, test))
    )


@given(SHARES, st.integers(0, 99), st.lists(st.integers(0, 13), min_size=1, max_size=300))
def test_each_pattern_has_its_shares_to_a_few_examples(shares, seed, targets):
    targets = np.array(targets)
    splits = assign_splits(configured(shares, seed), targets)
    for pattern in np.unique(targets):
        own = splits[targets == pattern]
        for number, share in enumerate(np.array(shares) / sum(shares)):
            assert abs((own == number).sum() - share * len(own)) <= 3
            assert share > 0 or not (own == number).any()


@given(SHARES, st.lists(st.integers(0, 13), min_size=2, max_size=100), st.data())
def test_what_comes_later_changes_no_split(shares, targets, data):
    config, count = configured(shares), data.draw(st.integers(1, len(targets)))
    assert np.array_equal(
        assign_splits(config, np.array(targets))[:count],
        assign_splits(config, np.array(targets[:count])),
    )


def test_seeds_split_differently():
    targets = np.repeat(np.arange(14), 20)
    one = assign_splits(configured((8, 1, 1), seed=0), targets)
    other = assign_splits(configured((8, 1, 1), seed=1), targets)
    assert not np.array_equal(one, other)


def test_shares_must_add_up():
    with pytest.raises(ConfigurationError, match=r"add up to 1\.1"):
        SplitsConfig(0.9, 0.1, 0.1)


def test_datasets_reads_the_splits(full, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    loaded = datasets.load_dataset(str(full.dataset), cache_dir=str(tmp_path))
    assert {split: len(rows) for split, rows in loaded.items()} == full.summary["splits"]
    assert sum(full.summary["splits"].values()) == 42
    numbers = [set(rows["example_id"]) for rows in loaded.values()]
    assert len(set.union(*numbers)) == 42


def split_of(dataset):
    """Split of each example by its number."""
    files = sorted((dataset / "subjects").glob("*.parquet"))
    return {
        number: path.name.partition("-")[0]
        for path in files
        for number in pq.read_table(path)["example_id"].to_pylist()
    }


def test_a_run_that_grows_keeps_its_splits(tmp_path):
    splits = SplitsConfig(0.5, 0.25, 0.25)
    fewer, more = (
        split_of(
            generate(
                small_config(dataset=DatasetConfig(num_examples=count, splits=splits)), tmp_path
            ).dataset
        )
        for count in (28, 42)
    )
    assert len(fewer) == 28
    assert fewer.items() <= more.items()
