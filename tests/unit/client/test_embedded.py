"""Finding and starting the embedded service. The service itself is a small script here."""

from __future__ import annotations

import os
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_service import TOKEN

from turnout import __version__
from turnout.client import embedded
from turnout.client.embedded import EmbeddedEndpoint
from turnout.client.http import Client, TCPEndpoint
from turnout.spec.errors import ServiceError

#: Answers one request after the other until told to end; notes each start.
STAND_IN = """
import http.server, json, os, socket, socketserver, sys
home = os.environ["TURNOUT_HOME"]
open(home + "/starts", "a").write("start\\n")
print("starting up", flush=True)
BEHAVIOUR
class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def respond(self):
        data = json.dumps({"pid": os.getpid(), "cwd": os.getcwd(),
            "env": {k: v for k, v in os.environ.items() if k.startswith(("TURNOUT", "PYTHONP"))},
            "sid": os.getsid(0), "auth": self.headers["Authorization"]}).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(data)))
        self.end_headers(); self.wfile.write(data); self.wfile.flush()
        if self.path == "/v1/shutdown":
            os.unlink(home + "/service.json"); os._exit(0)
    do_GET = do_POST = respond
    def address_string(self): return ""
    def log_message(self, *args): pass
path = home + "/service.sock"
if os.path.exists(path): os.unlink(path)
server = Server(path, Handler)
open(home + "/token", "w").write(TOKEN)
known = {"socket": path, "pid": os.getpid(), "version": VERSION}
open(home + "/tmp", "w").write(json.dumps(known))
os.rename(home + "/tmp", home + "/service.json")
server.serve_forever()
"""

Install = Callable[..., None]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    home = tmp_path / "home"
    monkeypatch.setenv("TURNOUT_HOME", str(home))
    for name in ("TURNOUT_URL", "TURNOUT_TOKEN", "TURNOUT_RUN_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    yield home
    if EmbeddedEndpoint(home).answers():
        client = Client(EmbeddedEndpoint(home))
        client.post("/v1/shutdown")
        client._idle.pop().close()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a stand-in where `-m turnout.service.server` finds it, before the real one."""

    def put(behaviour: str = "", version: str = __version__) -> None:
        text = STAND_IN.replace("BEHAVIOUR", textwrap.dedent(behaviour))
        text = text.replace("TOKEN", repr(TOKEN)).replace("VERSION", repr(version))
        folder = tmp_path / "stand-in/turnout/service"
        folder.mkdir(parents=True, exist_ok=True)
        for package in (folder, folder.parent):
            (package / "__init__.py").write_text("")
        (folder / "server.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stand-in"))
        # Compiled, a stand-in of the same size and second would be taken for the one before.
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    return put


def ask(home: Path, path: str = "/x") -> Any:
    client = Client(EmbeddedEndpoint(home))
    try:
        return client.get(path)
    finally:
        for connection in client._idle:
            connection.close()


def starts(home: Path) -> int:
    return len((home / "starts").read_text().splitlines())


def test_the_first_request_starts_the_service(home: Path, install: Install) -> None:
    install()
    found = ask(home)
    assert found["auth"] == f"Bearer {TOKEN}"
    assert found["cwd"] == str(home)
    assert found["sid"] == found["pid"] != os.getsid(0)
    assert ask(home)["pid"] == found["pid"]
    assert starts(home) == 1
    assert (home.stat().st_mode & 0o777, (home / "service.log").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )
    assert (home / "service.log").read_text() == "starting up\n"


def test_clients_that_come_at_once_start_one_service(home: Path, install: Install) -> None:
    install()
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(ask(home))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer["pid"] for answer in found}) == 1
    assert (len(found), starts(home)) == (6, 1)


def test_a_dead_service_is_replaced(home: Path, install: Install) -> None:
    install()
    first = ask(home)["pid"]
    os.kill(first, 9)
    while EmbeddedEndpoint(home).answers():
        pass
    assert (home / "service.json").exists()
    assert ask(home)["pid"] != first
    assert starts(home) == 2


def test_another_versions_service_is_ended_and_ours_started(
    home: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(version="0.0.9")
    monkeypatch.setattr(embedded, "__version__", "0.0.9")
    old = ask(home)["pid"]
    monkeypatch.setattr(embedded, "__version__", __version__)
    install()
    assert ask(home)["pid"] != old
    assert EmbeddedEndpoint(home).announced()["version"] == __version__


def test_a_service_that_cannot_start_shows_its_log(home: Path, install: Install) -> None:
    install("raise SystemExit('the database is from the future')")
    with pytest.raises(ServiceError, match=r"did not start .*code 1") as caught:
        ask(home)
    assert "the database is from the future" in caught.value.message
    # Only this start's lines are shown.
    install("raise SystemExit('another reason')")
    with pytest.raises(ServiceError) as caught:
        ask(home)
    assert "future" not in caught.value.message
    assert "another reason" in caught.value.message


def test_a_service_that_hangs_is_given_up(
    home: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "START_S", 0.3)
    install("import time; time.sleep(0.8); sys.exit()")
    with pytest.raises(ServiceError, match="no answer"):
        ask(home)


def test_a_home_that_cannot_be_made_is_named(home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(ServiceError, match=r"home cannot be used: .* Set TURNOUT_HOME"):
        ask(home)


def test_a_run_around_the_client_does_not_leak_into_the_service(
    home: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    monkeypatch.setenv("TURNOUT_RUN_FOLDER", "/run")
    monkeypatch.setenv("TURNOUT_RUN_ID", "r")
    monkeypatch.setenv("PYTHONPATH", f"/host/payload/ab12{os.pathsep}{os.environ['PYTHONPATH']}")
    env = ask(home)["env"]
    assert set(env) == {"TURNOUT_HOME", "PYTHONPATH"}
    assert "/host/payload" not in env["PYTHONPATH"]


def test_a_notebook_around_the_client_does_not_leak_into_the_service(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script's matplotlib has no cell to draw into, and its log no colours."""
    kernel = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "PAGER": "cat", "JPY_PARENT_PID": "7"}
    for name, value in kernel.items():
        monkeypatch.setenv(name, value)
    for inline in ("matplotlib_inline.backend_inline", "ipykernel.pylab.backend_inline"):
        monkeypatch.setenv("MPLBACKEND", f"module://{inline}")
        assert not {*kernel, "MPLBACKEND"} & set(embedded.service_environment(home))
    monkeypatch.setenv("MPLBACKEND", "svg")
    assert embedded.service_environment(home)["MPLBACKEND"] == "svg"
    # Without a kernel these are a person's own.
    monkeypatch.delenv("JPY_PARENT_PID")
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert embedded.service_environment(home)["PAGER"] == "cat"


def test_damaged_announcements_are_none(home: Path) -> None:
    home.mkdir()
    for text in ("", "[]", "{", '{"socket": "/nowhere"}'):
        (home / "service.json").write_text(text)
        assert not EmbeddedEndpoint(home).answers()


def test_the_environment_names_the_service(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_clients", {})
    here = embedded.default_client()
    assert isinstance(here.endpoint, EmbeddedEndpoint)
    assert embedded.default_client() is here
    monkeypatch.setenv("TURNOUT_URL", "http://127.0.0.1:1")
    with pytest.raises(ServiceError, match="TURNOUT_TOKEN"):
        embedded.default_client()
    monkeypatch.setenv("TURNOUT_TOKEN", "t")
    assert isinstance(embedded.default_client().endpoint, TCPEndpoint)
    monkeypatch.delenv("TURNOUT_HOME")
    assert embedded.home_folder() == Path("~/.turnout").expanduser()
