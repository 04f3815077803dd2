"""Requests to the service over a unix socket or TCP: pooled, repeated when the service restarts.

Contract: docs/design/http-api.md. Every request of that contract may be sent twice without harm.
"""

from __future__ import annotations

import http.client
import json
import os
import pwd
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from turnout.spec.errors import ServiceError, TurnoutError, by_code

TIMEOUT_S = 120.0
#: How long a service that went away is waited for.
RETRY_S = 20.0
#: Events come at least every 15 s; a stream silent for longer is dead.
SILENCE_S = 45.0
PART = 1 << 20
BROKEN = (ConnectionError, FileNotFoundError, http.client.HTTPException)

#: A request body: JSON data, or a function that gives the parts (anew for each try).
Body = Mapping[str, Any] | Callable[[], Iterator[bytes]] | None
Query = Mapping[str, Any] | list[tuple[str, str]] | None


class UnixConnection(http.client.HTTPConnection):
    """HTTP on a unix socket, however long its path is."""

    def __init__(self, path: str, timeout: float = TIMEOUT_S) -> None:
        super().__init__("turnout", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A socket with a Python timeout is non-blocking: its connect fails at once (EAGAIN) while
        # many others are waiting to be accepted. The system's own timeout waits for its turn.
        limit = struct.pack("ll", int(self.timeout or 0), 1000)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        try:
            if len(os.fsencode(self.path)) < 108:
                found.connect(self.path)
            else:
                folder = os.open(Path(self.path).parent, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    found.connect(f"/proc/self/fd/{folder}/{Path(self.path).name}")
                finally:
                    os.close(folder)
            found.settimeout(self.timeout)
        except BlockingIOError:
            found.close()
            raise TimeoutError("the service accepts no connection") from None
        except BaseException:
            found.close()
            raise
        self.sock = found


class Endpoint(Protocol):
    """Where the service is."""

    @property
    def token(self) -> str: ...

    def connect(self) -> http.client.HTTPConnection:
        """A connection, not opened yet. Raises FileNotFoundError when no service is known."""
        ...

    def revive(self) -> None:
        """Bring the service back if that can be done from here; `ServiceError` if it failed."""
        ...

    def describe(self) -> str: ...


class TCPEndpoint:
    """A hosted service: `TURNOUT_URL` and `TURNOUT_TOKEN`."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServiceError(
                f"TURNOUT_URL is {url!r}; it must look like http://host:8650 or https://host."
            )
        if not token:
            raise ServiceError(
                "TURNOUT_URL is set but TURNOUT_TOKEN is not. The service printed it at its start."
            )
        self.url, self.token, self.parts = url, token, parts

    def connect(self) -> http.client.HTTPConnection:
        host, port = self.parts.hostname or "", self.parts.port
        if self.parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)

    def revive(self) -> None:
        """Somebody else runs it: only waiting helps."""

    def describe(self) -> str:
        return self.url


def user_name() -> str:
    """This process's user, as events name who did what; "" when it has no name."""
    found = os.environ.get("LOGNAME") or os.environ.get("USER")
    if not found:
        try:
            found = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return ""
    return found.encode("ascii", "replace").decode()


class Client:
    """Talks to one service. Threads and forked processes may share it."""

    def __init__(self, endpoint: Endpoint, retry_s: float = RETRY_S) -> None:
        self.endpoint = endpoint
        self.retry_s = retry_s
        self.user = user_name()
        self._forget_connections()

    def _forget_connections(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Let idle connections go; the client may be used again."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    # -- plain requests -------------------------------------------------------------------------

    def get(self, path: str, query: Query = None) -> Any:
        return self.request("GET", path, query=query)

    def post(self, path: str, body: Body = None) -> Any:
        return self.request("POST", path, body)

    def request(
        self,
        method: str,
        path: str,
        body: Body = None,
        *,
        query: Query = None,
    ) -> Any:
        """The answer's JSON (None when empty). Raises the error that the service gave, by its
        code, and `ServiceError` when it cannot be reached."""
        with self.open(method, path, body, query=query) as answer:
            data = answer.read()
        return json.loads(data) if data else None

    def download(self, path: str, into: Path) -> int:
        """Write an answer's body to the file `into` by rename; its size in bytes."""
        temporary = into.with_name(f".turnout-{os.getpid()}-{time.monotonic_ns()}.part")
        size = 0
        try:
            with temporary.open("wb") as file:
                for part in self.stream(path):
                    file.write(part)
                    size += len(part)
            temporary.replace(into)
        finally:
            temporary.unlink(missing_ok=True)
        return size

    def stream(self, path: str) -> Generator[bytes, None, None]:
        """The parts of an answer's body."""
        with self.open("GET", path) as answer:
            while part := self.read(answer):
                yield part

    def read(self, answer: http.client.HTTPResponse) -> bytes:
        try:
            return answer.read(PART)
        except (OSError, http.client.HTTPException) as e:
            raise ServiceError(
                f"The service at {self.endpoint.describe()} broke off its answer: {e}. Try again."
            ) from None

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        body: Body = None,
        *,
        query: Query = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Generator[http.client.HTTPResponse, None, None]:
        """Send, and give the answer to be read; its connection is used again if read whole."""
        url = address(path, query)
        connection, answer = self._exchange(method, url, body, timeout_s)
        reusable = False
        try:
            if answer.status >= 400:
                raise rebuild(answer)
            yield answer
            reusable = answer.isclosed() and not answer.will_close
        except TurnoutError:
            reusable = answer.isclosed() and not answer.will_close
            raise
        finally:
            self._give_back(connection) if reusable else connection.close()

    # -- below ----------------------------------------------------------------------------------

    def _exchange(
        self, method: str, url: str, body: Body, timeout_s: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        deadline = time.monotonic() + self.retry_s
        pause = 0.02
        while True:
            sent = False
            connection: http.client.HTTPConnection | None = None
            try:
                connection = self._take(timeout_s)
                sent = True
                return connection, self._send(connection, method, url, body)
            except TimeoutError:
                close(connection)
                raise ServiceError(
                    f"The service at {self.endpoint.describe()} did not answer in time "
                    f"({timeout_s:.0f} s)."
                ) from None
            except (*BROKEN, OSError) as e:
                close(connection)
                if not isinstance(e, BROKEN) or time.monotonic() > deadline:
                    raise ServiceError(
                        f"The service at {self.endpoint.describe()} cannot be reached: {e}."
                    ) from None
            except BaseException:
                close(connection)
                raise
            if not sent:
                self.endpoint.revive()
            time.sleep(pause)
            pause = min(pause * 2, 0.5)

    def _take(self, timeout_s: float) -> http.client.HTTPConnection:
        """An idle connection that is still open, else a new one."""
        if self._pid != os.getpid():
            # After a fork: the parent goes on with its connections, and its lock may be held.
            self._forget_connections()
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                break
            if connection.sock and not readable(connection.sock):
                connection.sock.settimeout(timeout_s)
                return connection
            connection.close()
        connection = self.endpoint.connect()
        connection.timeout = timeout_s
        connection.connect()
        return connection

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle.append(connection)

    def _send(
        self, connection: http.client.HTTPConnection, method: str, url: str, body: Body
    ) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {self.endpoint.token}", "Turnout-User": self.user}
        try:
            if callable(body):
                headers["Content-Type"] = "application/octet-stream"
                headers["Transfer-Encoding"] = "chunked"
                # http.client sends each part as one chunk; an empty one would end the body.
                parts = (part for part in body() if part)
                connection.request(method, url, parts, headers, encode_chunked=True)
            else:
                data = None if body is None else json.dumps(body, allow_nan=False).encode()
                headers["Content-Type"] = "application/json"
                connection.request(method, url, data, headers)
        except (BrokenPipeError, ConnectionResetError):
            # Refused before the body was through: the answer, if any, says why.
            if not callable(body):
                raise
        return connection.getresponse()


def close(connection: http.client.HTTPConnection | None) -> None:
    if connection is not None:
        connection.close()


def readable(sock: socket.socket) -> bool:
    """Whether an idle connection has something to read: its end, as nothing was asked."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def address(path: str, query: Query) -> str:
    """`path` with its query; None values are left out.

    >>> address("/v1/runs", {"limit": 1, "tag": None})
    '/v1/runs?limit=1'
    """
    if not query:
        return path
    pairs = query if isinstance(query, list) else [
        (k, str(v).lower() if isinstance(v, bool) else str(v))
        for k, v in query.items() if v is not None
    ]  # fmt: skip
    return f"{path}?{urlencode(pairs)}" if pairs else path


def segment(name: str) -> str:
    """`name` as a part of a path; slashes stay."""
    return quote(name, safe="/")


def rebuild(answer: http.client.HTTPResponse) -> TurnoutError:
    """The error that an answer carries."""
    data = answer.read()
    try:
        found = json.loads(data)["error"]
        code, message = str(found["code"]), str(found["message"])
    except (ValueError, KeyError, TypeError):
        if answer.status < 500:
            return by_code("invalid")(f"The service refused the request ({answer.status}).")
        return ServiceError(
            f"The service failed ({answer.status}). Its log says more: service.log in its home."
        )
    return by_code(code)(message)
