"""`memory_gib`: how much is done at a time, that it holds, and that no byte depends on it."""

import json
import re
import subprocess
import sys
import textwrap
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from conftest import HANGS, small_config

from muat_exp.app.compose import load_config
from muat_exp.config.groups import ArchitectureConfig, Config, Range, SignatureConfig
from muat_exp.dataset.checksums import CHECKSUMS
from muat_exp.errors import ConfigurationError
from muat_exp.executors import budget
from muat_exp.executors.budget import EVALUATED, Budget
from muat_exp.generation import cohort, pipeline
from muat_exp.generation.pipeline import generate
from muat_exp.generation.run_folder import RunFolder, load_run_config
from muat_exp.kernels import training


def sized(depth, width, **changes):
    """A configuration of networks of one size."""
    shape = ArchitectureConfig(Range(depth, depth), Range(width, width))
    return Config(architecture=shape, **changes)


def checksums(result):
    return (result.dataset / CHECKSUMS).read_text()


def test_the_default_architecture_trains_in_cohorts_of_2048():
    assert Budget(Config()).cohort_size == 2048
    assert Budget(load_config(["architecture=small"])).cohort_size == 2048


@pytest.mark.parametrize(("depth", "width"), [(16, 128), (64, 256)])
def test_large_networks_train_in_smaller_cohorts(depth, width):
    config = sized(depth, width)
    config_with_more = replace(config, memory_gib=4.0)
    Budget(config).require_room()
    assert 1 <= Budget(config).cohort_size < Budget(config_with_more).cohort_size < 2048


def test_a_number_stands_as_far_as_lists_have_room_for_it():
    assert Budget(Config(cohort_size=100_000)).cohort_size == 100_000
    largest = Budget(sized(64, 256, cohort_size=100_000))
    assert largest.cohort_size * largest.largest.parameters < 2**31


@pytest.mark.parametrize(
    ("config", "work"),
    [
        (sized(64, 256, memory_gib=0.25), "training a single subject"),
        (sized(64, 256, memory_gib=0.5), "rendering and writing a single example"),
        (sized(64, 256, signature=SignatureConfig(probes=100_000)), "training a single subject"),
    ],
)
def test_what_has_no_room_is_refused_before_work(tmp_path, config, work):
    with pytest.raises(ConfigurationError, match=rf"memory_gib is [0-9.]+, but {work} of up to 64"):
        generate(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_figure_that_is_told_suffices_and_no_smaller_one():
    config = sized(64, 256, memory_gib=0.5)
    with pytest.raises(ConfigurationError) as caught:
        Budget(config).require_room()
    (figure,) = re.findall(r"needs memory_gib=([0-9.]+);", str(caught.value))
    Budget(replace(config, memory_gib=float(figure))).require_room()
    with pytest.raises(ConfigurationError):
        Budget(replace(config, memory_gib=float(figure) - 0.02)).require_room()


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("cohort_size=many", "cohort_size is 'many'; it must be 'auto' or a number of subjects"),
        ("cohort_size=0", "cohort_size is 0; it must be between 1 and"),
        ("memory_gib=0", "memory_gib is 0.0; it must be between 0.25 and"),
        ("memory_gib=lots", "memory_gib is 'lots'; it must be a number"),
    ],
)
def test_mistakes_are_sentences(override, sentence):
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        load_config([override])


@pytest.mark.parametrize("size", ["auto", 7, 64])
def test_no_byte_depends_on_the_size_of_cohorts(run, tmp_path, size):
    again = generate(small_config(cohort_size=size, memory_gib=0.25), tmp_path)
    assert checksums(again) == checksums(run)


def test_cohorts_that_were_planned_with_more_memory_are_trained_in_parts(
    run, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish_cohort", stop)
        with pytest.raises(KeyboardInterrupt):
            generate(small_config(), tmp_path)
    trained = []

    def count(context, indices, *rest):
        trained.append(len(indices))
        return run_cohort(context, indices, *rest)

    run_cohort = cohort.run_cohort
    monkeypatch.setattr(pipeline, "run_cohort", count)
    again = generate(small_config(cohort_size=20), tmp_path)
    assert max(trained) <= 20 < sum(trained)
    assert checksums(again) == checksums(run)
    assert (tmp_path / "metrics.csv").exists()


def test_large_networks_share_a_row_group_with_fewer_whatever_the_budget_is():
    sizes = [Budget(sized(depth, width)).row_group for depth, width in [(4, 8), (16, 128)]]
    assert sizes == [200, Budget(sized(16, 128, memory_gib=8.0)).row_group]
    assert sizes[1] < 20


@pytest.mark.parametrize("memory", [0.25, 1.0])
def test_small_row_groups_hold_the_same_examples(run, tmp_path, monkeypatch, memory):
    monkeypatch.setattr(budget, "_GROUP_BYTES", 5 * Budget(small_config()).text_bytes)
    again = generate(small_config(memory_gib=memory), tmp_path)
    for part in ("subjects", "prompts"):
        (path,) = (again.dataset / part).glob("*.parquet")
        assert pq.ParquetFile(path).num_row_groups == 5  # of 6 examples, from batches of 2
        before = pq.read_table(run.dataset / part)
        assert pq.read_table(path).equals(before)


def test_little_memory_lets_no_writer_work_behind():
    assert Budget(small_config()).writes_behind
    tight = Budget(sized(64, 256))
    assert not tight.writes_behind
    assert tight.batches == tight.checks == 1


def test_texts_are_no_longer_than_is_reckoned_with(run, full):
    for result in (run, full):
        prompts = pq.read_table(result.dataset / "prompts").drop_columns("example_id")
        lengths = [sum(map(len, row.values())) for row in prompts.to_pylist()]
        reckoned = Budget(load_run_config(result.folder)).text_bytes
        assert max(lengths) <= reckoned <= 3 * max(lengths)


def test_kernels_evaluate_as_many_examples_as_is_reckoned_with():
    assert EVALUATED == training._CHUNK


PEAK = """
    import json
    import sys
    import muat_exp
    from muat_exp.memory import peak_memory_mib

    recipe = ["training.degraded.max_epochs=2", "training.switch_threshold=0", "logger=none",
              "training.clean.max_epochs=1", "training.min_improvement=-1", "dataset.balance=false",
              "training.min_test_accuracy=0", "training.learning_rate.min=1e-6",
              "training.learning_rate.max=1e-5"]
    tiny = ["architecture.num_layers.max=9", "architecture.neurons_per_layer.max=10"]
    large = [f"architecture.{key}.{end}={value}" for end in ("min", "max")
             for key, value in (("num_layers", 8), ("neurons_per_layer", 96))]
    muat_exp.generate(muat_exp.load_config([*recipe, *tiny, "dataset.num_examples=14"]), "tiny")
    before = peak_memory_mib()
    config = muat_exp.load_config([*recipe, *large, "dataset.num_examples=60", "memory_gib=0.5"])
    muat_exp.generate(config, "large")
    print(json.dumps(peak_memory_mib() - before))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say what a process took")
def test_a_run_keeps_to_its_memory_and_makes_use_of_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PEAK)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    took = json.loads(done.stdout.splitlines()[-1])
    assert 64 < took < 512, took
