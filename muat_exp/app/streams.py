"""Standard streams that can't end a run: a reader that went away, a full disk, odd letters.

A run's results are files; what it prints only tells of them. So a stream that can't be written is
given up and the work goes on. Where the reader of a pipe had enough, as `head` has, that is no
error; where text was lost otherwise, the command says so at its end.
"""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STANDARD = (0, 1, 2)  # standard input, output and error


class _Output(io.FileIO):
    """The file below a standard stream; the first error gives it up.

    Attributes:
        failure: why text was lost; None where none was, or where its reader had enough.
    """

    failure: OSError | None = None

    def write(self, data: "ReadableBuffer") -> int:
        """Writes bytes; to nowhere, and from then on, where the system refuses them."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EPIPE:
                self.failure = error
            _send_nowhere(self.fileno())
            return memoryview(data).nbytes


def prepare_streams() -> None:
    """Has the standard streams of this process take whatever is printed."""
    _open_closed()
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = _lasting(sys.stdout, 1)
    sys.stderr = _lasting(sys.stderr, 2)


def take_all_letters() -> None:
    """Has letters that an output can't show written as their codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def lost_output() -> str:
    """The sentence on text that standard output did not take; empty where it took all of it."""
    sys.stdout.flush()
    raw = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    failure = getattr(raw, "failure", None)
    return f"Standard output can't be written: {failure.strerror}." if failure else ""


def _open_closed() -> None:
    """Opens to nowhere what of the standard streams is closed.

    The next file that is opened would take its place, and what is printed would go there.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, this one


def _lasting(stream: object, number: int) -> io.TextIOWrapper:
    """A standard stream on top of `_Output`; one that is no plain file stays as it is."""
    if stream is None:  # it was closed when Python began
        stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    text = cast("io.TextIOWrapper", stream)
    below = getattr(text.buffer, "raw", text.buffer)
    if type(below) is not io.FileIO:  # a console of Windows
        text.reconfigure(errors="backslashreplace")
        return text
    raw = _Output(number, "w", closefd=False)
    unbuffered = text.buffer is below
    return io.TextIOWrapper(
        cast("io.BufferedWriter", raw if unbuffered else io.BufferedWriter(raw)),
        encoding=text.encoding,
        errors="backslashreplace",
        line_buffering=text.line_buffering,
        write_through=text.write_through,
    )


def _send_nowhere(number: int) -> None:
    """Has an open file take everything and keep nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
