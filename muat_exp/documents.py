"""YAML and JSON from anywhere: plain values, or a sentence.

What a parser would give beside plain values is refused: dates, aliases, tags, keys that are no
texts or stand there twice, numbers that nothing can hold, and nesting that no file of ours has.
"""

import json
import math
from collections import Counter
from collections.abc import Hashable
from typing import Any, ClassVar

import orjson
import yaml

from muat_exp.errors import DocumentError

LONGEST_YAML = 2**16  # bytes that are read of a configuration
_DEEPEST = 32  # levels of lists and mappings within each other
_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
# What stands for a value elsewhere, or for a value of another type.
_FOREIGN = {yaml.AliasToken: "an alias (*name)", yaml.TagToken: "a tag (!name)"}
_TEXT = "tag:yaml.org,2002:str"
_PLAIN = ("null", "bool", "int", "float")  # types of YAML that a text without quotes may have
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1  # whole numbers, as JSON's parser has them


class _Loader(yaml.SafeLoader):
    """PyYAML's loader of plain values: a date is the text that it is written as."""

    yaml_implicit_resolvers: ClassVar = {
        first: [pair for pair in pairs if pair[0].rpartition(":")[2] in _PLAIN]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping whose keys are texts, each there once."""
        seen = set()
        for key, _ in node.value:
            if key.tag != _TEXT:
                raise _fault(key.start_mark, "a key must be a text")
            if key.value in seen:
                raise _fault(key.start_mark, f"the key '{key.value:.40}' is there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_int(self, node: yaml.ScalarNode) -> int:
        """A whole number of up to 64 bits."""
        try:
            value: int = self.construct_yaml_int(node)
        except ValueError:  # too many digits, or none
            value = _LARGEST + 1
        if not _SMALLEST <= value <= _LARGEST:
            raise _no_number(node)
        return value

    def construct_float(self, node: yaml.ScalarNode) -> float:
        """A finite number."""
        try:
            value: float = self.construct_yaml_float(node)
        except (ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value):
            raise _no_number(node)
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_float)


def _fault(mark: yaml.Mark, sentence: str) -> DocumentError:
    """The error about one line of a YAML file."""
    return DocumentError(f"line {mark.line + 1}: {sentence}.")


def _no_number(node: yaml.ScalarNode) -> DocumentError:
    """The error about a number that is infinite, none at all, or too large."""
    return _fault(node.start_mark, f"{node.value:.40} is no number that can be used")


def parse_yaml(content: bytes) -> object:
    """The plain value that a YAML file holds.

    Raises:
        DocumentError: it is no YAML of plain values; names the line.
    """
    try:
        text = content.decode()
        _check_tokens(text)
        return yaml.load(text, _Loader)  # noqa: S506 - it is a safe one
    except UnicodeDecodeError as error:
        raise DocumentError("it is no text in UTF-8.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1} is" if mark else "it is"
        raise DocumentError(f"{line} not YAML: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:
        raise DocumentError(f"it is not YAML: {str(error).splitlines()[0]}.") from error


def _check_tokens(text: str) -> None:
    """Raises `DocumentError` for aliases, tags and deep nesting, before anything is built."""
    depth = 0
    for token in yaml.scan(text, yaml.SafeLoader):
        depth += isinstance(token, _OPENING)
        depth -= isinstance(token, _CLOSING)
        if depth > _DEEPEST:
            raise _fault(token.start_mark, f"there are more than {_DEEPEST} levels of nesting")
        foreign = _FOREIGN.get(type(token))
        if foreign:
            raise DocumentError(
                f"line {token.start_mark.line + 1} has {foreign}, which is not read."
            )


def parse_json(content: bytes) -> object:
    """The value that a JSON file holds.

    Raises:
        DocumentError: it is no JSON, is nested too deeply, or has a key twice.
    """
    try:
        value: object = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise DocumentError(f"line {error.lineno} is not JSON: {error.msg}.") from error
    _check_depth(value)
    # The first parser keeps the last of equal keys; the second is slower, but tells of them.
    json.loads(content, object_pairs_hook=_check_keys, parse_int=len, parse_float=len)
    return value


def parse_json_object(content: bytes) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        DocumentError: it holds none; see `parse_json`.
    """
    value = parse_json(content)
    if not isinstance(value, dict):
        raise DocumentError("it must hold a JSON object.")
    return value


def _check_depth(value: object) -> None:
    """Raises `DocumentError` for a value that is nested too deeply."""
    level = [value]
    for _ in range(_DEEPEST + 1):
        containers = [item for item in level if isinstance(item, dict | list)]
        level = [part for item in containers for part in _parts(item)]
    if level:
        raise DocumentError(f"there are more than {_DEEPEST} levels of nesting.")


def _parts(container: dict[str, object] | list[object]) -> list[object]:
    """The values of an object or list."""
    return list(container.values()) if isinstance(container, dict) else container


def _check_keys(pairs: list[tuple[str, object]]) -> None:
    """Raises `DocumentError` where an object has a key twice."""
    times = Counter(name for name, _ in pairs)
    for name, count in times.most_common(1):
        if count > 1:
            raise DocumentError(f"the key '{name[:40]}' is there {count} times.")
