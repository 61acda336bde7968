"""Swept values as they are shown: numbers with four digits, long texts by what differs."""

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile

from muat_exp.config.keys import SEEDS

Value = float | int | str

_LONG = 24  # letters from which a label is shortened
_LONGEST = 60  # letters that a label may have
_CUT = "…"
_WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_REAL = re.compile(r"[+-]?(\d{1,40}\.?\d{0,40}|\.\d{1,40})(e[+-]?\d{1,2})?", re.ASCII | re.I)


def number_or_text(text: str) -> Value:
    """A swept value as a number where it is one.

    >>> number_or_text("0.05"), number_or_text("3"), number_or_text("pca_5"), number_or_text("nan")
    (0.05, 3, 'pca_5', 'nan')
    """
    if _WHOLE.fullmatch(text) and abs(int(text)) <= SEEDS[1]:
        return int(text)
    if _REAL.fullmatch(text):
        return float(text)
    return text


def shown(value: object) -> str:
    """A value as a label: a number with four digits, a text on one line and not too long.

    >>> shown(0.005607672376602178), shown("pca_5")
    ('0.005608', 'pca_5')
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    return _cut(printable(str(value)))


def printable(text: str) -> str:
    r"""A text on one line: what has no letter of its own is spelled out.

    >>> printable("two\nlines")
    'two\\nlines'
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _spelled(letter) for letter in text)


def labels(values: Iterable[Value]) -> dict[Value, str]:
    """A label for each of the values of one key, none like another.

    Of long values it is told what differs between them.

    >>> made = labels(["[palindrome,alternating,starts_with]", "[palindrome,alternating]"])
    >>> list(made.values())
    ['[2 shared, starts_with]', '[2 shared]']
    """
    distinct = list(dict.fromkeys(values))
    made = {value: shown(value) for value in distinct}
    texts = [value for value in distinct if isinstance(value, str)]
    if any(len(text) > _LONG for text in texts) and len(texts) > 1:
        short = _of_lists(texts) or _of_texts(texts)
        made |= {value: _cut(printable(label)) for value, label in short.items()}
    return _told_apart(made)


def _of_lists(texts: Sequence[str]) -> dict[Value, str]:
    """What each list has beside that which all have; empty where they are no lists."""
    listed = {text: _items(text) for text in texts}
    if not all(listed.values()):
        return {}
    first, *others = (dict.fromkeys(items) for items in listed.values())
    shared = {item for item in first if all(item in other for other in others)}
    made: dict[Value, str] = {}
    for text, items in listed.items():
        own = [item for item in items if item not in shared]
        head = [f"{len(shared)} shared"] if shared else []
        made[text] = f"[{', '.join([*head, *own])}]"
    return made


def _items(text: str) -> list[str]:
    """The items of a list without nesting, as it is written in an override; none of another."""
    inner = text[1:-1]
    if text[:1] + text[-1:] != "[]" or any(bracket in inner for bracket in "[]{}()'\""):
        return []
    return [item.strip() for item in inner.split(",")]


def _of_texts(texts: Sequence[str]) -> dict[Value, str]:
    """Texts without the words that all of them begin with, and end with."""
    words = [re.findall(r"\w+|\W", text) for text in texts]
    before = _equal_beginning(words)
    rests = [parts[before:] for parts in words]
    after = _equal_beginning([parts[::-1] for parts in rests])
    made: dict[Value, str] = {}
    for text, rest in zip(texts, rests, strict=True):
        own = "".join(rest[: len(rest) - after])
        made[text] = f"{_CUT if before else ''}{own}{_CUT if after else ''}"
    return made


def _equal_beginning(rows: Sequence[Sequence[str]]) -> int:
    """How many items all rows begin with."""
    equal = takewhile(lambda items: len(set(items)) == 1, zip(*rows, strict=False))
    return sum(1 for _ in equal)


def _cut(text: str) -> str:
    """A text with its middle left out where it is too long."""
    if len(text) <= _LONGEST:
        return text
    half = (_LONGEST - len(_CUT)) // 2
    return text[:half] + _CUT + text[-half:]


def _told_apart(made: dict[Value, str]) -> dict[Value, str]:
    """Labels that several values would have, each with a number of its own."""
    owners: dict[str, list[Value]] = {}
    for value, label in made.items():
        owners.setdefault(label, []).append(value)
    numbered = dict(made)
    for label, values in owners.items():
        for number, value in enumerate(values[1:], start=2):
            numbered[value] = f"{label} ({number})"
    return numbered


def _spelled(letter: str) -> str:
    """A sign that can't be shown, as Python would spell it."""
    return letter.encode("unicode_escape", "surrogatepass").decode()


def names(keys: Sequence[str], taken: Iterable[str]) -> dict[str, str]:
    """Keys by their last parts, or whole where another one, or something taken, is called so.

    >>> list(names(["a.max", "b.max", "corruption.rate", "x.job"], taken=["job"]).values())
    ['a.max', 'b.max', 'rate', 'x.job']
    """
    occupied = set(taken)
    last = [_short(key) for key in keys]
    made = {}
    for key, name in zip(keys, last, strict=True):
        free = last.count(name) == 1 and name not in occupied
        made[key] = name if free else key
    return made


def _short(key: str) -> str:
    """The last part of a dotted key."""
    return key.rpartition(".")[2].rpartition("/")[2]


def column(key: str, own: Iterable[str]) -> str:
    """The name of a swept key's column in a table that has columns of its own.

    >>> column("patterns", ["job", "patterns"]), column("seed", ["job"])
    ('swept/patterns', 'seed')
    """
    return f"swept/{key}" if key in own else key
