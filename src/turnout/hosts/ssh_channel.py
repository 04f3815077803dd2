"""One command on an SSH connection: its bytes, its end. Imported late, as asyncssh is."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import asyncssh

#: stdout that waits for a reader before the sender is told to wait.
READ_AHEAD = 4 << 20
#: Part of one write between two looks at the window.
PART = 256 << 10
ERRORS_LIMIT = 8192


class NoChannel(Exception):
    """The server opened no session, or the connection was cut while it was asked for.

    `started`: the command may have been started, so it must not be tried again.
    """

    def __init__(self, text: str, *, started: bool) -> None:
        super().__init__(text)
        self.started = started


class Channel(asyncssh.SSHClientSession[bytes]):
    """stdout is kept until it is read; of stderr, the last 8 KiB."""

    def __init__(self) -> None:
        self.chan: Any = None
        self.out = bytearray()
        self.err = bytearray()
        self.paused = False
        self.eof = False
        #: Exit status; negative for a signal; None when the connection was lost before the end.
        self.code: int | None = None
        self.ended = asyncio.Event()
        self.arrived = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, chan: Any) -> None:
        self.chan = chan

    def connection_lost(self, exc: Exception | None) -> None:
        self.eof = True
        self.ended.set()
        self.arrived.set()
        self.writable.set()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if datatype is not None:
            self.err += data
            del self.err[:-ERRORS_LIMIT]
            return
        self.out += data
        self.arrived.set()
        if len(self.out) > READ_AHEAD and not self.paused:
            self.paused = True
            self.chan.pause_reading()

    def eof_received(self) -> bool:
        self.eof = True
        self.arrived.set()
        return True  # stdin stays open until we close it

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def exit_status_received(self, status: int) -> None:
        self.code = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.code = -signal_number(signal)

    async def write(self, data: bytes) -> bool:
        """Send to stdin, with backpressure. False when the command or the connection has ended."""
        view = memoryview(data)
        for start in range(0, len(view), PART):
            await self.writable.wait()
            if self.ended.is_set():
                return False
            try:
                self.chan.write(bytes(view[start : start + PART]))
            except OSError:
                return False
        await self.writable.wait()
        return not self.ended.is_set()

    def end_input(self) -> None:
        if not self.ended.is_set():
            try:
                self.chan.write_eof()
            except OSError:
                return

    async def read(self, limit: int) -> bytes:
        while not self.out and not self.eof:
            self.arrived.clear()
            await self.arrived.wait()
        data = bytes(self.out[:limit])
        del self.out[:limit]
        if self.paused and len(self.out) <= READ_AHEAD // 2 and not self.ended.is_set():
            self.paused = False
            self.chan.resume_reading()
        return data

    def errors(self) -> str:
        return self.err[-ERRORS_LIMIT:].decode(errors="replace")

    def kill(self) -> None:
        """Kill the command and forget the channel. Neither is waited for."""
        if self.chan is None or self.ended.is_set():
            return
        try:
            self.chan.kill()
        except OSError:
            pass
        finally:
            self.chan.abort()


class Collector(Channel):
    """For commands that run to their end: nothing waits for a reader, stderr is kept whole."""

    def data_received(self, data: bytes, datatype: int | None) -> None:
        (self.out if datatype is None else self.err).extend(data)


def signal_number(name: str) -> int:
    try:
        return signal.Signals[f"SIG{name}"]
    except KeyError:
        return int(signal.SIGKILL)


async def open_channel(connection: Any, line: str, kind: type[Channel]) -> Channel:
    """Start the command `line` on an `SSHClientConnection`. Raises `NoChannel`."""
    made: list[Channel] = []

    def make() -> Channel:
        made.append(kind())
        return made[0]

    try:
        await connection.create_session(make, line, encoding=None, env=(), send_env=())
    except (asyncssh.ChannelOpenError, asyncssh.DisconnectError, OSError) as e:
        raise NoChannel(str(getattr(e, "reason", "") or e), started=bool(made)) from e
    except asyncio.CancelledError:
        if made:
            made[0].kill()
        raise
    return made[0]
