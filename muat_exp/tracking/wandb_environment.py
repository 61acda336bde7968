"""What W&B's own environment variables mean here, and whether its server can be reached.

A key of `logger` that is given comes first, then W&B's variable, then our default. Where a run's
files go and which run a folder holds is not left to the environment.
"""

import netrc
import os
import socket
import threading
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from muat_exp.config.checks import require
from muat_exp.config.groups import LoggerConfig
from muat_exp.config.keys import key_of
from muat_exp.errors import ConfigurationError
from muat_exp.files import short_sha256

DISABLED = "disabled"
OFFLINE = "offline"
ONLINE = "online"
_PROJECT = "muat_exp"
_READ = {
    "project": "WANDB_PROJECT",
    "entity": "WANDB_ENTITY",
    "group": "WANDB_RUN_GROUP",
    "run_name": "WANDB_NAME",
}
_TAGS = "WANDB_TAGS"
_MODE = "WANDB_MODE"
_MODES = {
    "offline": OFFLINE,
    "dryrun": OFFLINE,
    "online": ONLINE,
    "run": ONLINE,
    "disabled": DISABLED,
}
_SWITCH = "WANDB_DISABLED"
_ON = ("1", "true", "yes", "on")
# What decides where files go, which run a folder is, or what W&B prints: settled by us.
_IGNORED = (
    "WANDB_DIR",
    "WANDB_CACHE_DIR",
    "WANDB_DATA_DIR",
    "WANDB_CONFIG_DIR",
    "WANDB_ARTIFACT_DIR",
    "WANDB_RUN_ID",
    "WANDB_RESUME",
    "WANDB_JOB_TYPE",
    "WANDB_CONSOLE",
    "WANDB_INIT_TIMEOUT",
    "WANDB_SAVE_CODE",
)
_LOGINS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
_SERVER = "https://api.wandb.ai"
_PORTS = {"https": 443, "http": 80}
_PATIENCE = 5  # seconds until the server counts as out of reach

_Value = TypeVar("_Value", str, "tuple[str, ...]")


def resolved(logger: LoggerConfig) -> LoggerConfig:
    """What a run logs as: the keys that are given, W&B's variables for the others, our defaults.

    Raises:
        ConfigurationError: a variable holds what W&B does not take.
    """
    values: dict[str, Any] = {}
    for name, variable in _READ.items():
        value = os.environ.get(variable, "")
        if value and not getattr(logger, name):
            values[name] = _checked(name, variable, value)
    tags = [tag.strip() for tag in os.environ.get(_TAGS, "").split(",")]
    further = _checked("tags", _TAGS, tuple(tag for tag in tags if tag))
    chosen = replace(logger, **values)
    return replace(
        chosen,
        mode=_mode(logger),
        project=chosen.project or _PROJECT,
        tags=(*logger.tags, *further),
    )


def _checked(name: str, variable: str, value: _Value) -> _Value:
    """A variable's value, checked as that of its key.

    Raises:
        ConfigurationError: with the name of the variable.
    """
    (declared,) = [key_of(item) for item in fields(LoggerConfig) if item.name == name]
    declared.check(variable, value)
    return value


def _mode(logger: LoggerConfig) -> str:
    """The configured mode, else that of the environment, else offline."""
    if logger.mode != "auto":
        return logger.mode
    if os.environ.get(_SWITCH, "").lower() in _ON:
        return DISABLED
    given = os.environ.get(_MODE, OFFLINE).lower() or OFFLINE
    if given not in _MODES:
        raise ConfigurationError(
            f"{_MODE} is '{given}'; it must be one of {', '.join(_MODES)}, "
            "or set logger.mode=offline."
        )
    return _MODES[given]


def ignored_variables() -> list[str]:
    """The variables of W&B that are set and not used."""
    agent = {"WANDB_RUN_ID"} if "WANDB_SWEEP_ID" in os.environ else set()  # whose run it is
    return [name for name in _IGNORED if os.environ.get(name) and name not in agent]


def ignored_text() -> str:
    """The sentence that names them; empty for none."""
    given = ignored_variables()
    if not given:
        return ""
    return f"not used: {', '.join(given)}; W&B's files and run belong to the run's folder"


def shortened(name: str, key: str = "run_name") -> str:
    """A name of our own making within the length of a key: the end becomes a digest.

    >>> shortened("seed=1"), len(shortened("x" * 300))
    ('seed=1', 128)
    """
    (declared,) = [key_of(item) for item in fields(LoggerConfig) if item.name == key]
    longest = declared.longest
    if longest is None or len(name) <= longest:
        return name
    digest = short_sha256(name.encode())[:8]
    return f"{name[: longest - 9]}~{digest}"


def require_login(logger: LoggerConfig) -> None:
    """Raises `ConfigurationError` where W&B is to be online and there is no key to log in with."""
    if resolved(logger).mode != ONLINE or any(os.environ.get(name) for name in _LOGINS):
        return
    require(
        _has_stored_login(),
        "logger.mode=online needs a W&B account: run `wandb login` or set WANDB_API_KEY, "
        "or use logger.mode=offline.",
    )


def _has_stored_login() -> bool:
    """Whether the user's netrc file holds a login for W&B's server."""
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    if not path.is_file():
        return False
    try:
        stored = netrc.netrc(str(path))
    except (netrc.NetrcParseError, OSError):
        return False
    return stored.authenticators(_server()[1]) is not None


def _server() -> tuple[str, str, int]:
    """Scheme, host and port of W&B's server."""
    parts = urlsplit(os.environ.get("WANDB_BASE_URL") or _SERVER)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443)


def unreachable() -> str:
    """The host of W&B's server, or of the proxy before it, that does not answer; else empty.

    Takes a few seconds at most.
    """
    scheme, host, port = _server()
    proxy = getproxies().get(scheme)
    if proxy and not proxy_bypass(host):
        parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
        host = parts.hostname or host
        port = parts.port or port
    answered = threading.Event()
    # In a thread, as looking up a name has no limit of its own.
    thread = threading.Thread(target=_knock, args=(host, port, answered), daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return "" if answered.is_set() else host


def _knock(host: str, port: int, answered: threading.Event) -> None:
    """Sets `answered` where there is a connection to be had."""
    with suppress(OSError), socket.create_connection((host, port), timeout=_PATIENCE):
        answered.set()
