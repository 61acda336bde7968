"""How many jobs a launcher runs at a time, and how many threads each of them has."""

import os

from omegaconf import DictConfig, read_write

from muat_exp.executors.processors import processors

_LOCAL_RAY = {"include_dashboard": False, "logging_level": "warning"}
_LOCAL_RAY_ENVIRONMENT = {  # it serves nobody else, and tells nobody
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def launched_threads(hydra: DictConfig, threads: int) -> int:
    """Worker threads of one job of a sweep, so that all jobs together fit the processors."""
    launcher = hydra.launcher
    name = hydra.runtime.choices["hydra/launcher"]
    if name == "joblib":
        at_a_time = launcher.n_jobs if launcher.n_jobs > 0 else processors()
        return max(1, threads // at_a_time)
    if name == "submitit_local":
        return int(launcher.cpus_per_task or 1)
    if name == "ray":
        remote = launcher.ray.remote or {}
        return int(remote.get("num_cpus") or 1)
    return threads  # one job after another, or each on a machine of its own


def limit_jobs(config: DictConfig) -> None:
    """Has joblib, or Ray on this machine alone, run no more jobs at a time than processors."""
    launcher = config.hydra.launcher
    name = config.hydra.runtime.choices["hydra/launcher"]
    if name == "joblib":
        _limit_joblib(launcher)
    elif name == "ray":
        _limit_ray(launcher)


def _limit_joblib(launcher: DictConfig) -> None:
    """Bounds its processes; a negative number is joblib's own way to count processors."""
    if launcher.n_jobs > processors():
        with read_write(launcher):
            launcher.n_jobs = processors()


def _limit_ray(launcher: DictConfig) -> None:
    """Prepares a cluster of this machine alone; one with an address is not ours to limit."""
    named = dict(launcher.ray.init)
    if named.get("address") is not None:
        return
    ours = {**_LOCAL_RAY, "num_cpus": processors()}
    with read_write(launcher):
        launcher.ray.init = {**ours, **named}
    for variable, value in _LOCAL_RAY_ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
