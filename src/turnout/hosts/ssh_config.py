"""From settings and `~/.ssh/config` to the machines to go through, one after another."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asyncssh.config import SSHClientConfig

from turnout.hosts.ssh_settings import DEFAULT_PORT, SSHSettings
from turnout.spec.errors import TargetError
from turnout.spec.secrets import Secret

IDENTITY_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")
KNOWN_HOSTS_NAMES = ("known_hosts", "known_hosts2")
#: Jump hosts that name jump hosts in turn.
LONGEST_ROUTE = 8


@dataclass(frozen=True)
class Hop:
    """One machine on the way, with all that it takes to log in there."""

    address: str
    port: int
    username: str
    #: The name under which `known_hosts` has it.
    alias: str
    pinned: str | None = None
    password: Secret | None = None
    private_key: Secret | None = None
    passphrase: Secret | None = None
    identity_files: tuple[Path, ...] = ()
    agent_path: str | None = None
    #: Asked for by name: no agent is an error.
    agent_required: bool = False
    #: Only those of the agent's keys that an identity file names.
    identities_only: bool = False
    known_hosts: tuple[Path, ...] = ()
    #: A command whose stdin and stdout are the connection.
    proxy_command: str | None = None

    @property
    def where(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return host if self.port == DEFAULT_PORT else f"{host}:{self.port}"


def route(settings: SSHSettings) -> list[Hop]:
    """The hops in order; the last is the machine itself. Reads files; raises `TargetError`."""
    alias = settings.ssh_config_host
    options = load_options(alias, settings) if alias else {}
    if alias and not config_path().is_file():
        raise TargetError(
            f"There is no {config_path()} with a 'Host {alias}' section. Write one, or give an "
            "address and a username."
        )
    target = hop(settings, options, settings.address or str(options.get("Hostname") or alias))
    jump = settings.jump if settings.jump is not None else options.get("ProxyJump")
    before = jumps(settings, str(jump), through_config=bool(alias)) if jump else []
    if before:
        target = replace(target, proxy_command=None)
    pins = (settings.jump_host_key or "").strip().splitlines()
    before = [
        replace(h, pinned=pin)
        for h, pin in zip(before, [*pins, *[None] * len(before)], strict=False)
    ]
    return [*before, replace(target, pinned=settings.host_key)]


def hop(settings: SSHSettings, options: dict[str, Any], address: str) -> Hop:
    given = settings.password or settings.private_key
    identities: tuple[Path, ...] = ()
    agent = agent_path(settings, options) if settings.agent or not given else None
    if not given and not settings.agent:
        identities = identity_files(options)
    folder = ssh_folder()
    known = options.get("UserKnownHostsFile") or [folder / name for name in KNOWN_HOSTS_NAMES]
    return Hop(
        address=address,
        port=settings.port or int(options.get("Port") or DEFAULT_PORT),
        username=settings.username or str(options.get("User") or getpass.getuser()),
        alias=str(options.get("HostKeyAlias") or address),
        password=settings.password,
        private_key=settings.private_key,
        passphrase=settings.passphrase,
        identity_files=identities,
        agent_path=agent,
        agent_required=settings.agent,
        identities_only=bool(options.get("IdentitiesOnly")),
        known_hosts=(
            *(Path(p).expanduser() for p in known),
            Path("/etc/ssh/ssh_known_hosts"),
        ),
        proxy_command=options.get("ProxyCommand"),
    )


def jumps(settings: SSHSettings, text: str, *, through_config: bool, depth: int = 0) -> list[Hop]:
    """The hops that `text` ("a,user@b:2222") names. Credentials are those of the settings."""
    if text.lower() == "none":
        return []
    if depth >= LONGEST_ROUTE:
        raise TargetError(f"Jump host '{text}' leads back to itself. Look at {config_path()}.")
    found: list[Hop] = []
    for part in text.split(","):
        username, host, port = parse_jump(part)
        own = replace(
            settings,
            address="",
            port=port,
            username=username or ("" if through_config else settings.username),
            ssh_config_host=host,
            jump=None,
        )
        options = load_options(host, own) if through_config else {}
        address = str(options.get("Hostname") or host)
        nested = options.get("ProxyJump")
        if nested and not found:
            found += jumps(own, str(nested), through_config=True, depth=depth + 1)
        made = hop(own, options, address)
        if not made.username:
            made = replace(made, username=settings.username)
        found.append(made)
    if len(found) > LONGEST_ROUTE:
        raise TargetError(f"Jump host '{text}' makes a way of more than {LONGEST_ROUTE} machines.")
    return found


def parse_jump(text: str) -> tuple[str, str, int | None]:
    """("ana", "gate", 2222) of "ana@gate:2222"."""
    rest = text.strip().removeprefix("ssh://").rstrip("/")
    username, _, rest = rest.rpartition("@")
    host, colon, port = rest.rpartition(":")
    if rest.startswith("["):
        host, _, tail = rest[1:].partition("]")
        colon, port = tail[:1], tail[1:]
    elif not colon or ":" in host:
        host, colon, port = rest, "", ""
    if not host or host.startswith("-") or (colon and not valid_port(port)):
        raise TargetError(f"'{text}' is not a jump host. Write user@host or user@host:port.")
    return username, host, int(port) if colon else None


def valid_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 65536


def ssh_folder() -> Path:
    return Path("~/.ssh").expanduser()


def config_path() -> Path:
    return ssh_folder() / "config"


def load_options(host: str, settings: SSHSettings) -> dict[str, Any]:
    """What `~/.ssh/config` says about `host`; empty when it says nothing."""
    paths = [p for p in (config_path(), Path("/etc/ssh/ssh_config")) if os.access(p, os.R_OK)]
    user: Any = settings.username or ()
    port: Any = settings.port or ()
    try:
        config = SSHClientConfig.load(
            None, paths, False, False, False, getpass.getuser(), user, host, port
        )
    except (ValueError, OSError, UnicodeError) as e:
        raise TargetError(f"The SSH configuration cannot be read: {e}.") from e
    return config.get_options(False)


def identity_files(options: dict[str, Any]) -> tuple[Path, ...]:
    named = options.get("IdentityFile")
    if named:
        return tuple(Path(p).expanduser() for p in named)
    files = [ssh_folder() / name for name in IDENTITY_NAMES]
    return tuple(f for f in files if f.is_file())


def agent_path(settings: SSHSettings, options: dict[str, Any]) -> str | None:
    if settings.agent_path:
        return settings.agent_path
    named = options.get("IdentityAgent", "SSH_AUTH_SOCK")
    if named is None:
        return None
    path = os.environ.get("SSH_AUTH_SOCK") if named == "SSH_AUTH_SOCK" else str(named)
    return str(Path(path).expanduser()) if path else None
