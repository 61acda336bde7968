"""Compiles the kernels before their first use: two processes take half of the time, as the compiler keeps to one core.

Each half calls its kernels once, on next to nothing, with arrays of the types that a run has; what it compiles lands in the
cache that both read. What is left out here is compiled at its first call.
"""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import numpy as np

from muat_exp.config.groups import Config
from muat_exp.evaluation.measurement import RunContext, measure_responses, measure_tests
from muat_exp.executors.threads import Here
from muat_exp.kernels.compiled import compiled_marker, kernels_are_cached
from muat_exp.kernels.training import batch_order
from muat_exp.prompts.templates import PromptRenderer
from muat_exp.sequences.space import SpaceArrays
from muat_exp.signatures.methods import method_columns
from muat_exp.signatures.probe_set import ProbeSet
from muat_exp.signatures.profiling import profile
from muat_exp.subjects.architecture import Architecture
from muat_exp.subjects.data import SubjectData, draw_data
from muat_exp.subjects.initialization import draw_population
from muat_exp.subjects.specs import Specs, draw_specs
from muat_exp.training.engines.base import stage_problem
from muat_exp.training.engines.compiled import CompiledEngine, evaluate_stored, folded

_INDICES = np.arange(2)
_CONFIG = Config()


def ensure_compiled(note: Callable[[str], None]) -> None:
    """Compiles the kernels where no earlier run did, and says so; another process that does is waited for."""
    if kernels_are_cached():
        return
    note("compiling kernels (once, half a minute)")
    marker = compiled_marker()
    marker.parent.mkdir(parents=True, exist_ok=True)
    with marker.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kernels_are_cached():
            _compile_kernels()
            marker.touch()


def _compile_kernels() -> None:
    """Compiles what a run of any configuration calls; a second process compiles the training meanwhile."""
    draw_population(
        _CONFIG, draw_specs(_CONFIG, _INDICES)
    )  # first what both would compile: they share the cache's files
    batch_order(np.uint64(0), 0, 0, 20)
    command = [sys.executable, "-m", "muat_exp.compilation"]
    null = subprocess.DEVNULL
    second = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=null, stderr=null)
    try:
        task, specs, data = _compile_data()
        population = draw_population(_CONFIG, specs)
        profile(
            _CONFIG.signature, population, task.probes, _INDICES
        )  # its products are compiled over there by now
        second.wait()  # where it failed, the rest compiles here
    finally:
        second.kill()
        second.communicate()
    measure_tests(task, specs, data, population, population, _INDICES, Here())


def _compile_data() -> tuple[RunContext, Specs, SubjectData]:
    """Sequences and texts: what draws subjects and their data, and what renders them."""
    task = RunContext.build(_CONFIG)
    specs = draw_specs(_CONFIG, _INDICES)
    methods = method_columns(_CONFIG.signature, len(_CONFIG.patterns.enabled))
    renderer = PromptRenderer(
        _CONFIG.patterns.build(),
        methods,
        _CONFIG.patterns.vocab_size,
    )
    renderer.classification(
        Architecture(5, (4,), "relu"), np.zeros(29, np.float32), np.zeros((5, 10), np.float32)
    )
    return task, specs, draw_data(_CONFIG, task.space, specs)


def _compile_training() -> None:
    """Training and evaluation, on zeros instead of drawn sequences."""
    length = _CONFIG.patterns.sequence_length
    specs = draw_specs(_CONFIG, _INDICES)
    rows = np.zeros((len(specs), 20, length), np.uint8)
    none = np.zeros(len(specs), np.int64)
    data = SubjectData(
        rows, np.zeros(20, np.float32), np.zeros((len(specs), 16), np.float32), 16, none, none
    )
    problem = stage_problem(_CONFIG, specs, data, draw_population(_CONFIG, specs), 0)
    engine = CompiledEngine(problem, Here())
    engine.train_epoch(_INDICES, 0)
    engine.evaluate(_INDICES)
    population = folded(problem)
    evaluate_stored(problem, population, Here())
    sequences = np.zeros((16, length), np.uint8)
    starts = np.zeros(len(_CONFIG.patterns.enabled) + 1, np.int64)
    space = SpaceArrays(1, none, none, none, sequences, none, none, np.zeros(1), none)
    probes = ProbeSet(sequences, np.zeros(len(sequences), np.int64), len(_CONFIG.patterns.enabled))
    measure_responses(
        RunContext(_CONFIG, space, probes, sequences, starts), population, _INDICES, Here()
    )


def _end_with_parent() -> None:
    """Ends this process when the one that began it is gone, and the pipe from it with it."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _compile_training()
    os._exit(0)  # the thread still reads
