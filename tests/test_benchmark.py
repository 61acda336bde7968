"""The benchmark's cases, and the names of the pipeline that it relies on. Nothing is timed here."""

import inspect
import subprocess
import sys

import pytest

from muat_exp.benchmark.__main__ import plan
from muat_exp.benchmark.against import Pair, compare
from muat_exp.benchmark.cases import CASES
from muat_exp.benchmark.report import Results, plot, show
from muat_exp.benchmark.wrapping import WRAPPED, Profile, locate
from muat_exp.executors import budget


def test_help_names_the_comparison():
    command = [sys.executable, "-m", "muat_exp.benchmark", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--against FOLDER" in done.stdout


@pytest.mark.parametrize("target", sorted({wrapped.target for wrapped in WRAPPED}))
def test_what_is_timed_is_there(target):
    owner, name = locate(target)
    assert callable(getattr(owner, name))


def test_a_name_that_is_gone_is_told():
    with pytest.raises(AttributeError, match="pipeline:no_such, which the benchmark replaces"):
        locate("muat_exp.generation.pipeline:no_such")


def test_wrapped_functions_are_put_back():
    before = {target: getattr(*locate(target)) for target, _, _ in WRAPPED}
    at_once = budget.IN_FLIGHT
    with Profile().wrapped():
        assert budget.IN_FLIGHT == 1
    assert at_once == budget.IN_FLIGHT
    assert {target: getattr(*locate(target)) for target in before} == before


def test_seconds_of_a_timed_function_are_added():
    profile = Profile()
    clock = iter([1.0, 4.0]).__next__
    timed = profile._timed("part", clock, lambda x: x + 1)
    assert timed(1) == 2
    assert profile.seconds == {"part": 3.0}


def test_shares_add_up_to_one():
    profile = Profile()
    profile.seconds = {wrapped.part: 1.0 for wrapped in WRAPPED}
    assert sum(profile.shares(20.0).values()) == pytest.approx(1)


@pytest.mark.parametrize("quick", [True, False])
def test_every_planned_case_takes_its_options(quick):
    planned = list(plan(quick))
    assert {case for case, _ in planned} == CASES.keys()
    for case, options in planned:
        inspect.signature(CASES[case]).bind(**options)


def row_of(options):
    """A row as the case gives one, with figures of no meaning."""
    keys = (
        "attempts_per_second accepted_per_second seconds peak_memory_mib gflops_per_worker "
        "share_of_peak read_per_second rendered_per_second written_per_second cost csv_seconds "
        "validated_per_second help_seconds smoke_seconds wandb_seconds outside_per_job work_per_job"
    )
    figures = dict.fromkeys(keys.split(), 2.0)
    shares = {"training": 0.7, "Parquet": 0.3}
    return figures | {"shares": shares, "milliseconds_by_method": {"pca": 0.1}} | options


def test_tables_and_figure_take_every_case(tmp_path, capsys):
    results: Results = {}
    for case, options in plan(quick=False):
        results.setdefault(case, []).append(row_of(options))
    show(results, results)
    assert "one Lightning fit pair per subject" in capsys.readouterr().out
    plot(results, tmp_path / "bench.svg")
    assert "attempts/s, whole pipeline" in (tmp_path / "bench.svg").read_text()


def test_a_pair_compares_its_own_runs():
    assert Pair({"training": 3.0}, {"training": 2.0}).ratio("training") == 1.5


def test_a_folder_without_a_checkout_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="there is no muat_exp in it"):
        compare(tmp_path, ["robust"], 1, 28)
