"""docs/readers.md: every block of code on it is run, in its order, on small datasets."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from muat_exp.app.compose import load_config
from muat_exp.app.main import main

PAGE = Path(__file__).parents[1] / "docs" / "readers.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAM = ["python", "-m", "muat_exp"]


def blocks():
    """The page's blocks by the title that they stand under: language and text of each."""
    by_title = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        by_title[title] = BLOCK.findall(text)
    return by_title


def run_command(line):
    """Runs a command of the page; one that makes a dataset is composed only."""
    words = shlex.split(line)
    assert words[:3] == PROGRAM
    if any(word.startswith("task=") for word in words):
        assert main(words[3:]) == 0
    else:
        load_config([word for word in words[3:] if not word.startswith("hydra.")])


@pytest.mark.parametrize("title", blocks())
@pytest.mark.filterwarnings("ignore")
def test_the_way_to_a_batch_is_as_it_is_told(title, run, one_shape, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, dataset in (("demo", run.dataset), ("one_shape", one_shape)):
        shutil.copytree(dataset, tmp_path / "outputs" / name / "dataset")
    names = {"ask": lambda prompt: "palindrome"}
    found = blocks()[title]
    assert found
    for language, text in found:
        if language == "python":
            for package in ("datasets", "torch_geometric"):
                if package in text:
                    pytest.importorskip(package)
            exec(text, names)
        else:
            run_command(text)
    assert check(title, names)


def check(title, names):
    """Whether what a section ends with is what it says."""
    match title:
        case "A language model, by fine-tuning":
            return len(names["batch"]["prompt"]) == 4 and names["longest"] > 1000
        case "A language model, by prompting":
            return Path("outputs/score/score.json").exists()
        case "A graph network":
            return names["features"].shape == (16, 32) and len(names["batch"].y) == 16
        case "A reader of flat weights":
            return bool(names["loss"] > 0) and Path("outputs/matrix/export/weights.npy").exists()
        case "A reader of weights by layer":
            return len(names["states"]) == len(names["labels"]) == 4
        case "One's own":
            return len(names["weights"]) == names["subject"].architecture.parameters
        case _:
            raise AssertionError(f"{title} is not checked")
