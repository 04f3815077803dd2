"""This machine as a host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO

from turnout.hosts.base import Completed, Host, Process
from turnout.spec.errors import TargetError

ERRORS_LIMIT = 8192


class LocalProcess(Process):
    """A child in a session of its own, so that signals to the service do not reach it."""

    def __init__(self, child: asyncio.subprocess.Process, err: IO[bytes]) -> None:
        self.child = child
        self.err = err

    async def write(self, data: bytes) -> None:
        assert self.child.stdin is not None
        try:
            self.child.stdin.write(data)
            await self.child.stdin.drain()
        except (ConnectionError, RuntimeError) as e:
            raise TargetError(f"The local process ended: {self.errors()}", retryable=True) from e

    async def read(self, limit: int) -> bytes:
        assert self.child.stdout is not None
        return await self.child.stdout.read(limit)

    def errors(self) -> str:
        with contextlib.suppress(ValueError, OSError):
            size = os.fstat(self.err.fileno()).st_size
            start = max(0, size - ERRORS_LIMIT)
            return os.pread(self.err.fileno(), ERRORS_LIMIT, start).decode(errors="replace")
        return ""

    async def aclose(self) -> None:
        if self.child.stdin is not None:
            self.child.stdin.close()
        try:
            await asyncio.wait_for(self.child.wait(), 2)
        except asyncio.TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.child.kill()
            await self.child.wait()
        self.err.close()


class LocalHost(Host):
    """Runs commands as the service's own user."""

    def __init__(self) -> None:
        self.processes: list[LocalProcess] = []

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float = 30.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        child = await start(argv, env, asyncio.subprocess.PIPE)
        try:
            out, err = await asyncio.wait_for(child.communicate(stdin), timeout_s)
        except asyncio.TimeoutError as e:
            child.kill()
            await child.wait()
            raise TargetError(
                f"{argv[0]} did not end within {timeout_s:g} s.", retryable=True
            ) from e
        return Completed(child.returncode, out, err)

    async def spawn(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        err = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            process = LocalProcess(await start(argv, env, err), err)
        except BaseException:
            # A service that ends meanwhile among them.
            err.close()
            raise
        self.processes.append(process)
        return process

    async def aclose(self) -> None:
        while self.processes:
            await self.processes.pop().aclose()


async def start(
    argv: Sequence[str], env: Mapping[str, str] | None, err: int | IO[bytes]
) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=err,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    except OSError as e:
        raise TargetError(f"Cannot start {argv[0]}: {e.strerror or e}.") from e
