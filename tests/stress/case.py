"""One thing to try, and what came of it."""

import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stress.originals import Originals


@dataclass
class Trial:
    """What a case is given, and what it says of itself.

    Attributes:
        number: of the case among those of its kind.
        draw: its own source of random numbers.
        folder: an empty folder for it alone.
        originals: the undamaged things, which it must not touch.
        turn: how many cases of its group came before, for those that go through a list.
        what: what was done, in a few words; the case fills it in.
        group: the name under which the table counts it.
        commands: what was typed.
        faults: what did not hold.
    """

    number: int
    draw: random.Random
    folder: Path
    originals: Originals
    turn: int = 0
    what: str = ""
    group: str = ""
    commands: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Kind:
    """A kind of cases.

    Attributes:
        name: as it is typed.
        size: how many are tried.
        doc: what is tried, for the table.
        run: tries one.
        prepare: makes what cases of some numbers need beside the originals; None where nothing.
    """

    name: str
    size: int
    doc: str
    run: Callable[[Trial], None]
    prepare: Callable[[Originals, Collection[int]], None] | None = None


def generator(seed: int, kind: str, number: int) -> random.Random:
    """The random numbers of one case; the same whatever else is tried."""
    return random.Random(f"{seed}/{kind}/{number}")


def numbers(chosen: str) -> Iterator[int]:
    """The numbers of a choice such as `3,7-9`."""
    for part in chosen.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
