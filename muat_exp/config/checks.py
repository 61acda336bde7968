"""Checks of values that raise `ConfigurationError` with a sentence."""

import re

from muat_exp.errors import ConfigurationError, nearest

_REPO_ID = re.compile(
    r"(?!.*(?:--|\.\.))\w(?:[\w.-]{0,94}\w)?/\w(?:[\w.-]{0,94}\w)?(?<!\.git)", re.ASCII
)


def require(condition: bool, message: str) -> None:
    """Raises `ConfigurationError` with the message unless the condition holds."""
    if not condition:
        raise ConfigurationError(message)


def require_in(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises `ConfigurationError` unless the value is one of the allowed names."""
    hint = nearest(value, allowed)
    require(value in allowed, f"{name} is '{value}'; it must be one of {', '.join(allowed)}.{hint}")


def require_names(name: str, values: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    """Raises `ConfigurationError` unless each value is one of the allowed names, once."""
    for value in values:
        require_in(name, value, allowed)
        require(values.count(value) == 1, f"{name} names '{value}' more than once.")


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Raises `ConfigurationError` unless low <= value <= high."""
    require(low <= value <= high, f"{name} is {value}; it must be between {low} and {high}.")


def is_repo_id(name: str) -> bool:
    """Whether a text has the form of a repository's name on the Hub, with its owner.

    >>> is_repo_id("someone/muat-pca-10"), is_repo_id("outputs/mine/dataset")
    (True, False)
    """
    return _REPO_ID.fullmatch(name) is not None


def require_repo_id(name: str, value: str) -> None:
    """Raises `ConfigurationError` unless the value has the form of a name on the Hub."""
    require(
        is_repo_id(value),
        f"{name} is '{value}'; it must be <owner>/<name>, each of up to 96 letters, digits and "
        "'_', with single '-' and '.' between them, and without '.git' at the end.",
    )
