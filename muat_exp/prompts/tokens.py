"""Token counts of the prompts, by Llama 3's tokenizer or any `tokenizer.json`.

Both come with the tokenizer extra.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from muat_exp.config.checks import require
from muat_exp.errors import ConfigurationError

LLAMA3 = "llama3"
NONE = "none"


@dataclass
class TokenStatistics:
    """Running counts of one task's texts.

    Attributes:
        limit: `dataset.max_tokens`; 0 where there is none.
        count: texts seen.
        min, max, total: of their tokens.
        fitting: those of them that have `limit` tokens at most.
    """

    limit: int = 0
    count: int = 0
    min: int = 0
    max: int = 0
    total: int = 0
    fitting: int = 0

    def add(self, counts: Sequence[int]) -> None:
        """Adds texts of so many tokens, at least one."""
        self.min = min([*counts, self.min] if self.count else counts)
        self.max = max(*counts, self.max)
        self.count += len(counts)
        self.total += sum(counts)
        self.fitting += sum(count <= self.limit for count in counts)

    @property
    def mean(self) -> float:
        """Mean tokens a text; 0 where there are none."""
        return self.total / self.count if self.count else 0.0


class TokenCounter(Protocol):
    """Counts the tokens of texts."""

    name: str

    def count(self, text: str) -> int:
        """Tokens of a text."""


class _Llama3Counter:
    """Counts Llama 3's tokens."""

    name = "Llama-3"

    def __init__(self) -> None:
        import quicktok

        self.encoding: Any = quicktok.get_encoding(LLAMA3)

    def count(self, text: str) -> int:
        """See `TokenCounter`."""
        return int(self.encoding.count(text))


class _FileCounter:
    """Counts by the tokenizer of a `tokenizer.json`.

    Without the special tokens that it may put around a text.
    """

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        self.name = path.name
        self.tokenizer = Tokenizer.from_file(str(path))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def count(self, text: str) -> int:
        """See `TokenCounter`."""
        return len(self.tokenizer.encode(text, add_special_tokens=False))


def load_counter(tokenizer: str) -> TokenCounter | None:
    """The counter that `dataset.tokenizer` names.

    None for none, and for llama3 where the tokenizer extra is not installed.

    Raises:
        ConfigurationError: there is no such file, it holds no tokenizer, or the extra that reads it
            is not installed.
    """
    if tokenizer == NONE:
        return None
    if tokenizer == LLAMA3:
        return _Llama3Counter() if find_spec("quicktok") else None
    path = Path(tokenizer)
    place = f"dataset.tokenizer is '{tokenizer}'"
    allowed = f"it must be {LLAMA3}, {NONE}, or the path of a tokenizer.json"
    require(path.is_file(), f"{place}, and there is no such file; {allowed}.")
    require(
        find_spec("tokenizers") is not None,
        f"{place}, which needs a package: pip install 'muat_exp[tokenizer]'.",
    )
    try:
        return _FileCounter(path)
    except Exception as error:  # the tokenizers package raises plain exceptions
        raise ConfigurationError(f"{place}, which holds no tokenizer: {error}.") from error
