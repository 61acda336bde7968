"""Whether the arithmetic of this process is that of a dataset's makers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muat_exp.maker import Maker, as_list, current_maker

_AND = " and "


@dataclass(frozen=True)
class Arithmetic:
    """Whether the same numbers come out here, to the last bit.

    Attributes:
        differences: what was otherwise when the dataset was made; empty where nothing was.
        several: whether it had several makers, so that some of it may be as it is here.
    """

    differences: tuple[str, ...] = ()
    several: bool = False

    @property
    def same(self) -> bool:
        """Whether every number must come out to the last bit."""
        return not self.differences

    def __str__(self) -> str:
        return ", ".join(self.differences)


def recorded_arithmetic(summary: Mapping[str, Any]) -> Arithmetic:
    """Compares the makers that a summary names with this process.

    What it does not name, or not in the form of a run, is taken to be as it is here: that is a
    fault of the summary, and no reason to be less strict.
    """
    here = current_maker()
    versions = _texts_by_name(summary.get("versions"))
    processors = _texts(summary.get("processors")) or [here.processor]
    joined = {name: _AND.join(found) for name, found in versions.items()}
    recorded = Maker({**here.versions, **joined}, _AND.join(processors))
    differences = [
        f"{name} {there} (here {ours})" for name, ours, there in here.differences(recorded)
    ]
    several = any(len(found) > 1 for found in (*versions.values(), processors))
    return Arithmetic(tuple(differences), several)


def _texts_by_name(value: object) -> dict[str, list[str]]:
    """The texts of an object, by name; without those that are none."""
    if not isinstance(value, dict):
        return {}
    found = {name: _texts(item) for name, item in value.items()}
    return {name: texts for name, texts in found.items() if texts}


def _texts(value: object) -> list[str]:
    """A text, or a list of them; nothing of anything else."""
    if not isinstance(value, str | list):
        return []
    texts = as_list(value)
    return texts if all(isinstance(text, str) for text in texts) else []
