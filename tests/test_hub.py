"""Publishing to a stub of the Hugging Face Hub on this machine, and reading back from it."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import unquote, urlparse

import pytest
from conftest import HANGS
from hypothesis import given
from hypothesis import strategies as st
from test_cli import call, command

from muat_exp.app.compose import load_config
from muat_exp.config.checks import is_repo_id
from muat_exp.dataset.checksums import differences
from muat_exp.dataset.hub import Publication, check_dataset, dataset_folder, publish
from muat_exp.errors import ConfigurationError, DatasetError

TOKEN = "hf_canaryCanaryCanary"
REPO = "someone/some-data.set"
ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"


def git_oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub's API as one dataset needs.

    The server holds its files, what is stored of them, and its commits.
    """

    protocol_version = "HTTP/1.1"
    server: "Server"

    def answer(self, status=200, body=b"", **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def handle_one(self):
        hub, path = self.server, unquote(urlparse(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.requests.append((self.command, path))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" and not path.startswith(
            "/store/"
        ):
            return self.answer(
                401, {"error": "Invalid credentials"}, X_Error_Message="Invalid credentials"
            )
        if hub.refused and path == hub.refused[1]:
            return self.answer(hub.refused[0], {"error": "no"}, X_Error_Message="no")
        for pattern, method in self.ROUTES.items():
            if match := re.fullmatch(pattern, f"{self.command} {path}"):
                return method(self, hub, body, *match.groups())
        return self.answer(404, {"error": "not found"})

    do_GET = do_POST = do_PUT = do_HEAD = handle_one  # noqa: N815 - http.server looks for these

    def create(self, hub, body):
        asked, exists = json.loads(body), bool(hub.files)
        if exists:
            return self.answer(409, {"error": "exists", "url": f"{hub.address}/datasets/{REPO}"})
        assert f"{asked['organization']}/{asked['name']}" == REPO
        assert asked["type"] == "dataset"
        hub.private = asked.get("visibility") == "private" or asked.get("private", False)
        hub.commit({".gitattributes": ATTRIBUTES})
        return self.answer(200, {"url": f"{hub.address}/datasets/{REPO}"})

    def info(self, hub, body, revision=None):
        if not hub.files:
            return self.answer(404, {"error": "no such"}, X_Error_Code="RepoNotFound")
        return self.answer(
            200, {"id": REPO, "sha": hub.head, "private": hub.private, "siblings": [], "tags": []}
        )

    def check_card(self, hub, body):
        return self.answer(200, {"errors": [], "warnings": []})

    def tree(self, hub, body, revision):
        return self.answer(200, [hub.describe(name) for name in sorted(hub.files)])

    def preupload(self, hub, body):
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".parquet") else "regular",
                "shouldIgnore": False,
                "oid": hub.known_oid(file["path"]),
            }
            for file in json.loads(body)["files"]
        ]
        return self.answer(200, {"files": files})

    def batch(self, hub, body):
        asked = json.loads(body)["objects"]
        for entry in asked:
            if entry["oid"] not in hub.stored:
                entry["actions"] = {
                    "upload": {"href": f"{hub.address}/store/{entry['oid']}", "header": {}}
                }
        return self.answer(200, {"transfer": "basic", "objects": asked})

    def store(self, hub, body, oid):
        with hub.lock:
            hub.puts.append(oid)
            place = len(hub.puts)
        if place in hub.dropped:
            self.close_connection = True
            return None
        if place in hub.stuck:
            hub.released.wait(60)
        assert hashlib.sha256(body).hexdigest() == oid
        hub.stored[oid] = body
        return self.answer(200)

    def take_commit(self, hub, body):
        lines = [json.loads(line) for line in body.splitlines()]
        files = dict(hub.files)
        for line in lines:
            kind, value = line["key"], line["value"]
            if kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                files[value["path"]] = hub.stored[value["oid"]]
            elif kind == "deletedFile":
                del files[value["path"]]
        hub.commit(files)
        answer = {
            "success": True,
            "commitOid": hub.head,
            "commitUrl": f"{hub.address}/datasets/{REPO}/commit/{hub.head}",
        }
        return self.answer(200, answer)

    def resolve(self, hub, body, revision, name):
        if not hub.files:
            return self.answer(404, {"error": "no such"}, X_Error_Code="RepoNotFound")
        if name not in hub.files:
            return self.answer(
                404, {"error": "no such"}, X_Error_Code="EntryNotFound", X_Repo_Commit=hub.head
            )
        return self.answer(
            200, hub.files[name], ETag=f'"{hub.known_oid(name)}"', X_Repo_Commit=hub.head
        )

    ROUTES: ClassVar[dict[str, Callable[..., Any]]] = {
        "POST /api/repos/create": create,
        "POST /api/validate-yaml": check_card,
        f"GET /api/datasets/{re.escape(REPO)}(?:/revision/(.+))?": info,
        f"GET /api/datasets/{re.escape(REPO)}/tree/(.+)": tree,
        f"POST /api/datasets/{re.escape(REPO)}/preupload/main": preupload,
        f"POST /datasets/{re.escape(REPO)}.git/info/lfs/objects/batch": batch,
        "PUT /store/(.+)": store,
        f"POST /api/datasets/{re.escape(REPO)}/commit/main": take_commit,
        f"(?:GET|HEAD) /datasets/{re.escape(REPO)}/resolve/([^/]+)/(.+)": resolve,
    }

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    """The state of the stub.

    `refused` is a status and the path that it is given for; `dropped` and `stuck` number the
    uploads whose connection breaks or that don't end until `released`.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.files: dict[str, bytes] = {}
        self.stored: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.commits = 0
        self.private = False
        self.refused: tuple[int, str] | None = None
        self.dropped: Collection[int] = ()
        self.stuck: Collection[int] = ()
        self.released = threading.Event()
        self.lock = threading.Lock()

    @property
    def head(self):
        return f"{self.commits:040x}"

    def commit(self, files):
        self.files, self.commits = files, self.commits + 1

    def known_oid(self, name):
        content = self.files.get(name)
        if content is None:
            return None
        return (
            hashlib.sha256(content).hexdigest() if name.endswith(".parquet") else git_oid(content)
        )

    def describe(self, name):
        content = self.files[name]
        entry = {"type": "file", "path": name, "size": len(content), "oid": git_oid(content)}
        if name.endswith(".parquet"):
            entry["lfs"] = {"oid": self.known_oid(name), "size": len(content), "pointerSize": 132}
        return entry


@pytest.fixture
def hub():
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def work(run, tmp_path):
    """A work folder with a dataset, and the home folder too: nothing may be written elsewhere."""
    shutil.copytree(run.dataset, tmp_path / "data")
    return tmp_path


def environment(work, address, **changes):
    ours = {
        "HF_ENDPOINT": address,
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))
    }
    return {
        name: value
        for name, value in (kept | ours | {"HOME": str(work)} | changes).items()
        if value is not None
    }


def send(work, address, *arguments, **changes):
    return call(
        work,
        "task=publish",
        "dataset=data",
        f"repo={REPO}",
        *arguments,
        env=environment(work, address, **changes),
    )


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def holds(folder, text):
    return any(text.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def assert_sentence(done, code, *words):
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr
    assert TOKEN not in done.stdout + done.stderr


def test_every_file_arrives_and_a_second_run_sends_nothing(hub, work):
    hub.dropped = (1,)
    before = contents(work / "data")
    done = send(work, hub.address, "private=true")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(f"{hub.address}/datasets/{REPO}")
    assert done.stderr == ""
    assert hub.files == before | {".gitattributes": ATTRIBUTES}
    assert hub.private
    assert contents(work / "data") == before
    puts, commits = len(hub.puts), hub.commits
    again = send(work, hub.address, "private=true")
    assert again.returncode == 0, again.stderr
    assert (len(hub.puts), hub.commits) == (puts, commits)
    assert TOKEN not in done.stdout + done.stderr + again.stdout + again.stderr
    assert not holds(work, TOKEN)


def test_a_killed_upload_continues_and_replaces_another_version(hub, work):
    old = {
        ".gitattributes": ATTRIBUTES,
        "LICENSE": b"mine",
        "prompts/train-00000-of-00002.parquet": b"old",
    }
    hub.commit(old)
    hub.stuck = (2,)
    arguments = command("task=publish", "dataset=data", f"repo={REPO}")
    process = subprocess.Popen(
        arguments, cwd=work, env=environment(work, hub.address), stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + HANGS
    while not (hub.stored and len(hub.puts) == 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    (arrived,) = hub.stored
    assert hub.files == old
    hub.stuck, hub.puts = (), []
    done = send(work, hub.address)
    assert done.returncode == 0, done.stderr
    assert arrived not in hub.puts
    assert len(hub.puts) == 1
    assert hub.files == contents(work / "data") | {".gitattributes": ATTRIBUTES, "LICENSE": b"mine"}
    assert not hub.private


def test_a_dry_run_asks_nobody_and_needs_no_token(hub, work):
    done = send(
        work,
        hub.address,
        "dry_run=true",
        "private=true",
        HF_TOKEN=None,
        PYTHONPROFILEIMPORTTIME="1",
    )
    assert done.returncode == 0
    assert hub.requests == []
    listed = contents(work / "data")
    for name, content in listed.items():
        assert f"{len(content):,}  {name}\n" in done.stdout
    total = sum(map(len, listed.values()))
    sent = f"{total:,}  bytes in {len(listed)} files would go to the private dataset {REPO}"
    assert f"{sent}; nothing was sent" in done.stdout
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert not imported & {"torch", "numba", "huggingface_hub"}


def test_without_a_token_nothing_is_sent(hub, work):
    done = send(work, hub.address, HF_TOKEN=None, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 2
    assert "hf auth login" in done.stderr
    assert "HF_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr
    assert "| torch" not in done.stderr
    assert hub.requests == []


def test_refusals_are_sentences(hub, work):
    assert_sentence(
        send(work, hub.address, HF_TOKEN="hf_other"), 1, "answered 401", "hf auth login"
    )
    assert_sentence(send(work, "http://127.0.0.1:9"), 1, "no connection to http://127.0.0.1:9")
    hub.refused = (403, "/api/repos/create")
    assert_sentence(send(work, hub.address), 1, "answered 403", "token has no right")
    assert hub.commits == 0
    hub.refused = (500, f"/api/datasets/{REPO}/commit/main")
    assert_sentence(send(work, hub.address), 1, "answered 500", "the same command continues")
    assert list(hub.files) == [".gitattributes"]


def test_a_private_dataset_does_not_go_to_a_public_repository(hub, work):
    hub.commit({".gitattributes": ATTRIBUTES})
    assert_sentence(send(work, hub.address, "private=true"), 1, "there already and public")
    assert list(hub.files) == [".gitattributes"]
    assert hub.puts == []


def test_what_is_no_dataset_or_damaged_is_not_published(work):
    with pytest.raises(DatasetError, match="There is no folder"):
        check_dataset(work / "nowhere")
    (work / "run").mkdir()
    shutil.move(work / "data", work / "run/dataset")
    with pytest.raises(DatasetError, match=r"no README\.md.*Did you mean .*data"):
        check_dataset(work / "run")
    data = work / "run/dataset"
    assert check_dataset(data) == {name: len(content) for name, content in contents(data).items()}
    (data / ".env").write_text("secret")
    with pytest.raises(DatasetError, match=r"\.env is not in SHA256SUMS"):
        check_dataset(data)
    (data / ".env").unlink()
    (data / "probe_set.json").write_bytes(b"{}")
    with pytest.raises(DatasetError, match=r"probe_set\.json does not have its checksum"):
        check_dataset(data)


def test_what_git_and_the_client_put_into_a_folder_is_no_fault(work):
    for name in (".gitattributes", ".git/config", ".cache/huggingface/download/x.lock"):
        (work / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (work / "data" / name).write_text("x")
    assert list(differences(work / "data")) == []
    assert ".git/config" not in check_dataset(work / "data")


def test_a_dataset_is_read_by_its_name_and_from_the_cache_without_network(hub, work):
    hub.commit(
        contents(work / "data") | {".gitattributes": ATTRIBUTES, "notes/video.mp4": b"not ours"}
    )
    done = call(work, "task=validate", f"dataset={REPO}", env=environment(work, hub.address))
    assert done.returncode == 0, done.stdout + done.stderr
    checked = "28 examples, every network run again, 20 trained again"
    assert f"{REPO} is sound ({checked})." in done.stdout
    assert not any(path.endswith("mp4") for _, path in hub.requests)
    script = f"""
import muat_exp
there, here = muat_exp.load_subjects("{REPO}"), muat_exp.load_subjects("data")
assert there.table.equals(here.table) and len(there) == 28
assert all((a.weights == b.weights).all() for a, b in zip(there, here))
assert all((a.signature == b.signature).all() for a, b in zip(there, here))
"""
    count, gone = len(hub.requests), environment(work, "http://127.0.0.1:9")
    read = subprocess.run(
        [sys.executable, "-c", script],
        cwd=work,
        env=gone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert read.returncode == 0, read.stderr
    assert len(hub.requests) == count
    assert not holds(work, TOKEN)


def test_what_the_hub_does_not_have_is_a_sentence_and_what_was_made_elsewhere_is_read(hub, work):
    def validate(name, address=hub.address):
        return call(work, "task=validate", f"dataset={name}", env=environment(work, address))

    assert_sentence(validate(REPO), 1, f"no folder {REPO}", "answered 404")
    assert_sentence(validate(REPO, "http://127.0.0.1:9"), 1, f"no folder {REPO}", "no connection")
    hub.commit({"README.md": b"another dataset"})
    assert_sentence(validate(REPO), 1, "holds no dataset")
    (prompts,) = (work / "data/prompts").glob("*.parquet")
    hub.commit(
        {
            "README.md": b"made elsewhere",
            "data/train.parquet": prompts.read_bytes(),
            "setup.py": b"raise",
        }
    )
    foreign = validate(REPO)
    assert foreign.returncode == 0, foreign.stderr
    assert not any("setup.py" in request for request in map(str, hub.requests))


def test_a_folder_is_itself_and_other_names_are_sentences(work, monkeypatch):
    monkeypatch.chdir(work)
    (work / "file").write_text("x")
    assert dataset_folder("data").samefile(work / "data")
    for name, words in (
        ("file", "is a file"),
        ("a/b/c", "There is no folder a/b/c"),
        ("nowhere", "<owner>/<name>"),
    ):
        with pytest.raises(DatasetError, match=re.escape(words)):
            dataset_folder(name)


def test_the_missing_extra_is_named(work, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DatasetError, match=r"pip install 'muat_exp\[hub\]'"):
        dataset_folder("someone/something")
    with pytest.raises(ConfigurationError, match=r"pip install 'muat_exp\[hub\]'"):
        publish(Publication(work / "data", REPO))


@given(
    st.text("ab_-.git/", max_size=12) | st.from_regex(r"[a-z]{1,2}/[a-z._-]{90,99}", fullmatch=True)
)
def test_names_of_repositories_are_those_of_the_client(name):
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
        valid = True
    except HFValidationError:
        valid = False
    assert is_repo_id(name) == (valid and "/" in name)


def test_a_malformed_name_is_a_sentence():
    with pytest.raises(ConfigurationError, match=r"repo is 'no--name'; it must be <owner>/<name>"):
        load_config(["task=publish", "dataset_dir=data", "repo=no--name"])
