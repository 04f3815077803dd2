"""The service is killed with -9 all along a submission and started again: one run, one end, each
log line and metric once."""

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout.client.embedded import EmbeddedEndpoint
from turnout.client.events import follow
from turnout.client.http import Client
from turnout.testing.sshd import SSHServer

DRIVER = "azureml-logs/70_driver_log.txt"
LINES = 25
SCRIPT = f"""
import os, sys, time
with open(sys.argv[1], "a") as file:
    file.write("started\\n")
from turnout import Run
run = Run.get_context()
for i in range({LINES}):
    run.log("i", i)
    print("line", i, flush=True)
    time.sleep(0.015)
os.makedirs("outputs")
open("outputs/model.bin", "wb").write(b"x" * 3_000_000)
"""
#: Milliseconds after the submission began: from the request to beyond the end of the run.
MOMENTS = [*range(0, 60, 10), *range(60, 700, 80)]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home = tmp_path_factory.mktemp("home")
    old = os.environ.get("TURNOUT_HOME")
    os.environ["TURNOUT_HOME"] = str(home)
    client = Client(EmbeddedEndpoint(home), retry_s=60)
    client.get("/v1/workspace")
    yield client
    client.close()
    kill(home, signal.SIGTERM)
    os.environ.pop("TURNOUT_HOME")
    if old is not None:
        os.environ["TURNOUT_HOME"] = old


@pytest.fixture(scope="module")
def lab(client: Client) -> Iterator[str]:
    with SSHServer() as server:
        config = {
            "address": server.address,
            "port": server.port,
            "username": server.username,
            "private_key": server.user_key.read_text(),
            "host_key": server.host_key,
            "folder": str(home_of(client) / "remote"),
        }
        body = {"name": "lab", "kind": "ssh", "config": config}
        assert client.post("/v1/targets", body)["provisioning_state"] == "Succeeded"
        yield "lab"
        client.request("DELETE", "/v1/targets/lab")


def home_of(client: Client) -> Path:
    endpoint = client.endpoint
    assert isinstance(endpoint, EmbeddedEndpoint)
    return endpoint.home


def kill(home: Path, number: int) -> None:
    try:
        pid = json.loads((home / "service.json").read_text())["pid"]
        os.kill(pid, number)
    except (FileNotFoundError, ProcessLookupError):
        return


def submit(client: Client, target: str, witness: Path) -> dict[str, Any]:
    spec = {
        "command": ["python3", "-c", SCRIPT, str(witness)],
        "environment": {"user_managed": True, "interpreter": "python3"},
        "target": target,
    }
    body = {"key": uuid.uuid4().hex, "experiment": "kills", "spec": spec}
    return client.post("/v1/runs", body)


def ended(client: Client, run: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        view = client.get(f"/v1/runs/{run}")
        if view["ended_at"]:
            return view
        time.sleep(0.05)
    raise AssertionError(f"no end after 60 s: {view['state']} {view['message']}")


def prove(client: Client, run: str, witness: Path) -> None:
    view = ended(client, run)
    assert view["state"] == "completed", view["error"]
    assert witness.read_text() == "started\n"
    with client.open("GET", f"/v1/runs/{run}/logs/{DRIVER}") as answer:
        assert answer.read().decode() == "".join(f"line {i}\n" for i in range(LINES))
    assert client.get(f"/v1/runs/{run}/metrics")["metrics"] == {"i": list(range(LINES))}
    with client.open("GET", f"/v1/runs/{run}/files/outputs/model.bin") as answer:
        assert answer.read() == b"x" * 3_000_000
    assert view["warnings"] == []
    history = client.get(f"/v1/runs/{run}")["history"]
    ends = [e["state"] for e in history if e["state"] in ("queued", "running", "completed")]
    assert list(dict.fromkeys(ends)) == ["queued", "running", "completed"]
    assert ends.count("completed") == 1


@pytest.mark.parametrize("moment_ms", MOMENTS)
def test_killed_service_local(client: Client, moment_ms: int, tmp_path: Path) -> None:
    survive(client, "local", moment_ms, tmp_path / "witness")


@pytest.mark.ssh
@pytest.mark.parametrize("moment_ms", MOMENTS[::3])
def test_killed_service_ssh(client: Client, lab: str, moment_ms: int, tmp_path: Path) -> None:
    survive(client, lab, moment_ms, tmp_path / "witness")


def survive(client: Client, target: str, moment_ms: int, witness: Path) -> None:
    home = home_of(client)
    killer = threading.Timer(moment_ms / 1000, kill, (home, signal.SIGKILL))
    killer.start()
    try:
        run = submit(client, target, witness)["id"]
    finally:
        killer.join()
    prove(client, run, witness)


def test_killed_again_and_again(client: Client, tmp_path: Path) -> None:
    run = submit(client, "local", tmp_path / "witness")["id"]
    for _ in range(5):
        time.sleep(0.1)
        kill(home_of(client), signal.SIGKILL)
        client.get("/v1/workspace")
    prove(client, run, tmp_path / "witness")


def test_a_run_ends_while_there_is_no_service(client: Client, tmp_path: Path) -> None:
    run = submit(client, "local", tmp_path / "witness")["id"]
    while not (tmp_path / "witness").exists():
        time.sleep(0.01)
    kill(home_of(client), signal.SIGKILL)
    time.sleep(1.5)
    prove(client, run, tmp_path / "witness")


def test_a_killed_supervisor_is_a_failed_run(client: Client) -> None:
    spec = {
        "command": [
            "python3",
            "-c",
            "import os, time\nprint(os.getppid(), flush=True)\ntime.sleep(300)",
        ],
        "environment": {"user_managed": True, "interpreter": "python3"},
    }
    body = {"key": uuid.uuid4().hex, "experiment": "kills", "spec": spec}
    run = client.post("/v1/runs", body)["id"]
    for event in follow(client, run):
        if event.kind == "log" and event.data["name"] == DRIVER:
            os.kill(int(event.data["text"]), signal.SIGKILL)
            break
    view = ended(client, run)
    assert view["state"] == "failed"
    assert view["error"]["code"] == "lost"
