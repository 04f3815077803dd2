"""A real sshd, a user to log in as, and hosts that are closed at the end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from turnout.hosts.ssh import SSHHost, SSHSettings
from turnout.testing.missing import missing
from turnout.testing.sshd import SSHAgent, SSHServer, TemporaryUser, Unavailable

MakeHost = Callable[[SSHSettings], SSHHost]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No keys, agent and configuration of the person who runs the tests."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home


@pytest.fixture(scope="session")
def user() -> Iterator[TemporaryUser]:
    """A user with a password, made for these tests."""
    try:
        with TemporaryUser() as made:
            yield made
    except Unavailable as e:
        missing(e)


@pytest.fixture(scope="session")
def username() -> Iterator[str | None]:
    """Whom sshd serves: a user made for the tests if that can be, else the one who runs them."""
    if os.geteuid() != 0:
        yield None
        return
    with TemporaryUser() as made:
        yield made.name


@pytest.fixture
def server(username: str | None) -> Iterator[SSHServer]:
    try:
        with SSHServer(username) as made:
            yield made
    except Unavailable as e:
        missing(e)


@pytest.fixture
def second_server(username: str | None) -> Iterator[SSHServer]:
    try:
        with SSHServer(username) as made:
            yield made
    except Unavailable as e:
        missing(e)


@pytest.fixture
def ssh_agent() -> Iterator[SSHAgent]:
    try:
        with SSHAgent() as made:
            yield made
    except Unavailable as e:
        missing(e)


@pytest.fixture
async def make_host() -> AsyncIterator[MakeHost]:
    made: list[SSHHost] = []

    def make(settings: SSHSettings) -> SSHHost:
        made.append(SSHHost(settings))
        return made[-1]

    yield make
    for host in made:
        await host.aclose()
