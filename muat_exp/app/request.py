"""What a task is asked to do, and the keys that tasks have of their own."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from muat_exp.config.checks import require
from muat_exp.config.groups import Config, from_dict
from muat_exp.config.keys import Keys, key
from muat_exp.errors import ConfigurationError, ProbeSetError
from muat_exp.signatures.probe_file import digest, parse, read_file

Values = dict[str, Any]


@dataclass(frozen=True)
class TaskKeys(Keys):
    """The keys that a task has beside the configuration of a run.

    Their defaults and meanings are in `conf/task/<name>.yaml`.

    Attributes:
        task: the task's name.
    """

    prefix: ClassVar[str] = ""
    task: ClassVar[str]

    def configured(self, values: Values, given: Collection[str]) -> Values:
        """The values of the configuration, where these keys change them.

        Args:
            values: as they were composed.
            given: the dotted keys that were named on the command line.
        """
        return values

    def require_given(self, name: str, meaning: str) -> None:
        """Raises `ConfigurationError` where a key that the task can't do without is empty."""
        typed = "dataset" if name == "dataset_dir" else name
        given = bool(getattr(self, name))
        require(given, f"task={self.task} needs {typed}=<{meaning}>.")


@dataclass(frozen=True)
class DatasetKeys(TaskKeys):
    """The key of a task that works on a finished dataset; one types `dataset=<folder>` for it."""

    dataset_dir: str = key(path=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_given("dataset_dir", "the folder of a dataset, or its name on the Hub")


OwnKeys = TypeVar("OwnKeys", bound=TaskKeys)


@dataclass(frozen=True)
class Request(Generic[OwnKeys]):
    """What one task is asked to do.

    Attributes:
        keys: the task's own keys, checked.
        values: the configuration as it was composed, not checked yet.
        given: the dotted keys that were named on the command line, among them those of the task.
        folder: where results go; it need not exist.
    """

    keys: OwnKeys
    values: Mapping[str, Any]
    given: tuple[str, ...] = ()
    folder: Path = Path()

    @cached_property
    def config(self) -> Config:
        """The checked configuration.

        Raises:
            ConfigurationError: a key is unknown, or a value is wrong or does not fit another one.
        """
        return self.config_with()

    def config_with(self, **groups: Any) -> Config:
        """The checked configuration with other values of some groups.

        Raises:
            ConfigurationError: a key is unknown, or a value is wrong or does not fit another one.
        """
        values = {**self.keys.configured(dict(self.values), self.given), **groups}
        if _names_probes(values.get("signature")):
            return _config_with_probes(values)
        return from_dict(values)

    @property
    def changed(self) -> tuple[str, ...]:
        """The given keys that are not the task's own."""
        own = {"task", *(item.name for item in fields(self.keys))}
        return tuple(name for name in self.given if name not in own)


def _names_probes(signature: object) -> bool:
    """Whether the values of the group `signature` name the file of a probe set, or its digest."""
    if not isinstance(signature, dict):
        return False
    return any(signature.get(name) for name in ("probe_set", "probe_set_sha256"))


def _config_with_probes(values: Values) -> Config:
    """The checked configuration with what the file of `signature.probe_set` holds filled in.

    Raises:
        ConfigurationError: the file is absent, no probe set, of other patterns, or not the one that
            a run began with.
    """
    signature = values["signature"]
    path = str(signature.get("probe_set", ""))
    begun = signature.get("probe_set_sha256", "")
    require(
        bool(path),
        "signature.probe_set_sha256 is filled in from the file that signature.probe_set names; "
        "leave it out.",
    )
    try:
        content = read_file(Path(path))
        probes = parse(content)
        found = {"probes": len(probes.sequences), "probe_set_sha256": digest(content)}
        config = from_dict({**values, "signature": {**signature, **found}})
        probes.check(config.patterns)
    except ProbeSetError as error:
        raise ConfigurationError(f"signature.probe_set={path}: {error}") from error
    unchanged = begun in ("", digest(content))
    require(
        unchanged,
        f"signature.probe_set={path}: the file is not what it was when the run began.",
    )
    return config
