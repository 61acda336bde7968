"""Token counts: by Llama 3's tokenizer, by a file of one's own, or none."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import small_config
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from muat_exp.config.groups import DatasetConfig
from muat_exp.errors import ConfigurationError
from muat_exp.generation.pipeline import generate
from muat_exp.prompts.tokens import TokenStatistics, load_counter


@pytest.fixture
def tokenizer(tmp_path):
    """A word tokenizer that puts a special token before each text and cuts texts off at 16."""
    made = Tokenizer(models.WordLevel({"[UNK]": 0, "[BOS]": 1}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="[BOS] $A", special_tokens=[("[BOS]", 1)]
    )
    made.enable_truncation(16)
    made.save(str(tmp_path / "words.json"))
    return tmp_path / "words.json"


def test_a_tokenizer_of_ones_own_counts_whole_texts(tokenizer):
    counter = load_counter(str(tokenizer))
    assert counter is not None
    assert counter.count("one two  three\n" * 20) == 60
    assert counter.name == "words.json"


def test_the_card_names_the_tokenizer(tokenizer, tmp_path):
    config = small_config(dataset=DatasetConfig(num_examples=28, tokenizer=str(tokenizer)))
    result = generate(config, tmp_path / "run")
    card = (result.dataset / "README.md").read_text()
    assert "words.json tokenizer" in card
    texts = pq.read_table(result.dataset / "prompts")["classification_text"].to_pylist()
    counts = [len(text.split()) for text in texts]
    assert f"| Classification | {min(counts)} | {max(counts)} | {np.mean(counts):.1f} |" in card
    assert str(tmp_path) not in "".join(
        path.read_text() for path in result.dataset.glob("*.*") if path.is_file()
    )


def test_llama_3_counts_and_none_does_not():
    counter = load_counter("llama3")
    assert counter is not None
    assert counter.count("hello world") == 2
    assert load_counter("none") is None


def test_a_file_that_is_missing_or_no_tokenizer_is_refused_before_any_work(tmp_path):
    with pytest.raises(ConfigurationError, match="must be llama3, none, or the path"):
        load_counter("llama4")
    (tmp_path / "x.json").write_text("{}")
    config = small_config(
        dataset=DatasetConfig(num_examples=28, tokenizer=str(tmp_path / "x.json"))
    )
    with pytest.raises(ConfigurationError, match="holds no tokenizer"):
        generate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_statistics_run_over_several_batches():
    statistics = TokenStatistics()
    statistics.add([3, 5])
    statistics.add([1])
    assert (statistics.count, statistics.min, statistics.max, statistics.mean) == (3, 1, 5, 3.0)
