"""`turnout server`: the same program on TCP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnout.client.http import Client, TCPEndpoint
from turnout.spec.errors import NotAllowedError
from turnout.testing.sshd import free_port


def start(home: Path, port: int, *more: str) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-m", "turnout.service.server", "--home", str(home)]
    return subprocess.Popen([*argv, "--port", str(port), *more], stderr=subprocess.PIPE, text=True)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    port = free_port()
    process = start(tmp_path / "home", port)
    deadline = time.monotonic() + 30
    while not (tmp_path / "home" / "service.json").exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}", tmp_path / "home"
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(10) == 0, said
    process.stderr.close()
    assert "TURNOUT_URL=http" in said
    assert (tmp_path / "home" / "token").read_text() not in said


def test_a_run_over_tcp(served: tuple[str, Path]) -> None:
    url, home = served
    client = Client(TCPEndpoint(url, (home / "token").read_text()))
    spec = {
        "command": ["python3", "-c", "print('over tcp')"],
        "environment": {"user_managed": True, "interpreter": "python3"},
    }
    body = {"key": "key-over-tcp", "experiment": "tcp", "spec": spec}
    run = client.post("/v1/runs", body)["id"]
    while not client.get(f"/v1/runs/{run}")["ended_at"]:
        time.sleep(0.02)
    with client.open("GET", f"/v1/runs/{run}/logs/azureml-logs/70_driver_log.txt") as answer:
        assert answer.read() == b"over tcp\n"
    assert oct((home / "turnout.db").stat().st_mode & 0o777) == "0o600"
    client.close()


def test_a_wrong_token_is_refused(served: tuple[str, Path]) -> None:
    client = Client(TCPEndpoint(served[0], "wrong"))
    with pytest.raises(NotAllowedError, match="token is wrong"):
        client.get("/v1/runs")
    client.close()


def refused(home: Path, port: int) -> str:
    """What a service that could not start said."""
    with start(home, port) as second:
        _, said = second.communicate(timeout=30)
    assert second.returncode == 2
    assert "Traceback" not in said
    return said


def test_a_second_service_for_one_home_is_refused(served: tuple[str, Path]) -> None:
    _, home = served
    before = json.loads((home / "service.json").read_text())
    assert "running already" in refused(home, free_port())
    assert json.loads((home / "service.json").read_text()) == before


def test_a_taken_port_is_named(served: tuple[str, Path], tmp_path: Path) -> None:
    port = int(served[0].rpartition(":")[2])
    assert f"127.0.0.1:{port}" in refused(tmp_path / "other", port)


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "turnout.service.server", "--home", str(tmp_path)],
        env={**os.environ, "TURNOUT_TICK_S": "soon"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert answer.stderr == "turnout: error: TURNOUT_TICK_S must be a number, not 'soon'.\n"
