"""Where compiled kernels are kept."""

import os
import subprocess
import sys
import textwrap

READ_ONLY = """
    import os
    from pathlib import Path

    import muat_exp

    package, access = Path(muat_exp.__file__).parent, os.access
    writable = lambda path: package not in Path(path).parents
    os.access = lambda path, mode, **more: access(path, mode, **more) and (mode != os.W_OK or writable(path))
    import numpy as np

    from muat_exp.kernels.compiled import kernels_are_cached
    from muat_exp.kernels.random import generator_keys

    before = kernels_are_cached()
    generator_keys(0, np.arange(3), 0)
    print(before, kernels_are_cached())
"""


def test_kernels_of_a_read_only_package_are_kept_in_the_users_cache(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path)}
    for cached in ("False", "True"):
        command = [sys.executable, "-c", textwrap.dedent(READ_ONLY)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        assert done.stdout.split() == [cached, "True"]
    assert list((tmp_path / "muat_exp").rglob("*.nbc"))
