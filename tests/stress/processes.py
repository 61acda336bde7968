"""Commands in processes of their own, with limits on their time and memory.

Most are forked from a process that has imported PyTorch and loaded the kernels, which saves five
seconds each; what depends on the start of Python itself runs in a new one.
"""

import contextlib
import faulthandler
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TIME = 60.0  # seconds after which a command hangs; most take less than one
MEMORY = 3 * 2**30  # bytes of a process; an undisturbed one takes 0.6 GiB
_ADDRESSES = 24 * 2**30  # bytes that a process may reserve: a net below the limit that is watched
_POLL = 0.01  # seconds
_STACKS = signal.SIGUSR1  # has a forked process print where its threads are


@dataclass(frozen=True)
class Done:
    """What a command did.

    Attributes:
        command: as one would type it.
        code: its exit code, negative where a signal ended it.
        out: what it printed.
        err: what it printed to stderr.
        seconds: how long it took.
        memory: bytes that it held at most.
        ended_by_us: "" or why it was ended: "time" or "memory".
    """

    command: str
    code: int
    out: str
    err: str
    seconds: float
    memory: int
    ended_by_us: str = ""


@dataclass(frozen=True)
class Signal:
    """A signal that a process is sent some seconds after its start."""

    number: signal.Signals
    after: float


@dataclass(frozen=True)
class Limits:
    """When a process is ended.

    Attributes:
        seconds: after which it hangs.
        memory: bytes that it may hold.
        signals: what it is sent meanwhile.
        patience: further seconds after `seconds`, in which Ctrl-C must end it;
            0 where it is killed.
    """

    seconds: float = TIME
    memory: int = MEMORY
    signals: tuple[Signal, ...] = ()
    patience: float = 0.0


def run_forked(
    call: Callable[[], int | None], folder: Path, command: str, limits: Limits | None = None
) -> Done:
    """Calls a function in a forked process.

    Args:
        call: returns the exit code, or None for 0.
        folder: where it works.
        command: what a user would type for it.
        limits: on its time and memory.
    """
    with tempfile.TemporaryDirectory() as name:
        out = Path(name, "out")
        err = Path(name, "err")
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _become(call, folder, out, err)
        return _watch(pid, command, out, err, limits or Limits())


def _become(call: Callable[[], int | None], folder: Path, out: Path, err: Path) -> None:
    """Calls a function in this process, which is a child, and ends it."""
    code = 1
    try:
        _settle(folder, out, err)
        code = call() or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _settle(folder: Path, out: Path, err: Path) -> None:
    """Gives a child its own group, folder, streams, signals and limits."""
    os.setsid()
    os.chdir(folder)
    _redirect(0, Path(os.devnull), os.O_RDONLY)
    _redirect(1, out, os.O_WRONLY | os.O_CREAT)
    _redirect(2, err, os.O_WRONLY | os.O_CREAT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(ValueError, OSError):  # more than the system allows
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    faulthandler.register(_STACKS, file=2, all_threads=True)


def _redirect(number: int, path: Path, flags: int) -> None:
    """Has a file descriptor lead to a file."""
    opened = os.open(path, flags, 0o600)
    os.dup2(opened, number)
    os.close(opened)


def run_command(
    arguments: Sequence[str],
    folder: Path,
    limits: Limits | None = None,
    environment: Mapping[str, str | None] | None = None,
    shell: str = "",
) -> Done:
    """Runs the command line in a new Python.

    Args:
        arguments: what is typed after `python -m muat_exp`.
        folder: where it works.
        limits: on its time and memory.
        environment: variables to set, or to take away where None.
        shell: a command of bash in which `"$@"` stands for ours; empty where it runs by itself.
    """
    typed = [sys.executable, "-m", "muat_exp", *arguments]
    if shell:
        typed = ["bash", "-c", shell, "bash", *typed]
    variables: dict[str, str] = dict(os.environ)
    for name, value in (environment or {}).items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value
    with tempfile.TemporaryDirectory() as name:
        out = Path(name, "out")
        err = Path(name, "err")
        with out.open("wb") as first, err.open("wb") as second:
            process = subprocess.Popen(
                typed,
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=first,
                stderr=second,
                start_new_session=True,
                preexec_fn=_hear_interrupts,
            )
            settings = " ".join(f"{key}={value}" for key, value in (environment or {}).items())
            shown = f"{settings} {typed_command(arguments)} {shell}".strip()
            done = _watch(process.pid, shown, out, err, limits or Limits())
            process.returncode = done.code  # it was waited for already
        return done


def _hear_interrupts() -> None:
    """Has a child hear Ctrl-C also where the parent was started in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _watch(pid: int, command: str, out: Path, err: Path, limits: Limits) -> Done:
    """Waits for a child, sends it its signals, and ends it at its limits."""
    began = time.monotonic()
    pending = sorted(limits.signals, key=lambda item: item.after)
    ended = ""
    memory = 0
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        seconds = time.monotonic() - began
        if found:
            break
        memory = max(memory, _held(pid))
        while pending and seconds >= pending[0].after:
            os.kill(pid, pending.pop(0).number)
        if not ended and memory > limits.memory:
            ended = "memory"
            _end_group(pid)
        elif not ended and seconds > limits.seconds:
            ended = "time"
            _end_late(pid, limits.patience)
        elif ended and seconds > limits.seconds + limits.patience:
            _end_group(pid)
        time.sleep(_POLL)
    _end_group(pid)  # what it left running
    texts = [path.read_text("utf-8", "replace") if path.exists() else "" for path in (out, err)]
    code = os.waitstatus_to_exitcode(status)
    return Done(command, code, texts[0], texts[1], seconds, memory, ended)


def _held(pid: int) -> int:
    """Bytes that a process holds; 0 where the system does not say."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * resource.getpagesize()


def _end_late(pid: int, patience: float) -> None:
    """Ends a process whose time is over: by Ctrl-C where it has patience left, else at once."""
    if patience:
        os.kill(pid, signal.SIGINT)
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, _STACKS)
        time.sleep(0.3)
    _end_group(pid)


def _end_group(pid: int) -> None:
    """Kills a process and those that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def typed_command(arguments: Sequence[str]) -> str:
    """What a user would type."""
    import shlex

    return shlex.join(["python", "-m", "muat_exp", *arguments])
