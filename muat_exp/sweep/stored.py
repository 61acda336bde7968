"""The JSON files of a sweep and of its jobs, each value read as what it has to be.

Whatever bears the name of such a file, and whatever stands in it: reading gives values of the right
types, or raises a `SweepError` that names the file.
"""

import math
import reprlib
import stat
from collections.abc import Mapping, Set
from pathlib import Path

import orjson

from muat_exp.errors import SweepError

_LARGEST_FILE = 2**26  # bytes: no file of ours comes near it
_LARGEST_WHOLE = 2**53  # up to which JSON's readers agree on whole numbers


def read_json(path: Path) -> object:
    """What a JSON file holds.

    Raises:
        SweepError: it is missing, no file, too large, can't be read, or is no JSON.
    """
    try:
        require_file(path)
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise SweepError(f"{path} is missing.") from error
    except OSError as error:
        raise SweepError(f"{path} can't be read: {error.strerror}.") from error
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise SweepError(f"{path} is damaged: it holds no JSON.") from error


def require_file(path: Path) -> None:
    """Refuses what might never end when it is read.

    Raises:
        SweepError: something else than a file of the size that our lists have is there.
        OSError: nothing is there, or it can't be looked at.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise SweepError(f"{path} is no file.")
    if found.st_size > _LARGEST_FILE:
        raise SweepError(f"{path} has {found.st_size:,} bytes, more than such a file ever has.")


class Fields:
    """The values of a JSON object by name, each read as what it has to be.

    Every method raises `SweepError` where a value is missing or something else.
    """

    def __init__(self, path: Path, values: object, place: str = "") -> None:
        """Takes the values.

        Args:
            path: the file that holds them.
            values: what stands there.
            place: where in the file: a dotted name, empty for all of it.
        """
        if not isinstance(values, dict):
            raise SweepError(f"{path} is damaged: {place or 'what it holds'} is no object.")
        self._path = path
        self._values: Mapping[str, object] = values
        self._place = place

    @property
    def names(self) -> Set[str]:
        """The names of all values."""
        return self._values.keys()

    def part(self, name: str) -> "Fields":
        """An object within this one."""
        return Fields(self._path, self._value(name), self._name(name))

    def text(self, name: str) -> str:
        """A text."""
        value = self._value(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        values = self._value(name)
        if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
            raise self._wrong(name, "a list of texts")
        return tuple(values)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._value(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def count(self, name: str) -> int:
        """A whole number that is not negative."""
        value = self._value(name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not 0 <= value < _LARGEST_WHOLE:  # type: ignore[operator]
            raise self._wrong(name, "a whole number from 0")
        return value  # type: ignore[return-value]

    def number(self, name: str) -> float:
        """A finite number."""
        value = self._value(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):  # type: ignore[arg-type]
            raise self._wrong(name, "a number")
        return float(value)  # type: ignore[arg-type]

    def amount(self, name: str) -> float:
        """A finite number that is not negative."""
        value = self.number(name)
        if value < 0:
            raise self._wrong(name, "a number from 0")
        return value

    def share(self, name: str) -> float:
        """A number from 0 to 1."""
        value = self.number(name)
        if not 0 <= value <= 1:
            raise self._wrong(name, "a number from 0 to 1")
        return value

    def mean(self, name: str) -> float:
        """A finite number, NaN where there is null: the mean of nothing."""
        return math.nan if self._value(name) is None else self.number(name)

    def agrees(self, other: "Fields", name: str) -> bool:
        """Whether another file says the same of something."""
        return self._value(name) == other._value(name)

    def _value(self, name: str) -> object:
        """What bears a name."""
        if name not in self._values:
            raise SweepError(f"{self._path} is damaged: {self._name(name)} is missing.")
        return self._values[name]

    def _name(self, name: str) -> str:
        """A name within the whole file."""
        return f"{self._place}.{name}" if self._place else name

    def _wrong(self, name: str, right: str) -> SweepError:
        """The error for a value that is not what it has to be."""
        value = reprlib.repr(self._values[name])
        return SweepError(
            f"{self._path} is damaged: {self._name(name)} is {value}; it must be {right}."
        )
