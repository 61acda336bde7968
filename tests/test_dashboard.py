"""The W&B dashboard, saved to a stub of the API on this machine, and printed offline."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from test_cli import call

SECTIONS = ["Training", "Acceptance", "Corruption sweep", "Throughput"]


class Server(ThreadingHTTPServer):
    """Keeps the views that are saved to it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Stub)
        self.views = []


class Stub(BaseHTTPRequestHandler):
    """As much of W&B's GraphQL as saving a view needs; tells its server of the views."""

    server: Server

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = json.loads(body) if self.path == "/graphql" else {}
        query: str = request.get("query", "")
        variables = request.get("variables") or {}
        if "upsertView" in query:
            self.server.views.append(variables)
            view: dict[str, object] = {
                "id": "dmlldw==",
                "name": variables["name"],
                "displayName": variables["displayName"],
            }
            view |= {
                "type": variables["type"],
                "description": "",
                "spec": variables["spec"],
                "coverUrl": None,
                "previewUrl": None,
            }
            owner = {"username": "me", "name": "Me", "photoUrl": None, "admin": False}
            view |= {
                "project": {"id": "1", "name": "mine", "entityName": "me"},
                "user": owner,
                "createdAt": "2026-01-01T00:00:00",
            }
            view |= {
                "updatedAt": "2026-01-01T00:00:00",
                "locked": False,
                "viewCount": 0,
                "starCount": 0,
                "starred": False,
            }
            answer: dict[str, object] = {"upsertView": {"view": view, "inserted": True}}
        elif "viewer" in query:
            answer = {
                "viewer": {
                    "id": "1",
                    "username": "me",
                    "entity": "me",
                    "flags": "{}",
                    "teams": {"edges": []},
                }
            }
        else:
            project = {
                "id": "1",
                "name": "mine",
                "entityName": "me",
                "createdAt": "2026-01-01T00:00:00",
                "isBenchmark": False,
                "user": None,
            }
            page = {
                "edges": [{"node": project, "cursor": "1"}],
                "pageInfo": {"endCursor": "1", "hasNextPage": False},
            }
            answer = {
                "models": page,
                "serverInfo": None,
                "upsertModel": {"model": project, "inserted": False},
            }
        reply = json.dumps({"data": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def stub():
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_workspace_and_the_report_are_saved(stub, tmp_path):
    address = f"http://127.0.0.1:{stub.server_address[1]}"
    environment = os.environ | {
        "WANDB_BASE_URL": address,
        "WANDB_API_KEY": "x" * 40,
        "HOME": str(tmp_path),
    }
    done = call(
        tmp_path, "task=dashboard", "logger.project=mine", "logger.entity=me", env=environment
    )
    assert done.returncode == 0, done.stderr
    workspace, report = stub.views
    assert [workspace["projectName"], report["projectName"]] == ["mine", "mine"]
    sections = json.loads(workspace["spec"])["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in sections] == SECTIONS
    assert all(section["panels"] for section in sections)
    assert all(name in report["spec"] for name in SECTIONS)
    assert "x" * 40 not in done.stdout + done.stderr


def test_the_specification_is_printed_offline(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_API_KEY"}
    environment |= {"WANDB_BASE_URL": "http://127.0.0.1:9", "HOME": str(tmp_path)}
    done = call(tmp_path, "task=dashboard", "dry_run=true", "logger.project=mine", env=environment)
    assert done.returncode == 0, done.stderr
    text = json.dumps(json.loads(done.stdout)["workspace"])
    for key in (
        "degraded/validation_accuracy_mean",
        "progress/acceptance",
        "config:corruption.value.rate",
        "attempts_per_second",
    ):
        assert key in text
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


def test_a_dashboard_needs_a_login(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_API_KEY"} | {
        "HOME": str(tmp_path)
    }
    done = call(tmp_path, "task=dashboard", env=environment)
    assert done.returncode == 2
    assert "wandb login" in done.stderr
