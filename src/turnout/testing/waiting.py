"""Waiting for real things in tests: as short as possible, never for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

#: Longest wait for something real (a process, a server) in tests.
PATIENCE_S = 60.0


async def until(claim: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until `claim()` holds; fail with `what` after `PATIENCE_S`."""
    deadline = time.monotonic() + PATIENCE_S
    while not await claim():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE_S:g} s: {what}")
        await asyncio.sleep(0.01)


def wait_until(claim: Callable[[], bool], what: str) -> None:
    """`until` for tests that are not asynchronous."""
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE_S:g} s: {what}")
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether the process lives; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
