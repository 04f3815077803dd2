"""From settings and ~/.ssh/config to the machines on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.hosts.ssh_config import parse_jump, route
from turnout.hosts.ssh_settings import SSHSettings
from turnout.spec.errors import TargetError
from turnout.spec.secrets import Secret


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def write(home: Path, text: str) -> None:
    (home / ".ssh/config").write_text(text)


def test_plain_address() -> None:
    (hop,) = route(SSHSettings("lab", username="ana", password=Secret("x")))
    assert (hop.address, hop.port, hop.username, hop.where) == ("lab", 22, "ana", "lab")
    assert hop.identity_files == ()


def test_config_fills_what_is_not_given(home: Path) -> None:
    write(home, "Host lab\n HostName 10.0.0.1\n Port 2200\n User ana\n IdentityFile ~/.ssh/k\n")
    (hop,) = route(SSHSettings(ssh_config_host="lab"))
    assert (hop.address, hop.port, hop.username) == ("10.0.0.1", 2200, "ana")
    assert hop.identity_files == (home / ".ssh/k",)
    (hop,) = route(SSHSettings("other", 23, "bo", ssh_config_host="lab"))
    assert (hop.address, hop.port, hop.username) == ("other", 23, "bo")


def test_key_given_comes_before_identity_files(home: Path) -> None:
    write(home, "Host lab\n User ana\n IdentityFile ~/.ssh/k\n")
    (hop,) = route(SSHSettings(ssh_config_host="lab", private_key=Secret("k")))
    assert hop.identity_files == ()


def test_identity_agent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, "Host a\n IdentityAgent ~/agent\nHost b\n IdentityAgent none\n")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    assert route(SSHSettings(ssh_config_host="a"))[0].agent_path == str(home / "agent")
    assert route(SSHSettings(ssh_config_host="b"))[0].agent_path is None
    assert route(SSHSettings(ssh_config_host="c"))[0].agent_path == "/run/agent"
    given = SSHSettings("lab", username="ana", password=Secret("x"))
    assert route(given)[0].agent_path is None


def test_jumps_in_order_with_their_pins() -> None:
    settings = SSHSettings(
        "lab",
        username="ana",
        password=Secret("x"),
        jump="bo@one:2201,[::1]:2202",
        jump_host_key="ssh-ed25519 AAAA1\nssh-ed25519 AAAA2\n",
        host_key="ssh-ed25519 AAAA3",
    )
    hops = route(settings)
    assert [h.where for h in hops] == ["one:2201", "[::1]:2202", "lab"]
    assert [h.username for h in hops] == ["bo", "ana", "ana"]
    assert [h.pinned for h in hops] == [f"ssh-ed25519 AAAA{i}" for i in (1, 2, 3)]


def test_jump_of_a_jump(home: Path) -> None:
    write(home, "Host lab\n ProxyJump b\nHost b\n ProxyJump c\n User bo\nHost c\n User cy\n")
    hops = route(SSHSettings(ssh_config_host="lab", username="ana"))
    assert [(h.address, h.username) for h in hops] == [("c", "cy"), ("b", "bo"), ("lab", "ana")]


def test_jump_given_comes_before_the_configuration(home: Path) -> None:
    write(home, "Host lab\n ProxyJump b\n ProxyCommand nc x\n")
    assert [h.address for h in route(SSHSettings(ssh_config_host="lab", jump="z"))] == ["z", "lab"]
    (hop,) = route(SSHSettings(ssh_config_host="lab", jump=""))
    assert hop.proxy_command == "nc x"


def test_broken_configuration(home: Path) -> None:
    write(home, "Host lab\n Port many\n")
    with pytest.raises(TargetError, match="line 2: Invalid Port"):
        route(SSHSettings(ssh_config_host="lab"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("gate", ("", "gate", None)),
        ("ana@gate:2222", ("ana", "gate", 2222)),
        ("ssh://ana@gate:22/", ("ana", "gate", 22)),
        ("ana@corp@gate", ("ana@corp", "gate", None)),
        ("[fe80::1]:22", ("", "fe80::1", 22)),
        ("fe80::1", ("", "fe80::1", None)),
    ],
)
def test_jump_forms(text: str, parts: tuple[str, str, int | None]) -> None:
    assert parse_jump(text) == parts


@pytest.mark.parametrize("text", ["", "ana@", "gate:", "gate:x", "gate:0", "gate:65536", "-oX"])
def test_bad_jumps(text: str) -> None:
    with pytest.raises(TargetError, match="not a jump host"):
        parse_jump(text)
