"""The Inspect AI task: a mock model on the prompts of a dataset, and what its log says."""

from importlib.metadata import entry_points

import pytest

import muat_exp
from muat_exp.dataset.reading import read_config
from muat_exp.errors import DatasetError

inspect_ai = pytest.importorskip("inspect_ai", reason="the extra inspect is not installed")
TASK = "muat_exp/classification"
pytestmark = pytest.mark.filterwarnings("ignore")


def registered():
    """Whether this checkout, or another one, was installed with the task's entry point."""
    return any(entry.name == "muat_exp" for entry in entry_points(group="inspect_ai"))


if not registered():
    pytest.skip("muat_exp was installed without its entry points", allow_module_level=True)


def evaluated(dataset, folder, answer, **options):
    """The log of a mock model's evaluation, read back: `answer(prompt)` is what it says."""
    from inspect_ai.log import read_eval_log
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    def outputs(messages, *_):
        output = ModelOutput.from_content("mockllm/model", answer(messages[-1].text))
        output.usage = ModelUsage()  # which the mock model would count by a file of the network
        return output

    [log] = inspect_ai.eval(
        TASK,
        task_args={"dataset": str(dataset), **options},
        model=get_model("mockllm/model", custom_outputs=outputs),
        log_dir=str(folder),
        display="none",
    )
    return read_eval_log(log.location)


def metrics(log):
    """The figures of a log by name."""
    [score] = log.results.scores
    return {name: metric.value for name, metric in score.metrics.items()}


def test_right_and_wrong_answers_are_told_apart(run, tmp_path):
    rows = list(muat_exp.load_rows(run.dataset))
    right = {row["prompt"]: row["completion"] for row in rows}
    spoilt = {row["prompt"] for row in rows[:7]}
    nonsense = {row["prompt"] for row in rows[7:10]}

    def answer(prompt):
        if prompt in nonsense:
            return "I would say that it is a palindrome"
        wrong = "alternating" if right[prompt] != "alternating" else "palindrome"
        return wrong if prompt in spoilt else f' "{right[prompt].capitalize()}." '

    log = evaluated(run.dataset, tmp_path, answer)
    assert log.status == "success"
    assert metrics(log)["accuracy"] == 18 / 28
    assert metrics(log)["unparseable"] == 3
    assert 0 < metrics(log)["macro_f1"] < 1
    expected = {row["example_id"]: row["prompt"] not in spoilt | nonsense for row in rows}
    found = {sample.id: sample.scores["named_patterns"].value == "C" for sample in log.samples}
    assert found == expected
    assert {sample.id: sample.target for sample in log.samples} == {
        row["example_id"]: row["completion"] for row in rows
    }


def test_the_figures_are_those_of_the_scorer(full, tmp_path):
    from muat_exp.score.classification import score_classification
    from muat_exp.score.truth import load_truth

    log = evaluated(full.dataset, tmp_path, lambda prompt: "palindrome", split="test")
    truth = load_truth(full.dataset)
    score = score_classification(truth, dict.fromkeys(truth.rows, "palindrome"))
    assert metrics(log)["accuracy"] == score.splits["test"].exact_match
    assert metrics(log)["macro_f1"] == score.splits["test"].macro_f1
    enabled = read_config(full.dataset).patterns.enabled
    assert tuple(log.samples[0].scores["named_patterns"].metadata["patterns"]) == enabled


def test_what_is_no_dataset_is_a_sentence(run, tmp_path):
    from muat_exp.exports.inspection import classification

    with pytest.raises(DatasetError, match="There is no folder"):
        classification(str(tmp_path / "nothing"))
    with pytest.raises(DatasetError, match="no split 'test'; it has train"):
        classification(str(run.dataset), split="test")
