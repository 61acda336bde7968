"""Nothing of the environment reaches the data; what would is refused by name."""

import os
import re
import subprocess
import sys

import numba
import pytest
from conftest import HANGS, small_config
from test_cli import SMALL, command

from muat_exp.environment import require_own_instructions
from muat_exp.errors import ConfigurationError
from muat_exp.generation.pipeline import generate
from muat_exp.kernels.compiled import require_plain_numba

# Each has a library do something else, but for our saying otherwise.
HOSTILE = {
    # Lightning: arguments of every trainer, and clusters that it would join
    "PL_TRAINER_ACCELERATOR": "gpu",
    "PL_TRAINER_BAREBONES": "True",
    "PL_TRAINER_DETECT_ANOMALY": "1",
    "PL_TRAINER_DETERMINISTIC": "True",
    "PL_TRAINER_FAST_DEV_RUN": "True",
    "PL_TRAINER_LIMIT_TRAIN_BATCHES": "0",
    "PL_TRAINER_LIMIT_VAL_BATCHES": "0",
    "PL_TRAINER_MAX_STEPS": "1",
    "PL_TRAINER_MAX_TIME": "00:00:00:01",
    "PL_TRAINER_MIN_EPOCHS": "100",
    "PL_TRAINER_PRECISION": "16",
    "PL_TRAINER_STRATEGY": "ddp",
    "PL_GLOBAL_SEED": "7",
    "PL_SEED_WORKERS": "1",
    "LT_CLI_USED": "1",
    "LT_PRECISION": "16",
    "RANK": "1",
    "LOCAL_RANK": "1",
    "NODE_RANK": "x",
    "GROUP_RANK": "x",
    "WORLD_SIZE": "4",
    "MASTER_ADDR": "nowhere",
    "MASTER_PORT": "x",
    "SLURM_NTASKS": "4",
    "SLURM_JOB_NAME": "train",
    "SLURM_PROCID": "3",
    "TORCHELASTIC_RUN_ID": "1",
    "LSB_JOBID": "3",
    "JSM_NAMESPACE_SIZE": "2",
    "OMPI_COMM_WORLD_SIZE": "4",
    "KUBERNETES_PORT": "tcp",
    # threads
    "NUMBA_NUM_THREADS": "1",
    "NUMBA_THREADING_LAYER": "workqueue",
    "OMP_NUM_THREADS": "3",
    "OMP_DYNAMIC": "true",
    "MKL_NUM_THREADS": "3",
    "OPENBLAS_NUM_THREADS": "3",
    # Numba, PyTorch, Hydra, Matplotlib
    "NUMBA_CACHE_LOCATOR_CLASSES": "Nothing",
    "NUMBA_ENABLE_CUDASIM": "1",
    "TORCH_SHOW_CPP_STACKTRACES": "1",
    "PYTORCH_NO_CUDA_MEMORY_CACHING": "1",
    "HYDRA_MAIN_MODULE": "another",
    "MPLBACKEND": "nonsense",
    # Python and the terminal
    "PYTHONHASHSEED": "3",
    "PYTHONWARNINGS": "error",
    "LC_ALL": "de_DE.UTF-8",
    "TZ": "Asia/Kathmandu",
    "COLUMNS": "20",
}
INSTRUCTIONS = {
    "ATEN_CPU_CAPABILITY": "default",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2",
    "NPY_DISABLE_CPU_FEATURES": "AVX2",
    "NUMBA_ENABLE_AVX": "0",
    "OPENBLAS_CORETYPE": "Haswell",
}


def test_a_hostile_environment_changes_no_byte(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in HOSTILE}
    made = []
    for name, more in (("plain", {}), ("hostile", HOSTILE)):
        done = subprocess.run(
            command(*SMALL, f"hydra.run.dir={tmp_path / name}", "logger=csv"),
            cwd=tmp_path,
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=HANGS,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        dataset = tmp_path / name / "dataset"
        tables = sorted(dataset.rglob("*.parquet"))
        made.append([path.read_bytes() for path in (*tables, dataset / "README.md")])
    assert made[0] == made[1]


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_another_choice_of_instructions_is_refused_by_name(monkeypatch, name):
    monkeypatch.setenv(name, INSTRUCTIONS[name])
    with pytest.raises(ConfigurationError, match=f"{name}={INSTRUCTIONS[name]} .* Unset {name}"):
        require_own_instructions()


@pytest.mark.parametrize("name", ["BOUNDSCHECK", "CPU_NAME", "DISABLE_JIT", "OPT", "SLP_VECTORIZE"])
def test_another_way_to_compile_is_refused_by_name(monkeypatch, name):
    monkeypatch.setattr(numba.config, name, 2)
    with pytest.raises(ConfigurationError, match=f"NUMBA_{name} is 2"):
        require_plain_numba()


@pytest.mark.parametrize(
    "variable", ["NUMBA_DISABLE_JIT=1", "NUMBA_OPT=max", "NUMBA_NUM_THREADS=0"]
)
def test_a_refusal_is_one_sentence_before_any_work(tmp_path, variable):
    name, _, value = variable.partition("=")
    done = subprocess.run(
        command(*SMALL, "hydra.run.dir=out"),
        cwd=tmp_path,
        env=os.environ | {name: value},
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert re.search(rf"\b{name}( is |=){value}\b", done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_file_of_numba_is_refused_as_its_variables_are(tmp_path):
    (tmp_path / ".numba_config.yaml").write_text("boundscheck: 1\n")
    done = subprocess.run(
        [sys.executable, "-c", "import muat_exp.kernels.compiled"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert "NUMBA_BOUNDSCHECK is 1" in done.stderr


def test_a_cluster_variable_is_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    generate(small_config(), tmp_path)
    assert os.environ["WORLD_SIZE"] == "4"


# What Linux has and others lack.
ELSEWHERE = """
import os, sys
del os.sched_getaffinity
sys.modules |= {"fcntl": None, "resource": None}
from muat_exp.app.main import main
small = [*sys.argv[1:], "progress=false", "logger=none"]
run = main([*small, "hydra.run.dir=one"])
validated = main(["task=validate", "dataset=one/dataset"])
swept = main(["-m", *small, "corruption.rate=0,0.3", "hydra.sweep.dir=many"])
print(run, validated, swept)
"""


def test_runs_validation_and_sweeps_need_nothing_that_only_linux_has(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *SMALL],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["0 0 0"], done.stderr
