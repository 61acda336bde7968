"""The options of the command line: Hydra's, as far as they make sense here, in any order."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from muat_exp.app.compose import require_primary
from muat_exp.config.checks import require
from muat_exp.errors import ConfigurationError

_COMMANDS = ("--run", "--multirun", "--cfg", "--info", "--shell-completion")
_SHELLS = ("bash", "fish", "zsh")
_COMPLETIONS = [[f"{what}={shell}"] for what in ("install", "uninstall") for shell in _SHELLS]
_AGAIN = "config=<dataset folder> runs the configuration of a dataset again"


class _Parser(argparse.ArgumentParser):
    """Hydra's options and our `--version`; what they can't be is a sentence."""

    def error(self, message: str) -> NoReturn:
        """Called by the base class."""
        raise ConfigurationError(f"{message}; python -m muat_exp --help shows what there is.")


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The options among the arguments, and `overrides`, all the others.

    Raises:
        ConfigurationError: an option is unknown, lacks what it needs, or has no sense here.
    """
    parser = _Parser(parents=[get_args_parser()], add_help=False, conflict_handler="resolve")
    parser.add_argument("--version", action="store_true")
    options = parser.parse_intermixed_args(arguments)
    if not (options.help or options.version or options.hydra_help):
        _check_commands(options)
        _check_sources(options)
    return options


def arranged(arguments: Sequence[str], options: argparse.Namespace) -> list[str]:
    """The arguments in the order that Hydra can read: its options behind all overrides.

    Its own help has none: it shows Hydra's part, which an override need not fit.
    """
    own = list(arguments)
    for override in options.overrides:
        own.remove(override)
    return own if options.hydra_help else [*options.overrides, *own]


def _check_commands(options: argparse.Namespace) -> None:
    """Raises `ConfigurationError` for what Hydra is to do, where it can't."""
    given = [name for name in _COMMANDS if getattr(options, name[2:].replace("-", "_"))]
    require(len(given) < 2, f"{' and '.join(given)} can't be combined; give one of them.")
    for name in ("resolve", "package"):
        fits = bool(options.cfg) or not getattr(options, name)
        require(fits, f"--{name} is about what --cfg shows; give --cfg job besides.")
    require(
        not (options.resolve and options.cfg == "hydra"),
        "--cfg hydra --resolve lacks what Hydra's part refers to; "
        "give --cfg all --resolve --package hydra.",
    )
    if options.shell_completion:
        require(
            options.overrides in _COMPLETIONS or "COMP_LINE" in os.environ,
            "--shell-completion needs install=<shell> or uninstall=<shell>, "
            f"with {', '.join(_SHELLS)} for the shell.",
        )


def _check_sources(options: argparse.Namespace) -> None:
    """Raises `ConfigurationError` for configurations from elsewhere that would not be run."""
    require(
        options.experimental_rerun is None,
        f"--experimental-rerun would need a pickle, which no run writes; {_AGAIN}.",
    )
    require(
        options.config_path is None,
        f"--config-path would take away all options of this program; {_AGAIN}, and "
        "--config-dir=<folder> adds options of your own to its groups.",
    )
    folder = options.config_dir
    if folder is not None:
        file = Path(folder) / "config.yaml"
        require(
            not file.is_file(),
            f"--config-dir={folder}: its config.yaml would not be read, for this program has its "
            f"own; config={file} runs the configuration of a dataset again.",
        )
    if options.config_name not in (None, "config"):
        require_primary(options.config_name, folder)
