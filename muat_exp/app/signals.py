"""Ctrl-C and termination: one sentence and an exit code, no traceback, whenever they come.

The first signal says its sentence and becomes a `KeyboardInterrupt`, so that everything is closed
on the way out. A second one ends the process there and then, and so does the first where nothing
was begun, where somebody else's code swallowed it, or where closing takes too long. That loses
nothing: what a run has finished is on the disk, and a kill leaves no more of it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # `typing` would take longer than all the rest: this module comes first
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn
else:
    import _signal as signal  # the half of it in C, which is there at once

_WORDS: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_SHOW_CURSOR = b"\x1b[?25h"  # a live display may have hidden it
_PATIENCE = 10  # seconds after which what is still being closed is left


class _Hearing:
    """What was heard so far.

    Attributes:
        signal: the first signal; 0 before it.
        advice: makes the sentence on how to go on; None before anything is at stake.
    """

    signal: int = 0
    advice: Callable[[], str] | None = None


def listen() -> None:
    """Hears both signals from here on, but for those that whoever started us has us ignore."""
    for number in _WORDS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _hear)
    sys.unraisablehook = _notice_swallowed


def begin(advice: Callable[[], str]) -> None:
    """From here on something may be at stake: a first signal closes it.

    Args:
        advice: how to go on, asked when the signal comes.
    """
    _Hearing.advice = advice


def heard() -> int:
    """The exit code of the signal that came; 0 where none did."""
    return 128 + _Hearing.signal if _Hearing.signal else 0


def stop_listening() -> None:
    """Ignores signals: the work is done, and the process about to end."""
    for number in _WORDS:
        signal.signal(number, signal.SIG_IGN)


def leave() -> NoReturn:
    """Ends the process without a look at anything that is still open."""
    if os.isatty(1):
        os.write(1, _SHOW_CURSOR)
    os._exit(heard())


def _hear(number: int, frame: FrameType | None) -> None:
    """Called in the main thread."""
    if _Hearing.signal:
        leave()
    _Hearing.signal = number
    _say(number)
    if _Hearing.advice is None:
        leave()
    if hasattr(signal, "setitimer"):  # Windows has none
        signal.signal(signal.SIGALRM, lambda *_: leave())
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    raise KeyboardInterrupt


def _say(number: int) -> None:
    """Writes the sentence, whatever Python's own streams are in the middle of."""
    advice = "nothing was begun." if _Hearing.advice is None else _Hearing.advice()
    sentence = f"\n{_WORDS[number]}: {advice}\n"
    try:
        os.write(2, sentence.encode(errors="backslashreplace"))
    except OSError:
        return  # nobody reads


def _notice_swallowed(unraisable: sys.UnraisableHookArgs) -> None:
    """Leaves where the interrupt came in code that can't raise, such as a destructor."""
    if _Hearing.signal:
        leave()
    sys.__unraisablehook__(unraisable)
