"""Runs the service: embedded on an owner-only unix socket, or hosted on TCP."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import functools
import gc
import ipaddress
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Generator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from turnout import __version__
from turnout.service import settings as service_settings
from turnout.service.app import create_app, parts_of
from turnout.service.settings import Settings
from turnout.service.state import State
from turnout.spec.errors import UserError

#: Longest path that a unix socket's address holds, less the end mark.
SOCKET_PATH_LIMIT = 100
IDLE_LOOK_S = 15.0


def main(argv: Sequence[str] | None = None) -> int:
    """`turnout server` and the embedded service. Returns an exit code."""
    parser = argparse.ArgumentParser(prog="turnout server", description="Run the service.")
    parser.add_argument("--embedded", action="store_true", help="unix socket; ends when idle")
    parser.add_argument("--home", type=lambda t: Path(t).expanduser().absolute(), default=None)
    parser.add_argument("--host", default=None, help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=None, help="port (default 8650)")
    given = parser.parse_args(argv)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        settings = service_settings.load(home=given.home, host=given.host, port=given.port)
        os.umask(0o077)
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (settings.home / "service.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if given.embedded:
                return 0
            raise UserError(f"A service is running already for {settings.home}.") from None
        listener = listen_embedded(settings) if given.embedded else listen_hosted(settings)
        return serve(settings, listener, embedded=given.embedded)
    except UserError as e:
        print(f"turnout: error: {e.message}", file=sys.stderr)
        return 2


def listen_embedded(settings: Settings) -> socket.socket:
    path = settings.home / "service.sock"
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        folder = Path(tempfile.gettempdir()) / f"turnout-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
            raise UserError(f"{folder} belongs to somebody else. Set a shorter TURNOUT_HOME.")
        path = folder / f"{sha256(os.fsencode(path)).hexdigest()[:16]}.sock"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(256)
    return listener


def listen_hosted(settings: Settings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(256)
    except OSError as e:
        raise UserError(
            f"Cannot listen on {settings.host}:{settings.port}: {e.strerror}. Choose another "
            "--host or --port."
        ) from None
    return listener


class Server(uvicorn.Server):
    """Leaves signals to us: uvicorn raises them again at its end, which would cut ours short."""

    #: Called once it answers.
    when_up: Callable[[], Awaitable[None]] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.when_up is not None:
            await self.when_up()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def also_on(self, listener: socket.socket) -> None:
        """Answer on one more socket, until the end."""
        config = self.config

        def protocol() -> asyncio.Protocol:
            make: Any = config.http_protocol_class
            return make(
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(protocol, sock=listener))


def serve(settings: Settings, listener: socket.socket, *, embedded: bool) -> int:
    app = create_app(settings)
    parts = parts_of(app)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = Server(config)
    if not embedded:
        greet(settings, parts)
    announcement = settings.home / "service.json"
    name = listener.getsockname()
    where = {"socket": name} if embedded else {"url": f"http://{settings.host}:{name[1]}"}
    temporary = announcement.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({**where, "pid": os.getpid(), "version": __version__}))
    temporary.rename(announcement)
    if not embedded:
        parts.door.url = where["url"]
    # What is imported by now stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, setattr, server, "should_exit", True)
        if not embedded:
            await server.serve(sockets=[listener])
            return
        parts.door.serve = server.also_on
        server.when_up = functools.partial(open_door_again, parts)
        watch = asyncio.create_task(end_when_idle(server, parts))
        await server.serve(sockets=[listener])
        watch.cancel()

    try:
        uvloop_run(run())
    finally:
        withdraw(announcement)
    return 0


def withdraw(announcement: Path) -> None:
    """Remove what we announced. Another service's stays: the home may have been removed while we
    ran, and made anew."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        if json.loads(announcement.read_text())["pid"] == os.getpid():
            announcement.unlink()


def uvloop_run(main: object) -> None:
    import uvloop  # noqa: PLC0415 - not needed by those who only read this module

    uvloop.run(main)  # type: ignore[arg-type]


async def open_door_again(parts: State) -> None:
    """A page that was left open finds the service again where it was."""
    if await parts.sessions.any():
        with contextlib.suppress(OSError):
            await parts.door.open()


async def end_when_idle(server: uvicorn.Server, parts: State) -> None:
    while True:
        await asyncio.sleep(min(IDLE_LOOK_S, parts.settings.idle_minutes * 60))
        activity = parts.activity
        idle = activity.clock() - activity.last > parts.settings.idle_minutes * 60
        if idle and not (activity.requests or parts.loops.busy or parts.clusters.busy):
            server.should_exit = True
            return


def greet(settings: Settings, parts: State) -> None:
    url = f"http://{settings.host}:{settings.port}"
    print(f"Turnout {__version__} on {url}, home {settings.home}", file=sys.stderr)
    print(f"Clients: TURNOUT_URL={url}", file=sys.stderr)
    print(f"         TURNOUT_TOKEN=$(cat {settings.home / 'token'})", file=sys.stderr)
    try:
        outside = not ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        outside = settings.host != "localhost"
    if outside:
        print("Put a TLS proxy before it: tokens travel in clear otherwise.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
