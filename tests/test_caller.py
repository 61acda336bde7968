"""Called from Python, a run leaves the caller's process as it was, and shows what it does."""

import contextlib
import io
import logging
import os
import random
import signal
import sys
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import small_config
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from threadpoolctl import threadpool_info

import muat_exp
from muat_exp.config.files import conf_folder
from muat_exp.config.groups import DatasetConfig, LoggerConfig
from muat_exp.errors import ConfigurationError
from muat_exp.generation.pipeline import generate
from muat_exp.kernels.compiled import settings
from muat_exp.progress import Silent
from muat_exp.shared_context import SharedContext

SMALL = small_config(logger=LoggerConfig("none"))


def levels():
    """The level of every logger that there is, handlers and all."""
    named = {"": logging.getLogger(), **logging.Logger.manager.loggerDict}
    return {
        name: (logger.level, list(logger.handlers), logger.propagate, logger.disabled)
        for name, logger in named.items()
        if isinstance(logger, logging.Logger)
    }


def torch_settings():
    """What PyTorch computes with, and its random state."""
    return [
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.is_anomaly_enabled(),
        torch.is_anomaly_check_nan_enabled(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.backends.cudnn.benchmark,
        torch.get_rng_state().tolist(),
    ]


def state():
    """What a process shares between a library and its caller."""
    return {
        "environment": {
            name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"
        },
        "arguments": list(sys.argv),
        "folder": os.getcwd(),
        "path": list(sys.path),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, sys.unraisablehook, sys.gettrace(), sys.getprofile()),
        "interval": sys.getswitchinterval(),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "warnings": list(warnings.filters),
        "loggers": levels(),
        "logging": logging.root.manager.disable,
        "random": random.getstate(),
        "numpy": (np.geterr(), np.get_printoptions(), str(np.random.get_state(legacy=True))),
        "torch": torch_settings(),
        "libraries": {item["filepath"]: item["num_threads"] for item in threadpool_info()},
        "numba": (settings.CACHE_DIR, settings.DISABLE_JIT),
        "hydra": GlobalHydra.instance().is_initialized(),
    }


@pytest.fixture
def unchanged(run):  # whose run has imported everything
    """The state of the process before and after a test is the same."""
    before = state()
    yield
    after = state()
    for kind in ("loggers", "libraries"):  # others come with what is imported on the way
        for name in after[kind].keys() - before[kind].keys():
            del after[kind][name]
    changed = [key for key in before if before[key] != after[key]]
    assert [(key, before[key], after[key]) for key in changed] == []


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_a_run_leaves_the_process_as_it_was(tmp_path, engine):
    config = replace(SMALL, engine=engine, dataset=DatasetConfig(1, balance=False), cohort_size=8)
    generate(config, tmp_path)


class Failing(Silent):
    """Fails when it is told of the first cohort."""

    def __init__(self, error):
        self.error = error

    def update(self, accepted, attempts, seconds):
        raise self.error


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt()])
def test_a_run_that_fails_leaves_the_process_as_it_was(tmp_path, error):
    with pytest.raises(type(error)):
        generate(SMALL, tmp_path, Failing(error))


@pytest.mark.usefixtures("unchanged")
def test_runs_in_two_threads_leave_the_process_as_it_was(tmp_path):
    logging.getLogger("pytorch_lightning").setLevel(logging.DEBUG)
    with ThreadPoolExecutor(2) as pool:
        sizes = (28, 42)
        configs = [replace(SMALL, dataset=DatasetConfig(size)) for size in sizes]
        runs = pool.map(generate, configs, [tmp_path / str(size) for size in sizes])
        assert [run.summary["accepted"] for run in runs] == list(sizes)
    assert logging.getLogger("pytorch_lightning").level == logging.DEBUG
    logging.getLogger("pytorch_lightning").setLevel(logging.INFO)


@contextlib.contextmanager
def hostile_settings():
    """What a caller may have set for work of his own."""
    with (
        np.errstate(all="raise"),
        np.printoptions(legacy="1.13", precision=2),
        warnings.catch_warnings(),
        torch.no_grad(),
        torch.device("meta"),
    ):
        warnings.simplefilter("error")
        torch.set_default_dtype(torch.float64)
        torch.set_float32_matmul_precision("medium")
        torch.use_deterministic_algorithms(True)
        torch.autograd.set_detect_anomaly(True)
        random.seed(1)
        torch.manual_seed(1)
        try:
            yield
        finally:
            torch.autograd.set_detect_anomaly(False)
            torch.use_deterministic_algorithms(False)
            torch.set_float32_matmul_precision("highest")
            torch.set_default_dtype(torch.float32)


def test_what_the_caller_has_set_changes_no_byte(run, tmp_path):
    with hostile_settings():
        before = torch_settings()
        again = generate(small_config(), tmp_path)
        assert torch_settings() == before
    for part in ("subjects", "prompts"):
        (ours,), (theirs,) = ((made.dataset / part).glob("*.parquet") for made in (run, again))
        assert ours.read_bytes() == theirs.read_bytes()


def test_what_the_caller_has_set_does_not_reach_the_reference_engine(tmp_path):
    config = replace(SMALL, engine="torch", dataset=DatasetConfig(2, balance=False), cohort_size=8)
    plain = generate(config, tmp_path / "plain")
    with hostile_settings():
        again = generate(config, tmp_path / "again")
    (ours,), (theirs,) = ((made.dataset / "subjects").glob("*") for made in (plain, again))
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_shared_context_is_entered_by_the_first_and_left_by_the_last():
    seen = []

    @contextlib.contextmanager
    def noted():
        seen.append("in")
        try:
            yield
        finally:
            seen.append("out")

    shared = SharedContext(noted)
    with shared:
        with shared:
            pass
        assert seen == ["in"]
    assert seen == ["in", "out"]
    with pytest.raises(ZeroDivisionError), shared:
        raise ZeroDivisionError
    assert seen == ["in", "out"] * 2


class Terminal(io.StringIO):
    """A terminal that keeps what it is shown."""

    def isatty(self):
        return True


def few():
    """A run that takes a moment."""
    return replace(SMALL, dataset=DatasetConfig(1, balance=False), cohort_size=8)


@pytest.fixture
def notebook(monkeypatch):
    """What tells a notebook's kernel from a terminal."""
    shell = types.SimpleNamespace(kernel=object())
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)


@pytest.mark.usefixtures("notebook")
def test_a_notebook_is_shown_the_progress_in_one_line(tmp_path, capsys):
    generate(few(), tmp_path)
    shown = capsys.readouterr().out
    assert shown.endswith("\n")
    assert shown.count("\n") == 1
    assert "1/1 examples" in shown
    assert "attempts/s" in shown


def test_a_terminal_is_shown_the_progress(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal)
    generate(few(), tmp_path)
    assert "writing the dataset" in terminal.getvalue()


@pytest.mark.usefixtures("notebook")
def test_progress_is_switched_off_by_the_configuration_or_a_reporter(tmp_path, capsys):
    generate(replace(few(), progress=False), tmp_path / "configured")
    generate(few(), tmp_path / "told", Silent())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_where_nobody_looks_nothing_is_shown(tmp_path, monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    generate(few(), tmp_path)
    assert stream is None or stream.getvalue() == ""


@pytest.mark.usefixtures("unchanged")
def test_a_configuration_is_composed_within_the_callers_own_hydra():
    with initialize_config_dir(str(conf_folder()), version_base="1.2"):
        assert muat_exp.load_config(["seed=4"]).seed == 4


def test_resolvers_of_the_callers_own_keep_their_names():
    names = ("run_folder", "unless")
    for name in names:
        OmegaConf.register_new_resolver(name, lambda: 1)
    try:
        assert muat_exp.load_config(["seed=4"]).seed == 4
    finally:
        for name in names:
            OmegaConf.clear_resolver(name)


@pytest.mark.parametrize("given", ["seed=1", b"seed=1", None, {"seed": 1}, [1], iter(["seed=1"])])
def test_overrides_are_a_list_of_texts(given):
    with pytest.raises(ConfigurationError, match="takes a list of overrides"):
        muat_exp.load_config(given)
