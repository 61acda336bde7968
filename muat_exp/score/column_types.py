"""The types that columns of answers and of true completions may have."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from muat_exp.errors import MuatError


def is_identity(kind: pa.DataType) -> bool:
    """Whether a type is one of whole numbers or of texts."""
    return bool(pa.types.is_integer(kind)) or is_text(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of texts, or of nothing but nulls."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    return any(test(value) for test in tests)


def is_text_or_names(kind: pa.DataType) -> bool:
    """Whether a type is one of texts, or of lists of them."""
    return is_text(kind.value_type if pa.types.is_list(kind) else kind)


Test = Callable[[pa.DataType], bool]
_WORDS: dict[Test, str] = {  # what each test allows
    is_identity: "whole numbers or texts",
    is_text: "texts",
    is_text_or_names: "texts or lists of texts",
}


def check_types(
    path: Path,
    schema: pa.Schema,
    tests: Mapping[str, Test],
    error: type[MuatError],
) -> None:
    """Raises an error of a type unless each column is there once and its type passes its test."""
    for name, test in tests.items():
        places = schema.get_all_field_indices(name)
        if len(places) != 1:
            raise error(f"{path}: the column {name} is there {len(places)} times; one is needed.")
        kind = schema.field(places[0]).type
        if not test(kind):
            raise error(f"{path}: the column {name} is {kind!s:.80}; it must be {_WORDS[test]}.")
