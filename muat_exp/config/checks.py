"""Checks of values that raise `ConfigurationError` with a sentence."""

from muat_exp.errors import ConfigurationError, nearest


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
