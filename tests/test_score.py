"""Scores: classification against scikit-learn, modification against plain PyTorch.

Every wrong file is a sentence.
"""

import json
import shutil

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from test_cli import call

from muat_exp.dataset.reading import load_subjects
from muat_exp.errors import DatasetError, PredictionsError, ProbeSetError
from muat_exp.evaluation.benchmark_set import LabelGroups, draw_benchmark
from muat_exp.evaluation.measurement import bounded
from muat_exp.score.behaviour import Bench
from muat_exp.score.classification import membership, read_answer, score_classification
from muat_exp.score.intervals import student, wilson
from muat_exp.score.judge import judge
from muat_exp.score.modification import read_network, score_modification
from muat_exp.score.predictions import survey
from muat_exp.score.report import print_score
from muat_exp.score.truth import Truth, load_truth

NAMES = ("palindrome", "alternating", "no_repeats", "starts_with")
KNOWN = frozenset(NAMES)
answers = st.sets(st.sampled_from(NAMES), min_size=1)


def as_json(subject, flat):
    """Weights as the JSON object of a modification answer, written by the standard library."""
    values, at = {}, 0
    for name, shape in subject.architecture.shapes.items():
        values[name] = flat[at : at + int(np.prod(shape))].reshape(shape).tolist()
        at += int(np.prod(shape))
    return json.dumps(values)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def truth_of(completions):
    rows = {str(row): row for row in range(len(completions))}
    return Truth(rows, ("train",) * len(completions), tuple(completions), NAMES)


@pytest.fixture(scope="module")
def subjects(run):
    return load_subjects(run.dataset)


@pytest.fixture(scope="module")
def benchmark(subjects, space):
    return draw_benchmark(subjects.config, space)


@pytest.fixture(scope="module")
def bench(subjects, benchmark, workers):
    return Bench(subjects, LabelGroups.of(benchmark), workers)


@pytest.fixture(scope="module")
def rows(subjects):
    return {str(subject.example_id): row for row, subject in enumerate(subjects)}


def judge_names(folder, predictions):
    score = judge(folder, predictions, "", 2).classification
    assert score is not None
    return score


def judge_weights(folder, predictions, benchmark_set=""):
    score = judge(folder, predictions, benchmark_set, 2).modification
    assert score is not None
    return score


def score_weights(bench, rows, completions):
    return score_modification(bench, rows, ("train",) * len(rows), completions.items())


@settings(max_examples=50)
@given(st.lists(st.tuples(answers, answers | st.none()), min_size=1, max_size=30))
def test_classification_scores_are_scikit_learns(pairs):
    truth = truth_of([", ".join(sorted(true)) for true, _ in pairs])
    given = {
        str(place): "?" if answer is None else ", ".join(answer)
        for place, (_, answer) in enumerate(pairs)
    }
    score = score_classification(truth, given)
    expected = membership([true for true, _ in pairs], NAMES)
    answered = membership([answer for _, answer in pairs], NAMES)
    columns = precision_recall_fscore_support(expected, answered, zero_division=0)
    for place, name in enumerate(NAMES):
        ours = score.patterns[name]
        assert np.allclose(
            [ours.precision, ours.recall, ours.f1, ours.support],
            [column[place] for column in columns],
        )
    occurring = np.flatnonzero((expected | answered).any(axis=0))
    macro = precision_recall_fscore_support(
        expected, answered, labels=occurring, average="macro", zero_division=0
    )[2]
    assert score.overall.macro_f1 == pytest.approx(macro)
    assert score.overall.exact_match == pytest.approx(accuracy_score(expected, answered))
    assert score.overall.unparseable == sum(answer is None for _, answer in pairs)


@pytest.mark.parametrize(
    "text",
    [
        "palindrome, alternating",
        " Alternating ,PALINDROME\n",
        '"palindrome", "alternating".',
        "'palindrome, alternating.'",
    ],
)
def test_spelling_that_means_the_same_is_the_same(text):
    assert read_answer(text, KNOWN) == frozenset({"palindrome", "alternating"})


@pytest.mark.parametrize("answer", ["palindrome", "\npalindrome\n"])
def test_a_repeated_prompt_is_passed_over(answer):
    prompt = "## Task\nWhich?\n- palindrome: ...\n\nAnswer with names, separated by commas.\n"
    assert read_answer(prompt + answer, KNOWN) == frozenset({"palindrome"})
    assert read_answer(prompt, KNOWN) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "palindrom",
        "palindrome alternating",
        "It is palindrome",
        "palindrome,",
        "palindrome; alternating",
        "none",
    ],
)
def test_anything_else_is_unparseable(text):
    assert read_answer(text, KNOWN) is None


@given(st.text())
def test_random_text_is_read_without_a_crash(text):
    answer = read_answer(text, KNOWN)
    assert answer is None or answer <= KNOWN


def test_true_answers_score_one_and_baselines_say_how_hard_it_is():
    completions = ["palindrome"] * 3 + ["alternating", "palindrome, starts_with"]
    score = score_classification(
        truth_of(completions), {str(i): text for i, text in enumerate(completions)}
    )
    assert (score.overall.exact_match, score.overall.macro_f1) == (1, 1)
    assert score.confusions == ()
    assert score.baselines["truth"].exact_match == 1
    assert score.baselines["majority"].exact_match == 3 / 5
    assert score.baselines["uniform"].exact_match == pytest.approx(4 / 5 / 4)


def test_missing_and_unparseable_answers_are_wrong_and_counted():
    score = score_classification(
        truth_of(["palindrome"] * 4), {"0": "palindrome", "1": "no idea", "2": "alternating"}
    )
    assert (score.overall.exact_match, score.overall.missing, score.overall.unparseable) == (
        0.25,
        1,
        1,
    )
    assert {(c.answer, c.count) for c in score.confusions} == {
        ("alternating", 1),
        ("(unparseable)", 1),
    }


def test_intervals_are_the_textbooks():
    assert wilson(0, 10) == pytest.approx((0, 0.27753), abs=1e-5)
    assert wilson(7, 10) == pytest.approx((0.39678, 0.89221), abs=1e-5)
    assert student(np.array([1.0, 2.0, 3.0])) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-5)
    assert wilson(0, 0) is None
    assert student(np.array([1.0])) is None


@pytest.mark.parametrize("column", ["weights", "degraded_weights"])
def test_behaviour_is_that_of_plain_pytorch(subjects, benchmark, bench, column):
    measured = bench.stored(column)
    names = subjects.config.patterns.enabled
    inputs = torch.from_numpy(benchmark.tokens).float()
    for row, subject in enumerate(subjects):
        with torch.no_grad():
            positive = (
                subject.to_module(degraded=column != "weights")(inputs).squeeze(-1) > 0
            ).numpy()
        own = benchmark.labels[:, [names.index(name) for name in subject.selected_patterns]].any(
            axis=1
        )
        accuracy = (positive[own].mean() + 1 - positive[~own].mean()) / 2
        assert measured.accuracy[row] == pytest.approx(accuracy, abs=2e-3)
        for place, _ in enumerate(names):
            others = benchmark.labels[:, place] & ~own
            expected = positive[others].mean() if others.any() else np.nan
            assert measured.others[row, place] == pytest.approx(expected, abs=5e-3, nan_ok=True)


@pytest.mark.parametrize("decimals", [6, 9])
def test_copying_the_degraded_weights_gains_nothing(subjects, bench, rows, decimals):
    given = {
        str(s.example_id): as_json(s, s.degraded_weights.astype(float).round(decimals))
        for s in subjects
    }
    score = score_weights(bench, rows, given)
    assert (score.overall.gain, score.overall.improved, score.overall.recovered) == (0, 0, 0)
    assert score.overall.changed_from_degraded == 0
    assert score.overall.changed_from_improved == score.baselines["truth"].changed_from_degraded > 0
    assert score.overall == score.baselines["copy"]


def test_the_true_weights_recover_the_whole_improvement(subjects, bench, rows):
    given = {
        str(s.example_id): f"Here they are:\n{as_json(s, s.weights.astype(float).round(6))}"
        for s in subjects
    }
    score = score_weights(bench, rows, given)
    assert score.overall.recovered == 1
    assert score.overall.gain > 0.1
    assert score.overall.changed_from_improved == 0
    assert score.overall == score.baselines["truth"]
    assert all(part.recovered == 1 for part in score.patterns.values())
    assert sum(part.examples for part in score.patterns.values()) == len(subjects)


def test_half_way_weights_recover_a_part(subjects, bench, rows):
    given = {
        str(s.example_id): as_json(s, (0.3 * s.degraded_weights + 0.7 * s.weights))
        for s in subjects
    }
    score = score_weights(bench, rows, given)
    assert 0.1 < score.overall.recovered < 1
    assert score.overall.after == pytest.approx(score.overall.before + score.overall.gain)


def test_missing_unparseable_and_misshapen_answers_change_nothing(subjects, bench, rows):
    first, second, third = (str(subjects[i].example_id) for i in range(3))
    other = next(
        s
        for s in subjects
        if (s.num_layers, s.neurons_per_layer)
        != (subjects[1].num_layers, subjects[1].neurons_per_layer)
    )
    huge = np.full(len(subjects[2].weights), 3e38)
    given = {first: "{", second: as_json(other, other.weights), third: as_json(subjects[2], huge)}
    score = score_weights(bench, rows, given)
    assert (score.overall.missing, score.overall.unparseable) == (len(subjects) - 3, 3)
    assert (score.overall.gain, score.overall.improved) == (0, 0)


@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=6, max_size=6), st.integers(1, 12)
)
def test_bounded_networks_never_leave_the_range_of_float32(values, layers):
    weights = {}
    for index in range(layers):
        weights[f"{index}.weight"] = np.array(values[:4], np.float32).reshape(2, 2)
        weights[f"{index}.bias"] = np.array(values[4:], np.float32)
    x = np.full(2, 25, np.float32)
    with np.errstate(all="ignore"):
        for weight, bias in zip(*[iter(weights.values())] * 2, strict=True):
            x = weight @ x + bias
    assert np.isfinite(x).all() or not bounded(zip(*[iter(weights.values())] * 2, strict=True))


def test_the_deepest_and_widest_networks_are_bounded():
    random = np.random.default_rng(0)
    weights = random.normal(0, (2 / 256) ** 0.5, (64, 256, 256)).astype(np.float32)
    layers = [(weight, np.zeros(256, np.float32)) for weight in weights]
    assert bounded(layers)
    assert not bounded([(100 * weight, bias) for weight, bias in layers])


@settings(max_examples=60)
@given(data=st.data())
def test_garbage_is_unparseable_and_never_crashes(bench, subjects, rows, data):
    text = as_json(subjects[0], subjects[0].weights)
    start = data.draw(st.integers(0, len(text)))
    noise = data.draw(
        st.text(max_size=20) | st.sampled_from(["NaN", "1e999", "[", "null", '"', "-1e38"])
    )
    given = {
        str(subjects[0].example_id): text[:start]
        + noise
        + text[start + data.draw(st.integers(0, 5)) :]
    }
    network = read_network(next(iter(given.values())), bench.shapes(0))
    assert network is None or network.shape == subjects[0].weights.shape
    score = score_weights(bench, rows, given)
    assert score.overall.unparseable == (network is None)
    assert 0 <= score.overall.after <= 1


@pytest.fixture(scope="module")
def completions(run):
    table = pq.read_table(run.dataset / "prompts")
    return dict(
        zip(
            table["example_id"].to_pylist(),
            table["classification_completion"].to_pylist(),
            strict=True,
        )
    )


def rows_of(completions):
    return [{"example_id": example, "completion": text} for example, text in completions.items()]


def test_jsonl_and_parquet_score_the_same(run, completions, tmp_path):
    rows = rows_of(completions)[3:]
    lines = write(tmp_path / "a.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    one, other = (judge_names(run.dataset, path) for path in (lines, tmp_path / "a.parquet"))
    assert one == other
    assert one.overall.missing == 3
    assert one.overall.exact_match == 1 - 3 / len(completions)


def test_a_file_may_answer_both_tasks(run, subjects, completions, tmp_path, capsys):
    rows = [{**row, "task": "classification"} for row in rows_of(completions)]
    rows += [
        {
            "example_id": s.example_id,
            "completion": as_json(s, s.weights.astype(float).round(6)),
            "task": "modification",
        }
        for s in subjects
    ]
    path = write(tmp_path / "a.jsonl", rows)
    score = judge(run.dataset, path, "", 2)
    assert judge_names(run.dataset, path).overall.exact_match == 1
    repaired = judge_weights(run.dataset, path)
    assert repaired.overall.recovered == 1
    assert orjson.loads(score.to_json())["modification"]["sequences"] == repaired.sequences
    print_score(score)
    assert "Modification, tested on" in capsys.readouterr().out


def test_a_file_without_tasks_answers_what_most_of_it_holds(tmp_path):
    weights = '{"network.0.weight": [[1]], "network.0.bias": [1]}'
    for texts, task in (
        (["palindrome", weights], "modification"),
        (["palindrome", "a", weights], "classification"),
    ):
        rows = [{"example_id": place, "completion": text} for place, text in enumerate(texts)]
        assert set(survey(write(tmp_path / "a.jsonl", rows)).locations) == {task}


def test_the_benchmark_set_may_come_from_a_file(run, subjects, benchmark, tmp_path):
    rows = [
        {"example_id": s.example_id, "completion": as_json(s, s.degraded_weights)} for s in subjects
    ]
    predictions = write(tmp_path / "a.jsonl", rows)
    (tmp_path / "set.json").write_bytes(benchmark.to_json(subjects.config))
    sets = ("", str(tmp_path / "set.json"))
    one, other = (judge_weights(run.dataset, predictions, name) for name in sets)
    assert one == other
    (tmp_path / "set.json").write_text("[]")
    with pytest.raises(ProbeSetError, match=r"set\.json: it must hold a JSON object"):
        judge(run.dataset, predictions, str(tmp_path / "set.json"), 2)


def test_a_benchmark_set_that_is_not_there_is_refused_whatever_is_answered(run, tmp_path):
    names = write(tmp_path / "a.jsonl", [{"example_id": 0, "completion": "palindrome"}])
    with pytest.raises(ProbeSetError, match=r"nowhere\.json: there is no such file"):
        judge(run.dataset, names, "nowhere.json", 2)


def split_dataset(run, folder):
    """The dataset with its examples in two splits."""
    shutil.copytree(run.dataset, folder)
    for part in ("prompts", "subjects"):
        (path,) = (folder / part).glob("*.parquet")
        table = pq.read_table(path)
        pq.write_table(table.slice(0, 20), folder / part / "train-00000-of-00001.parquet")
        pq.write_table(table.slice(20), folder / part / "test-00000-of-00001.parquet")
    return folder


def test_splits_are_scored_apart(run, subjects, completions, tmp_path):
    folder = split_dataset(run, tmp_path / "dataset")
    texts = write(tmp_path / "a.jsonl", rows_of(completions)[20:])
    splits = judge_names(folder, texts).splits
    assert (splits["test"].exact_match, splits["test"].examples, splits["test"].missing) == (
        1,
        8,
        0,
    )
    assert (splits["train"].exact_match, splits["train"].missing) == (0, 20)
    rows = [
        {"example_id": s.example_id, "completion": as_json(s, s.weights.astype(float).round(6))}
        for s in subjects[20:]
    ]
    splits = judge_weights(folder, write(tmp_path / "b.jsonl", rows)).splits
    assert (splits["test"].recovered, splits["train"].recovered) == (1, 0)


def test_a_dataset_with_the_published_fields_only_is_scored(completions, tmp_path):
    folder = tmp_path / "elsewhere/data"
    folder.mkdir(parents=True)
    rows = [
        {"example_id": f"x{example}", "metadata": "{}", "classification_completion": text}
        for example, text in completions.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "part.parquet")
    given = write(
        tmp_path / "a.jsonl",
        [{"example_id": f"x{e}", "completion": f"{t}."} for e, t in completions.items()],
    )
    assert judge_names(tmp_path / "elsewhere", given).overall.exact_match == 1
    weights = write(
        tmp_path / "b.jsonl",
        [{"example_id": rows[0]["example_id"], "completion": "x", "task": "modification"}],
    )
    with pytest.raises(DatasetError, match="has no subjects"):
        judge(tmp_path / "elsewhere", weights, "", 2)


def test_a_dataset_without_classification_prompts_tells_its_selected_patterns(
    run, completions, tmp_path
):
    folder = shutil.copytree(run.dataset, tmp_path / "dataset")
    shutil.rmtree(folder / "prompts")
    (folder / "prompts").mkdir()
    assert list(load_truth(folder).completions) == list(completions.values())


ROW = {"example_id": 0, "completion": "palindrome"}


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["{"], "line 1: this is not JSON"),
        ([json.dumps(ROW), "", "[1]"], "line 3: it must be a JSON object"),
        ([json.dumps({"example_id": 0})], "line 1: completion is missing"),
        ([json.dumps({"completion": ""})], "line 1: example_id is missing"),
        ([json.dumps(ROW | {"completion": 7})], "completion is 7; it must be a text or null"),
        ([json.dumps(ROW | {"completion": ["a"]})], "completion is ['a']"),
        (
            [json.dumps(ROW | {"example_id": 1.5})],
            "example_id is 1.5; it must be a whole number or a text",
        ),
        ([json.dumps(ROW | {"example_id": True})], "example_id is True"),
        (
            [json.dumps(ROW | {"task": "classify"})],
            "task is 'classify'; it must be classification or modification",
        ),
        ([json.dumps(ROW | {"task": ["a"]})], "task is ['a']"),
        ([json.dumps(ROW), json.dumps(ROW)], "line 2: example_id 0 was answered before, in line 1"),
        (
            [json.dumps(ROW | {"example_id": 10**9})],
            "line 1: the dataset has no example_id 1000000000",
        ),
        (["\xff"], "line 1: this is not JSON"),
        (["", ""], "holds no predictions"),
    ],
)
def test_a_wrong_line_is_a_sentence(run, tmp_path, lines, sentence):
    (tmp_path / "a.jsonl").write_text("\n".join(lines), "latin-1")
    with pytest.raises(PredictionsError) as caught:
        judge(run.dataset, tmp_path / "a.jsonl", "", 2)
    assert sentence in str(caught.value)
    assert "a.jsonl" in str(caught.value)


def test_a_huge_line_is_a_sentence(tmp_path):
    with (tmp_path / "a.jsonl").open("wb") as file:
        file.write(json.dumps(ROW).encode() + b"\n")
        file.truncate(80 * 2**20)
    with pytest.raises(PredictionsError, match="line 2: the line has more than"):
        survey(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("name", "sentence"), [("a.csv", "must end in .jsonl or .parquet"), ("b.jsonl", "no such file")]
)
def test_another_file_is_a_sentence(tmp_path, name, sentence):
    (tmp_path / "a.csv").write_text("example_id,completion\n")
    with pytest.raises(PredictionsError, match=sentence):
        survey(tmp_path / name)


def test_a_wrong_parquet_file_is_a_sentence(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"example_id": [1], "answer": ["a"]}), path)
    with pytest.raises(
        PredictionsError, match="column completion is missing; it has example_id, answer"
    ):
        survey(path)
    pq.write_table(pa.table({"example_id": [1, None], "completion": ["a", "b"]}), path)
    with pytest.raises(PredictionsError, match="row 2: example_id is None"):
        survey(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(PredictionsError, match="can't be read"):
        survey(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_null_answer_is_unparseable(run, subjects, completions, tmp_path, suffix):
    rows = rows_of(completions | {subjects[3].example_id: None})
    path = tmp_path / f"a{suffix}"
    if suffix == ".jsonl":
        write(path, rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    overall = judge_names(run.dataset, path).overall
    assert (overall.unparseable, overall.missing) == (1, 0)
    assert overall.exact_match == 1 - 1 / len(subjects)


def test_answers_that_are_all_null_are_all_unparseable(run, subjects, tmp_path):
    ids = [subject.example_id for subject in subjects]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"example_id": ids, "completion": pa.nulls(len(ids))}), path)
    assert judge_names(run.dataset, path).overall.unparseable == len(ids)
    tasks = ["modification"] * len(ids)
    pq.write_table(
        pa.table({"example_id": ids, "completion": pa.nulls(len(ids)), "task": tasks}), path
    )
    assert judge_weights(run.dataset, path).overall.unparseable == len(ids)


@settings(max_examples=100)
@given(st.binary(max_size=300), st.sampled_from([".jsonl", ".parquet"]))
def test_random_files_are_refused_or_read(tmp_path_factory, content, suffix):
    path = tmp_path_factory.getbasetemp() / f"random{suffix}"
    path.write_bytes(content)
    with pytest.raises(PredictionsError):
        survey(path)


def test_subjects_that_are_not_what_they_say_are_a_sentence(run, subjects, tmp_path):
    folder = shutil.copytree(run.dataset, tmp_path / "dataset")
    predictions = write(
        tmp_path / "a.jsonl", [ROW | {"example_id": subjects[0].example_id, "task": "modification"}]
    )
    (path,) = (folder / "subjects").glob("*.parquet")
    table = pq.read_table(path)
    for name, value, sentence in (
        ("num_layers", 10**9, "num_layers is 1000000000; it must be 2 to 4"),
        ("num_layers", 6 - subjects[0].num_layers, "weights has .* numbers; its network needs"),
        ("activation", "cosine", "activation is 'cosine'; it must be one of relu"),
    ):
        place = table.schema.get_field_index(name)
        values = [value, *table[name].to_pylist()[1:]]
        pq.write_table(
            table.set_column(place, name, pa.array(values, table.schema.field(place).type)), path
        )
        with pytest.raises(DatasetError, match=sentence):
            judge(folder, predictions, "", 2)


def test_the_command_scores_and_writes(run, subjects, completions, tmp_path):
    wrong = dict.fromkeys([next(iter(completions))], "none of them")
    write(tmp_path / "names.jsonl", rows_of(completions | wrong))
    weights = [
        {"example_id": s.example_id, "completion": as_json(s, s.weights.astype(float).round(6))}
        for s in subjects
    ]
    write(tmp_path / "weights.jsonl", weights)
    done = call(
        tmp_path,
        "task=score",
        f"dataset={run.dataset}",
        "predictions=names.jsonl",
        "hydra.run.dir=out",
    )
    assert done.returncode == 0, done.stderr
    assert "0.964" in done.stdout
    assert "out/score.json" in done.stdout
    assert (
        json.loads((tmp_path / "out/score.json").read_bytes())["classification"]["overall"][
            "unparseable"
        ]
        == 1
    )
    done = call(
        tmp_path,
        "task=score",
        f"dataset={run.dataset}",
        "predictions=weights.jsonl",
        "hydra.run.dir=out",
    )
    assert done.returncode == 0, done.stderr
    assert (
        json.loads((tmp_path / "out/score.json").read_bytes())["modification"]["overall"][
            "recovered"
        ]
        == 1
    )
    assert "Warning" not in done.stderr
    done = call(
        tmp_path,
        "task=score",
        f"dataset={run.dataset}",
        "predictions=nowhere.jsonl",
        "hydra.run.dir=out",
    )
    assert (done.returncode, done.stderr) == (
        1,
        "error: predictions=nowhere.jsonl: there is no such file.\n",
    )
