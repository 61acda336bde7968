"""What came of a validation: the faults, what was checked, and what was not."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from muat_exp.dataset.faults import Faults


@dataclass
class Report:
    """What came of a validation.

    Attributes:
        examples: how many were looked at.
        found: all faults.
        checked: a clause on each thing that was checked, with how many of it.
        unchecked: a clause on each thing that was not, with the reason.
        headline: what was done, in a few words.
    """

    examples: int = 0
    found: Faults = field(default_factory=Faults)
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    headline: str = ""

    @property
    def faults(self) -> list[str]:
        """The faults as sentences; of a kind with many, the first and how many more there are."""
        return [printable(sentence) for sentence in self.found.sentences()]

    @property
    def fault_count(self) -> int:
        """How many faults there are, also those that `faults` does not list."""
        return sum(len(sentences) for sentences in self.found.found.values())

    def lines(self) -> list[str]:
        """All that a person reads of it, faults first."""
        checked = [f"checked: {clause}" for clause in self.checked]
        unchecked = [f"not checked: {clause}" for clause in self.unchecked]
        return [*self.faults, *map(printable, [*checked, *unchecked])]


def printable(text: str) -> str:
    r"""A text with escapes for what can't be printed: names and values come from the dataset.

    >>> printable("a\nb\x1b[2J"), printable("Zürich")
    ('a\\nb\\x1b[2J', 'Zürich')
    """
    characters = [
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    ]
    return "".join(characters)


def counted(number: int, noun: str) -> str:
    """A number of things in words.

    >>> counted(1, "file"), counted(3, "file")
    ('1 file', '3 files')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def enumerated(names: Sequence[str], most: int = 5) -> str:
    """Names in a row; of many, the first and how many more there are.

    >>> enumerated(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    shown = ", ".join(names[:most])
    more = len(names) - most
    return f"{shown} and {more} more" if more > 0 else shown
