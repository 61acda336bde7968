"""Errors that a user can act on.

The command line prints their sentence and exits; callers of the library catch `MuatError`.
"""

import difflib
import reprlib
from collections.abc import Iterable


class MuatError(Exception):
    """Base of every error that this package raises on purpose.

    Its text says what is wrong, where, and what is allowed.
    """


class ConfigurationError(MuatError, ValueError):
    """A configuration value is unknown, out of range, or contradicts another."""


class ShortfallError(MuatError, RuntimeError):
    """A pattern could not fill its quota of examples."""


class NobodyAcceptedError(ShortfallError):
    """A run ended without a single example: there is nothing that could be loaded."""


class RunFolderError(MuatError, OSError):
    """A run's folder can't be used: it holds another configuration, or can't be written."""


class DocumentError(MuatError, ValueError):
    """A text is no YAML or JSON of plain values; names the line where there is one."""


class DatasetError(MuatError, ValueError):
    """A folder does not hold a readable dataset."""


class ProbeSetError(MuatError, ValueError):
    """A file is no probe set or benchmark set, or not one of the configured space and patterns."""


class PredictionsError(MuatError, ValueError):
    """A file does not hold predictions for the dataset; names the line or row."""


class HubError(MuatError, OSError):
    """The Hugging Face Hub did not take a dataset."""


class ExportError(MuatError, ValueError):
    """A dataset can't be written in the form that was asked for."""


class PromptError(MuatError, ValueError):
    """A text is not a prompt or holds no weights; names the line."""


class SweepError(MuatError, ValueError):
    """A folder does not hold a sweep."""


class TrackingError(MuatError, RuntimeError):
    """Something could not be logged; the dataset is not touched by that."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The most similar allowed name as a question, or the empty string.

    >>> nearest("palindrom", ["palindrome", "alternating"])
    " Did you mean 'palindrome'?"
    """
    close = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    if not close:
        return ""
    return f" Did you mean '{close[0]}'?"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlevel = 4


def shown(value: object, most: int = 40) -> str:
    """A value in a sentence: the beginning of how Python writes it, however large or deep it is.

    >>> shown("a" * 1000, 5), shown([[[[[[]]]]]])
    ("'aaaa", '[[[[[...]]]]]')
    """
    return _SHORT.repr(value)[:most]


def first_line(error: object) -> str:
    r"""The first line of an error's text without a full stop; its class where it has no text.

    >>> first_line(ValueError("It is wrong.\nIn many ways."))
    'It is wrong'
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
