"""Kernels are compiled once, by whoever comes first; the others wait."""

import sys
import tempfile
import threading
import time
import types

import numba
import pytest

from muat_exp.errors import ConfigurationError
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


def test_a_python_without_docstrings_compiles_anew(monkeypatch):
    compile_once(lambda: None, lambda text: None)
    monkeypatch.setattr(sys, "flags", types.SimpleNamespace(optimize=2))
    cached = kernels_are_cached()
    monkeypatch.undo()
    assert not cached


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A package whose folder takes nothing, no home, and temporary folders within the test's."""
    for name in ("kernels", "home"):
        (tmp_path / name).touch()  # a file, where a folder would have to be made
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "kernels" / "compiled.py"))
    monkeypatch.setattr(compiled, "_source_digest", lambda: "digest")
    monkeypatch.setattr(compiled.settings, "CACHE_DIR", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_kernels_go_to_the_users_cache_where_the_package_is_read_only(nowhere, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere / "cache"))
    assert compiled._cache_folder() == nowhere / "cache" / "muat_exp" / "kernels-digest"


def test_kernels_go_to_a_temporary_folder_of_ones_own_where_nothing_else_can_be_written(nowhere):
    folder = compiled._cache_folder()
    assert folder.parent.parent == nowhere
    assert folder.parent.stat().st_mode & 0o077 == 0
    assert compiled._cache_folder() == folder


def test_a_temporary_folder_that_others_can_write_is_not_trusted(nowhere):
    first = compiled._cache_folder()
    first.parent.chmod(0o777)
    assert compiled._cache_folder() != first


def test_a_folder_that_was_named_is_the_only_one(nowhere, monkeypatch):
    monkeypatch.setattr(compiled.settings, "CACHE_DIR", str(nowhere / "named"))
    assert compiled._cache_folder() == nowhere / "named" / "kernels-digest"
    monkeypatch.setattr(compiled.settings, "CACHE_DIR", str(nowhere / "home" / "named"))
    with pytest.raises(ConfigurationError, match="set NUMBA_CACHE_DIR"):
        compiled._cache_folder()
