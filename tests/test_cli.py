"""The command line as a user has it: a process of its own in a folder of its own."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from conftest import HANGS
from warm_start import WarmStart, environment

from muat_exp.app.compose import load_config
from muat_exp.app.main import main
from muat_exp.config.files import conf_folder, first_comment, option_names
from muat_exp.generation.pipeline import generate
from muat_exp.generation.run_folder import RunFolder

SMALL = [
    "experiment=smoke",
    "training=published",
    "patterns.enabled=[starts_with,contains_abc]",
    "dataset.num_examples=6",
]


def command(*arguments):
    return [sys.executable, "-m", "muat_exp", *arguments]


def hear_interrupts():
    """Has a child hear Ctrl-C also where pytest itself was started in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


WARM: list[WarmStart] = []  # of this process: one, or none


def call(folder, *arguments, **options):
    """Runs a command: warm, but where it needs an environment or a start of its own."""
    if not WARM:
        WARM.append(WarmStart())
    if not options and environment() == WARM[0].environment:
        return WARM[0].call(folder, arguments)
    return call_cold(folder, *arguments, **options)


def call_cold(folder, *arguments, **options):
    """Runs a command as a user's shell does."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
        **options,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run in `out` below a folder, and what it printed."""
    folder = tmp_path_factory.mktemp("cli")
    done = call(
        folder, *SMALL, "hydra.run.dir=out", env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    )
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture
def copied(finished, tmp_path):
    """A folder of its own with a copy of the finished run."""
    return shutil.copytree(finished[0], tmp_path / "copied")


def test_a_run_writes_what_it_says(finished):
    folder, done = finished
    assert 'datasets.load_dataset("out/dataset", split="train")' in done.stdout
    assert "accepted" in done.stdout
    assert "Warning" not in done.stderr
    assert {path.name for path in (folder / "out").iterdir()} >= {
        "dataset",
        "summary.json",
        "metrics.csv",
        "config.json",
    }
    assert not (folder / "out/.hydra").exists()
    assert pq.read_table(folder / "out/dataset/prompts").num_rows == 6


def imported(done):
    """Top-level and second-level names of the modules that a process imported."""
    names = [
        line.rpartition("|")[2].strip()
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    ]
    return {name.partition(".")[0] for name in names} | set(names)


def test_the_command_line_makes_the_bytes_of_the_function(finished, tmp_path):
    folder, _ = finished
    whole = generate(load_config([*SMALL, "logger=none"]), tmp_path)
    for part in ("prompts", "subjects"):
        (ours,), (theirs,) = (
            list((dataset / part).glob("*.parquet"))
            for dataset in (folder / "out/dataset", whole.dataset)
        )
        assert ours.read_bytes() == theirs.read_bytes()


def test_the_same_command_again_trains_nothing_and_keeps_the_speed(copied):
    before = json.loads((copied / "out/summary.json").read_bytes())
    assert call(copied, *SMALL, "hydra.run.dir=out").returncode == 0
    after = json.loads((copied / "out/summary.json").read_bytes())
    assert after == before
    assert after["attempts_per_second"] > 0


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["corruption.rate=2"]])
def test_answers_come_before_torch_is_imported(tmp_path, arguments):
    done = call(tmp_path, *arguments, env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"})
    assert "hydra" in imported(done)
    assert not imported(done) & {"torch", "numba"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["corruption.rate=2"],
        ["patterns=defualt"],
        ["+x=1"],
        ["seeed=1"],
        ["architecture.num_layers=3"],
    ],
)
def test_a_wrong_configuration_is_one_sentence_and_exit_code_2(tmp_path, arguments):
    done = call(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_a_folder_of_another_configuration_is_refused(finished):
    done = call(finished[0], *SMALL, "hydra.run.dir=out", "corruption.rate=0.3")
    assert done.returncode == 1
    assert "corruption.rate" in done.stderr
    assert "Traceback" not in done.stderr


def test_resume_takes_the_configuration_from_the_folder(copied):
    longer = call(copied, "resume=out", "dataset.num_examples=8")
    assert longer.returncode == 0, longer.stderr
    assert pq.read_table(copied / "out/dataset/prompts").num_rows == 8
    changed = call(copied, "resume=out", "corruption=heavy")
    assert changed.returncode == 2
    assert "leave out 'corruption'" in changed.stderr
    missing = call(copied, "resume=nowhere")
    assert missing.returncode == 2
    assert "holds no run" in missing.stderr


def test_two_folders_for_one_run_are_refused(copied):
    done = call(copied, "resume=out", "hydra.run.dir=other")
    assert done.returncode == 2
    assert "resume=out continues the run in that folder; leave out hydra.run.dir." in done.stderr


def test_another_signature_has_to_fit_the_datasets_patterns_alone(copied):
    arguments = ["task=signature", "dataset=out/dataset", "signature.probes=5"]
    done = call(copied, *arguments, "hydra.run.dir=made")
    assert done.returncode == 0, done.stderr
    assert pq.read_table(copied / "made/dataset/subjects").num_rows == 6


def test_a_pattern_that_cannot_fill_its_quota_is_named(tmp_path):
    hardly = [
        *SMALL,
        "training.min_test_accuracy=0.9",
        "dataset.max_attempts_per_example=2",
        "logger=none",
    ]
    done = call(tmp_path, *hardly, "hydra.run.dir=out")
    assert done.returncode == 1
    assert "contains_abc" in done.stderr or "starts_with" in done.stderr
    assert "acceptance" in done.stderr
    accepted = generate(load_config([*hardly, "dataset.on_shortfall=accept"]), tmp_path / "out")
    assert 0 < accepted.summary["accepted"] < 6


def test_a_disk_that_fills_up_is_a_sentence(tmp_path):
    def little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))

    done = call(tmp_path, *SMALL, "logger=none", "hydra.run.dir=out", preexec_fn=little_room)
    assert done.returncode == 1
    assert "can't be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = call(tmp_path, *SMALL, "logger=none", "hydra.run.dir=file/out")
    assert done.returncode == 1
    assert "can't be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_run_in_the_folder_is_refused_and_ctrl_c_keeps_finished_cohorts(tmp_path):
    long = [
        "architecture=small",
        "dataset.num_examples=3000",
        "cohort_size=64",
        "hydra.run.dir=out",
        "logger=csv",
    ]
    process = subprocess.Popen(
        command(*long),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=hear_interrupts,
    )
    cohorts = tmp_path / "out/cohorts"
    deadline = time.monotonic() + HANGS
    while len(list(cohorts.glob("cohort-*.arrow"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGSTOP)  # at work, but not done before the second begins
    second = call(tmp_path, *long)
    assert second.returncode == 1
    assert "Another command is at work in" in second.stderr
    assert "Traceback" not in second.stderr
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, errors = process.communicate(timeout=HANGS)
    assert process.returncode == 130
    assert "hydra.run.dir=out" in errors or f"hydra.run.dir={tmp_path}" in errors
    assert "Traceback" not in errors
    assert len(list(cohorts.glob("cohort-*.arrow"))) >= 2
    done = generate(
        load_config([*long[:1], "dataset.num_examples=56", "cohort_size=64"]), tmp_path / "out"
    )
    assert done.summary["accepted"] >= 56
    assert pq.read_table(done.dataset / "subjects").num_rows == done.summary["accepted"]


def test_a_folder_that_went_is_a_sentence(tmp_path):
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" "$@"'
    done = subprocess.run(
        ["bash", "-c", script, *command(*SMALL)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: The current folder is gone")


def test_a_first_call_says_that_it_compiles(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "empty"), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command(*SMALL, "logger=none", "hydra.run.dir=out"),
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "compiling kernels (once, about a minute)\n"
    process.kill()  # its locks die with it
    process.communicate()
    with RunFolder.open(tmp_path / "out", load_config([*SMALL, "logger=none"])) as run:
        assert run.manifest.plans == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["predictions=answers.jsonl"], "predictions=answers.jsonl is for task=score"),
        (["hydra.sweep.dir=", "-m", "seed=1,2"], "names no folder"),
        (["-m", "seed=1,2", "seeed=1"], "Did you mean 'seed'?"),
        (["hydra.run.dir=x", "resume=nowhere"], "holds no run"),
        (["dataset=outputs/demo/dataset"], "names a folder, which needs task="),
        (["task=validate", "dataset=x,y/dataset"], "\"dataset='x,y/dataset'\""),
        (["-m", "task=validate", "dataset=x"], "A multirun makes datasets"),
        (["-m", "task=validate,score"], "A multirun makes datasets"),
        (["-m", "task=generate,score"], "run task=score by itself"),
        (["-m", "resume=nowhere", "seed=1,2"], "resume continues one run"),
        (["-m", "resume=one,two"], "resume continues one run"),
        (["seed=${foo}"], "seed refers to '${foo}', which the configuration does not have."),
        (["hydra.run.dir="], "names no folder"),
        (["dataset.tasks=modification"], "such as [modification]"),
        (["--cfg", "job", "--package", "nowhere"], "error: package 'nowhere' not found in config"),
        (["architecture.num_layers=8"], "architecture.num_layers.min, architecture.num_layers.max"),
    ],
)
def test_a_mistake_is_explained(tmp_path, arguments, sentence):
    done = call(tmp_path, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_main_returns_the_code_of_a_multirun_that_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["muat_exp"])
    assert main(["-m", "task=validate,score"]) == 2
    assert capsys.readouterr().err.startswith("error: A multirun makes datasets")


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"config_signature": "", "config": {"a": 1}}']
)
def test_a_damaged_run_that_is_resumed_is_a_sentence(tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/config.json").write_text(content)
    done = call(tmp_path, "resume=out")
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["config.json"]


def test_help_lists_every_task_with_what_it_does(tmp_path):
    done = call(tmp_path, "--help")
    assert done.returncode == 0
    for name in option_names("task"):
        path = conf_folder() / "task" / f"{name}.yaml"
        assert f"task={name:<12} {first_comment(path)}" in done.stdout


def test_the_base_of_a_group_is_not_offered_as_an_option(tmp_path):
    for group in ("signature", "logger", "architecture"):
        done = call(tmp_path, f"{group}=nope")
        assert done.returncode == 2
        assert f"Group '{group}' has no option 'nope'; it has {option_names(group)[0]}, " in (
            done.stderr
        )
        assert "base" not in done.stderr
        assert "base" not in option_names(group)


def test_tracebacks_come_beside_the_sentences_where_they_are_asked_for(tmp_path):
    environment = os.environ | {"HYDRA_FULL_ERROR": "1"}
    wrong = call(tmp_path, "corruption.rate=2", env=environment)
    assert wrong.returncode == 2
    assert "Traceback" in wrong.stderr
    last = wrong.stderr.splitlines()[-1]
    assert last == "error: corruption.rate is 2.0; it must be between 0 and 1."
    absent = call(tmp_path, "seeed=1", env=environment)
    assert absent.returncode == 2
    assert absent.stderr.splitlines()[-1].startswith("error: Unknown configuration key 'seeed'")
    refused = call(tmp_path, "-m", "seed=1,x", env=environment)
    assert refused.returncode == 2
    assert "Traceback" in refused.stderr
    assert refused.stderr.splitlines()[-1].startswith("error: job 1 (seed=x): seed is 'x'")
    missing = call(tmp_path, "task=validate", "dataset=nowhere", env=environment)
    assert missing.returncode == 1
    assert missing.stderr.splitlines()[-1].startswith("error: There is no folder nowhere")


@pytest.mark.parametrize("name", ["Zürich", 'a "b\\'])
def test_resume_continues_in_a_folder_of_any_name(copied, name):
    (copied / "out").rename(copied / name)
    done = call(copied, f"resume={name}", "logger=none", "dataset.num_examples=8")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in copied.iterdir()} == {name}
    assert pq.read_table(copied / name / "dataset/prompts").num_rows == 8


@pytest.mark.parametrize("name", ["Zürich/dataset", "a b", "~/x"])
def test_a_dataset_may_have_any_name(copied, name):
    folder = copied / name.replace("~", "home")
    folder.parent.mkdir(exist_ok=True)
    (copied / "out/dataset").rename(folder)
    environment = os.environ | {"HOME": str(copied / "home")}
    done = call(copied, "task=validate", f"dataset={name}", env=environment)
    assert done.returncode == 0, done.stderr
    assert "is sound" in done.stdout


def test_a_run_may_go_to_any_folder_and_inputs_stay_where_they_were_typed(tmp_path):
    made = call(tmp_path, "task=probes", "signature.probes=30", "hydra.run.dir=выход")
    assert made.returncode == 0, made.stderr
    assert {path.name for path in (tmp_path / "выход").iterdir()} == {
        ".muat_exp",
        "probe_set.json",
        "benchmark_set.json",
    }
    checked = call(
        tmp_path,
        "task=probes",
        "signature.probe_set=выход/probe_set.json",
        "hydra.job.chdir=true",
        "hydra.run.dir=elsewhere",
    )
    assert checked.returncode == 0, checked.stderr
    assert "is sound" in checked.stdout


@pytest.mark.parametrize("folder", [[], ["hydra.sweep.dir=some/where"]])
def test_a_sweep_that_is_refused_leaves_no_folder(tmp_path, folder):
    for arguments in (["corruption.rat=0,1"], ["training=robust,publishd"]):
        done = call(tmp_path, "+sweep=smoke", *arguments, *folder)
        assert done.returncode == 2
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["corruption.rate=2"], 2),
        (["corruption.rate=2", "hydra.run.dir=some/where"], 2),
        (["corruption.rate=2", "hydra.run.dir=here", "hydra.job.chdir=true"], 2),
        (["signature.probe_set=nowhere.json"], 2),
        (["task=probes", "seed=-1"], 2),
        (["task=score", "dataset=nowhere", "predictions=answers.jsonl"], 1),
        (["task=signature", "dataset=nowhere"], 1),
    ],
)
def test_a_command_that_is_refused_leaves_nothing(tmp_path, arguments, code):
    done = call(tmp_path, *arguments)
    assert done.returncode == code, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_score_that_is_refused_leaves_nothing(copied):
    before = sorted(copied.rglob("*"))
    judged = ["task=score", "dataset=out/dataset", "predictions=absent.jsonl"]
    for folder in ([], ["hydra.run.dir=."], ["hydra.run.dir=new/folder"]):
        assert call(copied, *judged, *folder).returncode == 1
        assert sorted(copied.rglob("*")) == before


def test_a_refused_command_leaves_a_folder_that_was_there(tmp_path):
    (tmp_path / "empty").mkdir()
    done = call(tmp_path, "corruption.rate=2", "hydra.run.dir=empty")
    assert done.returncode == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_a_run_folder_that_is_a_file_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    done = call(tmp_path, *SMALL, "hydra.run.dir=file")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_folder_of_a_run_is_not_taken_for_a_dataset(run, tmp_path):
    done = call(tmp_path, "task=validate", f"dataset={run.folder}")
    assert done.returncode == 1
    assert f"Did you mean {run.dataset}?" in done.stderr
