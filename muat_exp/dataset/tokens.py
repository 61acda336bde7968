"""Token counts with the optional tokenizer extra."""

from collections.abc import Sequence
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

    def add(self, counts: Sequence[int]) -> None:
        """Adds texts of so many tokens, at least one."""
        self.min = min([*counts, self.min] if self.count else counts)
        self.max = max(*counts, self.max)
        self.count += len(counts)
        self.total += sum(counts)

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
