"""Channels that can and cannot be reached."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnout.payload.builds import conda_channels


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers with the number that the path begins with."""

    def do_HEAD(self) -> None:
        self.send_response(int(self.path.split("/")[1]))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def address(socket_enabled: None) -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("code", [200, 404, 405, 500])
def test_a_server_that_answers_is_there(address: str, code: int) -> None:
    assert conda_channels.why_not(f"{address}/{code}") == ""


@pytest.mark.parametrize("code", [401, 403, 407, 502, 503, 504])
def test_one_that_does_not_let_us_is_not(
    address: str, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(code) in conda_channels.why_not(f"{address}/{code}")


def test_one_that_asks_for_a_login_is_there_when_the_host_has_one(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ann password sesame\n")
    assert conda_channels.why_not(f"{address}/401") == ""


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    assert conda_channels.why_not((tmp_path / "a b").as_uri()) == ""
    found = conda_channels.unreachable(
        [
            {"name": "one", "address": (tmp_path / "a b").as_uri()},
            {"name": "two", "address": (tmp_path / "c").as_uri()},
            {"name": "ftp://h/x", "address": "ftp://h/x"},
        ]
    )
    assert len(found) == 2
    assert found[0].startswith("the channel two (file:///")
    assert f"there is no folder {tmp_path}/c" in found[0]


def test_one_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def hang(address: str) -> str:
        never.wait(60)
        return ""

    monkeypatch.setattr(conda_channels, "PATIENCE_S", 0.05)
    monkeypatch.setattr(conda_channels, "why_not", hang)
    found = conda_channels.unreachable([{"name": "far", "address": "https://far.example/c"}])
    never.set()
    assert found == [
        "the channel far (https://far.example/c) cannot be reached from the target "
        "(no answer within 0.05 s)."
    ]


def test_a_package_in_a_folder_must_be_what_the_index_says(tmp_path: Path) -> None:
    file = tmp_path / "toy-1.0-0.tar.bz2"
    file.write_bytes(b"content")
    package = {"name": "toy", "version": "1.0", "build": "0", "url": file.as_uri()}
    digest = hashlib.sha256(b"content").hexdigest()
    assert not conda_channels.is_damaged(package, "/none")
    assert not conda_channels.is_damaged({**package, "sha256": digest}, "/none")
    assert conda_channels.is_damaged({**package, "sha256": "00" * 32}, "/none")
    gone = {**package, "url": file.as_uri() + ".gone", "sha256": digest}
    assert not conda_channels.is_damaged(gone, "/none")
