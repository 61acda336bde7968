"""The registry of formats: what each is for, which options it has, and its module.

A format is a module of its name in this package, with two functions:

- `check(options)` refuses, before any work, options that can't be served and packages that are
  missing;
- `write(dataset, folder, options)` writes the files into an empty folder and returns a `Written`.
"""

from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

from muat_exp.config.checks import require

ROWS = ("completion", "messages")
LONG_ROWS = ("refuse", "drop")
FILES = ("safetensors", "pth")


class Format(NamedTuple):
    """A format.

    Attributes:
        doc: what it is and who reads it, as the end of a line.
        options: the fields of `Options` that it looks at.
    """

    doc: str
    options: tuple[str, ...] = ()


FORMATS = {
    "trl": Format(
        "prompts and completions as JSONL and Parquet, for fine-tuning",
        ("rows", "max_tokens", "over_long"),
    ),
    "state_dicts": Format("a file of weights for each network, and splits.json", ("files",)),
    "matrix": Format("all networks, of one shape, in the rows of one array"),
    "pyg": Format("graphs for PyTorch Geometric"),
}


@dataclass(frozen=True)
class Options:
    """What may be chosen of the formats; each looks at its own.

    Attributes:
        rows: of trl, the columns: `completion` (prompt and completion) or `messages`.
        max_tokens: of trl, the most tokens of a row; 0 for any number.
        over_long: of trl, what becomes of rows with more: `refuse` or `drop`.
        files: of state_dicts, the kind of file: `safetensors` or `pth`.
        tokenizer: what counts tokens, as `dataset.tokenizer` names it.
    """

    rows: str = ROWS[0]
    max_tokens: int = 0
    over_long: str = LONG_ROWS[0]
    files: str = FILES[0]
    tokenizer: str = "none"


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        counts: how many networks, or rows, by split.
        dropped: rows that were left out since they are too long.
        facts: what else a reader needs to know, for `export.json`.
    """

    counts: dict[str, int]
    dropped: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


def format_module(name: str) -> ModuleType:
    """The module of a format."""
    return import_module(f"{__package__}.{name}")


def require_package(package: str, extra: str, purpose: str) -> None:
    """Raises `ConfigurationError` where the package of an extra is not installed."""
    there = find_spec(package) is not None
    require(there, f"{purpose} needs a package: pip install 'muat_exp[{extra}]'.")
