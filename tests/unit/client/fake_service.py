"""A service of one file, speaking docs/design/http-api.md over a unix socket or TCP."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from turnout.client import embedded
from turnout.client.http import Client, UnixConnection

TOKEN = "open sesame"


class FakeService:
    """Answers by `routes`: (method, path) → answer, or a function of (query, body) → answer.

    An answer is JSON data, bytes, an (status, data) pair, or an exception class: the connection
    is then cut after the request was read, without an answer.
    """

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], Any] = {}
        #: (method, path, body) of every request, in order.
        self.requests: list[tuple[str, str, Any]] = []
        self.connections = 0

    def __call__(self, method: str, path: str, answer: Any) -> None:
        self.routes[method, path] = answer

    def sent(self, method: str, path: str) -> list[Any]:
        return [body for m, p, body in self.requests if (m, p) == (method, path)]


class Cut(Exception):
    """The service dies before its answer."""


class Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A cut connection is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def service(self) -> FakeService:
        return self.server.service  # type: ignore[attr-defined]

    def setup(self) -> None:
        self.service.connections += 1
        super().setup()

    def address_string(self) -> str:
        return "client"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def read_body(self) -> Any:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_json = self.headers.get("Content-Type") == "application/json"
        return json.loads(data) if data and is_json else data or None

    def respond(self) -> None:
        url = urlsplit(self.path)
        path, body = unquote(url.path), self.read_body()
        self.service.requests.append((self.command, path, body))
        answer: Any = self.service.routes.get(
            (self.command, path), (404, error("not_found", f"nothing at {path}"))
        )
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            answer = (401, error("not_allowed", "The token is wrong."))
        if callable(answer) and not isinstance(answer, type):
            answer = answer(parse_qs(url.query), body)
        if answer is Cut:
            self.connection.shutdown(socket.SHUT_RDWR)
            raise Cut
        status, data = answer if isinstance(answer, tuple) else (200, answer)
        if isinstance(data, Iterator):
            self.stream(data)
            return
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def stream(self, parts: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in parts:
            if part == b"CUT":
                self.connection.shutdown(socket.SHUT_RDWR)
                raise Cut
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond


def error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


class UnixServer(Server):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "turnout", 0

    def get_request(self) -> tuple[socket.socket, str]:
        connection, _ = self.socket.accept()
        return connection, "client"


Serve = Callable[..., FakeService]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Any], FakeService]]:
    """Start a fake service at a socket path or ("127.0.0.1", 0)."""
    servers: list[Server] = []

    def start(where: Any) -> FakeService:
        service = FakeService()
        kind = UnixServer if isinstance(where, str) else Server
        server = kind(where, Handler)
        server.service = service  # type: ignore[attr-defined]
        servers.append(server)
        service.address = server.server_address  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return service

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class SocketEndpoint:
    """A service at a known socket."""

    token = TOKEN

    def __init__(self, path: str) -> None:
        self.path = path
        self.revived = 0
        self.on_revive: Callable[[], None] = lambda: None

    def connect(self) -> UnixConnection:
        return UnixConnection(self.path)

    def revive(self) -> None:
        self.revived += 1
        self.on_revive()

    def describe(self) -> str:
        return self.path


@pytest.fixture
def endpoint(tmp_path: Path) -> SocketEndpoint:
    return SocketEndpoint(str(tmp_path / "s"))


@pytest.fixture
def service(serve: Callable[[Any], FakeService], endpoint: SocketEndpoint) -> FakeService:
    return serve(endpoint.path)


@pytest.fixture
def client(
    endpoint: SocketEndpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Client]:
    """The client of the fake service; workspaces use it too."""
    made = Client(endpoint, retry_s=2.0)
    monkeypatch.setattr(embedded, "default_client", lambda: made)
    monkeypatch.setenv("TURNOUT_HOME", str(tmp_path / "home"))
    for name in ("TURNOUT_URL", "TURNOUT_TOKEN", "TURNOUT_RUN_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    yield made
    for connection in made._idle:
        connection.close()


def run_view(**given: Any) -> dict[str, Any]:
    """A run as the service shows it."""
    return {
        "id": "exp_1_ab",
        "number": 1,
        "experiment": "exp",
        "display_name": "exp_1_ab",
        "type": "azureml.scriptrun",
        "state": "running",
        "status": "Running",
        "message": "",
        "target": "local",
        "spec": {"script": "train.py", "arguments": ["--alpha", "0.1"]},
        "snapshot": "f" * 64,
        "tags": {},
        "properties": {},
        "parent": None,
        "created_at": "2026-01-01T00:00:00+00:00",
        "started_at": "2026-01-01T00:00:01+00:00",
        "ended_at": None,
        "attempt": 1,
        "cancel_requested": False,
        "error": None,
        "warnings": [],
        **given,
    }


def event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def log_event(name: str, offset: int, text: str) -> bytes:
    end = offset + len(text.encode())
    return event("log", {"name": name, "offset": offset, "text": text, "next": end})
