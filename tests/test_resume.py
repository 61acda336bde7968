"""A run that is killed, damaged or refused: nothing is lost and the same bytes come out."""

import errno
import json
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from conftest import HANGS, small_config

from muat_exp import maker
from muat_exp.config.groups import DatasetConfig, LoggerConfig
from muat_exp.dataset.checksums import differences
from muat_exp.dataset.writing import ShardWriter
from muat_exp.errors import RunFolderError, TrackingError
from muat_exp.generation.manifest import Manifest
from muat_exp.generation.pipeline import generate
from muat_exp.generation.run_folder import RunFolder, is_finished
from muat_exp.maker import current_maker
from muat_exp.progress import Silent
from muat_exp.tracking.metrics_file import MetricsFile

KILLED = """
    import os, random, shutil, signal, sys, time
    sys.path.insert(0, sys.argv[2])
    from pathlib import Path
    from conftest import small_config
    from muat_exp.config.groups import DatasetConfig
    from muat_exp.generation.pipeline import generate

    config = small_config(dataset=DatasetConfig(num_examples=140), cohort_size=24)
    folder = Path(sys.argv[1])
    generate(config, folder / "whole")  # loads the kernels, so that the children begin at once
    begin = time.perf_counter()
    generate(config, folder / "timed")
    seconds, chance, killed, finished = time.perf_counter() - begin, random.Random(0), 0, 0
    while killed < 20:
        child = os.fork()
        if not child:
            generate(config, folder / "killed")
            os._exit(0)
        time.sleep(chance.uniform(0, min(0.5, seconds / 6)))
        os.kill(child, signal.SIGKILL)
        if os.waitpid(child, 0)[1] == signal.SIGKILL:
            killed += 1
        else:  # it was done before: the next one begins anew
            shutil.rmtree(folder / "killed")
            finished += 1
    generate(config, folder / "killed")
    print(killed, finished)
"""


def files(folder):
    """Every file of a dataset and its bytes."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_twenty_kills_at_random_moments_leave_the_same_dataset(tmp_path):
    script = textwrap.dedent(KILLED)
    here = os.path.dirname(__file__)
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path, here],
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    killed, finished = map(int, done.stdout.split())
    assert killed == 20
    assert finished < killed
    assert files(tmp_path / "killed/dataset") == files(tmp_path / "whole/dataset")
    assert (tmp_path / "killed/metrics.csv").exists()
    assert not list((tmp_path / "killed").rglob("*.muat-partial"))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip, os.unlink])
@pytest.mark.parametrize("name", ["cohort-000000.arrow", "manifest.jsonl"])
def test_damage_is_noticed_and_made_good(tmp_path, damage, name):
    first = generate(small_config(cohort_size=30), tmp_path)
    dataset, curves = files(first.dataset), (tmp_path / "metrics.csv").read_bytes()
    damage(tmp_path / "cohorts" / name)
    again = generate(small_config(cohort_size=30), tmp_path)
    assert again.summary["attempts_trained"] > 0
    assert files(again.dataset) == dataset
    assert again.summary["rejected"] == first.summary["rejected"]
    assert (tmp_path / "metrics.csv").read_bytes() == curves


def test_only_the_damaged_cohort_is_made_again(tmp_path):
    generate(small_config(cohort_size=30), tmp_path)
    planned = Manifest(tmp_path / "cohorts/manifest.jsonl").plans
    assert len(planned) > 1
    flip(tmp_path / "cohorts/cohort-000001.arrow")
    again = generate(small_config(cohort_size=30), tmp_path)
    assert again.summary["attempts_trained"] == sum(planned[1])


def test_a_run_that_was_changed_and_stopped_is_not_taken_for_finished(tmp_path):
    generate(small_config(logger=LoggerConfig("none")), tmp_path)
    with RunFolder.open(tmp_path, small_config()) as folder:
        folder.store_config(small_config())  # stopped as soon as it had claimed the folder
    generate(small_config(), tmp_path)
    assert (tmp_path / "metrics.csv").is_file()


def test_a_run_whose_logging_failed_is_not_taken_for_finished(tmp_path, monkeypatch):
    def fail(self):
        raise TrackingError("not everything could be logged")

    with monkeypatch.context() as patched:
        patched.setattr(MetricsFile, "close", fail)
        with pytest.raises(TrackingError):
            generate(small_config(), tmp_path)
    assert not is_finished(tmp_path, small_config())
    generate(small_config(), tmp_path)
    assert is_finished(tmp_path, small_config())


def test_a_finished_run_is_left_alone_but_for_damage(tmp_path):
    first = generate(small_config(), tmp_path)
    (first.dataset / "notes.txt").write_text("mine")
    (tmp_path / "metrics.csv").unlink()
    assert generate(small_config(workers=1), tmp_path).summary == first.summary
    assert not (tmp_path / "metrics.csv").exists()  # nothing was done
    assert (first.dataset / "notes.txt").is_file()
    flip(first.dataset / "README.md")
    generate(small_config(), tmp_path)
    assert (tmp_path / "metrics.csv").exists()
    assert list(differences(first.dataset)) == ["notes.txt is not in SHA256SUMS."]


def test_two_runs_in_one_folder_are_refused(tmp_path):
    with (
        RunFolder.open(tmp_path, small_config()),
        pytest.raises(RunFolderError, match="Another command is at work"),
    ):
        generate(small_config(), tmp_path)


def test_a_failing_writer_stops_the_run_with_its_reason(tmp_path, monkeypatch):
    write, threads = RunFolder.finish_cohort, set(threading.enumerate())

    def fail(self, number, table):
        if number == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, number, table)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "finish_cohort", fail)
        with pytest.raises(OSError, match="No space left"):
            generate(small_config(cohort_size=30), tmp_path)
    assert set(threading.enumerate()) <= threads
    assert 0 in Manifest(tmp_path / "cohorts/manifest.jsonl").digests
    assert generate(small_config(cohort_size=30), tmp_path).summary["accepted"] == 28


def test_a_failing_parquet_writer_stops_the_run_with_its_reason(tmp_path, monkeypatch):
    def fail(self, part, table):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ShardWriter, "put", fail)
        with pytest.raises(OSError, match="No space left"):
            generate(small_config(), tmp_path)
    assert not (tmp_path / "dataset").exists()
    again = generate(small_config(), tmp_path)
    assert (again.summary["accepted"], again.summary["attempts_trained"]) == (28, 0)


def test_a_torn_line_of_the_manifest_is_dropped(tmp_path):
    manifest = Manifest(tmp_path / "manifest.jsonl")
    manifest.plan(np.array([3, 4]))
    manifest.plan(np.array([5, 6]))
    truncate_at = (tmp_path / "manifest.jsonl").stat().st_size - 4
    os.truncate(tmp_path / "manifest.jsonl", truncate_at)
    again = Manifest(tmp_path / "manifest.jsonl")
    assert again.plans == [[3, 4]]
    again.plan([7, 8])
    assert Manifest(tmp_path / "manifest.jsonl").plans == [[3, 4], [7, 8]]


class Remarks(Silent):
    """Keeps what was remarked."""

    def __init__(self):
        self.texts = []

    def remark(self, text):
        self.texts.append(text)


@pytest.fixture
def other_numba(monkeypatch):
    """Has this process take itself for one with another version of Numba, on another processor."""
    ours = current_maker()
    theirs = maker.Maker({**ours.versions, "numba": "0.1"}, "a686 (features 0)")
    monkeypatch.setattr("muat_exp.generation.run_folder.current_maker", lambda: theirs)
    monkeypatch.setattr("muat_exp.generation.pipeline.current_maker", lambda: theirs)
    return theirs


def test_a_run_names_all_that_made_it(tmp_path, other_numba, monkeypatch):
    generate(small_config(cohort_size=30), tmp_path)
    monkeypatch.undo()
    ours = current_maker()
    remarks = Remarks()
    more = small_config(dataset=DatasetConfig(num_examples=42), cohort_size=30)
    made = generate(more, tmp_path, remarks)
    (remark,) = remarks.texts
    numba = ours.versions["numba"]
    assert remark.startswith(f"continuing with numba {numba}, the processor {ours.processor}; ")
    assert "cohorts 0-" in remark
    assert "made with numba 0.1, the processor a686 (features 0): last bits may differ" in remark
    summary = json.loads((made.dataset / "summary.json").read_bytes())
    assert summary["versions"]["numba"] == ["0.1", numba]
    assert summary["versions"]["numpy"] == ours.versions["numpy"]
    assert summary["processors"] == ["a686 (features 0)", ours.processor]
    card = (made.dataset / "README.md").read_text()
    assert f"numba 0.1 and {numba}" in card
    assert f"a686 (features 0) and {ours.processor}" in card


def test_a_run_made_in_one_go_names_one_maker(run):
    ours = current_maker()
    assert run.summary["versions"] == ours.versions
    assert run.summary["processors"] == [ours.processor]


@pytest.mark.parametrize("named", [{}, {"maker": 0}, {"maker": "ours"}])
def test_a_cohort_whose_maker_is_not_known_is_made_again(tmp_path, named):
    path = tmp_path / "manifest.jsonl"
    manifest = Manifest(path)
    manifest.plan([30])
    manifest._append({"cohort": 0, "file": "cohort-000000.arrow", "blake2b": "0", **named})
    assert Manifest(path).plans == [[30]]
    assert Manifest(path).digests == {}


def test_a_manifest_of_another_program_is_passed_over(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"path": "a.wav", "duration": 1.5}\n')
    assert Manifest(path).plans == []
    path.unlink()
    path.mkdir()
    with pytest.raises(RunFolderError, match="is no file"):
        Manifest(path)
