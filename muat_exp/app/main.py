"""The application behind `python -m muat_exp`: Hydra's entry, the task of a command, exit codes."""

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from muat_exp.app import signals
from muat_exp.app.callback import RUN_FOLDERS
from muat_exp.app.compose import VERSION_BASE, read_request
from muat_exp.app.help import help_text
from muat_exp.app.messages import sentences
from muat_exp.app.multirun import BEGINNINGS, STARTED
from muat_exp.app.options import arranged, read_options
from muat_exp.app.overrides import given_keys, hydra_overrides
from muat_exp.app.streams import take_all_letters
from muat_exp.app.sweep_job import TRACEBACKS, run_job, show_sweep
from muat_exp.app.tasks import task_module
from muat_exp.config.files import conf_folder
from muat_exp.errors import ConfigurationError, MuatError, RunFolderError, SweepError
from muat_exp.sweep.planning import as_typed

_FULL_ERROR = "HYDRA_FULL_ERROR"
_FAILURES: list[MuatError] = []  # of this process's single job
_STARTED_RUNS: list[Path] = []  # its folder, where it makes a dataset
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNWRITABLE = (*_FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)


@hydra.main(config_path=str(conf_folder()), config_name="config", version_base=VERSION_BASE)
def job(composed: DictConfig) -> float:
    """One Hydra job; returns what a sweeper may maximise, or NaN where it failed."""
    settings = cast("DictConfig", HydraConfig.get())  # its type is a dataclass in name only
    folder = Path(settings.runtime.output_dir)
    run = run_job if settings.mode == RunMode.MULTIRUN else _single_job
    take_all_letters()
    with _where_it_was_typed(settings):
        result = run(composed, settings, folder)
    if signals.heard():  # and taken for an error of the job
        raise KeyboardInterrupt
    return result


def _where_it_was_typed(settings: DictConfig) -> contextlib.AbstractContextManager[None]:
    """The folder where the command was given: Hydra may have changed into that of the job."""
    if settings.job.chdir:
        return contextlib.chdir(settings.runtime.cwd)
    return contextlib.nullcontext()


def _single_job(composed: DictConfig, settings: DictConfig, folder: Path) -> float:
    """The only job of this process; its failures are kept, for Hydra would report them its way."""
    if composed.get("task") == "generate":
        _STARTED_RUNS.append(folder)
    try:
        return _run_task(composed, settings, folder)
    except MuatError as error:
        _FAILURES.append(error)
        return float("nan")
    except OSError as error:
        _FAILURES.append(_unwritable(error))
        return float("nan")


def _run_task(composed: DictConfig, settings: DictConfig, folder: Path) -> float:
    """Hands a checked request to its task."""
    given = given_keys(as_typed(settings.overrides.task))
    request = read_request(composed, given, folder)
    result: float = task_module(request.keys.task).run(request)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        The exit code: 0, 2 for a wrong configuration, 1 for other errors, 130 for Ctrl-C, 143 for a
        termination.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    code = _exit_code(given)
    if code:
        for folder in RUN_FOLDERS:
            folder.restore()
    return code


def _exit_code(arguments: Sequence[str]) -> int:
    """Runs a command; every error that a user can act on becomes a sentence and an exit code."""
    try:
        return _run(arguments)
    except BaseException as error:
        if signals.heard():  # whatever the interrupted code raised in its place
            return signals.heard()
        return _explained(error)


def _explained(error: BaseException) -> int:
    """Prints the sentence for an error and returns its exit code; raises what no user can mend."""
    match error:
        case SystemExit(code=int() | None as code):  # Hydra's, or of a multirun that was refused
            return code or 0
        case KeyboardInterrupt():  # in the process of somebody else
            print(f"\ninterrupted: {_advice()}", file=sys.stderr)
            return 130
        case MuatError():
            for sweep in STARTED:
                sweep.restore(BEGINNINGS)
            return report([error])
        case RuntimeError() if "srun" in str(error):
            needs = "hydra/launcher=slurm needs srun; run it where Slurm is, or use submitit_local."
            return report([SweepError(needs)])
        case OSError():
            return report([_unwritable(error)])
        case _:
            raise error


def _advice() -> str:
    """How to go on after an interruption."""
    for sweep in STARTED:
        return f"run the same command with hydra.sweep.dir={sweep.path} to continue."
    for folder in _STARTED_RUNS:
        again = f"run the same command with hydra.run.dir={folder} to continue."
        return f"finished cohorts are kept; {again}"
    return "run the same command again."


def _run(arguments: Sequence[str]) -> int:
    """Has Hydra run the job or jobs, and gathers those of a sweep; returns the exit code."""
    for state in (_FAILURES, _STARTED_RUNS, RUN_FOLDERS, STARTED):
        state.clear()
    signals.begin(_advice)
    options = read_options(arguments)
    if options.help:
        print(help_text())
        return 0
    if options.version:
        print(f"muat_exp {version('muat_exp')}")
        return 0
    sys.argv[1:] = hydra_overrides(arranged(arguments, options))
    _require_current_folder()
    shown = _refusals_of_hydra() if options.package else contextlib.nullcontext()
    with _errors_reach_us(), sentences(), shown:
        job()
    if STARTED:
        return show_sweep(STARTED[0].path)
    return report(_FAILURES)


def _require_current_folder() -> None:
    """Raises `RunFolderError` where the folder that the command was called in is no more."""
    try:
        Path.cwd()
    except OSError as error:
        raise RunFolderError("The current folder is gone; change to one that exists.") from error


@contextlib.contextmanager
def _refusals_of_hydra() -> Iterator[None]:
    """Has what Hydra itself refuses look as ours: it prints a line and ends the process."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            yield
    except SystemExit as end:
        if end.code != 1:
            raise
        raise ConfigurationError(f"{told.getvalue().strip()}.") from end
    print(told.getvalue(), end="", file=sys.stderr)


@contextlib.contextmanager
def _errors_reach_us() -> Iterator[None]:
    """Has Hydra raise errors rather than report them, as it does for who asks for tracebacks."""
    names = (_FULL_ERROR, TRACEBACKS)
    before = {name: os.environ.get(name) for name in names}
    if _shows_tracebacks():
        os.environ[TRACEBACKS] = "1"  # for the jobs of a sweep, in processes of their own perhaps
    os.environ[_FULL_ERROR] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _shows_tracebacks() -> bool:
    """Whether the user asked for tracebacks beside the sentences."""
    return os.environ.get(_FULL_ERROR) == "1"


def _unwritable(error: OSError) -> RunFolderError:
    """The sentence for what the system refuses; raises an error again that isn't the system's."""
    if error.errno is None or error.strerror is None:
        raise error
    if error.errno == errno.ENOENT:
        return RunFolderError(f"{error.filename} is missing.")
    place = f" ({error.filename})" if error.filename else ""
    reason = os.strerror(error.errno)  # Arrow's own words are long
    if error.errno not in _UNWRITABLE:
        return RunFolderError(f"A file or folder can't be used{place}: {reason}.")
    kept = " What was finished is kept." if error.errno in _FULL else ""
    return RunFolderError(f"A file can't be written{place}: {reason}.{kept}")


def report(failures: Sequence[MuatError]) -> int:
    """Prints each failure's sentence, after its traceback if asked for; returns the exit code."""
    for error in failures:
        if _shows_tracebacks():
            traceback.print_exception(error)
        print(f"error: {error}", file=sys.stderr)
    if not failures:
        return 0
    wrong = all(isinstance(error, ConfigurationError) for error in failures)
    return 2 if wrong else 1
