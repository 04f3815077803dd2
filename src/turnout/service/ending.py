"""Ends background tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

#: Seconds after which a task that goes on is canceled again.
AGAIN_S = 0.5


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them and wait until all have ended. Before Python 3.12 `asyncio.wait_for` loses a
    cancellation that comes in the moment in which what it waits for happens: then once more."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
