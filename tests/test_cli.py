"""The command line as a user has it: a process of its own in a folder of its own."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

SMALL = ["experiment=smoke", "training=published", "patterns.enabled=[starts_with,contains_abc]", "dataset.num_examples=6"]


def command(*arguments):
    return [sys.executable, "-m", "muat_exp", *arguments]


def call(folder, *arguments, **options):
    return subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, timeout=120, check=False, **options)


def test_a_run_writes_what_it_says(tmp_path):
    done = call(tmp_path, *SMALL, "hydra.run.dir=out")
    assert done.returncode == 0, done.stderr
    assert 'datasets.load_dataset("out/dataset", split="train")' in done.stdout
    assert "accepted" in done.stdout
    assert "Warning" not in done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"dataset", "summary.json", "metrics.csv", "config.json"}
    assert pq.read_table(tmp_path / "out/dataset/prompts").num_rows == 6


def test_the_same_command_again_trains_nothing_and_keeps_the_speed(tmp_path):
    assert call(tmp_path, *SMALL, "hydra.run.dir=out").returncode == 0
    before = json.loads((tmp_path / "out/summary.json").read_bytes())
    assert call(tmp_path, *SMALL, "hydra.run.dir=out").returncode == 0
    after = json.loads((tmp_path / "out/summary.json").read_bytes())
    assert after == before
    assert after["attempts_per_second"] > 0


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["corruption.rate=2"]])
def test_answers_come_before_torch_is_imported(tmp_path, arguments):
    done = call(tmp_path, *arguments, env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"})
    assert "torch" not in {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "numba" not in {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}


@pytest.mark.parametrize(
    "arguments", [["corruption.rate=2"], ["patterns=defualt"], ["+x=1"], ["seeed=1"], ["architecture.num_layers=3"]]
)
def test_a_wrong_configuration_is_one_sentence_and_exit_code_2(tmp_path, arguments):
    done = call(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_a_folder_of_another_configuration_is_refused(tmp_path):
    assert call(tmp_path, *SMALL, "hydra.run.dir=out").returncode == 0
    done = call(tmp_path, *SMALL, "hydra.run.dir=out", "corruption.rate=0.3")
    assert done.returncode == 1
    assert "corruption.rate" in done.stderr
    assert "Traceback" not in done.stderr


def test_resume_takes_the_configuration_from_the_folder(tmp_path):
    assert call(tmp_path, *SMALL, "hydra.run.dir=out").returncode == 0
    longer = call(tmp_path, "resume=out", "dataset.num_examples=8")
    assert longer.returncode == 0, longer.stderr
    assert pq.read_table(tmp_path / "out/dataset/prompts").num_rows == 8
    changed = call(tmp_path, "resume=out", "corruption=heavy")
    assert changed.returncode == 2
    assert "leave out 'corruption'" in changed.stderr
    missing = call(tmp_path, "resume=nowhere")
    assert missing.returncode == 2
    assert "holds no run" in missing.stderr


def test_a_pattern_that_cannot_fill_its_quota_is_named(tmp_path):
    never = [*SMALL, "training.min_test_accuracy=1.0", "dataset.max_attempts_per_example=2", "hydra.run.dir=out"]
    done = call(tmp_path, *never)
    assert done.returncode == 1
    assert "contains_abc" in done.stderr or "starts_with" in done.stderr
    assert "acceptance" in done.stderr
    accepted = call(tmp_path, *never, "dataset.on_shortfall=accept")
    assert accepted.returncode == 0, accepted.stderr
    assert json.loads((tmp_path / "out/summary.json").read_bytes())["accepted"] < 6


def test_a_disk_that_fills_up_is_a_sentence(tmp_path):
    def little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))

    done = call(tmp_path, *SMALL, "hydra.run.dir=out", preexec_fn=little_room)
    assert done.returncode == 1
    assert "can't be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = call(tmp_path, *SMALL, "hydra.run.dir=file/out")
    assert done.returncode == 1
    assert "can't be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_keeps_finished_cohorts_and_the_same_command_continues(tmp_path):
    long = ["architecture=small", "dataset.num_examples=3000", "cohort_size=64", "hydra.run.dir=out"]
    process = subprocess.Popen(command(*long), cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    cohorts = tmp_path / "out/cohorts"
    deadline = time.monotonic() + 100
    while len(list(cohorts.glob("cohort-*.arrow"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "hydra.run.dir=out" in errors or f"hydra.run.dir={tmp_path}" in errors
    assert "Traceback" not in errors
    kept = len(list(cohorts.glob("cohort-*.arrow")))
    assert kept >= 2
    done = call(tmp_path, *long[:1], "dataset.num_examples=56", "cohort_size=64", "hydra.run.dir=out")
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "out/dataset/subjects").num_rows >= 56
