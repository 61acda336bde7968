"""What made a cohort: the versions and the kind of processor that reach its last bits."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from itertools import groupby
from typing import Any

from muat_exp.files import short_sha256

_PACKAGES = (
    "muat_exp",
    "torch",
    "pytorch-lightning",
    "numba",
    "llvmlite",
    "numpy",
    "scipy",
    "pyarrow",
    "hydra-core",
)
_REACHES_BITS = ("muat_exp", "torch", "numba", "llvmlite", "numpy", "scipy")  # of these packages
_UNKNOWN = "unknown"  # the version of a package that a maker does not name
_INSTRUCTIONS = ("avx2", "avx512f", "fma", "neon", "sve")  # shown of a processor's many features


@dataclass(frozen=True)
class Maker:
    """What makes data: the same maker makes the same bits.

    Attributes:
        versions: of Python and the packages, by name.
        processor: its kind and instruction set, as the compiler of the kernels calls them.
    """

    versions: Mapping[str, str]
    processor: str

    def to_dict(self) -> dict[str, Any]:
        """Plain containers."""
        return asdict(self)

    def version(self, name: str) -> str:
        """The version of a package, or that it is unknown."""
        return self.versions.get(name, _UNKNOWN)

    def differences(self, other: "Maker") -> list[tuple[str, str, str]]:
        """What may make other bits: (name, here, in the other one).

        >>> ours = Maker({"numba": "0.66.0", "hydra-core": "1.3.2"}, "znver4")
        >>> ours.differences(Maker({"numba": "0.65.1", "hydra-core": "1.3.1"}, "znver4"))
        [('numba', '0.66.0', '0.65.1')]
        """
        pairs = [(name, self.version(name), other.version(name)) for name in _REACHES_BITS]
        pairs.append(("the processor", self.processor, other.processor))
        return [(name, here, there) for name, here, there in pairs if here != there]


_Summary = dict[str, Any]  # its parts "versions" and "processors"


@cache
def current_maker() -> Maker:
    """This process."""
    packages = {name: version(name) for name in _PACKAGES}
    return Maker({"python": sys.version.split()[0]} | packages, _processor())


def _processor() -> str:
    """The processor that kernels are compiled for, and a digest of all its features."""
    from numba.core.registry import cpu_target

    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    enabled = features.split(",")
    shown = [feature for feature in _INSTRUCTIONS if f"+{feature}" in enabled]
    digest = short_sha256(features.encode())[:8]
    return " ".join([name, *shown, f"(features {digest})"])


def describe_makers(makers: Sequence[Maker], earlier: Mapping[str, Any] | None = None) -> _Summary:
    """Every version and every kind of processor that had a hand in some data.

    A package has a list of versions where there were several.

    Args:
        makers: of the data.
        earlier: what this function said of the data that they were made from.

    >>> makers = [Maker({"numba": "0.65.1"}, "znver3"), Maker({"numba": "0.66.0"}, "znver3")]
    >>> describe_makers(makers)
    {'versions': {'numba': ['0.65.1', '0.66.0']}, 'processors': ['znver3']}
    """
    earlier = earlier or {}
    before = {name: as_list(found) for name, found in earlier.get("versions", {}).items()}
    names = dict.fromkeys([*before, *(name for maker in makers for name in maker.versions)])
    versions: dict[str, str | list[str]] = {}
    for name in names:
        here = [maker.version(name) for maker in makers]
        found = _distinct([*before.get(name, []), *here])
        versions[name] = found if len(found) > 1 else found[0]
    processors = [*earlier.get("processors", []), *(maker.processor for maker in makers)]
    return {"versions": versions, "processors": _distinct(processors)}


def as_list(versions: str | list[str]) -> list[str]:
    """The versions of a package: one, or a list of them."""
    return [versions] if isinstance(versions, str) else versions


def _distinct(texts: Iterable[str]) -> list[str]:
    """Texts in the order of their first appearance."""
    return list(dict.fromkeys(texts))


def difference_text(here: Maker, made: Mapping[int, Maker]) -> str:
    """The sentence on cohorts that others made, when a run continues; empty where bits are equal.

    Args:
        here: what continues.
        made: who made each cohort that is there.

    >>> makers = [Maker({"numba": "0.65.1"}, "znver4"), Maker({"numba": "0.66.0"}, "znver4")]
    >>> difference_text(makers[1], {0: makers[0], 1: makers[0], 2: makers[1]})
    'continuing with numba 0.66.0; cohorts 0-1 were made with numba 0.65.1: last bits may differ'
    """
    ours: dict[str, str] = {}
    theirs: dict[str, list[int]] = {}
    for number, maker in sorted(made.items()):
        differing = here.differences(maker)
        if differing:
            ours |= {name: f"{name} {value}" for name, value, _ in differing}
            others = ", ".join(f"{name} {value}" for name, _, value in differing)
            theirs.setdefault(others, []).append(number)
    if not ours:
        return ""
    told = "; ".join(f"{_cohorts(numbers)} made with {names}" for names, numbers in theirs.items())
    return f"continuing with {', '.join(ours.values())}; {told}: last bits may differ"


def _cohorts(numbers: Sequence[int]) -> str:
    """Numbers of cohorts as the subject of a sentence.

    >>> _cohorts([0, 1, 2, 5]), _cohorts([4])
    ('cohorts 0-2, 5 were', 'cohort 4 was')
    """
    spans = []
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        span = [number for _, number in run]
        spans.append(f"{span[0]}-{span[-1]}" if len(span) > 1 else f"{span[0]}")
    if len(numbers) == 1:
        return f"cohort {spans[0]} was"
    return f"cohorts {', '.join(spans)} were"
