"""Opens a connection: sockets, jump hosts, handshake, login. Every failure says what to do.

Imported late (it costs 0.25 s and 25 MB) and only by `turnout.hosts.ssh`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import asyncssh

from turnout.hosts import ssh_keys, ssh_login
from turnout.hosts.ssh_config import Hop, route
from turnout.hosts.ssh_login import Client, Credentials
from turnout.hosts.ssh_settings import HostKey, SSHSettings
from turnout.spec.errors import TargetError

#: Dead links are noticed after 15 s x 3.
KEEPALIVE_S = 15
KEEPALIVE_COUNT = 3
#: Waits before another try when a server drops us before login (MaxStartups).
DROPPED_WAITS_S = (0.2, 0.6, 1.5)
#: Shortest time for one address of a name that has several.
ADDRESS_TIMEOUT_S = 3.0

T = TypeVar("T")


class Dropped(Exception):
    """The server closed the connection before the login was answered; `greeted` as SSH or not."""

    greeted = True


@dataclass
class Link:
    """A connection and the jump connections beneath it."""

    connection: asyncssh.SSHClientConnection
    client: Client
    tunnels: list[asyncssh.SSHClientConnection]

    @property
    def alive(self) -> bool:
        return not self.client.lost.is_set()

    async def aclose(self) -> None:
        await close([self.connection, *reversed(self.tunnels)])


async def close(connections: list[asyncssh.SSHClientConnection]) -> None:
    for connection in connections:
        connection.close()
        with contextlib.suppress(asyncio.TimeoutError, OSError, asyncssh.Error):
            await asyncio.wait_for(connection.wait_closed(), 2)
        connection.abort()


async def open_link(settings: SSHSettings) -> Link:
    """Log in, through the jump hosts if there are any."""
    hops = await asyncio.to_thread(route, settings)
    tunnels, client = await open_hops(hops, settings.connect_timeout_s)
    assert client is not None
    return Link(tunnels.pop(), client, tunnels)


async def open_hops(
    hops: list[Hop], timeout_s: float
) -> tuple[list[asyncssh.SSHClientConnection], Client | None]:
    connections: list[asyncssh.SSHClientConnection] = []
    client = None
    try:
        for hop in hops:
            connection, client = await log_in(
                hop, connections[-1] if connections else None, timeout_s
            )
            connections.append(connection)
    except BaseException:
        await close(connections[::-1])
        raise
    return connections, client


async def present_host_key(settings: SSHSettings) -> HostKey:
    """The machine's host key, asked for without logging in there."""
    hops = await asyncio.to_thread(route, settings)
    tunnels, _ = await open_hops(hops[:-1], settings.connect_timeout_s)
    try:
        return await ask_host_key(
            hops[-1], tunnels[-1] if tunnels else None, settings.connect_timeout_s
        )
    finally:
        await close(tunnels[::-1])


async def present_jump_keys(settings: SSHSettings) -> list[HostKey]:
    """The host keys of the jump hosts, the nearest first, as far as they can be asked."""
    hops = await asyncio.to_thread(route, settings)
    found: list[HostKey] = []
    tunnels: list[asyncssh.SSHClientConnection] = []
    try:
        for i, hop in enumerate(hops[:-1]):
            tunnel = tunnels[-1] if tunnels else None
            key = await ask_host_key(hop, tunnel, settings.connect_timeout_s)
            found.append(key)
            if i + 2 == len(hops) or not (hop.pinned or key.known):
                break
            connection, _ = await log_in(hop, tunnel, settings.connect_timeout_s)
            tunnels.append(connection)
    finally:
        await close(tunnels[::-1])
    return found


async def ask_host_key(
    hop: Hop, tunnel: asyncssh.SSHClientConnection | None, timeout_s: float
) -> HostKey:
    known, _ = await asyncio.to_thread(ssh_keys.known_keys, hop)

    async def ask() -> asyncssh.SSHKey | None:
        # Nothing is trusted, so the connection ends before anything is sent.
        asker = Client(hop, (), Credentials())
        try:
            names = ssh_keys.preferring(known)
            connection = await handshake(hop, tunnel, lambda: asker, names, timeout_s)
            connection.abort()
        except asyncssh.HostKeyNotVerifiable:
            pass
        except Dropped as e:
            e.greeted = asker.greeted
            raise
        return asker.presented

    presented = await with_retries(hop, ask)
    if presented is None:
        raise TargetError(f"{hop.where} shows no host key. Is that an SSH server?")
    return await asyncio.to_thread(ssh_keys.host_key, hop, presented)


async def log_in(
    hop: Hop, tunnel: asyncssh.SSHClientConnection | None, timeout_s: float
) -> tuple[asyncssh.SSHClientConnection, Client]:
    if hop.pinned:
        trusted = [ssh_keys.pinned_key(hop.pinned)]
    else:
        known, revoked = await asyncio.to_thread(ssh_keys.known_keys, hop)
        trusted = [key for key in known if key not in revoked]
    have = await ssh_login.load_credentials(hop)
    try:
        return await with_retries(hop, lambda: log_in_once(hop, tunnel, trusted, have, timeout_s))
    finally:
        have.close()


async def log_in_once(
    hop: Hop,
    tunnel: asyncssh.SSHClientConnection | None,
    trusted: list[asyncssh.SSHKey],
    have: Credentials,
    timeout_s: float,
) -> tuple[asyncssh.SSHClientConnection, Client]:
    client = Client(hop, trusted, have)
    names = ssh_keys.signature_names(trusted) if trusted else ssh_keys.preferring([])
    try:
        connection = await handshake(hop, tunnel, lambda: client, names, timeout_s)
    except asyncssh.HostKeyNotVerifiable as e:
        raise ssh_login.changed_host_key(hop, client.presented) from e
    except asyncssh.PermissionDenied as e:
        raise TargetError(client.refusal(have.unusable)) from e
    except Dropped as e:
        e.greeted = client.greeted
        if client.greeted and client.presented is None and trusted:
            other = await other_key(hop, tunnel, timeout_s)
            if other is not None and other not in trusted:
                # sshd hangs up when it has no host key of the kind that was pinned.
                raise ssh_login.changed_host_key(hop, other) from e
        raise
    return connection, client


async def other_key(
    hop: Hop, tunnel: asyncssh.SSHClientConnection | None, timeout_s: float
) -> asyncssh.SSHKey | None:
    with contextlib.suppress(TargetError):
        return ssh_keys.pinned_key((await ask_host_key(hop, tunnel, timeout_s)).line)
    return None


async def with_retries(hop: Hop, attempt: Callable[[], Awaitable[T]]) -> T:
    """Call `attempt`, again after short waits when the server drops us; errors get words."""
    for wait_s in (*DROPPED_WAITS_S, None):
        try:
            return await attempt()
        except Dropped as e:
            if wait_s is None:
                raise TargetError(dropped(hop, e), retryable=True) from e
            await asyncio.sleep(wait_s)
        except asyncssh.ProtocolError as e:
            raise TargetError(
                f"{hop.where} does not speak SSH ({e.reason}). Check the port."
            ) from e
        except asyncssh.DisconnectError as e:
            raise TargetError(f"{hop.where} ended the login: {e.reason}.", retryable=True) from e
    raise AssertionError("unreachable")


def dropped(hop: Hop, e: Dropped) -> str:
    if e.greeted:
        return (
            f"{hop.where} closes the connection before login. Its log says why: it may refuse "
            "this address or this way to log in."
        )
    return (
        f"{hop.where} closes the connection without an SSH greeting. Check the port; if it is "
        "right, sshd has too many logins at once (MaxStartups in its sshd_config)."
    )


async def handshake(
    hop: Hop,
    tunnel: asyncssh.SSHClientConnection | None,
    client_factory: Callable[[], asyncssh.SSHClient],
    host_key_names: list[str],
    timeout_s: float,
) -> asyncssh.SSHClientConnection:
    """Key exchange and login. Raises `asyncssh.DisconnectError`, `Dropped` or `TargetError`."""
    sock = None
    if tunnel is None and not hop.proxy_command:
        sock = await open_socket(hop, timeout_s)
    try:
        return await asyncio.wait_for(
            asyncssh.connect(
                hop.address,
                hop.port,
                sock=sock,
                tunnel=tunnel,
                proxy_command=hop.proxy_command if tunnel is None else None,
                config=None,
                username=hop.username,
                client_factory=client_factory,
                # Keys, agent and password come from the client object, the pin too.
                client_keys=None,
                agent_path=None,
                known_hosts=([], [], []),
                server_host_key_algs=host_key_names,
                preferred_auth="publickey,password,keyboard-interactive",
                gss_kex=False,
                gss_auth=False,
                keepalive_interval=KEEPALIVE_S,
                keepalive_count_max=KEEPALIVE_COUNT,
                login_timeout=None,
            ),
            timeout_s,
        )
    except asyncio.TimeoutError as e:
        raise TargetError(
            f"{hop.where} took the connection, but did not answer within {timeout_s:g} s. It may "
            "hang or be overloaded.",
            retryable=True,
        ) from e
    except asyncssh.ChannelOpenError as e:
        raise TargetError(
            f"The jump host cannot reach {hop.where}: {e.reason}. Check the address as seen from "
            "there, and AllowTcpForwarding in its sshd_config.",
            retryable=True,
        ) from e
    except (asyncssh.ConnectionLost, ConnectionError) as e:
        raise Dropped from e
    except OSError as e:
        raise unreachable(hop, e) from e


async def open_socket(hop: Hop, timeout_s: float) -> socket.socket:
    """A TCP connection to the first address that answers."""
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(
            loop.getaddrinfo(hop.address, hop.port, type=socket.SOCK_STREAM), timeout_s
        )
    except (socket.gaierror, UnicodeError) as e:
        raise TargetError(
            f"The name '{hop.address}' does not resolve. Check its spelling, and that this "
            "machine's network and name service are up.",
            retryable=True,
        ) from e
    except asyncio.TimeoutError as e:
        raise TargetError(
            f"The name '{hop.address}' did not resolve within {timeout_s:g} s.", retryable=True
        ) from e
    each_s = max(ADDRESS_TIMEOUT_S, timeout_s / len(found)) if len(found) > 1 else timeout_s
    last: OSError | asyncio.TimeoutError | None = None
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.wait_for(loop.sock_connect(sock, address), each_s)
        except (OSError, asyncio.TimeoutError) as e:
            sock.close()
            last = e
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    assert last is not None
    raise unreachable(hop, last) from last


def unreachable(hop: Hop, e: Exception) -> TargetError:
    """Words for a failed TCP connection."""
    number = getattr(e, "errno", None)
    if number is None and (m := re.search(r"\[Errno (\d+)\]", str(e))):
        number = int(m.group(1))
    if isinstance(e, asyncio.TimeoutError) or number == errno.ETIMEDOUT:
        text = (
            f"{hop.where} does not answer. Check the address, that the machine is on, and that no "
            "firewall drops the connection."
        )
    elif number == errno.ECONNREFUSED:
        text = (
            f"{hop.where} refused the connection. Check the port, and that sshd is running there."
        )
    elif number in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        text = (
            f"{hop.where} cannot be reached from here: no route to it. Check the address and the "
            "network (a VPN?)."
        )
    else:
        text = f"{hop.where} cannot be reached: {getattr(e, 'strerror', None) or e}."
    return TargetError(text, retryable=True)
