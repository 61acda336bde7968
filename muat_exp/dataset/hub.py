"""The Hugging Face Hub: publishes a dataset's folder there, and fetches one from there.

huggingface_hub is an optional extra and imported where it is needed. The token is the client's own
matter: it comes from HF_TOKEN or from `hf auth login`, and is neither configured nor printed.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from muat_exp.config.checks import is_repo_id, require
from muat_exp.dataset.checksums import (
    CHECKSUMS,
    FOREIGN,
    dataset_files,
    differences,
    read_checksums,
)
from muat_exp.dataset.column_names import PARTS, PROMPTS, SUBJECTS
from muat_exp.errors import DatasetError, HubError, MuatError, first_line

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_SHARDS = [f"{part}/*.parquet" for part in PARTS]
_REQUIRED = ("README.md", "config.yaml", f"{PROMPTS}/*.parquet", f"{SUBJECTS}/*.parquet")
_PUBLISHED_FORMAT = [
    "*.parquet",
    "*.json",
    "*.md",
    "config.yaml",
]  # what is fetched of a dataset made elsewhere
_MAX_FAULTS = 5  # that are listed
_INSTALL = "pip install 'muat_exp[hub]'"
_AGAIN = "; the same command continues"
_ANSWERS = {
    401: "it does not accept the login, or has no such dataset that this login may see; "
    "see `hf auth login` and HF_TOKEN",
    403: "the token has no right to this; publishing needs one that may write there",
    404: "it has no such dataset, or none that this login may see",
    429: f"it has had too many requests for now{_AGAIN}",
}
# Base classes of failed connections, whichever HTTP library the client is built on.
_NO_CONNECTION = {"TransportError", "ConnectionError", "Timeout"}
_SECRET = re.compile(r"(?<=Bearer )[^\s']+")


def dataset_folder(name: str) -> Path:
    """The folder of a dataset.

    A folder is taken as it is; `<owner>/<name>` is fetched from the Hub into the client's cache.
    What was fetched once is read from the cache where the Hub can't be reached.

    Raises:
        DatasetError: there is no such folder, and no such dataset that could be fetched.
    """
    folder = Path(name)
    within = folder / "dataset"
    if (within / "config.yaml").is_file() and not (folder / "config.yaml").is_file():
        raise DatasetError(
            f"{name} is the folder of a run, not of a dataset. Did you mean {within}?"
        )
    if folder.is_dir():
        return folder
    if folder.exists():
        raise DatasetError(f"{name} is a file; name the folder of a dataset.")
    if not is_repo_id(name):
        wanted = "name the folder of a dataset, or its <owner>/<name> on the Hub"
        raise DatasetError(f"There is no folder {name}; {wanted}.")
    if find_spec("huggingface_hub") is None:
        raise DatasetError(
            f"There is no folder {name}; to read a dataset from the Hub: {_INSTALL}."
        )
    return fetch(name)


def fetch(repo: str) -> Path:
    """Fetches a dataset's files from the Hub.

    They are those that its checksums name, or where it has none, its tables and texts.

    Raises:
        DatasetError: it can't be fetched.
    """
    try:
        with _quietly(sys.stderr.isatty()):
            return _fetch_files(repo)
    except Exception as error:  # whatever the client raises: it has no common class
        reason = _reason(error)
        raise DatasetError(
            f"There is no folder {repo}, and it can't be read from the Hub: {reason}."
        ) from error


def _fetch_files(repo: str) -> Path:
    """The folder of the client's cache that holds the dataset's files."""
    from huggingface_hub import snapshot_download

    download = partial(snapshot_download, repo, repo_type="dataset")
    folder = Path(download(allow_patterns=CHECKSUMS))
    checksums = folder / CHECKSUMS
    names = _PUBLISHED_FORMAT
    if checksums.is_file():
        names = [CHECKSUMS, *read_checksums(checksums)]
    revision = folder.name  # all files are of the same one
    return Path(download(revision=revision, allow_patterns=names))


def check_dataset(folder: Path) -> dict[str, int]:
    """The files of a dataset that may be published, and their sizes in bytes.

    Raises:
        DatasetError: it is no dataset, a file is not what its checksum says, or nobody could read
            it.
    """
    from muat_exp.dataset.reading import check_readable  # which fetches datasets by this module

    if not folder.is_dir():
        wanted = "what is published is the folder of a dataset on this machine"
        raise DatasetError(f"There is no folder {folder}; {wanted}.")
    _require_files(folder)
    _require_undamaged(folder)
    check_readable(folder)
    files = dataset_files(folder)
    return {name: path.stat().st_size for name, path in files.items()}


def _require_files(folder: Path) -> None:
    """Raises where a folder lacks what every dataset has."""
    absent = [pattern for pattern in _REQUIRED if not any(folder.glob(pattern))]
    if not absent:
        return
    within = folder / "dataset"
    hint = f" Did you mean {within}?" if within.is_dir() else ""
    lacks = f"it has no {', no '.join(absent)}"
    raise DatasetError(f"{folder} holds no dataset that could be published: {lacks}.{hint}")


def _require_undamaged(folder: Path) -> None:
    """Raises where a file is not what its checksum says."""
    faults = list(differences(folder))
    if not faults:
        return
    listed = " ".join(faults[:_MAX_FAULTS])
    unlisted = len(faults) - _MAX_FAULTS
    more = f" And {unlisted} more." if unlisted > 0 else ""
    raise DatasetError(f"{folder} is not published, because it is damaged: {listed}{more}")


@dataclass(frozen=True)
class Publication:
    """What is published where.

    Attributes:
        folder: the dataset's, on this machine.
        repo: `<owner>/<name>` on the Hub.
        private: whether only its owner is to see it.
    """

    folder: Path
    repo: str
    private: bool = False


def print_plan(publication: Publication) -> None:
    """Prints what `publish` would send; needs neither network nor token."""
    sizes = check_dataset(publication.folder)
    for name, size in sizes.items():
        print(f"{size:>15,}  {name}")
    total = sum(sizes.values())
    kind = "private dataset" if publication.private else "dataset"
    target = f"the {kind} {publication.repo}"
    print(f"{total:>15,}  bytes in {len(sizes)} files would go to {target}; nothing was sent.")


def publish(publication: Publication, progress: bool = True) -> str:
    """Uploads a dataset's folder as it stands to the Hub; returns its address.

    Raises:
        ConfigurationError: huggingface_hub is not installed, or nobody is logged in.
        DatasetError: the folder is no dataset, or damaged.
        HubError: the Hub did not take it.
    """
    folder = publication.folder
    check_dataset(folder)
    require(find_spec("huggingface_hub") is not None, f"task=publish needs a package: {_INSTALL}.")
    try:
        with _quietly(progress and sys.stderr.isatty()):
            return _upload(publication)
    except MuatError:
        raise
    except Exception as error:  # whatever the client raises: it has no common class
        raise HubError(
            f"{folder} could not be published as {publication.repo}: {_reason(error)}."
        ) from error


def _upload(publication: Publication) -> str:
    """Makes the repository where there is none, and sends the folder; returns its address.

    The client's `upload_folder` continues by itself: what has arrived, committed or not, is not
    sent again, and a folder that is there already makes no commit. (Its `upload_large_folder` is
    gone from the newest clients, and where it is left it writes its state into the folder.) Shards
    that another version of the dataset left in the repository are deleted: the card's globs would
    read them too.
    """
    from huggingface_hub import HfApi, get_token

    token = get_token()
    login = "run `hf auth login`, or set HF_TOKEN in the environment"
    require(bool(token), f"task=publish needs a login on the Hub: {login}.")
    client = HfApi(token=token)
    foreign = [*FOREIGN, *(f"{part}/*" for part in FOREIGN)]
    address = client.create_repo(
        publication.repo, repo_type="dataset", private=publication.private or None, exist_ok=True
    )
    _require_private(client, publication)
    client.upload_folder(
        repo_id=publication.repo,
        repo_type="dataset",
        folder_path=publication.folder,
        commit_message="Dataset made by muat_exp",
        ignore_patterns=foreign,
        delete_patterns=_SHARDS,
    )
    return str(address)


def _require_private(client: "HfApi", publication: Publication) -> None:
    """Raises `HubError` where a private dataset is asked for, but the repository is public."""
    if not publication.private or client.repo_info(publication.repo, repo_type="dataset").private:
        return
    raise HubError(
        f"{publication.repo} is there already and public, which private=true does not change; "
        "nothing was sent. Make it private on its page, or name another repo."
    )


@contextmanager
def _quietly(progress: bool) -> Iterator[None]:
    """Has the client say nothing, so that no address of its storage gets into a log.

    Args:
        progress: whether it shows its bars.
    """
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    level = logging.get_verbosity()
    hidden = are_progress_bars_disabled()
    logging.set_verbosity_error()
    if not progress:
        disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if not progress and not hidden:
            enable_progress_bars()


def _reason(error: BaseException) -> str:
    """What went wrong, as the end of a sentence.

    It is found in an error of the client or in those that it came from.
    """
    chain = list(_causes(error))
    for cause in chain:
        told = _told_by_hub(cause)
        if told:
            return told
    for cause in reversed(chain):
        told = _told_by_connection(cause)
        if told:
            return told
    return _first_line(error)


def _told_by_hub(error: BaseException) -> str:
    """What the Hub answered; empty where the error is none of its answers."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if not status:
        return ""
    message = getattr(error, "server_message", None)
    told = _ANSWERS.get(status) or message or "no reason given"
    again = _AGAIN if status >= 500 else ""
    return f"the Hub answered {status}: {told}{again}"


def _told_by_connection(error: BaseException) -> str:
    """Why the Hub was not reached; empty where the error is of another kind."""
    from huggingface_hub import constants

    names = {kind.__name__ for kind in type(error).__mro__}
    if "OfflineModeIsEnabled" in names:
        return "HF_HUB_OFFLINE is set, so nothing is asked of the Hub"
    if names & _NO_CONNECTION:
        return f"no connection to {constants.ENDPOINT} ({_first_line(error)}){_AGAIN}"
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and the errors that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    """The first line of an error's text, without a token that may be quoted there."""
    return _SECRET.sub("***", first_line(error))
