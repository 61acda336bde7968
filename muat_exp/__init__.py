"""Thousands of small networks whose behaviour is known, to train interpreters on."""

TYPE_CHECKING = False  # `typing` takes longer to import than this package has until Ctrl-C is heard
if TYPE_CHECKING:
    from muat_exp.app.compose import load_config
    from muat_exp.config.groups import Config
    from muat_exp.dataset.reading import Subject, Subjects, load_subjects
    from muat_exp.errors import MuatError
    from muat_exp.exports.matrix import load_matrix
    from muat_exp.exports.pyg import load_graphs
    from muat_exp.exports.state_dicts import load_state_dicts
    from muat_exp.exports.trl import load_rows
    from muat_exp.generation.pipeline import Result, generate
    from muat_exp.prompts.parsing import ParsedPrompt, parse_prompt, parse_weights

__all__ = [
    "Config",
    "MuatError",
    "ParsedPrompt",
    "Result",
    "Subject",
    "Subjects",
    "generate",
    "load_config",
    "load_graphs",
    "load_matrix",
    "load_rows",
    "load_state_dicts",
    "load_subjects",
    "parse_prompt",
    "parse_weights",
]

# The module of each public name.
_HOMES = {
    "Config": "config.groups",
    "MuatError": "errors",
    "ParsedPrompt": "prompts.parsing",
    "Result": "generation.pipeline",
    "Subject": "dataset.reading",
    "Subjects": "dataset.reading",
    "generate": "generation.pipeline",
    "load_config": "app.compose",
    "load_graphs": "exports.pyg",
    "load_matrix": "exports.matrix",
    "load_rows": "exports.trl",
    "load_state_dicts": "exports.state_dicts",
    "load_subjects": "dataset.reading",
    "parse_prompt": "prompts.parsing",
    "parse_weights": "prompts.parsing",
}


def __getattr__(name: str) -> object:
    """Imports a public name on first use.

    A wrong configuration is then refused before torch is imported.
    """
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'muat_exp' has no attribute '{name}'")
    home = import_module(f"muat_exp.{_HOMES[name]}")
    return getattr(home, name)
