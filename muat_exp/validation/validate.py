"""Checks a dataset as a sceptic would, and says what was checked."""

from pathlib import Path

from muat_exp.dataset.provenance import is_own
from muat_exp.errors import ConfigurationError, DatasetError
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.progress import Reporter, Silent
from muat_exp.validation.own_format import Depth, check_own_format
from muat_exp.validation.published_format import check_published_format
from muat_exp.validation.report import Report

DEFAULT_DEPTH = Depth()


def validate(
    folder: Path,
    workers: ThreadExecutor,
    reporter: Reporter | None = None,
    depth: Depth = DEFAULT_DEPTH,
) -> Report:
    """Checks a dataset folder.

    Args:
        folder: the dataset's. One that was made elsewhere, with the published fields only, is
            checked as far as they go.
        workers: threads that run the kernels.
        reporter: told of the progress.
        depth: how many subjects are trained again.

    Returns:
        All faults, none where the dataset is sound; what was checked, and what was not.

    Raises:
        DatasetError: the folder does not hold a dataset that could be checked.
    """
    report = Report()
    if not is_own(folder):
        check_published_format(folder, workers, report)
        return report
    try:
        check_own_format(folder, depth, workers, reporter or Silent(), report)
    except ConfigurationError as error:  # a dataset's own is no mistake of the command's
        raise DatasetError(f"{folder}: its configuration makes no dataset: {error}") from error
    return report
