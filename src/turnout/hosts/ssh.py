"""A machine that SSH reaches: one shared connection, made on demand and made again after a cut."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from turnout.hosts.base import Completed, Host, Process
from turnout.hosts.quoting import command_line
from turnout.hosts.ssh_settings import HostKey, SSHSettings
from turnout.spec.errors import TargetError

if TYPE_CHECKING:
    from turnout.hosts.ssh_channel import Channel
    from turnout.hosts.ssh_connect import Link

__all__ = ["HostKey", "SSHHost", "SSHSettings", "fetch_host_key", "fetch_jump_host_keys"]

#: Commands at once on one connection. sshd allows 10 sessions by default (MaxSessions).
CHANNELS = 8
#: How long a process that lost its stdin may take to end.
CLOSE_S = 2.0
#: sshd counts a session until it has noticed its end, a moment after we heard of it: waits before
#: it is asked for one again, in seconds.
SESSION_WAITS = (0.02, 0.1, 0.5)


async def library(name: str) -> Any:
    """Import a module that brings asyncssh, in a thread: it takes 0.25 s the first time."""
    return await asyncio.to_thread(importlib.import_module, f"turnout.hosts.{name}")


async def fetch_host_key(settings: SSHSettings) -> HostKey:
    """Ask the machine for its host key, without logging in there. To be shown, then pinned.

    Jump hosts are logged in to: their keys must be pinned or stand in `known_hosts`
    (`fetch_jump_host_keys` gives them). Raises `TargetError` with what to do.
    """
    key: HostKey = await (await library("ssh_connect")).present_host_key(settings)
    return key


async def fetch_jump_host_keys(settings: SSHSettings) -> list[HostKey]:
    """The host keys of the jump hosts, the nearest first; empty when there is none.

    It ends at the first that is neither pinned nor in `known_hosts`, as nothing is sent through
    an unknown machine: pin that one, then ask again.
    """
    keys: list[HostKey] = await (await library("ssh_connect")).present_jump_keys(settings)
    return keys


class SSHProcess(Process):
    """A command on the other machine. A cut connection ends it for us, not always for itself."""

    def __init__(self, channel: Channel, where: str) -> None:
        self.channel = channel
        self.where = where

    async def write(self, data: bytes) -> None:
        if not await self.channel.write(data):
            raise lost(self.where, self.errors())

    async def read(self, limit: int) -> bytes:
        return await self.channel.read(limit)

    def errors(self) -> str:
        return self.channel.errors()

    async def aclose(self) -> None:
        self.channel.end_input()
        try:
            await asyncio.wait_for(self.channel.ended.wait(), CLOSE_S)
        except asyncio.TimeoutError:
            self.channel.kill()


class SSHHost(Host):
    """Commands over one connection to the machine of `settings`.

    Example: `await SSHHost(SSHSettings("lab", username="ana")).run(["true"])`.
    """

    def __init__(self, settings: SSHSettings) -> None:
        self.settings = settings
        self.where = settings.ssh_config_host or settings.address
        self.link: Link | None = None
        self.opening: asyncio.Task[Link] | None = None
        self.slots = asyncio.Semaphore(CHANNELS)
        self.processes: list[SSHProcess] = []

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float = 30.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        line = command_line(argv, env)
        async with self.slots:
            await self.connected()
            try:
                async with Deadline(timeout_s):
                    return await self.run_to_end(line, stdin)
            except asyncio.TimeoutError as e:
                raise TargetError(
                    f"{argv[0]} did not end within {timeout_s:g} s on {self.where}.",
                    retryable=True,
                ) from e

    async def run_to_end(self, line: str, stdin: bytes) -> Completed:
        channel = await self.open_channel(line, keep_all=True)
        try:
            if not stdin or await channel.write(stdin):
                channel.end_input()
            await channel.ended.wait()
        finally:
            channel.kill()
        if channel.code is None:
            raise lost(self.where, channel.errors())
        return Completed(channel.code, bytes(channel.out), bytes(channel.err))

    async def spawn(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        channel = await self.open_channel(command_line(argv, env))
        self.processes = [p for p in self.processes if not p.channel.ended.is_set()]
        process = SSHProcess(channel, self.where)
        self.processes.append(process)
        return process

    async def open_channel(self, line: str, *, keep_all: bool = False) -> Channel:
        """Start the command. A connection that turns out dead before that is made again, once."""
        ssh_channel = await library("ssh_channel")
        kind = ssh_channel.Collector if keep_all else ssh_channel.Channel
        waits, dead = iter(SESSION_WAITS), 0
        while True:
            link = await self.connected()
            try:
                channel: Channel = await ssh_channel.open_channel(link.connection, line, kind)
                return channel
            except ssh_channel.NoChannel as e:
                # asyncssh tells of a lost connection in the next turn of the loop.
                await asyncio.sleep(0)
                wait = next(waits, None) if link.alive and not e.started else None
                if wait is not None:
                    await asyncio.sleep(wait)
                    continue
                if link.alive:
                    raise TargetError(
                        f"{self.where} opens no further session: {e}. Raise MaxSessions in its "
                        "sshd_config, or wait until others have ended.",
                        retryable=True,
                    ) from e
                dead += 1
                if dead > 1 or e.started:
                    raise lost(self.where) from e

    async def connected(self) -> Link:
        """The shared connection. All who wait for it share one attempt, and its failure."""
        if self.link is not None and self.link.alive:
            return self.link
        if self.opening is None or self.opening.done():
            self.opening = asyncio.create_task(self.reconnect())
        try:
            return await asyncio.shield(self.opening)
        except TargetError as e:
            raise TargetError(e.message, retryable=e.retryable) from e

    async def reconnect(self) -> Link:
        ssh_connect = await library("ssh_connect")
        if self.link is not None:
            await self.link.aclose()
            self.link = None
        self.link = await ssh_connect.open_link(self.settings)
        assert self.link is not None
        return self.link

    async def aclose(self) -> None:
        if self.opening is not None:
            self.opening.cancel()
            await asyncio.gather(self.opening, return_exceptions=True)
            self.opening = None
        while self.processes:
            await self.processes.pop().aclose()
        if self.link is not None:
            await self.link.aclose()
            self.link = None


def lost(where: str, errors: str = "") -> TargetError:
    said = f" Last words: {errors.strip()[-500:]}" if errors.strip() else ""
    return TargetError(f"The connection to {where} was lost.{said}", retryable=True)


class Deadline:
    """`async with Deadline(s)`: `asyncio.TimeoutError` when the block takes longer."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.passed = False

    async def __aenter__(self) -> None:
        self.task = asyncio.current_task()
        self.timer = asyncio.get_running_loop().call_later(self.timeout_s, self.expire)

    def expire(self) -> None:
        assert self.task is not None
        self.passed = True
        self.task.cancel()

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.timer.cancel()
        if self.passed and kind is asyncio.CancelledError:
            raise asyncio.TimeoutError
