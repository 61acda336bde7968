"""Documents that are made from the code are those that the code gives."""

import subprocess
import sys
from pathlib import Path

MAKE = Path(__file__).parents[1] / "docs" / "make.py"


def test_the_architecture_is_that_of_the_modules():
    done = subprocess.run([sys.executable, MAKE, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
