"""`python -m muat_exp`: composes the configuration, runs the task, says where the results are."""

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from muat_exp.compose import conf_folder, normalise, resumed, sentences, to_config
from muat_exp.config import Config
from muat_exp.errors import ConfigurationError, MuatError

FAILURES: list[MuatError] = []  # of this process's jobs: a failed one does not end a multirun's others
REFUSED = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.ENOTDIR, errno.EFBIG)


@hydra.main(config_path=str(conf_folder()), config_name="config", version_base="1.3")
def job(composed: DictConfig) -> float | None:
    """One Hydra job: makes a dataset; returns its acceptance, for sweepers, or None where it failed."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        return make_dataset(to_config(composed), folder)
    except MuatError as error:
        FAILURES.append(error)
        return None
    except KeyboardInterrupt:
        print(
            f"\ninterrupted: finished cohorts are kept; run the same command with hydra.run.dir={folder} to continue.",
            file=sys.stderr,
        )
        raise


def make_dataset(config: Config, folder: Path) -> float:
    """Runs the pipeline under a progress display and prints the closing table."""
    from muat_exp.generate import generate
    from muat_exp.progress import print_summary, reporter

    with reporter(config.dataset.num_examples, config.progress) as display:
        result = generate(config, folder, display)
    print_summary(result.summary, os.path.relpath(result.dataset))
    return float(result.summary["acceptance"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 2 for a wrong configuration, 1 for other errors, 130 for Ctrl-C."""
    try:
        sys.argv[1:] = normalise(resumed(sys.argv[1:] if arguments is None else arguments))
    except MuatError as error:
        return report([error])
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        job()
        return 0
    os.environ["HYDRA_FULL_ERROR"] = "1"  # lets errors reach us instead of Hydra's own report
    try:
        with sentences():
            job()
        return report(FAILURES)
    except KeyboardInterrupt:
        return 130
    except MuatError as error:
        return report([error])
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        place = f" ({error.filename})" if error.filename else ""
        print(f"error: The run's folder can't be written{place}: {error.strerror}. Finished cohorts are kept.", file=sys.stderr)
        return 1
    finally:
        del os.environ["HYDRA_FULL_ERROR"]


def report(failures: Sequence[MuatError]) -> int:
    """Prints a sentence for each failure; returns the exit code."""
    for error in failures:
        print(f"error: {error}", file=sys.stderr)
    if not failures:
        return 0
    return 2 if all(isinstance(error, ConfigurationError) for error in failures) else 1


if __name__ == "__main__":
    sys.exit(main())
