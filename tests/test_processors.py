"""How many processors there are, on systems that say which ones a process may use and on others."""

import os

from muat_exp.executors.processors import processors


def test_a_process_may_use_those_that_the_system_says(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert processors() == 3


def test_elsewhere_it_may_use_all_of_them(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert processors() == 8
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processors() == 1
