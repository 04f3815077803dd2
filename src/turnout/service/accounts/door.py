"""Where browsers reach the service: a hosted one's address, or a port that an embedded one opens
when somebody asks for the portal."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

#: Tried first, so that links stay good.
PORT = 8651
ADDRESS = "127.0.0.1"
#: File in the home folder with the port that was open last.
PORT_NAME = "portal.port"


class Door:
    """Opens once; `serve` takes a listening socket and answers on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = ""
        self.serve: Callable[[socket.socket], Awaitable[None]] | None = None
        self.opening = asyncio.Lock()

    @property
    def is_hosted(self) -> bool:
        """Whether the service has its address already, and opens none."""
        return self.serve is None

    async def open(self) -> str:
        """The address of the service for browsers; "" where it has none."""
        async with self.opening:
            if not self.url and self.serve is not None:
                listener = listen(self.remembered())
                await self.serve(listener)
                port = listener.getsockname()[1]
                (self.home / PORT_NAME).write_text(str(port))
                self.url = f"http://{ADDRESS}:{port}"
        return self.url

    def remembered(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            return int((self.home / PORT_NAME).read_text())
        return PORT


def listen(port: int) -> socket.socket:
    """A listening socket of this machine alone: on `port`, or on a free one."""
    for wanted in (port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((ADDRESS, wanted))
            listener.listen(256)
        except (OSError, OverflowError):
            listener.close()
        else:
            return listener
    raise OSError(f"There is no free port on {ADDRESS}.")
