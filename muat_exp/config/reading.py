"""Values against dataclasses: nested containers as typed instances, dotted keys, sentences."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, NamedTuple, TypeVar

from muat_exp.config.checks import require
from muat_exp.config.keys import Ends, key_of, walk
from muat_exp.errors import ConfigurationError, nearest

Schema = TypeVar("Schema")


class _Plain(NamedTuple):
    """A type of single values.

    Attributes:
        accepted: the types that pass for it.
        words: what it is called in a sentence.
    """

    accepted: tuple[type, ...]
    words: str


_PLAIN: dict[Any, _Plain] = {
    int: _Plain((int,), "a whole number"),
    float: _Plain((int, float), "a number"),
    str: _Plain((str,), "a text"),
    bool: _Plain((bool,), "true or false"),
    int | str: _Plain((int, str), "a whole number or a text"),
}


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values.

    >>> dict(flatten({"a": {"b": 1}}))
    {'a.b': 1}
    """
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def set_key(values: dict[str, Any], key: str, value: Any) -> None:
    """Puts a value under a dotted key of nested containers that have it."""
    *groups, name = key.split(".")
    for group in groups:
        values = values[group]
    values[name] = value


def schema_keys(schema: type) -> list[str]:
    """Every dotted key of a schema, groups included."""
    return [name for name, _ in walk(schema)]


def read(
    values: Mapping[str, Any],
    schema: type[Schema],
    root: type | None = None,
    prefix: str = "",
) -> Schema:
    """A checked instance of a dataclass from nested containers; absent keys take their defaults.

    Args:
        values: by field name.
        schema: the dataclass.
        root: the whole configuration's, for the nearest right name of an unknown key.
        prefix: of the keys within it.

    Raises:
        ConfigurationError: an unknown key, a value of the wrong type, a value out of range, or a
            bad combination.
        TypeError: a field has a type that values can't be read as.
    """
    root = root or schema
    items = fields(schema)  # type: ignore[arg-type]
    known: dict[str, Any] = {item.name: item.type for item in items}
    arguments = {}
    for key, value in values.items():
        if key not in known:
            raise ConfigurationError(unknown_key(prefix + str(key), root))
        arguments[key] = _convert(value, known[key], root, prefix + key)
    for item in items:
        given = item.name in arguments or not _is_required(item)
        require(given, f"{prefix}{item.name} is missing; it has no default.")
    return schema(**arguments)


def unknown_key(key: str, root: type) -> str:
    """The sentence for a key that the whole configuration lacks."""
    known = schema_keys(root)
    leaf = key.rpartition(".")[2]
    elsewhere = [name for name in known if name.rpartition(".")[2] == leaf]  # of another group
    hint = nearest(key, elsewhere)
    if not hint and elsewhere:
        hint = f" Did you mean '{elsewhere[0]}'?"
    hint = hint or nearest(key, known) or " See python -m muat_exp --cfg job."
    return f"Unknown configuration key '{key}'.{hint}"


def _is_required(item: Field[Any]) -> bool:
    """Whether a field has no default."""
    return item.default is MISSING and item.default_factory is MISSING


def _convert(value: Any, kind: Any, root: type, name: str) -> Any:
    """A YAML value as the type of its field; 1 passes for a real number, 1e4 for a whole one."""
    if is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ConfigurationError(no_group(value, dict(walk(root))[name], name))
        return read(value, kind, root, f"{name}.")  # type: ignore[arg-type]
    if kind == tuple[str, ...]:
        return _names(value, name)
    if kind not in _PLAIN:
        raise TypeError(f"{name}: values can't be read as {kind}")
    return _plain_value(value, kind, name)


def no_group(value: Any, group: Field[Any], name: str) -> str:
    """The sentence for a value that stands in the place of a group of keys."""
    kind: Any = group.type
    keys = [f"{name}.{item.name}" for item in fields(kind)]
    sentence = f"{name} is {value!r}; it is a group of keys: {', '.join(keys)}."
    if not issubclass(kind, Ends):
        return sentence
    allowed = key_of(group).allowed
    if allowed:
        sentence = f"{sentence[:-1]} ({allowed})."
    ends = value if isinstance(value, list) and len(value) == len(keys) else [value, value]
    if not all(isinstance(end, int | float) for end in ends):
        return sentence
    given = " ".join(f"{key}={end}" for key, end in zip(keys, ends, strict=True))
    return f"{sentence[:-1]}, such as {given}."


def _names(value: Any, name: str) -> tuple[str, ...]:
    """A list of texts."""
    listed = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    example = f", such as [{value}]" if isinstance(value, str) else ""
    require(listed, f"{name} is {value!r}; it must be a list of names{example}.")
    return tuple(value)


def _plain_value(value: Any, kind: Any, name: str) -> Any:
    """A single value."""
    accepted, words = _PLAIN[kind]
    if (
        int in accepted
        and float not in accepted
        and isinstance(value, float)
        and value.is_integer()
    ):
        value = int(value)
    right = isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))
    require(right, f"{name} is {value!r}; it must be {words}.")
    if kind is not float:
        return value
    try:
        return float(value)
    except OverflowError as error:  # a whole number of more than 308 digits
        raise ConfigurationError(f"{name} is larger than any real number can be.") from error
