"""Runs on real disks that are full or read-only: file systems in a mount namespace of their own."""

import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from conftest import HANGS
from test_cli import SMALL, command

NAMESPACE = ["unshare", "--mount", "bash", "-c"]


def may_mount(folder):
    """Whether this user may mount a file system in a namespace."""
    script = f"mount -t tmpfs tmpfs {folder}"
    try:
        return (
            subprocess.run([*NAMESPACE, script], capture_output=True, check=False).returncode == 0
        )
    except FileNotFoundError:
        return False


@pytest.fixture
def namespace(tmp_path):
    """Runs a script of the shell where it may mount."""
    if not may_mount(tmp_path):
        pytest.skip("file systems can't be mounted here")

    run = command(*SMALL, "logger=none", "hydra.run.dir=disk/out")

    def script(*lines, **variables):
        return subprocess.run(
            [*NAMESPACE, "\n".join(lines), *run],
            cwd=tmp_path,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=HANGS,
            check=False,
        )

    (tmp_path / "disk").mkdir()
    return script


def test_a_run_on_a_full_or_read_only_disk_is_a_sentence_and_continues_when_there_is_room(
    namespace, tmp_path
):
    done = namespace(
        "mount -t tmpfs -o size=60k tmpfs disk",
        '"$0" "$@"; echo "full: $?"',
        "mount -o remount,ro disk",
        '"$0" "$@"; echo "read-only: $?"',
        "mount -o remount,rw,size=64m disk",
        '"$0" "$@"; echo "roomy: $?"',
        "cp -r disk/out copied",
    )
    codes = [
        line
        for line in done.stdout.splitlines()
        if line.startswith(("full: ", "read-only: ", "roomy: "))
    ]
    assert codes == ["full: 1", "read-only: 1", "roomy: 0"], done.stderr
    full, read_only = done.stderr.splitlines()
    assert full.startswith("error: ")
    assert "No space left on device" in full
    assert read_only.startswith("error: ")
    assert "Read-only file system" in read_only
    assert pq.read_table(tmp_path / "copied/dataset/prompts").num_rows == 6


def test_kernels_of_a_read_only_package_are_kept_in_the_users_cache(namespace, tmp_path):
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/muat_exp"
    script = (
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from muat_exp.kernels.compiled import CACHE_FOLDER\n"
        "from muat_exp.kernels.random import generator_keys\n"
        "before = any(Path(CACHE_FOLDER).rglob('*.nbi'))\n"
        "generator_keys(0, np.arange(3), 0)\n"
        "print(before, any(Path(CACHE_FOLDER).rglob('*.nbi')))\n"
    )
    (tmp_path / "script.py").write_text(script)
    done = namespace(
        "unset NUMBA_CACHE_DIR",
        f"mount --bind {package} {package} && mount -o remount,bind,ro {package}",
        f"{sys.executable} script.py && {sys.executable} script.py",
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        PYTHONPATH=os.path.dirname(package),
    )
    assert done.stdout.splitlines() == ["False True", "True True"], done.stderr
    assert list((tmp_path / "cache/muat_exp").rglob("*.nbc"))
