"""Kernels are compiled once, by whoever comes first; the others wait."""

import sys
import threading
import time

import numba
import pytest

from muat_exp.kernels import compiled
from muat_exp.kernels.compiled import compile_once, kernels_are_cached


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "CACHE_FOLDER", str(tmp_path / "cache"))


def test_kernels_are_compiled_once_and_it_is_said():
    runs: list[int] = []
    notes: list[str] = []
    for _ in range(2):
        compile_once(lambda: runs.append(1), notes.append)
    assert runs == [1]
    assert notes == ["compiling kernels (once, about a minute)"]


def test_a_run_that_fails_has_compiled_nothing():
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        compile_once(fail, lambda text: None)
    assert not kernels_are_cached()


def test_who_comes_later_waits():
    runs = []

    def run():
        time.sleep(0.2)
        runs.append(1)

    threads = [threading.Thread(target=compile_once, args=(run, print)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs == [1]


def test_another_version_or_processor_compiles_anew(monkeypatch):
    compile_once(lambda: None, lambda text: None)
    assert kernels_are_cached()
    monkeypatch.setattr(numba, "__version__", "another")
    assert not kernels_are_cached()


def test_another_python_compiles_anew(monkeypatch):
    compile_once(lambda: None, lambda text: None)
    monkeypatch.setattr(sys.implementation, "cache_tag", "another")
    assert not kernels_are_cached()
