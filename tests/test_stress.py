"""The stress tests can be run: one case of each kind, and what they print and write."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import HANGS
from stress.case import numbers
from stress.command import KINDS
from stress.damage import DAMAGES, Unfit
from stress.damaged_sweeps import HARMS
from stress.mistakes import MISTAKES, group_of
from stress.oracle import changes, faults_of, fingerprint
from stress.processes import Done, Limits, run_forked
from stress.report import Figures, Result, write_section

LARGE = {  # damages that write hundreds of megabytes
    "a list that fills the memory",
    "a text of many megabytes",
    "lists that fill the memory together",
}


def done(code=0, err="", out="", ended_by_us=""):
    return Done("a command", code, out, err, 0.1, 0, ended_by_us)


def test_each_kind_runs_and_a_table_is_printed(tmp_path):
    sizes = [f"--{name}=1" for name in KINDS]
    ended = subprocess.run(
        [sys.executable, "-m", "stress", "--jobs", "1", *sizes],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert "the stress test itself" not in ended.stdout, ended.stdout
    assert ended.returncode in (0, 1), ended.stderr
    for name in KINDS:
        assert f"│ {name} " in ended.stdout, ended.stdout + ended.stderr


def test_what_is_tried_is_at_least_what_was_promised():
    sizes = {name: kind.size for name, kind in KINDS.items()}
    assert sizes == {
        "interrupts": 60,
        "kills": 40,
        "datasets": 300,
        "sweeps": 80,
        "mistakes": 300,
    }
    assert not LARGE - DAMAGES.keys()
    assert len(DAMAGES) > 50
    assert len(HARMS) > 20


def test_every_kind_of_mistake_has_its_turn():
    turns = [group_of(number) for number in range(300)]
    assert set(turns) == set(MISTAKES)


@pytest.mark.parametrize(
    ("ended", "fault"),
    [
        (done(), []),
        (done(2, err="error: seed is x.\n"), []),
        (done(1), ["exit code 1 without a sentence"]),
        (done(-9), ["exit code -9"]),
        (done(ended_by_us="time"), ["took too much time"]),
        (
            done(1, err="Traceback (most recent call last):\n  x\nKeyError: 'a'\n"),
            ["traceback: KeyError: 'a'"],
        ),
    ],
)
def test_a_command_has_to_end_in_a_result_or_a_sentence(ended, fault):
    assert list(faults_of(ended)) == fault


def test_a_process_that_hangs_is_ended(tmp_path):
    def wait():
        time.sleep(HANGS)

    ended = run_forked(wait, tmp_path, "sleep", Limits(seconds=0.1))
    assert ended.ended_by_us == "time"


def test_changes_of_a_folder_are_told(tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    before = fingerprint(tmp_path)
    (tmp_path / "a").write_text("2")
    (tmp_path / "b").unlink()
    (tmp_path / "c").symlink_to("a")
    assert changes(before, fingerprint(tmp_path)) == ["a has changed", "b is gone", "c is new"]


def test_numbers_of_cases():
    assert list(numbers("3,7-9")) == [3, 7, 8, 9]


def test_figures_are_written_between_their_marks(tmp_path):
    document = tmp_path / "reliability.md"
    original = Path(__file__).parents[1] / "docs/reliability.md"
    document.write_text(original.read_text())
    results = [Result("kills", 0, group="generate", faults=["exit code 1"])]
    write_section(Figures(results, KINDS, 7, 90.0), document)
    assert "| kills | commands killed, then given again | 1 | 1 |" in document.read_text()
    assert "Seed 7" in document.read_text()


@pytest.mark.parametrize("name", sorted(DAMAGES.keys() - LARGE))
def test_a_damage_changes_a_dataset(name, run, tmp_path):
    dataset = tmp_path / "dataset"
    shutil.copytree(run.dataset, dataset)
    before = fingerprint(dataset)
    try:
        DAMAGES[name].apply(random.Random(1), dataset)
    except Unfit:
        pytest.skip("this dataset has nothing for it")
    assert changes(before, fingerprint(dataset))
