"""Sweeps as a user has them: jobs, gathered tables and plots, restart, failures, launchers."""

import csv
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from scipy import stats
from test_cli import call

from muat_exp.config.files import conf_folder
from muat_exp.errors import SweepError
from muat_exp.executors.processors import processors
from muat_exp.output_folder import OutputFolder
from muat_exp.sweep.callback import contradicts
from muat_exp.sweep.gather import gather, interval, main_key, trained_improvements
from muat_exp.sweep.jobs import Job, exit_code, read_jobs, swept_keys
from muat_exp.sweep.launchers import launched_threads, limit_jobs

PLOTS = {
    f"{name}.{kind}"
    for name in ("improvement", "accuracy", "acceptance", "patterns")
    for kind in ("png", "svg")
}

WITHOUT_PLUGINS = """
import sys, types
# The folder of Hydra's plugins, empty.
sys.modules["hydra_plugins"] = types.ModuleType("hydra_plugins")
sys.modules["hydra_plugins"].__path__ = []
"""


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    done = call(folder, "+sweep=smoke", "hydra.sweep.dir=smoke")
    assert done.returncode == 0, done.stderr
    return folder / "smoke", done


def dataset_files(job):
    return {
        path.name: path.read_bytes()
        for path in sorted((job / "dataset").rglob("*"))
        if path.is_file()
    }


def living_processes_in(folder):
    """Command lines of the processes that work in a folder, as those of a launcher's workers do."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if folder in (place := (process / "cwd").resolve(), *place.parents):
                found.append((process / "cmdline").read_bytes())
        except OSError:  # it has ended, or is another user's
            continue
    return found


def test_a_sweep_leaves_a_table_and_plots(smoke):
    folder, done = smoke
    assert {path.name for path in folder.iterdir()} >= PLOTS
    assert all((folder / name).stat().st_size > 2000 for name in PLOTS)
    assert "Sweep over corruption.rate" in done.stdout
    content = json.loads((folder / "sweep.json").read_bytes())
    assert content["swept"] == ["corruption.rate"]
    assert [job["corruption.rate"] for job in content["jobs"]] == [0.05, 0.45]
    assert content["unfinished"] == []
    with (folder / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["finished", "finished"]
    assert (
        float(rows[1]["palindrome/acceptance"])
        == content["jobs"][1]["patterns"]["palindrome"]["acceptance"]
    )


def test_subjects_are_paired_across_jobs(smoke):
    folder, _ = smoke
    first, second = (trained_improvements(folder / name) for name in "01")
    both = sorted(first.keys() & second.keys())
    row = json.loads((folder / "sweep.json").read_bytes())["jobs"][1]
    differences = np.array([second[number] - first[number] for number in both])
    assert row["paired_subjects"] == len(both) > 10
    assert row["paired_difference"] == pytest.approx(differences.mean())
    expected = stats.t.interval(0.95, len(both) - 1, differences.mean(), stats.sem(differences))
    assert (row["paired_low"], row["paired_high"]) == pytest.approx(expected)


def test_a_restart_skips_what_is_finished_and_makes_the_rest(smoke):
    folder, _ = smoke
    before = dataset_files(folder / "1")
    (folder / "1/job.json").unlink()
    (folder / "1/dataset/README.md").unlink()
    assert [job.status for job in read_jobs(folder)] == ["finished", "missing"]
    done = call(folder.parent, "+sweep=smoke", "hydra.sweep.dir=smoke")
    assert "job 0 is finished" in done.stdout
    assert "job 1 is finished" not in done.stdout
    assert dataset_files(folder / "1") == before


def test_a_sweep_whose_folder_was_renamed_and_lost_its_lists_is_finished(smoke, tmp_path):
    hidden = shutil.ignore_patterns(".*")
    shutil.copytree(smoke[0], tmp_path / "renamed", ignore=hidden)
    done = call(tmp_path, "+sweep=smoke", "hydra.sweep.dir=renamed")
    assert done.returncode == 0, done.stderr
    assert "job 0 is finished" in done.stdout
    assert "job 1 is finished" in done.stdout


def test_a_folder_of_another_sweep_is_refused(smoke):
    folder, _ = smoke
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    done = call(folder.parent, "+sweep=smoke", "corruption.rate=0.1,0.2", "hydra.sweep.dir=smoke")
    assert done.returncode == 1
    assert "holds another sweep: job 0 there has corruption.rate=0.05" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before


def test_a_failed_job_is_named_and_does_not_end_the_others(tmp_path):
    keys = [
        "experiment=smoke",
        "training=published",
        "patterns.enabled=[starts_with,ends_with]",
        "dataset.num_examples=4",
    ]
    done = call(
        tmp_path, "-m", *keys, "logger=none", "corruption.rate=7,0.1", "hydra.sweep.dir=out"
    )
    assert done.returncode == 2
    assert "corruption.rate is 7.0; it must be between 0 and 1" in done.stdout
    assert "Traceback" not in done.stderr
    assert [job.status for job in read_jobs(tmp_path / "out")] == ["failed", "finished"]
    again = call(tmp_path, "task=gather", "sweep_dir=out")
    assert again.returncode == 0
    assert "job 0 (corruption.rate=7" in again.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    unfinished = json.loads((tmp_path / "out/sweep.json").read_bytes())["unfinished"]
    assert [job["job"] for job in unfinished] == [0]


def test_a_record_of_somebody_else_ends_neither_the_other_jobs_nor_the_table(smoke, tmp_path):
    folder = shutil.copytree(smoke[0], tmp_path / "smoke")
    (folder / "0/.muat_exp").unlink()
    (folder / "0/job.json").write_text("{}")
    (folder / "sweep.csv").unlink()
    done = call(tmp_path, "+sweep=smoke", "hydra.sweep.dir=smoke")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "job 1 is finished" in done.stdout
    assert "smoke/0/job.json is no record of a job" in done.stdout
    assert (folder / "sweep.csv").is_file()
    assert (folder / "0/job.json").read_text() == "{}"


def test_a_sweep_is_gathered_where_tracebacks_are_asked_for(tmp_path):
    environment = os.environ | {"HYDRA_FULL_ERROR": "1"}
    arguments = ["-m", "corruption.rate=7,8", "logger=none", "hydra.sweep.dir=Zürich"]
    done = call(tmp_path, *arguments, env=environment)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "job 1 failed: corruption.rate is 8.0; it must be between 0 and 1." in done.stderr
    unfinished = json.loads((tmp_path / "Zürich/sweep.json").read_bytes())["unfinished"]
    assert [job["status"] for job in unfinished] == ["failed", "failed"]
    again = call(tmp_path, "task=gather", "sweep_dir=Zürich")
    assert again.returncode == 0
    assert "job 1 (corruption.rate=8) failed" in again.stdout


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
def test_launchers_make_the_same_datasets(smoke, launcher):
    folder, _ = smoke
    done = call(
        folder.parent,
        "+sweep=smoke",
        "logger=csv",
        f"hydra/launcher={launcher}",
        f"hydra.sweep.dir={launcher}",
    )
    assert done.returncode == 0, done.stderr
    for name in "01":
        assert dataset_files(folder.parent / launcher / name) == dataset_files(folder / name)
    assert living_processes_in(folder.parent) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["task=gather", "sweep_dir=nowhere"], "there is no such folder"),
        (["task=gather", "sweep_dir=."], "holds no sweep"),
        (["task=gather"], "task=gather needs sweep_dir"),
        (["+sweep=mediun"], "Did you mean 'medium'?"),
        (["+sweep=smoke", "corruption.rat=0,1"], "corruption.rate"),
        (["+sweep=smoke", "hydra/launcher=slrum"], "Did you mean 'slurm'?"),
        (["+sweep=smoke", "hydra/launcher=joblib"], "pip install 'muat_exp[joblib]'"),
        (["+sweep=smoke", "hydra/launcher=slurm"], "pip install 'muat_exp[submitit]'"),
        (["+sweep=smoke", "hydra/launcher=ray"], "pip install 'muat_exp[ray]'"),
        (["+sweep=optuna"], "pip install 'muat_exp[optuna]'"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, arguments, sentence):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_PLUGINS)
    plain = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    }
    done = call(tmp_path, *arguments, env=plain if "pip install" in sentence else os.environ)
    assert done.returncode in (1, 2)
    assert sentence in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_joblib_runs_no_more_jobs_than_there_are_processors():
    arguments = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=999"]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("config", arguments, return_hydra_config=True)
    limit_jobs(config)
    assert config.hydra.launcher.n_jobs == processors()
    assert launched_threads(config.hydra, processors()) == 1


def test_the_slurm_preset_composes(tmp_path):
    done = call(
        tmp_path,
        "+sweep=smoke",
        "hydra/launcher=slurm",
        "hydra.launcher.partition=cpu",
        "--cfg",
        "hydra",
    )
    assert done.returncode == 0, done.stderr
    assert "hydra_plugins.hydra_submitit_launcher" in done.stdout
    assert "partition: cpu" in done.stdout


def test_folders_claimed_in_one_second_differ(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: OutputFolder.claim(tmp_path / "12-00-00"), range(16)))
    assert len({folder.path for folder in claimed}) == 16


def test_a_job_contradicts_only_other_data(smoke):
    folder, _ = smoke
    job = read_jobs(folder)[0]
    there = folder / "0"
    assert (
        contradicts(there, job, Job(0, (*job.overrides, "seed=0", "workers=1", "training=robust")))
        == ""
    )
    assert contradicts(there, job, Job(0, (*job.overrides, "seed=7"))) == "seed=0"
    assert contradicts(folder / "99", job, Job(0, ())) == ""


def test_intervals_need_two_values():
    assert np.isnan(interval(np.array([]))).all()
    assert interval(np.array([0.5]))[0] == 0.5
    assert np.isnan(interval(np.array([0.5]))[1:]).all()


def test_the_axis_is_the_numeric_key_with_the_most_values():
    rows = [
        {"signature": s, "corruption.rate": r} for s in ("pca_5", "mean_std") for r in (0, 0.1, 0.2)
    ]
    assert main_key(rows, ["signature", "corruption.rate"]) == "corruption.rate"
    assert main_key(rows, ["signature"]) == "signature"
    seeded = [{"signature": s, "seed": seed} for s in ("pca_5", "pca_15") for seed in (0, 1)]
    assert main_key(seeded, ["signature", "seed"]) == "signature"


def test_swept_keys_differ_between_jobs():
    jobs = [Job(0, ("a=1", "b=2")), Job(1, ("a=1", "b=3"))]
    assert swept_keys(jobs) == ["b"]
    assert exit_code(jobs) == 1


def test_two_way_and_categorical_sweeps_are_drawn(tmp_path):
    keys = [
        "experiment=smoke",
        "training=published",
        "patterns.enabled=[starts_with,ends_with]",
        "dataset.num_examples=6",
    ]
    attempts = [
        "dataset.max_attempts_per_example=1",
        "dataset.on_shortfall=accept",
        "patterns.examples_per_subject=100",
    ]
    attempts.append("logger=none")
    done = call(
        tmp_path,
        "-m",
        *keys,
        *attempts,
        "signature=pca_5,mean_std",
        "corruption.rate=0.1,0.3",
        "hydra.sweep.dir=out",
    )
    assert done.returncode == 0, done.stderr
    sweep = gather(tmp_path / "out")
    assert sweep.keys == ["signature", "corruption.rate"]
    assert [row["paired_with"] for row in sweep.rows] == [0, 0, 2, 2]
    assert [row["signature"] for row in sweep.rows] == ["pca_5", "pca_5", "mean_std", "mean_std"]


def test_the_command_of_the_wandb_sweep_file_runs(tmp_path):
    path = Path(__file__).parent.parent / "multirun_examples/wandb-sweep.yaml"
    sweep = yaml.safe_load(path.read_text())
    chosen = [f"{key}={parameter['values'][-1]}" for key, parameter in sweep["parameters"].items()]
    words = [
        word
        for part in sweep["command"]
        for word in (chosen if part == "${args_no_hyphens}" else [part])
    ]
    assert words[:4] == ["${env}", "python", "-m", "muat_exp"]
    smaller = [
        "logger.mode=offline",
        "dataset.num_examples=14",
        "architecture=small",
        "hydra.run.dir=out",
    ]
    done = call(tmp_path, *words[4:], *smaller)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "out/config.json").read_bytes())["config"]
    assert (config["training"]["recipe"], config["corruption"]["rate"]) == ("published", 0.45)
    assert (
        sweep["metric"]["name"]
        in json.loads((tmp_path / "out/summary.json").read_bytes())["accuracy"]
    )


def test_a_folder_without_jobs_is_refused(tmp_path):
    with pytest.raises(SweepError, match="holds no sweep"):
        read_jobs(tmp_path)


def test_a_search_names_its_best_job_and_shortens_long_numbers(tmp_path):
    keys = [
        "architecture=small",
        "training=published",
        "patterns.enabled=[starts_with,ends_with]",
        "dataset.num_examples=28",
    ]
    done = call(
        tmp_path,
        "+sweep=optuna",
        "hydra.sweeper.n_trials=3",
        *keys,
        "logger=none",
        "hydra.sweep.dir=out",
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out/sweep.json").read_bytes())["jobs"]
    best = max(rows, key=lambda row: row["acceptance"] * (row["improvement"] or 0))
    assert (
        f"best: job {best['job']}, acceptance x improvement {best['objective']:.3f}" in done.stdout
    )
    found = yaml.safe_load((tmp_path / "out/optimization_results.yaml").read_text())
    assert found["best_value"] == pytest.approx(best["objective"])
    job = read_jobs(tmp_path / "out")[0]
    assert all(
        len(part.partition("=")[2]) <= 9
        for part in job.label(list(found["best_params"])).split(", ")
    )
