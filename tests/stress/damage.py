"""Ways to damage a dataset: the registry, and what all of them need.

A damage takes a source of random numbers and the folder of a dataset, changes something there, and
says in a few words what. Where there is nothing that it could damage it raises `Unfit`.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from muat_exp.dataset.checksums import shards_digest, write_checksums

Draw = random.Random


class Unfit(Exception):  # noqa: N818 - no error: another damage takes its place
    """A dataset has nothing that a damage could be done to."""


@dataclass(frozen=True)
class Damage:
    """A way to damage a dataset.

    Attributes:
        name: for the table.
        apply: does it; returns what was done.
        sound: what `validate` must say where checksums were made anew: False (not sound), True
            (sound: it is no damage at all), or None where either will do.
        forgeable: whether checksums can be made anew over it.
    """

    name: str
    apply: Callable[[Draw, Path], str]
    sound: bool | None = False
    forgeable: bool = True


DAMAGES: dict[str, Damage] = {}


def damage(
    sound: bool | None = False, forgeable: bool = True
) -> Callable[[Callable[[Draw, Path], str]], Callable[[Draw, Path], str]]:
    """Registers a function as a damage, under its own name."""

    def register(function: Callable[[Draw, Path], str]) -> Callable[[Draw, Path], str]:
        name = function.__name__.replace("_", " ")
        DAMAGES[name] = Damage(name, function, sound, forgeable)
        return function

    return register


def forge(dataset: Path) -> None:
    """Makes the checksums anew, and the digest that the card tells, as who hides a change would."""
    card = dataset / "README.md"
    if card.is_file():
        told = re.compile(rb"(?m)^(  description: data )[0-9a-f]{16}$")
        digest = shards_digest(dataset).encode()
        card.write_bytes(told.sub(rb"\g<1>" + digest, card.read_bytes()))
    write_checksums(dataset)


def pick_shard(draw: Draw, dataset: Path, part: str = "") -> Path:
    """One of the Parquet files."""
    found = sorted(dataset.glob(f"{part or '*'}/*.parquet"))
    if not found:
        raise Unfit
    return draw.choice(found)
