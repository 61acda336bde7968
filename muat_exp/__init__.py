"""Thousands of small networks whose behaviour is known, to train interpreters on."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muat_exp.compose import load_config
    from muat_exp.config import Config
    from muat_exp.dataset.parsing import ParsedPrompt, parse_prompt, parse_weights
    from muat_exp.dataset.reading import Subject, Subjects, load_subjects
    from muat_exp.errors import MuatError
    from muat_exp.pipeline import Result, generate

__all__ = [
    "Config",
    "MuatError",
    "ParsedPrompt",
    "Result",
    "Subject",
    "Subjects",
    "generate",
    "load_config",
    "load_subjects",
    "parse_prompt",
    "parse_weights",
]
HOMES = {
    "Config": "config",
    "MuatError": "errors",
    "ParsedPrompt": "dataset.parsing",
    "Result": "pipeline",
    "Subject": "dataset.reading",
    "Subjects": "dataset.reading",
    "generate": "pipeline",
    "load_config": "compose",
    "load_subjects": "dataset.reading",
    "parse_prompt": "dataset.parsing",
    "parse_weights": "dataset.parsing",
}


def __getattr__(name: str) -> Any:
    """Imports a public name on first use, so that a wrong configuration is refused before torch is imported."""
    from importlib import import_module

    if name not in HOMES:
        raise AttributeError(f"module 'muat_exp' has no attribute '{name}'")
    return getattr(import_module(f"muat_exp.{HOMES[name]}"), name)
