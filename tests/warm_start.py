"""Commands in processes that have imported everything already, which takes most of a start.

A process of its own imports the package once and forks for each command. The child is what
`python -m muat_exp` is from there on: it has its own folder, arguments, output and end.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import HANGS

# What pytest itself changes, and no command reads.
OURS = {"PYTEST_CURRENT_TEST"}


def environment():
    """The variables of this process as commands see them."""
    return {name: value for name, value in os.environ.items() if name not in OURS}


class WarmStart:
    """The process that forks; it was begun with the environment of now."""

    def __init__(self):
        self.environment = environment()
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self.close)

    def close(self):
        """Ends the process, which waits for orders."""
        self.process.communicate()

    def call(self, folder, arguments):
        """Runs a command; returns what `subprocess.run` does."""
        orders, answers = self.process.stdin, self.process.stdout
        assert orders is not None
        assert answers is not None
        with tempfile.TemporaryDirectory() as outputs:
            streams = [os.path.join(outputs, name) for name in ("stdout", "stderr")]
            order = {"folder": str(folder), "arguments": list(arguments), "streams": streams}
            orders.write(f"{json.dumps(order)}\n")
            orders.flush()
            code = int(answers.readline())
            texts = [Path(name).read_text("utf-8") for name in streams]
        return subprocess.CompletedProcess(arguments, code, *texts)


def serve():
    """Reads orders from standard input; returns in the child, which is to run the command."""
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            prepare(order)
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    sys.exit()


def prepare(order):
    """Makes this process that of a command."""
    os.chdir(order["folder"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    outputs = [os.open(name, os.O_WRONLY | os.O_CREAT) for name in order["streams"]]
    for number, opened in enumerate([nothing, *outputs]):
        os.dup2(opened, number)
    sys.argv = ["muat_exp", *order["arguments"]]
    signal.alarm(HANGS)


if __name__ == "__main__":
    from muat_exp.app.startup import heavy_imports

    with heavy_imports():
        import muat_exp.app.main
        import muat_exp.generation.pipeline
        import muat_exp.training.stages
        import muat_exp.validation.validate  # noqa: F401
    from muat_exp.app.process import run_process

    serve()
    run_process()
