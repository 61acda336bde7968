"""Training again, and computing again, find what was forged; where bits may differ, they say so."""

import json
import shutil
from copy import deepcopy

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import small_config

from muat_exp.config.groups import (
    ArchitectureConfig,
    DatasetConfig,
    LoggerConfig,
    Range,
    StageConfig,
    TrainingConfig,
)
from muat_exp.dataset.checksums import shards_digest, write_checksums
from muat_exp.dataset.faults import Faults
from muat_exp.dataset.reading import read_config, read_summary
from muat_exp.evaluation.measurement import RunContext
from muat_exp.generation.derive import derive
from muat_exp.generation.pipeline import generate
from muat_exp.progress import Silent
from muat_exp.prompts.rendering import Renderer
from muat_exp.validation.attempts import find_attempts
from muat_exp.validation.examples import EXACT, check_examples
from muat_exp.validation.figures import Recount, wrong_figures
from muat_exp.validation.files import batches
from muat_exp.validation.own_format import Depth
from muat_exp.validation.retraining import Retraining
from muat_exp.validation.sample import SampledRows, spread_rows
from muat_exp.validation.statements import check_statements
from muat_exp.validation.tally import Tally
from muat_exp.validation.validate import validate

THOROUGH = Depth(thorough=True)


@pytest.fixture
def copy(tmp_path):
    """Copies a dataset to a folder where it may be changed."""

    def copied(dataset):
        return shutil.copytree(dataset, tmp_path / "dataset")

    return copied


def replaced(table, column, values):
    place = table.schema.get_field_index(column)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values, field.type))


def forge(folder, changes):
    """Changes cells of the first shard, and all that follows from its bytes: a careful forger.

    The prompts are rendered anew, the card names the new digest, the checksums are rewritten.
    """
    path = min((folder / "subjects").glob("train-*"))
    before = shards_digest(folder)
    table = pq.read_table(path)
    for row, column, value in changes:
        values = table[column].to_pylist()
        values[row] = value(values[row])
        table = replaced(table, column, values)
    prompts, _ = Renderer(read_config(folder)).table(table)
    pq.write_table(table, path)
    pq.write_table(prompts, folder / "prompts" / path.name)
    card = folder / "README.md"
    card.write_text(card.read_text().replace(before, shards_digest(folder)))
    seal(folder)
    return table["example_id"].to_pylist()


def seal(folder):
    (folder / "SHA256SUMS").unlink()
    write_checksums(folder)


def sentences(report):
    return [sentence for kind in report.found.found.values() for sentence in kind]


def first_moved(by):
    return lambda values: [values[0] + by, *values[1:]]


def more(value):
    return value + 1


def another(names):
    def change(name):
        return next(other for other in names if other != name)

    return change


# Of every column, a change that leaves the networks such as can be run ...
MEASURED = {
    "degraded_accuracy": lambda value: value + 1e-6,
    "improved_accuracy": lambda value: value - 1e-6,
    "improvement": lambda value: value + 1e-12,
    "degraded_test_accuracy": lambda value: value + 1e-9,
    "test_accuracy": lambda value: value - 1e-9,
    "response": lambda shares: {**shares, "palindrome": shares["palindrome"] + 1e-6},
    "best_pattern": another(("palindrome", "alternating")),
    "best_pattern_score": lambda value: value - 1e-9,
    "switch_epoch": lambda epoch: epoch - 1 if epoch > 2 else 3,
    "clean_epoch": lambda epoch: epoch - 1 if epoch > 1 else 2,
    "corrupted_labels": more,
    "corruption_candidates": more,
    "weights": lambda values: [values[0] * 1.0078125, *values[1:]],
    "degraded_weights": lambda values: [values[0] * 1.0078125, *values[1:]],
    "signature": first_moved(1e-5),
    "degraded_signature": first_moved(1e-5),
    "history": first_moved(1e-6),
    "degraded_epochs": more,
}
# ... and one that does not.
SPECIFIED = {
    "example_id": lambda number: number + 1400,
    "target_pattern": another(("palindrome", "alternating")),
    "selected_patterns": lambda names: [*names, "no_repeats"],
    "num_layers": more,
    "neurons_per_layer": more,
    "activation": another(("relu", "gelu")),
    "learning_rate": lambda rate: float(np.nextafter(np.float32(rate), np.float32(1))),
}


def test_a_change_of_any_column_is_found_however_well_it_is_forged(full, copy, workers):
    folder = copy(full.dataset)
    columns = pq.read_schema(min((folder / "subjects").glob("*"))).names
    assert set(columns) == MEASURED.keys() | SPECIFIED.keys()
    changes = [(row, column, value) for row, (column, value) in enumerate(MEASURED.items())]
    numbers = forge(folder, changes)
    found = sentences(validate(folder, workers, depth=THOROUGH))
    for row, column, _ in changes:
        told = [sentence for sentence in found if f"example {numbers[row]}:" in sentence]
        assert told, column


@pytest.mark.parametrize("column", SPECIFIED)
def test_a_change_of_what_was_drawn_is_found(run, workers, column):
    context, renderer, batch = opened(run.dataset)
    values = batch.subjects[column].to_pylist()
    values[3] = SPECIFIED[column](values[3])
    forged = replaced(batch.subjects, column, values)
    renamed = replaced(batch.prompts, "example_id", forged["example_id"].to_pylist())
    checked = check_examples(context, renderer, EXACT, forged, renamed)
    number = forged["example_id"][3]
    assert any(f"example {number}:" in sentence for sentence in checked.faults.sentences())
    assert checked.measured.sum() == len(values) - 1


def opened(folder):
    """What a dataset's only batch is checked with, and the batch."""
    config = read_config(folder)
    [batch] = batches(folder, config, Faults())
    return RunContext.build(config), Renderer(config), batch


def leaves(value, path=()):
    """The paths to all values of nested containers that are none themselves."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path


def with_change(content, path):
    """The same containers with another value of the same type in one place."""
    changed = deepcopy(content)
    *above, last = path
    place = changed
    for key in above:
        place = place[key]
    value = place[last]
    if isinstance(value, str):
        place[last] = f"{value}1"
    elif isinstance(value, list):
        place[last] = [*value, "other"]
    elif value is None:
        place[last] = 0.5
    else:
        place[last] = value + 1
    return changed


def test_a_change_of_any_key_of_the_metadata_is_found(full, workers):
    config = read_config(full.dataset)
    context = RunContext.build(config)
    renderer = Renderer(config)
    batch = max(batches(full.dataset, config, Faults()), key=lambda found: found.prompts.num_rows)
    texts = [orjson.loads(text) for text in batch.prompts["metadata"].to_pylist()]
    paths = list(leaves(texts[0]))
    for first in range(0, len(paths), len(texts)):
        part = paths[first : first + len(texts)]
        forged = [with_change(text, path) for text, path in zip(texts, part, strict=False)]
        kept = texts[len(forged) :]
        metadata = [orjson.dumps(text).decode() for text in [*forged, *kept]]
        prompts = replaced(batch.prompts, "metadata", metadata)
        checked = check_examples(context, renderer, EXACT, batch.subjects, prompts)
        assert len(checked.faults.found["prompts"]) == len(forged)


@pytest.fixture(scope="module")
def recounted(run):
    """What a dataset's examples tell of its summary, and its renderer."""
    context, renderer, batch = opened(run.dataset)
    faults = Faults()
    tally = Tally(context.config)
    checked = check_examples(context, renderer, EXACT, batch.subjects, batch.prompts)
    tally.add(batch.split, checked, faults)
    attempts = find_attempts(context.config, tally.numbers, faults)
    assert attempts is not None
    assert not faults.found
    return tally, Recount(attempts, attempts.by_pattern(context.config)), renderer


def test_attempts_follow_from_the_numbers_of_the_examples(run, recounted):
    _, recount, _ = recounted
    summary = read_summary(run.dataset)
    assert recount.attempts.total == summary["attempts"]
    counted = {name: row["attempts"] for name, row in summary["patterns"].items()}
    assert recount.by_pattern == counted
    blocks = list(recount.attempts.rejected_blocks(7))
    assert sum(map(len, blocks)) == recount.attempts.rejected == sum(summary["rejected"].values())


def test_a_change_of_any_key_of_the_summary_is_found(run, copy, recounted):
    folder = copy(run.dataset)
    tally, recount, renderer = recounted
    summary = read_summary(folder)
    assert not list(wrong_figures(tally, recount, summary))
    for path in leaves(summary):
        changed = with_change(summary, path)
        if list(wrong_figures(tally, recount, changed)):
            continue
        (folder / "summary.json").write_bytes(orjson.dumps(changed))
        faults = Faults()
        check_statements(folder, tally, recount, renderer, faults)
        assert faults.found, path


@pytest.mark.parametrize(
    "change",
    [
        lambda summary: summary.update(attempts=str(summary["attempts"])),
        lambda summary: summary.update(accepted=float(summary["accepted"])),
        lambda summary: summary.update(seconds="soon"),
        lambda summary: summary.pop("acceptance"),
        lambda summary: summary.update(patterns=[]),
        lambda summary: summary["rejected"].update(never_learned=True),
        lambda summary: summary.update(versions={"muat_exp": 1}),
        lambda summary: summary.update(versions=[]),
        lambda summary: summary.update(processors=[]),
        lambda summary: summary.update(origin="Made by hand."),
    ],
)
def test_a_summary_of_another_form_is_found(run, recounted, change):
    tally, recount, _ = recounted
    summary = read_summary(run.dataset)
    change(summary)
    assert list(wrong_figures(tally, recount, summary))


def test_degraded_weights_moved_by_a_millionth_are_found_in_the_sample(run, copy, workers):
    folder = copy(run.dataset)
    moved = first_moved(1e-6)
    forge(folder, [(row, "degraded_weights", moved) for row in range(28)])
    report = validate(folder, workers, depth=Depth(retrain=5))
    told = [sentence for sentence in sentences(report) if "another degraded_weights" in sentence]
    assert len(told) == 5
    assert any("5 of 28 subjects trained again" in clause for clause in report.checked)


def tell_other_versions(folder, **versions):
    """Has a summary, and the card, name other makers."""
    path = folder / "summary.json"
    summary = json.loads(path.read_bytes())
    card = (folder / "README.md").read_text()
    for name, version in versions.items():
        card = card.replace(f"{name} {summary['versions'][name]}", f"{name} {version}")
        summary["versions"][name] = version
    path.write_text(json.dumps(summary))
    (folder / "README.md").write_text(card)
    seal(folder)


def test_other_makers_are_named_and_only_rounding_is_let_pass(run, copy, workers):
    folder = copy(run.dataset)
    tell_other_versions(folder, numba="0.1")
    sound = validate(folder, workers, depth=Depth(retrain=4))
    assert sound.faults == []
    assert any("made with numba 0.1 (here" in clause for clause in sound.unchecked)
    forge(folder, [(row, "degraded_weights", first_moved(1e-5)) for row in range(28)])
    rounded = validate(folder, workers, depth=Depth(retrain=4))
    assert rounded.faults == []
    assert any("4 but for rounding" in clause for clause in rounded.checked)


def test_where_most_bits_are_the_same_here_the_makers_named_excuse_nothing(run, copy, workers):
    folder = copy(run.dataset)
    tell_other_versions(folder, numba="0.1")
    numbers = forge(folder, [(3, "degraded_weights", first_moved(1e-6))])
    found = sentences(validate(folder, workers, depth=THOROUGH))
    assert found == [
        f"example {numbers[3]}: trained again from its number, it has another degraded_weights."
    ]


def test_networks_that_were_never_trained_so_are_found_whoever_made_them(run, copy, workers):
    folder = copy(run.dataset)
    tell_other_versions(folder, numba="0.1")
    forge(folder, [(row, "weights", lambda values: [-v for v in values]) for row in range(28)])
    found = sentences(validate(folder, workers, depth=Depth(retrain=4)))
    assert sum("which rounding does not explain" in sentence for sentence in found) == 4


def test_weights_that_were_coarsened_twice_are_trained_and_coarsened_so(run, tmp_path, workers):
    source = run.dataset
    coarser = {
        "architecture.precision": ArchitectureConfig(precision="bfloat16"),
        "architecture.quantization": ArchitectureConfig(quantization="int8"),
    }
    for key, architecture in coarser.items():
        composed = small_config(task="render", architecture=architecture)
        source = derive(source, composed, [key], tmp_path / key / "dataset", workers, Silent())
    report = validate(source, workers, depth=Depth(retrain=5))
    assert report.faults == []
    assert any("5 to the last bit" in clause for clause in report.checked)
    assert any("another configuration judged them" in clause for clause in report.unchecked)


def test_what_the_torch_engine_trained_is_trained_by_it_again(tmp_path, workers):
    config = small_config(
        engine="torch",
        architecture=ArchitectureConfig(Range(1, 2), Range(5, 6)),
        training=TrainingConfig(
            until="plateau",
            degraded=StageConfig(3, 3),
            clean=StageConfig(4, 4),
            min_test_accuracy=0.0,
            min_improvement=-1.0,
        ),
        dataset=DatasetConfig(num_examples=2, balance=False, on_shortfall="accept"),
        logger=LoggerConfig("none"),
    )
    report = validate(generate(config, tmp_path).dataset, workers)
    assert report.faults == []
    assert any("2 to the last bit" in clause for clause in report.checked)


def test_a_thorough_validation_trains_what_was_rejected(run, copy, workers):
    folder = copy(run.dataset)
    unchecked = validate(folder, workers, depth=THOROUGH).unchecked
    assert all(clause.startswith("token counts") for clause in unchecked)
    path = folder / "summary.json"
    summary = json.loads(path.read_bytes())
    name = next(name for name, row in summary["patterns"].items() if any(row["rejected"].values()))
    for counts in (summary["rejected"], summary["patterns"][name]["rejected"]):
        reason = max(counts, key=summary["patterns"][name]["rejected"].get)
        counts[reason] -= 1
        counts["diverged"] += 1
    path.write_text(json.dumps(summary))
    seal(folder)
    found = sentences(validate(folder, workers, depth=THOROUGH))
    assert any("rejected.diverged is 1, but the data give 0" in sentence for sentence in found)


def test_an_accepted_attempt_that_a_dataset_leaves_out_is_found(run, workers):
    context, _, batch = opened(run.dataset)
    retraining = Retraining(context, workers, derived=False)
    number = batch.subjects["example_id"][0].as_py()
    retraining.train_rejected(np.array([number]))
    assert retraining.omitted == [number]
    assert not retraining.rejected


def test_a_sample_is_spread_over_all_rows_and_told_batch_by_batch():
    for rows, wanted in ((1000, 20), (7, 20), (20, 20), (21, 20), (0, 20), (50, 0)):
        sample = spread_rows(rows, wanted)
        assert len(set(sample.tolist())) == len(sample) == min(rows, wanted)
        told = SampledRows(rows, wanted)
        firsts = range(0, rows, 6)
        parts = [first + told.of_next(min(6, rows - first)) for first in firsts]
        assert np.array_equal(np.concatenate([sample[:0], *parts]), sample)
    gaps = np.diff(spread_rows(1400, 100))
    assert gaps.max() < 2 * 14
    assert len(set(spread_rows(1400, 100) % 14)) == 14  # patterns take turns
