"""Tables, times, metrics, exit codes; and what a run's output must not do to a terminal."""

import base64
import doctest
from typing import Any

import pytest

from turnout.cli import asking, attach, cluster, following, metrics, parsing, terminal
from turnout.spec.errors import UserError


@pytest.mark.parametrize("module", [attach, cluster, following, metrics, parsing, terminal])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_tables_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_table(("A", "LONG HEAD", "C"), [("xxxx", 1, ""), ("y", "2\x1b[2J\n", "z")])
    assert capsys.readouterr().out == ("A     LONG HEAD  C\nxxxx  1\ny     2�[2J�     z\n")


@pytest.mark.parametrize(
    ("value", "cells"),
    [
        (1.5, ("1.5", "1", "", "")),
        ("text", ("text", "1", "", "")),
        ([], ("", "0", "", "")),
        ([1, 3, 2], ("2", "3", "1", "3")),
        ([1.0, float("nan")], ("nan", "2", "", "")),
        (float("inf"), ("inf", "1", "", "")),
        (["a", "b"], ("b", "2", "", "")),
        ({"x": [1, 2], "y": [3, 4]}, ("x=2, y=4", "2", "", "")),
        ([{"x": 1}, {"x": 2}], ("x=2", "2", "", "")),
        ("long" * 20, (("long" * 20)[:39] + "…", "1", "", "")),
        (1e20, ("1e+20", "1", "", "")),
    ],
)
def test_metrics(value: Any, cells: tuple[str, ...]) -> None:
    assert metrics.cells(value) == cells


@pytest.mark.parametrize(
    ("state", "code", "expected"),
    [
        ("completed", None, 0),
        ("failed", 3, 3),
        ("failed", 0, 1),
        ("failed", 256, 1),
        ("failed", None, 1),
        ("failed", -15, 143),
        ("canceled", -15, 130),
    ],
)
def test_exit_codes(state: str, code: int | None, expected: int) -> None:
    assert following.exit_code({"state": state, "error": {"exit_code": code}}) == expected
    assert following.exit_code({"state": "failed", "error": None}) == 1


def test_encrypted_keys() -> None:
    def openssh(cipher: bytes) -> str:
        body = base64.b64encode(b"openssh-key-v1\0" + len(cipher).to_bytes(4, "big") + cipher)
        return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body.decode()}\n-----END"

    assert attach.is_encrypted(openssh(b"aes256-ctr"))
    assert not attach.is_encrypted(openssh(b"none"))
    assert attach.is_encrypted("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n")
    assert not attach.is_encrypted("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n")
    assert not attach.is_encrypted("")


class Given:
    name = "lab"
    yes = False
    host_key: str | None = None


def seen(**more: Any) -> dict[str, Any]:
    return {"fingerprint": "SHA256:abc", "known": False, "conflict": "", **more}


def test_host_keys(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given: Any = Given()
    monkeypatch.setattr(asking.sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(UserError, match="--host-key SHA256:abc"):
        attach.confirm(given, seen())
    assert attach.confirm(given, seen(known=True))
    given.yes = True
    assert attach.confirm(given, seen())
    # Another key than known_hosts has is never accepted by --yes.
    with pytest.raises(UserError, match="is not known"):
        attach.confirm(given, seen(conflict="SHA256:old"))
    assert "SHA256:old" in capsys.readouterr().err
    given.host_key = "SHA256:abc"
    assert attach.confirm(given, seen(conflict="SHA256:old"))
    given.host_key = "SHA256:mistyped"
    with pytest.raises(UserError, match="is SHA256:abc, not SHA256:mistyped"):
        attach.confirm(given, seen())


@pytest.mark.parametrize(("answer", "expected"), [("y\n", True), ("yes\n", True), ("\n", False)])
def test_host_keys_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, answer: str, expected: bool
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return answer

    monkeypatch.setattr(asking.sys, "stdin", Terminal())
    given: Any = Given()
    assert attach.confirm(given, seen()) is expected


def test_secrets_need_a_terminal_or_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe:
        def isatty(self) -> bool:
            return False

        def readline(self) -> str:
            return "secret with spaces \n"

    monkeypatch.setattr(asking.sys, "stdin", Pipe())
    assert asking.secret("Password: ", from_stdin=True) == "secret with spaces "
    with pytest.raises(UserError, match="no terminal to ask on"):
        asking.secret("Password: ", from_stdin=False)
