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
        jobs = launcher.n_jobs if launcher.n_jobs > 0 else processors()
        return max(1, threads // jobs)
    if name == "submitit_local":
        return int(launcher.cpus_per_task or 1)
    if name == "ray":
        return int((launcher.ray.remote or {}).get("num_cpus") or 1)
    return threads  # one job after another, or each on a machine of its own


def limit_jobs(config: DictConfig) -> None:
    """Has joblib, or Ray on this machine alone, run no more jobs at a time than processors."""
    launcher = config.hydra.launcher
    name = config.hydra.runtime.choices["hydra/launcher"]
    with read_write(launcher):
        if name == "joblib" and launcher.n_jobs > processors():
            launcher.n_jobs = processors()
        if name == "ray" and launcher.ray.init.get("address") is None:
            launcher.ray.init = _LOCAL_RAY | {"num_cpus": processors()} | dict(launcher.ray.init)
            for variable, value in _LOCAL_RAY_ENVIRONMENT.items():
                os.environ.setdefault(variable, value)
