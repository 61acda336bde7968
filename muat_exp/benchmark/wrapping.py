"""Puts measuring functions around those of the pipeline, by their names.

The names stand here alone; tests/test_benchmark.py fails where one is gone.
"""

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

_CALLBACKS = ("MetricsLogging", "DivergenceGuard", "BestWeights", "EarlyStop", "StageSwitch")
COHORTS_IN_FLIGHT = "muat_exp.executors.budget:IN_FLIGHT"


class Wrapped(NamedTuple):
    """A function whose time is taken: its name as `module:attribute`, its part, its clock."""

    target: str
    part: str
    clock: Callable[[], float]


def _of_process(target: str, part: str) -> Wrapped:
    """A function that runs on several threads, or waits for those that do."""
    return Wrapped(f"muat_exp.{target}", part, time.process_time)


def _of_thread(target: str, part: str) -> Wrapped:
    """A function that runs beside others."""
    return Wrapped(f"muat_exp.{target}", part, time.thread_time)


WRAPPED = (
    _of_process("training.engines.compiled:CompiledEngine.train_epoch", "training"),
    _of_process("training.engines.compiled:CompiledEngine.evaluate", "validation"),
    _of_process("generation.cohort:train_degraded", "stages"),
    _of_process("generation.cohort:train_clean", "stages"),
    _of_process("training.stages:fit", "fits"),
    *(
        _of_process(f"training.callbacks:{name}.on_validation_end", "callbacks")
        for name in _CALLBACKS
    ),
    _of_process("generation.cohort:draw_data", "sequences"),
    _of_process("generation.callbacks:measure_tests", "tests"),
    _of_process("generation.callbacks:measure_behaviour", "responses"),
    _of_process("generation.callbacks:extract_signatures", "signatures"),
    _of_process("generation.pipeline:_make_cohorts", "cohorts"),
    _of_thread("generation.pipeline:gather", "gathering records"),
    _of_thread("prompts.rendering:Renderer.table", "text and token counts"),
    _of_thread("dataset.writing:ShardWriter.put", "Parquet"),
)


def locate(target: str) -> tuple[Any, str]:
    """The object that holds an attribute, and the attribute's name.

    Args:
        target: `module:attribute`, with dots between levels of attributes.

    Raises:
        AttributeError: there is no such attribute.

    >>> locate("pathlib:Path.name")
    (<class 'pathlib.Path'>, 'name')
    """
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner = importlib.import_module(module)
    for attribute in owners:
        owner = getattr(owner, attribute)
    if not hasattr(owner, name):
        raise AttributeError(f"{target}, which the benchmark replaces, is gone.")
    return owner, name


@contextmanager
def replaced(target: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Has another object in the place of `target`, made from it, for as long as a block runs."""
    owner, name = locate(target)
    original = getattr(owner, name)
    setattr(owner, name, make(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


class Profile:
    """CPU seconds by part of the pipeline."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def wrapped(self) -> Iterator[None]:
        """Takes the time of the pipeline's parts.

        Cohorts go one after another meanwhile, so that nothing else runs beside a kernel.
        """
        with ExitStack() as stack:
            stack.enter_context(replaced(COHORTS_IN_FLIGHT, lambda _: 1))
            for wrapped in WRAPPED:
                timed = partial(self._timed, wrapped.part, wrapped.clock)
                stack.enter_context(replaced(wrapped.target, timed))
            yield

    def _timed(
        self, part: str, clock: Callable[[], float], function: Callable[..., Any]
    ) -> Callable[..., Any]:
        """The function, its seconds added to a part."""

        def timed(*arguments: object, **options: object) -> object:
            begin = clock()
            try:
                return function(*arguments, **options)
            finally:
                spent = clock() - begin
                self.seconds[part] = self.seconds.get(part, 0.0) + spent

        return timed

    def shares(self, total: float) -> dict[str, float]:
        """The parts' shares of a run's CPU seconds, sorted by name."""
        exclusive = _exclusive(self.seconds)
        known = sum(exclusive.values())
        exclusive["everything else"] = total - known
        parts = sorted(exclusive)
        return {part: exclusive[part] / total for part in parts}


def _exclusive(seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each part without the parts within it.

    Cohorts hold stages and measurements, stages hold fits, and fits hold the engine and callbacks.
    """
    parts = dict(seconds)
    cohorts = parts.pop("cohorts")
    stages = parts.pop("stages")
    fits = parts.pop("fits")
    in_fits = sum(parts[part] for part in ("training", "validation", "callbacks"))
    measured = sum(parts[part] for part in ("sequences", "tests", "responses", "signatures"))
    parts["Lightning"] = fits - in_fits
    parts["stage set-up"] = stages - fits
    parts["cohort files"] = cohorts - stages - measured
    return parts
