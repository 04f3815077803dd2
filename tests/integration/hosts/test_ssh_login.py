"""Every way to log in, and what a person reads when it fails."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from turnout.hosts.ssh import SSHHost, SSHSettings, fetch_host_key, fetch_jump_host_keys
from turnout.spec.errors import TargetError
from turnout.spec.secrets import Secret
from turnout.testing.sshd import (
    SSHAgent,
    SSHServer,
    TemporaryUser,
    free_port,
    make_key,
    public_line,
)

pytestmark = pytest.mark.ssh
MakeHost = Callable[[SSHSettings], SSHHost]
PASSWORDS = ["PasswordAuthentication yes"]


async def who(host: SSHHost) -> str:
    done = await host.run(["id", "-un"])
    assert done.code == 0
    return done.out.decode().strip()


async def refusal(host: SSHHost, *, retryable: bool = False) -> str:
    with pytest.raises(TargetError) as caught:
        await host.run(["true"])
    assert caught.value.retryable is retryable, caught.value.message
    return caught.value.message


def keygen(*words: str) -> str:
    done = subprocess.run(["ssh-keygen", *words], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def password_server(user: TemporaryUser) -> Iterator[SSHServer]:
    with SSHServer(user.name, options=PASSWORDS) as server:
        yield server


def by_password(server: SSHServer, password: str) -> SSHSettings:
    return replace(server.settings(), private_key=None, password=Secret(password))


async def test_key(server: SSHServer, make_host: MakeHost) -> None:
    assert await who(make_host(server.settings())) == server.username


@pytest.mark.parametrize(
    ("kind", "passphrase", "form"),
    [
        ("rsa", "", ""),
        ("ecdsa", "", "PEM"),
        ("ed25519", "a pass phrase", ""),
        ("rsa", "a pass phrase", "PEM"),
        ("ecdsa", "a pass phrase", "PKCS8"),
    ],
)
async def test_kinds_of_keys(
    server: SSHServer, make_host: MakeHost, tmp_path: Path, kind: str, passphrase: str, form: str
) -> None:
    key = make_key(tmp_path / "key", kind, passphrase, form)
    server.authorize(public_line(key))
    settings = replace(
        server.settings(),
        private_key=Secret(key.read_text()),
        passphrase=Secret(passphrase) if passphrase else None,
    )
    assert await who(make_host(settings)) == server.username


async def test_key_with_line_ends_of_windows(server: SSHServer, make_host: MakeHost) -> None:
    text = server.user_key.read_text().replace("\n", "\r\n")
    settings = replace(server.settings(), private_key=Secret(text))
    assert await who(make_host(settings)) == server.username


@pytest.mark.parametrize("form", ["", "PEM"])
async def test_wrong_and_missing_passphrase_are_told_apart(
    make_host: MakeHost, tmp_path: Path, form: str
) -> None:
    key = make_key(tmp_path / "key", "rsa", "right one", form)
    # Nothing listens there: both are found before connecting.
    settings = SSHSettings("127.0.0.1", free_port(), "ana", private_key=Secret(key.read_text()))
    assert "has a passphrase. Give it too" in await refusal(make_host(settings))
    wrong = replace(settings, passphrase=Secret("wrong one"))
    text = await refusal(make_host(wrong))
    assert "passphrase of the private key is wrong" in text
    assert "wrong one" not in text


async def test_public_key_given_as_private(server: SSHServer, make_host: MakeHost) -> None:
    settings = replace(server.settings(), private_key=Secret(public_line(server.user_key)))
    assert "is a public key" in await refusal(make_host(settings))


async def test_text_that_is_no_key(server: SSHServer, make_host: MakeHost) -> None:
    settings = replace(server.settings(), private_key=Secret("hello"))
    assert "cannot be read as a private key" in await refusal(make_host(settings))


async def test_refused_key(server: SSHServer, make_host: MakeHost, tmp_path: Path) -> None:
    key = make_key(tmp_path / "stranger")
    settings = replace(server.settings(), private_key=Secret(key.read_text()))
    text = await refusal(make_host(settings))
    assert keygen("-lf", str(key)).split()[1] in text
    assert server.username in text
    assert "authorized_keys" in text


async def test_password(
    password_server: SSHServer, user: TemporaryUser, make_host: MakeHost
) -> None:
    assert await who(make_host(by_password(password_server, user.password))) == user.name


async def test_wrong_password(password_server: SSHServer, make_host: MakeHost) -> None:
    text = await refusal(make_host(by_password(password_server, "not it")))
    assert "is wrong" in text
    assert password_server.username in text
    assert "not it" not in text
    assert password_server.log.count("Failed password") == 1


async def test_password_where_none_is_taken(server: SSHServer, make_host: MakeHost) -> None:
    text = await refusal(make_host(by_password(server, "any")))
    assert "does not take passwords" in text


async def test_password_by_keyboard_interactive(user: TemporaryUser, make_host: MakeHost) -> None:
    options = ["UsePAM yes", "KbdInteractiveAuthentication yes"]
    with SSHServer(user.name, options=options) as server:
        assert await who(make_host(by_password(server, user.password))) == user.name
        assert "is wrong" in await refusal(make_host(by_password(server, "not it")))


async def test_key_then_password(user: TemporaryUser, make_host: MakeHost) -> None:
    options = [*PASSWORDS, "AuthenticationMethods publickey,password"]
    with SSHServer(user.name, options=options) as server:
        both = replace(server.settings(), password=Secret(user.password))
        assert await who(make_host(both)) == user.name


async def test_agent(server: SSHServer, make_host: MakeHost, ssh_agent: SSHAgent) -> None:
    settings = replace(server.settings(), private_key=None, agent=True, agent_path=ssh_agent.path)
    assert "holds no key" in await refusal(make_host(settings))
    ssh_agent.add(server.user_key)
    assert await who(make_host(settings)) == server.username


async def test_agent_that_is_gone(server: SSHServer, make_host: MakeHost) -> None:
    settings = replace(server.settings(), private_key=None, agent=True)
    assert "SSH_AUTH_SOCK is not set" in await refusal(make_host(settings))
    gone = replace(settings, agent_path="/nowhere/agent.sock")
    assert "does not answer" in await refusal(make_host(gone))


async def test_nothing_to_log_in_with(server: SSHServer, make_host: MakeHost) -> None:
    settings = replace(server.settings(), private_key=None)
    assert "nothing to log in with" in await refusal(make_host(settings))


async def test_default_key_files(server: SSHServer, make_host: MakeHost, own_home: Path) -> None:
    (own_home / ".ssh/id_ed25519").write_text(server.user_key.read_text())
    settings = replace(server.settings(), private_key=None)
    assert await who(make_host(settings)) == server.username


def write_config(home: Path, *sections: str) -> None:
    (home / ".ssh/config").write_text("\n".join(sections))


async def test_ssh_config(server: SSHServer, make_host: MakeHost, own_home: Path) -> None:
    write_config(
        own_home,
        f"Host lab\n HostName {server.address}\n Port {server.port}\n User {server.username}\n"
        f" IdentityFile {server.user_key}\n IdentitiesOnly yes",
    )
    settings = SSHSettings(ssh_config_host="lab", host_key=server.host_key)
    assert await who(make_host(settings)) == server.username


async def test_ssh_config_that_is_not_there(make_host: MakeHost) -> None:
    text = await refusal(make_host(SSHSettings(ssh_config_host="lab")))
    assert "Host lab" in text


async def test_ssh_config_with_an_encrypted_key(
    server: SSHServer, make_host: MakeHost, own_home: Path
) -> None:
    key = make_key(own_home / "locked", "rsa", "secret words", "PEM")
    server.authorize(public_line(key))
    write_config(
        own_home,
        f"Host lab\n HostName {server.address}\n Port {server.port}\n User {server.username}\n"
        f" IdentityFile {key}",
    )
    settings = SSHSettings(ssh_config_host="lab", host_key=server.host_key)
    text = await refusal(make_host(settings))
    assert f"{key} has a passphrase" in text
    unlocked = replace(settings, passphrase=Secret("secret words"))
    assert await who(make_host(unlocked)) == server.username


async def test_known_hosts_instead_of_a_pin(
    server: SSHServer, make_host: MakeHost, own_home: Path
) -> None:
    settings = server.settings(pinned=False)
    assert "is not known" in await refusal(make_host(settings))
    (own_home / ".ssh/known_hosts").write_text(f"rubbish\n{server.known_hosts_line}\n")
    assert await who(make_host(settings)) == server.username


class TestJump:
    def settings(self, server: SSHServer, gate: SSHServer) -> SSHSettings:
        server.authorize(public_line(gate.user_key))
        return replace(
            server.settings(),
            private_key=Secret(gate.user_key.read_text()),
            jump=f"{gate.username}@{gate.address}:{gate.port}",
            jump_host_key=gate.host_key,
        )

    async def test_jump(
        self, server: SSHServer, second_server: SSHServer, make_host: MakeHost
    ) -> None:
        host = make_host(self.settings(server, second_server))
        assert await who(host) == server.username
        assert len(second_server.connections()) > 0

    async def test_jump_host_key_must_be_known(
        self, server: SSHServer, second_server: SSHServer, make_host: MakeHost
    ) -> None:
        settings = replace(self.settings(server, second_server), jump_host_key=None)
        text = await refusal(make_host(settings))
        assert "is not known" in text
        assert str(second_server.port) in text
        (key,) = await fetch_jump_host_keys(settings)
        assert key.line == second_server.host_key
        pinned = replace(settings, jump_host_key=key.line, host_key=None)
        assert (await fetch_host_key(pinned)).line == server.host_key

    async def test_jump_host_that_cannot_reach_it(
        self, server: SSHServer, second_server: SSHServer, make_host: MakeHost
    ) -> None:
        settings = self.settings(server, second_server)
        server.stop()
        text = await refusal(make_host(settings), retryable=True)
        assert "jump host cannot reach" in text

    async def test_proxy_jump_of_ssh_config(
        self,
        server: SSHServer,
        second_server: SSHServer,
        make_host: MakeHost,
        own_home: Path,
    ) -> None:
        write_config(
            own_home,
            f"Host gate\n HostName {second_server.address}\n Port {second_server.port}\n"
            f" User {second_server.username}\n IdentityFile {second_server.user_key}",
            f"Host lab\n HostName {server.address}\n Port {server.port}\n"
            f" User {server.username}\n IdentityFile {server.user_key}\n ProxyJump gate",
        )
        (own_home / ".ssh/known_hosts").write_text(f"{second_server.known_hosts_line}\n")
        settings = SSHSettings(ssh_config_host="lab", host_key=server.host_key)
        assert await who(make_host(settings)) == server.username
        assert len(second_server.connections()) > 0

    async def test_proxy_jump_in_a_circle(self, make_host: MakeHost, own_home: Path) -> None:
        write_config(own_home, "Host a\n ProxyJump b", "Host b\n ProxyJump a")
        settings = SSHSettings(ssh_config_host="a", username="u", password=Secret("p"))
        assert "leads back to itself" in await refusal(make_host(settings))


class TestHostKey:
    async def test_fetched_without_login(self, server: SSHServer) -> None:
        stranger = replace(server.settings(pinned=False), private_key=None, username="nobody")
        key = await fetch_host_key(stranger)
        shown = keygen("-lf", f"{server.folder}/host_key.pub")
        assert key.line == server.host_key
        assert key.fingerprint == shown.split()[1]
        assert key.algorithm == "ssh-ed25519"
        assert not key.known
        assert "Accepted" not in server.log

    @pytest.mark.parametrize("hashed", [False, True])
    async def test_known(self, server: SSHServer, own_home: Path, hashed: bool) -> None:
        known = own_home / ".ssh/known_hosts"
        known.write_text(f"{server.known_hosts_line}\n")
        if hashed:
            keygen("-q", "-H", "-f", str(known))
            assert server.address not in known.read_text()
        key = await fetch_host_key(server.settings(pinned=False))
        assert key.known
        server.change_host_key()
        server.restart()
        other = await fetch_host_key(server.settings(pinned=False))
        assert not other.known
        assert other.conflict == key.fingerprint

    @pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
    async def test_kinds(self, username: str | None, make_host: MakeHost, kind: str) -> None:
        with SSHServer(username, host_key_kind=kind) as server:
            key = await fetch_host_key(server.settings(pinned=False))
            assert key.line == server.host_key
            assert await who(make_host(server.settings())) == server.username

    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
    async def test_changed(self, server: SSHServer, make_host: MakeHost, kind: str) -> None:
        settings = server.settings()
        before = await fetch_host_key(settings)
        assert await who(make_host(settings)) == server.username
        server.change_host_key(kind)
        server.restart()
        after = await fetch_host_key(settings)
        text = await refusal(make_host(settings))
        assert before.fingerprint in text
        assert after.fingerprint in text
        assert "turnout target attach" in text

    async def test_changed_key_gets_no_password(
        self, user: TemporaryUser, make_host: MakeHost
    ) -> None:
        with SSHServer(user.name, options=PASSWORDS) as server:
            settings = by_password(server, user.password)
            server.change_host_key()
            server.restart()
            assert "has changed" in await refusal(make_host(settings))
            assert "password" not in server.log.lower()

    async def test_pin_that_is_no_key(self, server: SSHServer, make_host: MakeHost) -> None:
        settings = replace(server.settings(), host_key="SHA256:abc")
        assert "is not a host key" in await refusal(make_host(settings))


class TestUnreachable:
    async def test_refused_port(self, make_host: MakeHost) -> None:
        settings = SSHSettings("127.0.0.1", free_port(), "ana", password=Secret("x"))
        assert "refused the connection" in await refusal(make_host(settings), retryable=True)

    async def test_refused_on_both_addresses_of_a_name(self, make_host: MakeHost) -> None:
        settings = SSHSettings("localhost", free_port(), "ana", password=Secret("x"))
        assert "refused the connection" in await refusal(make_host(settings), retryable=True)

    async def test_unknown_name(self, make_host: MakeHost) -> None:
        settings = SSHSettings("no-such-host.invalid", None, "ana", password=Secret("x"))
        text = await refusal(make_host(settings), retryable=True)
        assert "'no-such-host.invalid' does not resolve" in text

    async def test_not_an_ssh_server(self, make_host: MakeHost) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            settings = SSHSettings("127.0.0.1", port, "ana", password=Secret("x"))
            text = await refusal(make_host(settings), retryable=True)
        assert "without an SSH greeting. Check the port" in text

    async def test_silent_listener(self, make_host: MakeHost) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            settings = SSHSettings(
                "127.0.0.1", port, "ana", password=Secret("x"), connect_timeout_s=0.3
            )
            text = await refusal(make_host(settings), retryable=True)
        assert "did not answer within 0.3 s" in text

    async def test_dropped_before_login(self, server: SSHServer, make_host: MakeHost) -> None:
        server.options.insert(0, "MaxStartups 1")
        server.restart()
        with socket.create_connection((server.address, server.port)) as first:
            assert first.recv(4) == b"SSH-"  # takes the only place
            text = await refusal(make_host(server.settings()), retryable=True)
            assert "MaxStartups" in text
        assert await who(make_host(server.settings())) == server.username
