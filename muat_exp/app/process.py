"""The process of a command: its streams, its signals, its end."""

import sys
from typing import NoReturn

from muat_exp.app import signals


def run_process() -> NoReturn:
    """Runs the command line as a process of its own, which listens already, and ends it."""
    try:
        code = _run()
    except BaseException:
        if not signals.heard():
            raise
    if signals.heard():  # whatever came of what it interrupted
        signals.leave()
    signals.stop_listening()
    sys.exit(code)


def _run() -> int:
    """Runs the command; returns the exit code."""
    from muat_exp.app.streams import lost_output, prepare_streams

    prepare_streams()
    from muat_exp.app.main import main

    code = main()
    lost = lost_output()
    if lost and not code:
        print(f"error: {lost}", file=sys.stderr)
        return 1
    return code
