"""The transport: pooled connections, errors by code, requests repeated only where harmless."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_service import Cut, FakeService, SocketEndpoint, error

from turnout.client.http import Client, TCPEndpoint, UnixConnection, address, segment
from turnout.spec.errors import (
    ConflictError,
    NotAllowedError,
    NotFoundError,
    ServiceError,
    SnapshotMissingError,
    TargetError,
    UserError,
)


def test_connections_are_used_again(service: FakeService, client: Client) -> None:
    service("GET", "/v1/workspace", {"name": "w"})
    for _ in range(5):
        assert client.get("/v1/workspace") == {"name": "w"}
    assert service.connections == 1


def test_errors_keep_the_connection(service: FakeService, client: Client) -> None:
    for _ in range(3):
        with pytest.raises(NotFoundError, match="nothing at /v1/none"):
            client.get("/v1/none")
    assert service.connections == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "not_found", NotFoundError),
        (409, "conflict", ConflictError),
        (409, "snapshot_missing", SnapshotMissingError),
        (401, "not_allowed", NotAllowedError),
        (502, "target", TargetError),
        (503, "service", ServiceError),
        (422, "invalid", UserError),
        (400, "a code of a later version", UserError),
    ],
)
def test_errors_come_back_as_themselves(
    service: FakeService, client: Client, status: int, code: str, kind: type[Exception]
) -> None:
    service("GET", "/x", (status, error(code, "what to do")))
    with pytest.raises(kind, match="what to do") as caught:
        client.get("/x")
    assert type(caught.value) is kind


def test_answers_that_are_not_ours_are_no_stack_traces(
    service: FakeService, client: Client
) -> None:
    service("GET", "/x", (502, b"<html>proxy</html>"))
    with pytest.raises(ServiceError, match="502"):
        client.get("/x")
    service("GET", "/x", (404, b"<html>proxy</html>"))
    with pytest.raises(UserError, match="404"):
        client.get("/x")


def test_a_repeatable_request_survives_a_service_that_dies(
    service: FakeService, client: Client
) -> None:
    answers = iter([Cut, Cut, {"id": "r"}])
    service("POST", "/v1/runs", lambda query, body: next(answers))
    assert client.post("/v1/runs", {"key": "k"}) == {"id": "r"}
    assert service.sent("POST", "/v1/runs") == [{"key": "k"}] * 3


def test_a_closed_idle_connection_is_noticed_before_it_is_used(
    service: FakeService, client: Client
) -> None:
    service("POST", "/r", {})
    client.post("/r")
    connection = client._idle[0]
    assert connection.sock
    connection.sock.shutdown(2)
    client.post("/r")
    assert (len(service.requests), service.connections) == (2, 2)


def test_the_service_is_revived_and_waited_for(
    serve: Callable[[Any], FakeService], endpoint: SocketEndpoint, client: Client
) -> None:
    def revive() -> None:
        if endpoint.revived == 3:
            serve(endpoint.path)("GET", "/x", {"up": True})

    endpoint.on_revive = revive
    assert client.get("/x") == {"up": True}
    assert endpoint.revived == 3


def test_a_service_that_stays_away_is_named(endpoint: SocketEndpoint) -> None:
    with pytest.raises(ServiceError, match=endpoint.path):
        Client(endpoint, retry_s=0).get("/x")


def test_a_silent_service_is_given_up(service: FakeService, client: Client) -> None:
    release = threading.Event()
    service("GET", "/x", lambda query, body: release.wait(5) and {})
    with (
        pytest.raises(ServiceError, match="did not answer in time"),
        client.open("GET", "/x", timeout_s=0.05),
    ):
        pass
    release.set()


def test_bodies_stream_both_ways(service: FakeService, client: Client, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    service("PUT", "/up", lambda query, body: {"size": len(body)})
    service("GET", "/down", lambda query, body: iter([data[: 1 << 20], data[1 << 20 :]]))
    parts = [data[: 1 << 20], b"", data[1 << 20 :]]
    assert client.request("PUT", "/up", lambda: iter(parts)) == {"size": len(data)}
    assert service.sent("PUT", "/up") == [data]
    assert client.download("/down", tmp_path / "file") == len(data)
    assert (tmp_path / "file").read_bytes() == data


def test_a_cut_download_leaves_no_file(
    service: FakeService, client: Client, tmp_path: Path
) -> None:
    service("GET", "/down", lambda query, body: iter([b"x" * 100, b"CUT"]))
    with pytest.raises(ServiceError, match="broke off"):
        client.download("/down", tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_an_upload_that_fails_while_made_says_so(service: FakeService, client: Client) -> None:
    def parts() -> Any:
        yield b"x"
        raise ConflictError("changed")

    service("PUT", "/up", {})
    with pytest.raises(ConflictError, match="changed"):
        client.request("PUT", "/up", parts)
    assert client.request("PUT", "/up", lambda: iter([b"y"])) == {}


def test_a_long_socket_path_is_reached(
    serve: Callable[[Any], FakeService], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    # Binding has the same limit as connecting.
    monkeypatch.chdir(folder)
    serve("s")("GET", "/x", {"ok": 1})
    monkeypatch.chdir("/")
    client = Client(SocketEndpoint(str(folder / "s")))
    assert client.get("/x") == {"ok": 1}
    client._idle.pop().close()


def test_threads_have_connections_of_their_own(service: FakeService, client: Client) -> None:
    barrier = threading.Barrier(4)

    def answer(query: Any, body: Any) -> Any:
        barrier.wait(5)
        return {"thread": body["n"]}

    service("POST", "/x", answer)
    found: list[Any] = [None] * 4

    def ask(n: int) -> None:
        found[n] = client.post("/x", {"n": n})

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{"thread": n} for n in range(4)]
    assert service.connections == 4


def test_a_forked_process_leaves_the_parents_connections_alone(
    service: FakeService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    service("GET", "/x", {})
    client.get("/x")
    parents = client._idle[0]
    monkeypatch.setattr(client, "_pid", os.getpid() - 1)
    client.get("/x")
    assert service.connections == 2
    assert parents.sock
    parents.close()


def test_tcp_with_a_token(serve: Callable[[Any], FakeService]) -> None:
    service = serve(("127.0.0.1", 0))
    service("GET", "/x", {"ok": 1})
    url = f"http://127.0.0.1:{service.address[1]}"  # type: ignore[attr-defined]
    client = Client(TCPEndpoint(url, "open sesame"))
    assert client.get("/x") == {"ok": 1}
    client._idle.pop().close()
    wrong = Client(TCPEndpoint(url, "guess"))
    with pytest.raises(NotAllowedError, match="token is wrong"):
        wrong.get("/x")
    wrong._idle.pop().close()


@pytest.mark.parametrize(
    ("url", "token", "message"),
    [
        ("http://x:1", "", "TURNOUT_TOKEN is not"),
        ("ftp://x", "t", "must look like"),
        ("http://", "t", "must look like"),
    ],
)
def test_bad_addresses_are_named(url: str, token: str, message: str) -> None:
    with pytest.raises(ServiceError, match=message):
        TCPEndpoint(url, token)


def test_addresses_are_quoted() -> None:
    assert (
        address("/p", {"tag": "a b=c&d", "n": None, "all": True}) == "/p?tag=a+b%3Dc%26d&all=true"
    )
    assert segment("outputs/a b#?.txt") == "outputs/a%20b%23%3F.txt"


def test_a_crowded_service_is_waited_for(tmp_path: Path) -> None:
    """With a full backlog, a connect that does not block fails at once."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen(0)
    crowd = [UnixConnection(str(tmp_path / "s"), timeout=0) for _ in range(1)]
    for connection in crowd:
        connection.connect()
    late = UnixConnection(str(tmp_path / "s"), timeout=10)
    thread = threading.Thread(target=late.connect)
    thread.start()
    accepted = [listener.accept()[0] for _ in range(2)]
    thread.join()
    assert late.sock
    for sock in (listener, *accepted, *crowd, late):
        sock.close()
