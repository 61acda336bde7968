"""The application behind `python -m muat_exp`: Hydra's entry, the task of a command, exit codes."""

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from muat_exp.app.callback import RUN_FOLDERS
from muat_exp.app.compose import VERSION_BASE, read_request
from muat_exp.app.help import FLAGS, help_text
from muat_exp.app.messages import sentences
from muat_exp.app.multirun import BEGINNINGS, STARTED
from muat_exp.app.overrides import given_keys, hydra_overrides
from muat_exp.app.sweep_job import TRACEBACKS, run_job, show_sweep
from muat_exp.app.tasks import task_module
from muat_exp.config.files import conf_folder
from muat_exp.errors import ConfigurationError, MuatError, RunFolderError, SweepError
from muat_exp.sweep.planning import as_typed

_FULL_ERROR = "HYDRA_FULL_ERROR"
_FAILURES: list[MuatError] = []  # of this process's single job
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (
    *_FULL,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENOENT,
)


@hydra.main(config_path=str(conf_folder()), config_name="config", version_base=VERSION_BASE)
def job(composed: DictConfig) -> float:
    """One Hydra job; returns what a sweeper may maximise, or NaN where it failed."""
    settings = cast("DictConfig", HydraConfig.get())  # its type is a dataclass in name only
    folder = Path(settings.runtime.output_dir)
    with _where_it_was_typed(settings):
        if settings.mode == RunMode.MULTIRUN:
            return run_job(composed, settings, folder)
        return _single_job(composed, settings, folder)


def _where_it_was_typed(settings: DictConfig) -> contextlib.AbstractContextManager[None]:
    """The folder where the command was given: Hydra may have changed into that of the job."""
    if settings.job.chdir:
        return contextlib.chdir(settings.runtime.cwd)
    return contextlib.nullcontext()


def _single_job(composed: DictConfig, settings: DictConfig, folder: Path) -> float:
    """The only job of this process; its failures are kept, for Hydra would report them its way."""
    try:
        return _run_task(composed, settings, folder)
    except MuatError as error:
        _FAILURES.append(error)
        return float("nan")
    except OSError as error:
        _FAILURES.append(_unwritable(error))
        return float("nan")
    except KeyboardInterrupt:
        again = "run the same command"
        if composed.task == "generate":
            again = f"finished cohorts are kept; run the same command with hydra.run.dir={folder}"
        print(f"\ninterrupted: {again} to continue.", file=sys.stderr)
        raise


def _run_task(composed: DictConfig, settings: DictConfig, folder: Path) -> float:
    """Hands a checked request to its task."""
    given = given_keys(as_typed(settings.overrides.task))
    request = read_request(composed, given, folder)
    result: float = task_module(request.keys.task).run(request)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        The exit code: 0, 2 for a wrong configuration, 1 for other errors, 130 for Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if any(flag in given for flag in FLAGS):
        print(help_text())
        return 0
    code = _exit_code(given)
    if code:
        for folder in RUN_FOLDERS:
            folder.restore()
    return code


def _exit_code(arguments: Sequence[str]) -> int:
    """Runs a command; every error that a user can act on becomes a sentence and an exit code."""
    try:
        return _run(arguments)
    except SystemExit as end:  # Hydra's, or that of a multirun which was refused
        if not isinstance(end.code, int | None):
            raise
        return end.code or 0
    except KeyboardInterrupt:
        for sweep in STARTED:
            again = f"run the same command with hydra.sweep.dir={sweep.path} to continue."
            print(f"\ninterrupted: {again}", file=sys.stderr)
        return 130
    except MuatError as error:
        for sweep in STARTED:
            sweep.restore(BEGINNINGS)
        return report([error])
    except RuntimeError as error:
        if "srun" not in str(error):
            raise
        sentence = "hydra/launcher=slurm needs srun; run it where Slurm is, or use submitit_local."
        return report([SweepError(sentence)])
    except OSError as error:
        return report([_unwritable(error)])


def _run(arguments: Sequence[str]) -> int:
    """Has Hydra run the job or jobs, and gathers those of a sweep; returns the exit code."""
    _FAILURES.clear()
    RUN_FOLDERS.clear()
    STARTED.clear()
    sys.argv[1:] = hydra_overrides(arguments)
    with _errors_reach_us(), sentences():
        job()
    if STARTED:
        return show_sweep(STARTED[0].path)
    return report(_FAILURES)


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
    """The sentence for a disk that can't be written; raises every other error again."""
    if error.errno not in _REFUSED:
        raise error
    if error.errno == errno.ENOENT:
        return RunFolderError(f"{error.filename} is missing.")
    place = f" ({error.filename})" if error.filename else ""
    sentence = f"A file can't be written{place}: {os.strerror(error.errno)}."
    if error.errno in _FULL:
        sentence += " What was finished is kept."
    return RunFolderError(sentence)


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
