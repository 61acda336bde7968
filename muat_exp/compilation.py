"""Compiles the kernels before their first use: two processes take half of the time, as the compiler keeps to one core.

Each half calls its kernels once, on next to nothing, with arrays of the types that a run has; what it compiles lands in the
cache that both read. What is left out here is compiled at its first call.
"""

import subprocess
import sys

import numpy as np

from muat_exp.config import Config
from muat_exp.dataset.prompts import PromptRenderer, Shape
from muat_exp.engine import CompiledEngine, Here, evaluate_stored, folded, stage_problem
from muat_exp.measurement import Task, measure_responses, measure_tests
from muat_exp.sequences import SpaceArrays
from muat_exp.signature import ProbeSet, method_columns, profile
from muat_exp.subject import Specs, SubjectData, draw_data, draw_population, draw_specs

INDICES = np.arange(2)
CONFIG = Config()


def compile_kernels() -> None:
    """Compiles what a run of any configuration calls; a second process compiles the training meanwhile."""
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    second = subprocess.Popen([sys.executable, "-m", "muat_exp.compilation"], **quiet)  # type: ignore[call-overload]
    try:
        task, specs, data = compile_data()
        second.wait()  # where it failed, the rest compiles here
    finally:
        second.kill()
        second.wait()
    population = draw_population(CONFIG, specs)
    measure_tests(task, specs, data, population, population, INDICES, Here())


def compile_data() -> tuple[Task, Specs, SubjectData]:
    """Sequences and texts: what draws subjects and their data, and what renders them."""
    task, specs = Task.build(CONFIG), draw_specs(CONFIG, INDICES)
    methods = method_columns(CONFIG.signature, len(CONFIG.patterns.enabled))
    renderer = PromptRenderer(CONFIG.patterns.build(), methods, CONFIG.patterns.sequence_length, CONFIG.patterns.vocab_size)
    renderer.classification(Shape(1, 4, "relu"), np.zeros(29, np.float32), np.zeros((5, 10), np.float32))
    return task, specs, draw_data(CONFIG, task.space, specs)


def compile_training() -> None:
    """Training, evaluation and signatures, on zeros instead of drawn sequences."""
    length, probes = CONFIG.patterns.sequence_length, np.zeros((16, CONFIG.patterns.sequence_length), np.uint8)
    specs = draw_specs(CONFIG, INDICES)
    rows = np.zeros((len(specs), 20, length), np.uint8)
    none = np.zeros(len(specs), np.int64)
    data = SubjectData(rows, np.zeros(20, np.float32), np.zeros((len(specs), 16), np.float32), 16, none, none)
    problem = stage_problem(CONFIG, specs, data, draw_population(CONFIG, specs), 0)
    engine = CompiledEngine(problem, Here())
    engine.train_epoch(INDICES, 0)
    engine.evaluate(INDICES)
    population = folded(problem)
    evaluate_stored(problem, population, Here())
    space = SpaceArrays(1, none, none, none, probes, none, none, np.zeros(1), none)
    patterns = len(CONFIG.patterns.enabled)
    probe_set = ProbeSet(probes, np.zeros(len(probes), np.int64), patterns)
    starts = np.zeros(patterns + 1, np.int64)
    measure_responses(Task(CONFIG, space, probe_set, probes, starts), population, INDICES, Here())
    profile(CONFIG.signature, population, probe_set, INDICES)


if __name__ == "__main__":
    compile_training()
