"""Token counts with the optional tokenizer extra."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

ENCODING = "llama3"


@dataclass
class TokenStatistics:
    """Running counts of one task's texts."""

    name: str
    count: int = 0
    min: int = 0
    max: int = 0
    total: int = 0

    def add(self, tokens: int) -> None:
        """Adds one text of this many tokens."""
        self.min = min(self.min, tokens) if self.count else tokens
        self.max = max(self.max, tokens)
        self.count += 1
        self.total += tokens

    @property
    def mean(self) -> float:
        """Mean tokens a text; 0 where there are none."""
        return self.total / self.count if self.count else 0.0


class TokenCounter:
    """Counts Llama-3 tokens."""

    def __init__(self) -> None:
        import quicktok

        self.encoding: Any = quicktok.get_encoding(ENCODING)

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return int(self.encoding.count(text))


def load_counter() -> TokenCounter | None:
    """A counter, or None where the `tokenizer` extra is not installed."""
    return TokenCounter() if find_spec("quicktok") else None
