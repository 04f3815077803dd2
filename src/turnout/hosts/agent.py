"""The service's side of the agent protocol (docs/design/run-folder.md), over a `Process`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from turnout.hosts import bootstrap
from turnout.hosts.base import Host, Process
from turnout.hosts.payload_zip import payload
from turnout.spec.errors import TargetError

HEAD = struct.Struct(">II")
PART = 1 << 20
#: Longest time for a connection to be greeted: a slow machine that has to compile the payload.
HELLO_TIMEOUT_S = 30.0
#: Longest noise of a login shell that is read before our first line.
NOISE_LIMIT = 256 << 10
#: No answer is longer: beyond it, what came is no frame.
ANSWER_LIMIT = 1 << 28

Changed = Callable[[Sequence[str]], None]


class Agent:
    """A live agent. Calls may overlap; answers come in order. When the connection is lost, every
    call under way raises `TargetError(retryable=True)` and `alive` turns false."""

    def __init__(self, process: Process, where: str, changed: Changed) -> None:
        self.process = process
        self.where = where
        self.changed = changed
        self.alive = True
        self.hello: dict[str, Any] = {}
        self.waiting: deque[asyncio.Future[tuple[dict[str, Any], bytes]]] = deque()
        self.ids = itertools.count(1)
        self.uploads = itertools.count(1)
        self.buffer = bytearray()
        #: One frame at a time: a write may pause in the middle of a large one.
        self.sending = asyncio.Lock()
        self.reader: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        host: Host,
        root: str,
        *,
        where: str,
        changed: Changed,
        pythons: Sequence[str] = bootstrap.PYTHONS,
        store: str | None = None,
        options: Sequence[str] = (),
    ) -> Agent:
        """Start an agent on `host` for the root folder `root`; send the payload if it lacks."""
        pack = payload()
        extra = [*(["--store", store] if store else []), *options]
        argv = bootstrap.command(tuple(pythons), root, pack.digest, len(pack.data), extra)
        agent = cls(await host.spawn(argv), where, changed)
        try:
            await asyncio.wait_for(agent.greet(pack.data), HELLO_TIMEOUT_S)
        except asyncio.TimeoutError as e:
            await agent.aclose()
            raise TargetError(
                f"{where} accepted the connection, but did not start Python within "
                f"{HELLO_TIMEOUT_S:g} s.",
                retryable=True,
            ) from e
        except BaseException:
            await agent.aclose()
            raise
        agent.reader = asyncio.create_task(agent.read_frames())
        return agent

    async def greet(self, data: bytes) -> None:
        while True:
            word = await self.marked_line()
            if word == "need":
                await self.process.write(data)
            elif word == "have":
                break
            elif word.startswith("nopython"):
                raise TargetError(no_python(self.where, word[len("nopython") :].split()))
            else:
                raise TargetError(f"{self.where}: {word.removeprefix('error ')}")
        header, _ = await self.read_frame()
        self.hello = header.get("ok", header)

    async def marked_line(self) -> str:
        while True:
            start = self.buffer.find(bootstrap.MARK)
            end = self.buffer.find(b"\n", start) if start >= 0 else -1
            if end >= 0:
                line = bytes(self.buffer[start + len(bootstrap.MARK) : end])
                del self.buffer[: end + 1]
                return line.decode(errors="replace")
            if len(self.buffer) > NOISE_LIMIT:
                raise TargetError(
                    f"{self.where}: the login shell prints too much. Make its start-up files "
                    "silent for shells that are not interactive."
                )
            await self.more()

    async def more(self) -> None:
        data = await self.process.read(1 << 18)
        if not data:
            text = self.process.errors().strip()
            raise TargetError(
                f"{self.where}: the connection was lost{': ' + text if text else ''}.",
                retryable=True,
            )
        self.buffer += data

    async def read_frame(self) -> tuple[dict[str, Any], bytes]:
        while len(self.buffer) < HEAD.size:
            await self.more()
        head_size, body_size = HEAD.unpack_from(self.buffer)
        total = HEAD.size + head_size + body_size
        if total > ANSWER_LIMIT:
            raise ValueError("it is longer than any answer")
        while len(self.buffer) < total:
            await self.more()
        header = json.loads(bytes(self.buffer[HEAD.size : HEAD.size + head_size]))
        body = bytes(self.buffer[HEAD.size + head_size : total])
        del self.buffer[:total]
        return header, body

    async def read_frames(self) -> None:
        error = TargetError(f"{self.where}: the connection was lost.", retryable=True)
        try:
            while True:
                header, body = await self.read_frame()
                if "event" in header:
                    self.changed(header.get("handles", []))
                elif self.waiting:
                    future = self.waiting.popleft()
                    if not future.done():
                        future.set_result((header, body))
        except TargetError as e:
            error = e
        except Exception as e:
            error = TargetError(f"{self.where}: its answer is damaged: {e}.", retryable=True)
        finally:
            self.alive = False
            while self.waiting:
                future = self.waiting.popleft()
                if not future.done():
                    future.set_exception(error)

    async def call(
        self, op: str, body: bytes = b"", **params: Any
    ) -> tuple[dict[str, Any], bytes]:
        """Ask and wait. Raises `TargetError` with the agent's own words."""
        header = json.dumps({"id": next(self.ids), "op": op, **params}).encode()
        future: asyncio.Future[tuple[dict[str, Any], bytes]] = (
            asyncio.get_running_loop().create_future()
        )
        async with self.sending:
            if not self.alive:
                raise TargetError(f"{self.where}: the connection was lost.", retryable=True)
            self.waiting.append(future)
            try:
                await self.process.write(HEAD.pack(len(header), len(body)) + header + body)
            except BaseException:
                # Cut in the middle of a frame: what came after it could not be understood.
                self.alive = False
                raise
        answer, data = await future
        if "error" in answer:
            error = answer["error"]
            later = error.get("code") == "later"
            raise TargetError(f"{self.where}: {error['message']}", retryable=later)
        return answer["ok"], data

    async def put(
        self,
        kind: str,
        parts: Iterator[bytes],
        told: Callable[[int], Any],
        *,
        digest: str = "",
        name: str = "",
    ) -> None:
        """Send a bundle or a tool in parts; `told` hears the bytes sent so far (awaited)."""
        upload = f"{kind}{next(self.uploads)}"
        sent = 0
        async for part in drawn(parts):
            await self.call("put", part, upload=upload, kind=kind, digest=digest, name=name)
            sent += len(part)
            await told(sent)
        await self.call("put", upload=upload, kind=kind, digest=digest, name=name, end=True)

    async def aclose(self) -> None:
        self.alive = False
        await self.process.aclose()
        if self.reader is not None:
            self.reader.cancel()
            # How it ended was told to those who waited for an answer.
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self.reader


async def drawn(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The parts of a blocking iterator, each drawn in a thread."""
    while True:
        part = await asyncio.to_thread(next, parts, None)
        if part is None:
            return
        yield part


def no_python(where: str, seen: list[str]) -> str:
    found = f" It has {', '.join(s.replace('=', ' ') for s in seen)}." if seen else ""
    return (
        f"{where} has no Python of version 3.8 or later.{found} Install one (on Debian or Ubuntu: "
        "apt-get install python3), or name one with --python when attaching."
    )
