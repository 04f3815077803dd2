"""The service is killed with -9 around the registration of models: one version each, whole."""

from __future__ import annotations

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

from turnout import Model, Workspace
from turnout.client import embedded
from turnout.client.embedded import EmbeddedEndpoint
from turnout.client.http import Client
from turnout.testing.waiting import wait_until

DATA = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[Client]:
    client = Client(EmbeddedEndpoint(home), retry_s=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TURNOUT_HOME", str(home))
        patch.setattr(embedded, "default_client", lambda: client)
        client.get("/v1/workspace")
        yield client
    client.close()
    kill(home, signal.SIGTERM)


def kill(home: Path, number: int) -> None:
    try:
        os.kill(json.loads((home / "service.json").read_text())["pid"], number)
    except (FileNotFoundError, ProcessLookupError):
        return


def content(client: Client, name: str, file: str) -> bytes:
    with client.open("GET", f"/v1/models/{name}/1/files/{file}") as answer:
        return answer.read()


def test_between_upload_and_registration(client: Client, home: Path) -> None:
    key = uuid.uuid4().hex
    client.request("PUT", f"/v1/model-files/{key}/m.bin", lambda: iter([DATA]))
    kill(home, signal.SIGKILL)
    body = {"key": key, "name": "between"}
    assert client.post("/v1/models", body)["version"] == 1
    kill(home, signal.SIGKILL)
    assert client.post("/v1/models", body)["version"] == 1
    assert content(client, "between", "m.bin") == DATA
    assert len(client.get("/v1/models", {"name": "between"})["models"]) == 1


@pytest.mark.parametrize("moment_ms", range(0, 60, 6))
def test_all_along_a_registration(
    client: Client, home: Path, moment_ms: int, tmp_path: Path
) -> None:
    client.get("/v1/workspace")
    (tmp_path / "net").mkdir()
    for name in ("a", "b"):
        (tmp_path / "net" / name).write_bytes(DATA)
    killer = threading.Timer(moment_ms / 1000, kill, (home, signal.SIGKILL))
    killer.start()
    try:
        model = Model.register(Workspace(), tmp_path / "net", f"along-{moment_ms}")
    finally:
        killer.join()
    assert model.version == 1
    for name in ("a", "b"):
        assert content(client, model.name, f"net/{name}") == DATA
    assert len(client.get("/v1/models", {"name": model.name})["models"]) == 1


SCRIPT = """
import os, sys
from turnout import Run
run = Run.get_context()
os.makedirs("outputs")
with open("outputs/m.bin", "wb") as file:
    file.write(b"x" * 3_000_000)
run.register_model(sys.argv[1], "outputs/m.bin")
open(sys.argv[2], "w").close()
"""


@pytest.mark.parametrize("moment_ms", range(0, 240, 20))
def test_all_along_the_end_of_a_script_that_asks(
    client: Client, home: Path, moment_ms: int, tmp_path: Path
) -> None:
    name, witness = f"asked-{moment_ms}", tmp_path / "witness"
    spec = {
        "command": ["python3", "-c", SCRIPT, name, str(witness)],
        "environment": {"user_managed": True, "interpreter": "python3"},
    }
    body = {"key": uuid.uuid4().hex, "experiment": "models", "spec": spec}
    run = client.post("/v1/runs", body)["id"]
    wait_until(witness.exists, "the script to ask")
    # Where the kill falls is chance; the moments are spread over the collecting.
    time.sleep(moment_ms / 1000)
    kill(home, signal.SIGKILL)
    view: dict[str, Any] = {}

    def over() -> bool:
        view.update(client.get(f"/v1/runs/{run}"))
        return view["ended_at"] is not None

    wait_until(over, "the end of the run")
    assert (view["state"], view["warnings"]) == ("completed", [])
    found = client.get("/v1/models", {"name": name})["models"]
    assert [(m["version"], m["run"]) for m in found] == [(1, run)]
    assert content(client, name, "m.bin") == b"x" * 3_000_000
