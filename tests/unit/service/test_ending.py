"""Background tasks end, also when one did not hear of it."""

from __future__ import annotations

import asyncio
import contextlib

from turnout.service import ending


async def test_a_task_that_lost_its_cancellation_is_canceled_again() -> None:
    begun = asyncio.Event()

    async def deaf_once() -> None:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(deaf_once()), asyncio.create_task(asyncio.sleep(0))]
    await begun.wait()
    await ending.end(tasks)
    assert all(task.done() for task in tasks)
