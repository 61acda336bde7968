"""Sweeps as a user has them: jobs, gathered tables and plots, restart, failures, launchers."""

import csv
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from scipy import stats
from test_cli import call, call_cold

from muat_exp.app.compose import load_config
from muat_exp.app.multirun import contradicts
from muat_exp.app.sweep_job import show_sweep
from muat_exp.config.files import conf_folder
from muat_exp.errors import SweepError
from muat_exp.executors.processors import processors
from muat_exp.output_folder import OutputFolder
from muat_exp.sweep.files import flat_rows, write_tables
from muat_exp.sweep.folder import list_jobs
from muat_exp.sweep.gather import gather, main_key
from muat_exp.sweep.jobs import Job, exit_code, swept_keys
from muat_exp.sweep.labels import labels
from muat_exp.sweep.launchers import launched_threads, limit_jobs
from muat_exp.sweep.plots import write_plots
from muat_exp.sweep.results import interval, read_improvements

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
    found = [read_improvements(folder / name) for name in "01"]
    first, second = (
        dict(zip(job.numbers.tolist(), job.values.tolist(), strict=True)) for job in found
    )
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
    assert [job.status for job in list_jobs(folder).jobs] == ["finished", "missing"]
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


TINY = [
    "experiment=smoke",
    "training=published",
    "patterns.enabled=[starts_with,ends_with]",
    "dataset.num_examples=4",
    "logger=none",
    "hydra.sweep.dir=out",
]


def test_a_failed_job_is_named_and_does_not_end_the_others(tmp_path):
    (tmp_path / "out/0/dataset").mkdir(parents=True)
    (tmp_path / "out/0/dataset/mine").touch()
    done = call(tmp_path, "-m", *TINY, "corruption.rate=0.2,0.1")
    assert done.returncode == 1
    assert "out/0/dataset is there already" in done.stdout
    assert "Traceback" not in done.stderr
    assert [job.status for job in list_jobs(tmp_path / "out").jobs] == ["failed", "finished"]
    again = call(tmp_path, "task=gather", "sweep_dir=out")
    assert again.returncode == 1
    assert "job 0 (corruption.rate=0.2) failed" in again.stdout
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
    assert "smoke/0/job.json is damaged: status is missing." in done.stdout
    assert (folder / "sweep.csv").is_file()
    assert (folder / "0/job.json").read_text() == "{}"


def test_a_sweep_is_gathered_where_tracebacks_are_asked_for(tmp_path):
    (tmp_path / "Zürich/0/dataset").mkdir(parents=True)
    (tmp_path / "Zürich/0/dataset/mine").touch()
    environment = os.environ | {"HYDRA_FULL_ERROR": "1"}
    arguments = ["-m", *TINY, "corruption.rate=0.1,0.2", "hydra.sweep.dir=Zürich"]
    done = call(tmp_path, *arguments, env=environment)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "job 0 failed: " in done.stderr
    assert "Zürich/0/dataset is there already" in done.stderr
    unfinished = json.loads((tmp_path / "Zürich/sweep.json").read_bytes())["unfinished"]
    assert [job["status"] for job in unfinished] == ["failed"]


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
def test_launchers_make_the_same_datasets(smoke, launcher):
    folder, _ = smoke
    done = call_cold(
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
    options = {"env": plain} if "pip install" in sentence else {}
    done = call(tmp_path, *arguments, **options)
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
    job = list_jobs(folder).jobs[0]
    there = folder / job.folder
    assert contradicts(there, load_config([*job.overrides, "seed=0", "workers=1"])) == ""
    assert contradicts(there, load_config([*job.overrides, "training=robust"])) == ""
    assert contradicts(there, load_config([*job.overrides, "seed=7"])) == "seed=0"
    assert contradicts(folder / "99", load_config()) == ""


def test_intervals_need_two_values():
    assert np.isnan(astuple(interval(np.array([])))).all()
    single = interval(np.array([0.5]))
    assert single.value == 0.5
    assert np.isnan([single.low, single.high]).all()


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
    assert [row.pair.reference for row in sweep.rows] == [0, 0, 2, 2]
    assert [row.swept["signature"] for row in sweep.rows] == [
        "pca_5",
        "pca_5",
        "mean_std",
        "mean_std",
    ]


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
        list_jobs(tmp_path)


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
    job = list_jobs(tmp_path / "out").jobs[0]
    assert all(
        len(part.partition("=")[2]) <= 9
        for part in job.label(list(found["best_params"])).split(", ")
    )


def put(content):
    """A damage: a file with other content."""

    def damage(path):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        path.write_bytes(content)

    return damage


def remove(path):
    put(b"")(path)
    path.unlink()


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replace_by_folder(path):
    remove(path)
    path.mkdir()


def replace_by_fifo(path):
    remove(path)
    os.mkfifo(path)


def replace_by_loop(path):
    remove(path)
    path.symlink_to(path.name)


def retype(path):
    """Every value of a JSON object becomes a list; other files lose their first byte."""
    if path.suffix == ".json":
        values = json.loads(path.read_bytes())
        path.write_text(json.dumps({key: [None] for key in values}))
    else:
        path.write_bytes(path.read_bytes()[1:])


DAMAGES = [
    remove,
    halve,
    replace_by_folder,
    replace_by_fifo,
    replace_by_loop,
    retype,
    put(b""),
    put(b"{}"),
    put(b"[NaN]"),
    put(b"\xff\xfe"),
    put(b"[" * 5000),
]
DAMAGED_FILES = [
    "job.json",
    "summary.json",
    "config.json",
    "cohorts/manifest.jsonl",
    "cohorts/cohort-000000.arrow",
    "dataset/SHA256SUMS",
    "dataset/summary.json",
    "dataset/subjects/train-00000-of-00001.parquet",
]


@pytest.fixture(scope="module")
def intact(smoke, tmp_path_factory):
    """A finished sweep that no other test changes, and its rows."""
    copy = shutil.copytree(smoke[0], tmp_path_factory.mktemp("intact") / "out")
    return copy, gathered(copy)[1]


def gathered(folder):
    """The exit code of gathering, and the rows of `sweep.csv`; plots have tests of their own."""
    sweep = gather(folder)
    write_tables(sweep)
    with (folder / "sweep.csv").open(encoding="utf-8", newline="") as file:
        return sweep.exit_code, list(csv.DictReader(file))


@pytest.mark.parametrize("name", DAMAGED_FILES)
def test_a_damaged_job_is_a_row_and_hides_no_other(intact, tmp_path, name):
    folder, expected = intact
    for number, damage in enumerate(DAMAGES):
        copy = shutil.copytree(folder, tmp_path / str(number))
        damage(copy / "1" / name)
        code, rows = gathered(copy)
        assert code == 1, damage
        assert rows[0] == expected[0], damage
        assert len(rows) == 2
        assert (rows[1]["job"], rows[1]["corruption.rate"]) == ("1", "0.45")
        assert rows[1]["status"] in ("damaged", "missing")
        assert name.split("/")[0] in rows[1]["error"]
        assert rows[1]["paired_difference"] in ("", "nan")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b'[{"overrides": 1, "folder": "0"}]', None]
)
def test_a_damaged_plan_is_a_sentence_and_the_jobs_tell(intact, tmp_path, content):
    folder, expected = intact
    copy = shutil.copytree(folder, tmp_path / "out")
    damage = replace_by_folder if content is None else put(content)
    damage(copy / "sweep-plan.json")
    code, rows = gathered(copy)
    assert code == 1
    assert rows == expected
    assert "sweep-plan.json" in gather(copy).faults[0]


def test_an_edited_cohort_of_the_reference_takes_the_differences_to_it_along(intact, tmp_path):
    copy = shutil.copytree(intact[0], tmp_path / "out")
    cohort = copy / "0/cohorts/cohort-000000.arrow"
    cohort.write_bytes(cohort.read_bytes() + b" ")
    _, rows = gathered(copy)
    assert rows[0]["status"] == "damaged"
    assert rows[1]["status"] == "finished"
    assert [row["paired_difference"] for row in rows] == ["nan", "nan"]
    assert [row["paired_with"] for row in rows] == ["0", "0"]


def test_jobs_are_found_wherever_the_subdir_puts_them(tmp_path):
    subdir = "hydra.sweep.subdir=by/${hydra.job.override_dirname}"
    command = ["-m", *TINY, subdir, "corruption.rate=0.1,0.3"]
    done = call(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    sweep = gather(tmp_path / "out")
    assert [row.swept["corruption.rate"] for row in sweep.rows] == [0.1, 0.3]
    assert all("corruption.rate=0" in job.folder for job in sweep.jobs)
    (tmp_path / "out/sweep-plan.json").unlink()
    assert len(gather(tmp_path / "out").rows) == 2
    again = call(tmp_path, *command)
    assert again.stdout.count("is finished") == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["corruption.rate=0.1,7"], "job 1 (corruption.rate=7): corruption.rate is 7.0"),
        (["corruption.rate=0.1,nan"], "job 1 (corruption.rate=nan)"),
        (
            ["architecture.num_layers.min=3,6", "architecture.num_layers.max=4,6"],
            "job 2 (architecture.num_layers.min=6, architecture.num_layers.max=4)",
        ),
        (["seed=1,2", "hydra.sweep.subdir=same"], "puts job 1 into 'same', as it does job 0"),
        (["seed=1,2", "hydra.sweep.subdir=../${seed}"], "is not a folder below that of the sweep"),
    ],
)
def test_a_wrong_job_is_named_before_the_first_one_runs(tmp_path, arguments, sentence):
    done = call(tmp_path, "-m", *TINY, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_plots_show_any_label_and_any_patterns(intact, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://nowhere")
    sweep = gather(shutil.copytree(intact[0], tmp_path / "out"))
    first, second = sweep.rows
    few = dict(list(second.result.patterns.items())[:1])
    odd = ["$\\frac{", "_<script>%\n|😀{"]
    jobs = [replace(job, overrides=(f"patterns={odd[job.number]}",)) for job in sweep.jobs]
    rows = [
        replace(first, job=jobs[0], swept={"patterns": odd[0]}),
        replace(
            second,
            job=jobs[1],
            swept={"patterns": odd[1]},
            result=replace(second.result, patterns=few),
        ),
    ]
    changed = replace(sweep, jobs=jobs, keys=["patterns"], rows=rows)
    write_tables(changed)
    assert write_plots(changed).faults == []
    table = (sweep.folder / "sweep.md").read_text()
    assert "&lt;script&gt;" in table
    assert all(line.count("|") - line.count("\\|") == 10 for line in table.splitlines()[:4])
    assert flat_rows(changed)[0]["swept/patterns"] == odd[0]


def test_a_plot_that_can_not_be_written_is_a_sentence(intact, tmp_path, capsys):
    folder = shutil.copytree(intact[0], tmp_path / "out")
    (folder / "improvement.png").unlink()
    (folder / "improvement.png").mkdir()
    (folder / "mine.png").write_bytes(b"no picture of ours, and none that W&B could read")
    assert show_sweep(folder) == 0
    shown = capsys.readouterr().out
    assert "\nno plot of improvement: " in shown
    assert "sweep.md, 3 of 4 plots)" in shown


def test_a_run_that_accepts_nobody_says_so(tmp_path):
    keys = ["training.min_test_accuracy=1", "dataset.max_attempts_per_example=1"]
    nobody = [*keys, "dataset.on_shortfall=accept"]
    done = call(tmp_path, "-m", *TINY, *nobody, "seed=1,2")
    assert done.returncode == 1
    assert "None of the 4 attempts was accepted" in done.stderr
    sweep = gather(tmp_path / "out")
    assert [row.result.accepted for row in sweep.rows] == [0, 0]
    assert [job.status for job in sweep.jobs] == ["empty", "empty"]
    assert {path.name for path in (tmp_path / "out").iterdir()} >= PLOTS


@pytest.mark.skipif(version("SQLAlchemy") >= "2", reason="optuna 2 needs SQLAlchemy 1.4")
def test_a_search_in_a_database_counts_on(tmp_path):
    search = ["+sweep=optuna", "hydra.sweeper.n_trials=1", "hydra.sweeper.storage=sqlite:///s.db"]
    for jobs in (1, 2):
        done = call(tmp_path, *search, *TINY[1:], "architecture=small")
        assert done.returncode == 0, done.stderr
        made = list_jobs(tmp_path / "out").jobs
        assert [job.number for job in made] == list(range(jobs))
        assert len({job.overrides for job in made}) == jobs


def test_long_values_are_told_by_what_differs():
    lists = [f"[{','.join('abcdefghijklmnop'[:size])}]" for size in (14, 16)]
    assert list(labels(lists).values()) == ["[14 shared]", "[14 shared, o, p]"]
    paths = [f"/a/very/long/path/to/probes/{name}.json" for name in ("one", "two")]
    assert list(labels(paths).values()) == ["…one…", "…two…"]
    alike = [f"{'x' * 100}{number}{'y' * 100}" for number in range(3)]
    assert len(set(labels(alike).values())) == 3
