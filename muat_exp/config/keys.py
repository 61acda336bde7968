"""A key of the configuration: its default, description and limits in one spot.

A field of a configuration's dataclass is declared by `key`. Everything else reads what stands
there: the checks, the generated `conf/<group>/base.yaml`, the hash of what determines the data, and
other modules that need a limit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, ClassVar

from muat_exp.config.checks import require, require_between, require_in, require_names

_LARGEST_SEED = 2**63 - 1
SEEDS = (0, _LARGEST_SEED)  # what a key of random streams may be


@dataclass(frozen=True)
class Key:
    """What is known of a key apart from its name, type and default.

    Attributes:
        doc: what it is, and its unit; the limits and choices are added where it is shown.
        low: the smallest number that is allowed; None where there is no such limit.
        high: the largest number that is allowed; None where there is no such limit.
        above: the number that it must exceed; None where there is no such limit.
        choices: the names that are allowed, with or without a word about each; empty where any text
            is.
        distinct: whether a list may name each of its choices only once.
        needs: what an empty text or list lacks, as the end of a sentence; empty where it may be
            empty.
        longest: the most characters of a text, or of each text of a list; None for any number.
        without: characters that no such text may have.
        determines_data: whether it changes a subject or its text. What does not is left out of the
            configuration's hash, and may change when a run is continued.
        path: whether it names a file or folder.
    """

    doc: str = ""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: Sequence[str] | Mapping[str, str] = ()
    distinct: bool = False
    needs: str = ""
    longest: int | None = None
    without: str = ""
    determines_data: bool = True
    path: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raises `ConfigurationError` where a value is not within the limits or choices."""
        if isinstance(value, Ends):
            value.check(name, self)
        elif isinstance(value, str | tuple):
            self._check_names(name, value)
        elif isinstance(value, int | float):
            self._check_number(name, value)

    def _check_names(self, name: str, value: str | tuple[str, ...]) -> None:
        """Checks a text or a list of texts."""
        require(not self.needs or len(value) > 0, f"{name} is empty; it {self.needs}.")
        self._check_spelling(name, value)
        if not self.choices:
            return
        allowed = tuple(self.choices)
        if isinstance(value, str):
            require_in(name, value, allowed)
        elif self.distinct:
            require_names(name, value, allowed)
        else:
            for item in value:
                require_in(name, item, allowed)

    def _check_spelling(self, name: str, value: str | tuple[str, ...]) -> None:
        """Checks the length and the characters of a text, or of each text of a list."""
        if self.longest is None:
            return
        texts = (value,) if isinstance(value, str) else value
        for text in texts:
            require(bool(text) or isinstance(value, str), f"{name} has an empty text.")
            require(
                len(text) <= self.longest,
                f"{name} has {len(text)} characters ('{text[:20]}...'); "
                f"up to {self.longest} are allowed.",
            )
            wrong = "".join(letter for letter in self.without if letter in text)
            require(not wrong, f"{name} is '{text}'; it must not contain any of {self.without} .")

    def _check_number(self, name: str, value: float) -> None:
        """Checks a number; one that is not a number at all is outside of every limit."""
        if self.low is not None and self.high is not None:
            require_between(name, value, self.low, self.high)
        if self.above is not None:
            require(value > self.above, f"{name} is {value}; it must be above {self.above}.")

    @property
    def allowed(self) -> str:
        """The limits or choices in words; empty where there are none.

        >>> Key(low=1, high=10_000).allowed, Key(above=0).allowed, Key(choices=("a", "b")).allowed
        ('1 to 10,000', 'above 0', 'a, b')
        """
        if isinstance(self.choices, Mapping):
            return "; ".join(f"{name}: {doc}" for name, doc in self.choices.items())
        if self.choices:
            return ", ".join(self.choices)
        if self.longest is not None:
            excluded = f", none of {self.without}" if self.without else ""
            return f"up to {self.longest} characters{excluded}"
        if self.low is not None and self.high is not None:
            high = "2**63 - 1" if self.high == _LARGEST_SEED else f"{self.high:,}"
            return f"{self.low:,} to {high}"
        return "" if self.above is None else f"above {self.above}"


class Ends:
    """The two ends of a closed range of numbers."""

    min: float
    max: float

    def check(self, name: str, key: Key) -> None:
        """Raises `ConfigurationError` where the range is empty or leaves the limits of its key."""
        require(
            self.min <= self.max,
            f"{name}.min is {self.min}, but {name}.max is {self.max}; min must not exceed max.",
        )
        key.check(f"{name}.min", self.min)
        key.check(f"{name}.max", self.max)


@dataclass(frozen=True)
class Keys:
    """Values that are checked against their own limits when they are put together.

    Attributes:
        prefix: what stands before the name of each key in an error; None for values that stand in
            several places, which whoever holds them checks.
    """

    prefix: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        if self.prefix is not None:
            self.check_keys(self.prefix)

    def check_keys(self, prefix: str) -> None:
        """Raises `ConfigurationError` for the first value that leaves its limits or choices."""
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Keys):
                if value.prefix is None:
                    value.check_keys(f"{prefix}{item.name}.")
            else:
                key_of(item).check(prefix + item.name, value)


def key(
    default: Any = MISSING,
    doc: str = "",
    *,
    limits: tuple[float, float] | None = None,
    **options: Any,
) -> Any:
    """A field of a dataclass with what `Key` holds of it.

    Args:
        default: its value where none is given; without one the key has to be given.
        doc: what it is, and its unit.
        limits: the smallest and the largest number that are allowed.
        options: the other attributes of `Key`.
    """
    low, high = limits or (None, None)
    return field(default=default, metadata={"key": Key(doc=doc, low=low, high=high, **options)})


def key_of(item: Field[Any]) -> Key:
    """What was declared of a field; nothing of a plain one."""
    declared: Key = item.metadata.get("key", Key())
    return declared


def walk(schema: type, prefix: str = "") -> Iterator[tuple[str, Field[Any]]]:
    """Every dotted key of a schema and its field, groups included, each before its own keys."""
    for item in fields(schema):
        yield prefix + item.name, item
        if isinstance(item.type, type) and is_dataclass(item.type):
            yield from walk(item.type, f"{prefix}{item.name}.")


def limits_of(schema: type, name: str) -> tuple[int, int]:
    """The smallest and the largest whole number that a key allows.

    Raises:
        ValueError: it has no such limits.
    """
    declared = next((key_of(item) for item in fields(schema) if item.name == name), Key())
    if declared.low is None or declared.high is None:
        raise ValueError(f"{schema.__name__}.{name} has no limits")
    return int(declared.low), int(declared.high)
