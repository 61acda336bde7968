"""Imports Lightning without the two thirds of it that this package never uses, in the command line's own process.

`import pytorch_lightning` loads PyTorch's compiler and torchmetrics, and with those SymPy, Matplotlib and most of SciPy, to
recognise objects that are never made here. In their places stand empty classes while Lightning is imported; then they leave
`sys.modules`, so that a later import finds the real ones. As a library, muat_exp imports Lightning whole: its other users may
compile a model or log a metric.
"""

import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_LIGHTNING = ("pytorch_lightning", "lightning_fabric")


def _uncompiled(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
    """`torch._dynamo.disable` where nothing is ever compiled: a decorator that changes nothing."""
    return function or (lambda decorated: decorated)


def _stand_in(name: str, **attributes: Any) -> ModuleType:
    """A module with these attributes alone."""
    module = ModuleType(name)
    vars(module).update(attributes)
    return module


def _stand_ins() -> dict[str, ModuleType]:
    """The modules that are left out, as far as Lightning looks at them during its import."""
    classes = {
        name: type(name, (), {}) for name in ("Metric", "MetricCollection", "OptimizedModule")
    }
    return {
        "torch._dynamo": _stand_in(
            "torch._dynamo", OptimizedModule=classes["OptimizedModule"], disable=_uncompiled
        ),
        "torchmetrics": _stand_in(
            "torchmetrics", Metric=classes["Metric"], MetricCollection=classes["MetricCollection"]
        ),
    }


@contextmanager
def _without_real_ones() -> Iterator[None]:
    """Puts the stand-ins in the places of the modules that nobody has imported, for the length of the block."""
    placed = {name: module for name, module in _stand_ins().items() if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name in placed:
            del sys.modules[name]


def _import_lightning() -> None:
    """Imports Lightning as lean as it can be; whole where a version of it needs more than the stand-ins have."""
    if _LIGHTNING[0] in sys.modules:
        return
    import torch  # noqa: F401 - whole, before anything stands in for a part of it

    try:
        with _without_real_ones():
            importlib.import_module(_LIGHTNING[0])
    except (ImportError, AttributeError, TypeError):
        for name in [name for name in sys.modules if name.partition(".")[0] in _LIGHTNING]:
            del sys.modules[name]
        importlib.import_module(_LIGHTNING[0])


@contextmanager
def lean_imports() -> Iterator[None]:
    """Lightning imported lean, then a block of imports; no garbage collection meanwhile, which would find none."""
    gc.disable()
    try:
        _import_lightning()
        yield
    finally:
        gc.freeze()  # modules are never looked at again
        gc.enable()
