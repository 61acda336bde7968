"""Values against dataclasses: checks with sentences, nested containers as typed instances, dotted keys."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from muat_exp.config.checks import require
from muat_exp.errors import ConfigurationError, nearest


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


def schema_keys(schema: type, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a schema, groups included."""
    for item in fields(schema):
        yield prefix + item.name
        if isinstance(item.type, type) and is_dataclass(item.type):
            yield from schema_keys(item.type, f"{prefix}{item.name}.")


def read(
    values: Mapping[str, Any], schema: type, root: type | None = None, prefix: str = ""
) -> Any:
    """A checked instance of a dataclass from nested plain containers; absent keys take their defaults.

    Args:
        values: by field name.
        schema: the dataclass.
        root: the whole configuration's, for the nearest right name of an unknown key.
        prefix: of the keys within it.

    Raises:
        ConfigurationError: an unknown key, a value of the wrong type, a value out of range, or a bad combination.
    """
    root = root or schema
    known = {item.name: item.type for item in fields(schema)}
    arguments = {}
    for key, value in values.items():
        if key not in known:
            raise ConfigurationError(unknown_key(prefix + str(key), root))
        arguments[key] = _convert(value, known[key], root, prefix + key)
    missing = [
        item.name for item in fields(schema) if item.name not in arguments and _required(item)
    ]
    require(not missing, f"{prefix}{missing[0] if missing else ''} is missing; it has no default.")
    return schema(**arguments)


def unknown_key(key: str, root: type) -> str:
    """The sentence for a key that the whole configuration lacks."""
    leaf = key.rpartition(".")[2]
    within = [
        known for known in schema_keys(root) if known.rpartition(".")[2] == leaf
    ]  # the right key, of another group
    hint = nearest(key, within) or (
        f" Did you mean '{within[0]}'?" if within else nearest(key, schema_keys(root))
    )
    return f"Unknown configuration key '{key}'.{hint or ' See python -m muat_exp --cfg job.'}"


def _required(item: Any) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _convert(value: Any, kind: Any, root: type, name: str) -> Any:
    """A YAML value as the type of its field; integers pass for reals, nothing else is coerced."""
    if is_dataclass(kind):
        keys = ", ".join(f"{name}.{item.name}" for item in fields(kind))
        require(isinstance(value, Mapping), f"{name} is {value!r}; it is a group of keys: {keys}.")
        return read(value, kind, root, f"{name}.")  # type: ignore[arg-type]
    if kind == tuple[str, ...]:
        listed = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        example = f", such as [{value}]" if isinstance(value, str) else ""
        require(listed, f"{name} is {value!r}; it must be a list of names{example}.")
        return tuple(value)
    allowed = {int: (int,), float: (int, float), str: (str,), bool: (bool,)}.get(kind, (int, str))
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    right = isinstance(value, allowed) and (kind is bool or not isinstance(value, bool))
    require(
        right, f"{name} is {value!r}; it must be {words.get(kind, 'a whole number or a text')}."
    )
    return float(value) if kind is float else value
