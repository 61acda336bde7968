"""What W&B, TensorBoard and metrics.csv hold after a run, read back by their own tools."""

import csv
import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from conftest import HANGS, small_config
from test_cli import call

from muat_exp.app.compose import load_config
from muat_exp.config.groups import _LOGGERS, LoggerConfig, TrainingConfig
from muat_exp.errors import ConfigurationError, TrackingError
from muat_exp.generation import pipeline
from muat_exp.generation.pipeline import generate
from muat_exp.generation.run_folder import RunFolder
from muat_exp.progress import Silent
from muat_exp.tracking import wandb_results, weights_and_biases
from muat_exp.tracking.choice import _TRACKERS
from muat_exp.tracking.curves import MeanCurves
from muat_exp.tracking.metrics_file import MetricsFile
from muat_exp.tracking.tracker import Progress
from muat_exp.tracking.wandb_environment import (
    ignored_text,
    require_login,
    resolved,
    shortened,
)
from muat_exp.tracking.weights_and_biases import _contained
from muat_exp.training.statistics import statistic_names

CANARY = "canary0123456789canary0123456789canary01"


class Ear:
    """A port of this machine that counts who knocks."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.knocks = 0
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.knocks += 1
            connection.close()


def records(folder):
    """All records of the one offline W&B run in a folder."""
    (log,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    leet = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(log)]
    done = subprocess.run(leet, capture_output=True, text=True, check=False)
    if "No such command" in done.stderr:
        pytest.skip("this version of wandb does not show offline runs")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_kind(listed, kind):
    return [record[kind] for record in listed if record["type"] == kind]


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    folder, ear = tmp_path_factory.mktemp("tracked"), Ear()
    proxies = dict.fromkeys(
        ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"],
        ear.url,
    )
    environment = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"}
    environment |= proxies | {
        "WANDB_BASE_URL": ear.url,
        "WANDB_API_KEY": CANARY,
        "HF_TOKEN": CANARY,
        "HOME": str(folder / "home"),
    }
    (folder / "home").mkdir()
    for git in (
        ["init", "-q"],
        [
            "-c",
            "user.name=me",
            "-c",
            "user.email=me@here",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "first",
        ],
    ):
        subprocess.run(["git", *git], cwd=folder, check=True)
    done = call(
        folder,
        "+sweep=smoke",
        "hydra.sweep.dir=out",
        "seed=3",
        "logger.tags=[mine]",
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return folder, ear, done


def test_nothing_goes_over_the_network_or_to_the_home_folder(tracked):
    folder, ear, done = tracked
    assert ear.knocks == 0
    written = [
        path
        for path in (folder / "home").rglob("*")
        if path.is_file() and "matplotlib" not in path.parts
    ]
    assert written == []
    assert "wandb" not in (done.stdout + done.stderr).lower()


def test_secrets_reach_no_file(tracked):
    folder, _, done = tracked
    assert CANARY not in done.stdout + done.stderr
    assert not [
        path
        for path in folder.rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes()
    ]


def test_a_job_is_one_run_with_its_configuration_metrics_table_and_dataset(tracked):
    folder, _, _ = tracked
    listed = records(folder / "out/1")
    (run,) = of_kind(listed, "run")
    assert (run["config"]["update"]["seed"], run["config"]["update"]["corruption"]["rate"]) == (
        3,
        0.45,
    )
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert run["config"]["update"]["git_commit"] == commit
    assert run["display_name"] == "corruption.rate=0.45"
    assert run["run_group"].endswith("out")
    assert {"mine", "robust", "pca", "corruption 0.45"} <= set(run["tags"])
    assert "dataset" in {artifact["type"] for artifact in of_kind(listed, "artifact")}
    assert listed[-1]["type"] == "exit"
    text = json.dumps(of_kind(listed, "history"))
    for key in (
        "degraded/train_loss_mean",
        "clean/validation_accuracy_q50",
        "rejected/never_learned",
        "progress/accepted",
    ):
        assert key in text
    for key in ("subjects", "signatures", "histograms/test_accuracy", "acceptance by pattern"):
        assert key in text


def test_the_tables_hold_what_the_dataset_holds(tracked):
    folder, _, _ = tracked
    (path,) = (folder / "out/1/wandb").rglob("subjects_*.table.json")
    table = json.loads(path.read_text())
    summary = json.loads((folder / "out/1/summary.json").read_bytes())
    assert len(table["data"]) == summary["accepted"]
    improvement = table["columns"].index("improvement")
    mean = sum(row[improvement] for row in table["data"]) / len(table["data"])
    assert mean == pytest.approx(summary["accuracy"]["improvement"])


def test_the_gathered_sweep_is_a_run_of_the_same_group(tracked):
    folder, _, _ = tracked
    (gathered,) = of_kind(records(folder / "out"), "run")
    (job,) = of_kind(records(folder / "out/0"), "run")
    assert (gathered["job_type"], gathered["run_group"]) == ("sweep", job["run_group"])
    text = json.dumps(of_kind(records(folder / "out"), "history"))
    assert all(
        f"plots/{name}" in text for name in ("acceptance", "accuracy", "improvement", "patterns")
    )


def test_online_without_an_account_is_refused_before_work_starts(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_API_KEY"} | {
        "HOME": str(tmp_path)
    }
    done = call(
        tmp_path, "experiment=smoke", "logger.mode=online", "hydra.run.dir=out", env=environment
    )
    assert done.returncode == 2
    assert "wandb login" in done.stderr
    assert not (tmp_path / "out/dataset").exists()


def test_a_key_in_the_environment_or_in_netrc_is_a_login(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(ConfigurationError, match="WANDB_API_KEY"):
        require_login(LoggerConfig(mode="online"))
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    require_login(LoggerConfig(mode="online"))


@pytest.fixture
def no_variables(monkeypatch):
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("logger.project=a/b", "logger.project is 'a/b'; it must not contain any of /"),
        ("logger.project='50%'", "logger.project is '50%'; it must not"),
        (f"logger.project={'p' * 129}", "logger.project has 129 characters"),
        ("logger.entity=a/b", "logger.entity is 'a/b'; it must not"),
        ("logger.tags=['']", "logger.tags has an empty text"),
        (f"logger.tags=[{'t' * 65}]", "logger.tags has 65 characters"),
        (f"logger.run_name={'n' * 129}", "logger.run_name has 129 characters"),
        (f"logger.group={'g' * 129}", "logger.group has 129 characters"),
    ],
)
def test_names_that_wandb_refuses_are_refused_with_the_configuration(override, sentence):
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        load_config([override])


def test_names_of_our_own_making_are_cut_and_stay_apart():
    names = [shortened("x" * 200 + end) for end in "ab"]
    assert {len(name) for name in names} == {128}
    assert len(set(names)) == 2
    assert len(shortened("r" * 100, "tags")) == 64


def test_a_key_comes_before_the_environment_and_that_before_the_default(monkeypatch, no_variables):
    plain = resolved(LoggerConfig())
    assert (plain.mode, plain.project, plain.tags) == ("offline", "muat_exp", ())
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    monkeypatch.setenv("WANDB_NAME", "named")
    monkeypatch.setenv("WANDB_RUN_GROUP", "grouped")
    monkeypatch.setenv("WANDB_TAGS", "one, two")
    there = resolved(LoggerConfig(tags=("mine",)))
    assert (there.project, there.run_name, there.group) == ("theirs", "named", "grouped")
    assert there.tags == ("mine", "one", "two")
    given = resolved(LoggerConfig(project="ours", run_name="mine"))
    assert (given.project, given.run_name) == ("ours", "mine")


@pytest.mark.parametrize(
    ("variables", "mode", "expected"),
    [
        ({"WANDB_MODE": "online"}, "auto", "online"),
        ({"WANDB_MODE": "dryrun"}, "auto", "offline"),
        ({"WANDB_MODE": "disabled"}, "auto", "disabled"),
        ({"WANDB_DISABLED": "true", "WANDB_MODE": "online"}, "auto", "disabled"),
        ({"WANDB_MODE": "online"}, "offline", "offline"),
        ({"WANDB_MODE": ""}, "auto", "offline"),
    ],
)
def test_the_mode_is_that_of_the_key_else_that_of_the_environment(
    monkeypatch, no_variables, variables, mode, expected
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert resolved(LoggerConfig(mode=mode)).mode == expected


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WANDB_MODE", "shared"),
        ("WANDB_PROJECT", "a/b"),
        ("WANDB_NAME", "n" * 129),
        ("WANDB_TAGS", f"fine,{'t' * 65}"),
    ],
)
def test_what_wandb_refuses_of_a_variable_is_told_with_its_name(
    monkeypatch, no_variables, variable, value
):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"^{variable} (is|has) "):
        require_login(LoggerConfig())


def test_variables_that_are_not_used_are_named(monkeypatch, no_variables):
    assert ignored_text() == ""
    monkeypatch.setenv("WANDB_DIR", "/elsewhere")
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    assert ignored_text().startswith("not used: WANDB_DIR, WANDB_RUN_ID; ")
    monkeypatch.setenv("WANDB_SWEEP_ID", "an agent's")
    assert "WANDB_RUN_ID" not in ignored_text()


class Notes(Silent):
    def __init__(self):
        self.texts = []

    def note(self, text):
        self.texts.append(text)


def test_a_run_is_logged_as_the_environment_says(tmp_path, monkeypatch, no_variables):
    variables = {"PROJECT": "theirs", "NAME": "named", "NOTES": "noted", "TAGS": "one"}
    for name, value in variables.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    notes = Notes()
    config = small_config(
        logger=LoggerConfig("wandb"), training=TrainingConfig(recipe=f"long {'r' * 100}")
    )
    generate(config, tmp_path / "n", notes)
    (run,) = of_kind(records(tmp_path / "n"), "run")
    assert (run["project"], run["display_name"], run["notes"]) == ("theirs", "named", "noted")
    assert "one" in run["tags"]
    assert max(map(len, run["tags"])) == 64
    assert not (tmp_path / "elsewhere").exists()
    assert sum("not used: WANDB_DIR" in text for text in notes.texts) == 1


def test_a_folder_with_a_long_name_is_logged(tmp_path, no_variables):
    folder = tmp_path / ("n" * 200)
    generate(small_config(logger=LoggerConfig("wandb")), folder)
    (run,) = of_kind(records(folder), "run")
    assert run["display_name"] == shortened(folder.name)


def test_disabled_leaves_metrics_alone(tmp_path, monkeypatch, no_variables):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    generate(small_config(logger=LoggerConfig("wandb")), tmp_path)
    assert (tmp_path / "metrics.csv").exists()
    assert not (tmp_path / "wandb").exists()


def online(monkeypatch, url):
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    monkeypatch.setenv("WANDB_BASE_URL", url)
    return small_config(logger=LoggerConfig("wandb", mode="online"))


def test_without_a_network_an_online_run_is_logged_offline_and_told_how_to_send(
    tmp_path, monkeypatch, no_variables
):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]  # where nobody listens, from here on
    notes = Notes()
    generate(online(monkeypatch, f"http://127.0.0.1:{port}"), tmp_path, notes)
    (sentence,) = [text for text in notes.texts if "can't be reached" in text]
    assert f"wandb sync {tmp_path}/wandb/offline-run-*" in sentence
    assert records(tmp_path)[-1]["type"] == "exit"
    assert not [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes()
    ]


def test_a_run_that_the_server_does_not_take_is_logged_offline(
    tmp_path, monkeypatch, capsys, no_variables
):
    monkeypatch.setattr(weights_and_biases, "_PATIENCE", 1)
    generate(online(monkeypatch, Ear().url), tmp_path)
    told = capsys.readouterr().err
    assert "W&B did not take the run" in told
    assert "wandb sync" in told
    assert CANARY not in told
    assert of_kind(records(tmp_path), "summary")


def test_what_wandb_refuses_is_reported_and_the_dataset_is_whole(tmp_path, monkeypatch):
    def fail(dataset, config, summary):
        raise ConnectionError("the service is gone")

    monkeypatch.setattr(wandb_results, "charts", fail)
    with pytest.raises(TrackingError, match="ConnectionError: the service is gone"):
        generate(small_config(logger=LoggerConfig("wandb")), tmp_path)
    assert (tmp_path / "dataset/README.md").exists()
    assert (tmp_path / "summary.json").exists()


def test_what_ended_a_run_is_told_and_not_what_could_not_be_logged_of_it(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    def fail(self):
        raise TrackingError("not everything could be logged")

    monkeypatch.setattr(RunFolder, "finish_cohort", stop)
    monkeypatch.setattr(MetricsFile, "close", fail)
    with pytest.raises(KeyboardInterrupt):
        generate(small_config(), tmp_path)


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("failure", [TrackingError, OSError])
def test_every_tracker_is_closed_whatever_another_one_raises(tmp_path, monkeypatch, ended, failure):
    closed = []

    class Failing(MetricsFile):
        def close(self):
            closed.append(self)
            raise failure("not logged")

    both = [Failing(small_config(), tmp_path), Failing(small_config(), tmp_path)]
    monkeypatch.setattr(pipeline, "build_trackers", lambda config, folder: both)

    def work():
        with pipeline.tracking(small_config(), tmp_path):
            if ended:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt if ended else failure):
        work()
    assert sorted(map(id, closed)) == sorted(map(id, both))


def test_wandb_does_not_meet_the_variables_that_are_not_used(monkeypatch, no_variables, tmp_path):
    monkeypatch.setenv("WANDB_RUN_ID", "a/b")
    monkeypatch.setenv("WANDB_CACHE_DIR", "/elsewhere")
    with _contained(tmp_path):
        assert "WANDB_RUN_ID" not in os.environ
        assert os.environ["WANDB_CACHE_DIR"] == str(tmp_path / "cache")
    assert os.environ["WANDB_RUN_ID"] == "a/b"
    assert os.environ["WANDB_CACHE_DIR"] == "/elsewhere"


def test_what_another_thread_hooks_in_meanwhile_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "exit", sys.exit)
    monkeypatch.delenv("WANDB_SERVICE", raising=False)
    leave = sys.exit

    def of_wandb(code=0):
        raise AssertionError

    def of_the_user(kind, error, traceback):
        raise AssertionError

    of_wandb.__module__ = "wandb.sdk.lib.exit_hooks"
    with _contained(tmp_path):
        sys.exit = of_wandb
        sys.excepthook = of_the_user
        os.environ["WANDB_SERVICE"] = "3-1-tcp-localhost-1"
    assert "WANDB_SERVICE" not in os.environ
    assert sys.exit is leave
    assert sys.excepthook is of_the_user


def test_wandb_leaves_the_process_as_it_was(tmp_path, monkeypatch):
    for name in ("WANDB_CACHE_DIR", "WANDB_SERVICE"):
        monkeypatch.delenv(name, raising=False)
    before = (dict(os.environ), sys.exit, sys.excepthook, set(threading.enumerate()))
    generate(small_config(logger=LoggerConfig("wandb")), tmp_path)
    after = (dict(os.environ), sys.exit, sys.excepthook)
    assert after == before[:3]
    left = [thread.name for thread in set(threading.enumerate()) - before[3]]
    assert not [name for name in left if name.startswith("muat")]


METRIC = """
    import sys
    import pytorch_lightning as pl
    import torch
    from muat_exp.app.main import main

    assert main(["experiment=smoke", "hydra.run.dir=out"]) == 0
    import torchmetrics

    class Interpreter(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)
            self.accuracy = torchmetrics.classification.BinaryAccuracy()

        def training_step(self, batch, index):
            logits = self.layer(batch).squeeze(-1)
            self.accuracy(logits, torch.ones(2))
            self.log("accuracy", self.accuracy, on_step=False, on_epoch=True)
            return (logits - 5).square().mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

        def train_dataloader(self):
            return torch.utils.data.DataLoader(torch.ones(40, 2), batch_size=2)

    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(Interpreter())
    assert trainer.callback_metrics["accuracy"] == 1, trainer.callback_metrics
"""


def test_a_module_logs_a_real_metric_after_a_run_of_the_command_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(METRIC)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_logger_that_may_be_configured_has_its_trackers():
    assert set(_TRACKERS) == set(_LOGGERS)


def test_tensorboard_holds_the_same_curves(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = generate(small_config(logger=LoggerConfig("tensorboard"), cohort_size=1000), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    logged = {event.step: event.value for event in events.Scalars("clean/validation_accuracy_mean")}
    with (tmp_path / "metrics.csv").open() as file:
        rows = [
            row for row in csv.DictReader(file) if row["stage"] == "clean" and row["cohort"] == "0"
        ]
    assert len(logged) >= len(rows) > 5
    assert events.Scalars("result/acceptance")[0].value == pytest.approx(
        result.summary["acceptance"]
    )


def test_no_logger_writes_no_curves(tmp_path):
    generate(small_config(logger=LoggerConfig("none")), tmp_path)
    assert not (tmp_path / "metrics.csv").exists()
    assert not (tmp_path / "wandb").exists()


def test_every_row_of_the_metrics_file_has_the_same_columns(tmp_path):
    tracker = MetricsFile(small_config(), tmp_path)
    whole = {"stage": "clean", "epoch": 1, "training": 2.0, "train_loss_mean": 0.5}
    blown = {"stage": "clean", "epoch": 2, "training": 1.0}  # whose losses all blew up
    progress = Progress(1, 1, {}, 1.0)
    tracker.write(0, [blown], progress)
    tracker.write(1, [whole, blown], progress)
    with (tmp_path / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["train_loss_mean"] for row in rows] == ["", "0.5", ""]
    assert {None not in row and len(row) == 3 + len(statistic_names()) for row in rows} == {True}


def test_a_cohort_without_a_metric_has_no_weight_in_its_mean():
    curves = MeanCurves()
    curves.add([{"stage": "clean", "epoch": 1, "training": 1.0, "train_loss_mean": 1.0}])
    curves.add([{"stage": "clean", "epoch": 1, "training": 1.0}])
    assert curves.rows() == [
        {"stage": "clean", "epoch": 1, "training": 2.0, "train_loss_mean": 1.0}
    ]
