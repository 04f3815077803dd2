"""Watches the run folders of one target: hints say which, a slow tick looks at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import structlog

from turnout.service.targets.pool import TargetPool
from turnout.spec.errors import TurnoutError
from turnout.spec.targets import Observation

log = structlog.get_logger()
BACKOFF_LIMIT_S = 15.0
AGAIN_S = 0.5
#: Handles in one look: keeps an answer below a few hundred kilobytes.
BATCH = 500


class Follower:
    """Looks at many runs at once and delivers what it sees, by run id."""

    def __init__(
        self,
        target: str,
        pool: TargetPool,
        tick_s: float,
        deliver: Callable[[str, Observation], None],
        blame: Callable[[Sequence[str], str], Awaitable[None]],
    ) -> None:
        self.target = target
        self.pool = pool
        self.tick_s = tick_s
        self.deliver = deliver
        self.blame = blame
        #: Run ids by handle: the runs that have a folder on the target.
        self.runs: dict[str, str] = {}
        self.dirty: set[str] = set()
        self.wake = asyncio.Event()
        #: When all runs are looked at next, by the loop's clock.
        self.full_look_at = 0.0

    def follow(self, handle: str, run: str) -> None:
        self.runs[handle] = run
        self.hint([handle])

    def leave(self, handle: str) -> None:
        self.runs.pop(handle, None)
        self.dirty.discard(handle)

    def hint(self, handles: Sequence[str]) -> None:
        self.dirty.update(handles)
        self.wake.set()

    def hint_later(self, handles: Sequence[str]) -> None:
        asyncio.get_running_loop().call_later(AGAIN_S, self.hint, list(handles))

    async def loop(self) -> None:
        """Until canceled. Without it no run of the target would ever end: no fault may stop it."""
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("following a target failed; trying again", target=self.target)
                self.dirty.update(self.runs)
                await asyncio.sleep(AGAIN_S)

    async def look(self) -> None:
        failures = 0
        lost_at: datetime | None = None
        while True:
            await self.wait()
            handles = [h for h in self.dirty if h in self.runs][:BATCH]
            self.dirty.difference_update(handles)
            if not handles:
                self.dirty.clear()
                continue
            try:
                target = await self.pool.get(self.target)
                seen = await target.observe(handles)
            except TurnoutError as e:
                failures += 1
                lost_at = lost_at or datetime.now()
                log.warning("target cannot be reached", target=self.target, error=e.message)
                await self.blame(
                    list(self.runs.values()),
                    f"{self.target} cannot be reached since {lost_at:%H:%M:%S}; "
                    f"the run goes on there. {e.message}",
                )
                self.dirty.update(handles)
                await asyncio.sleep(min(0.25 * 2**failures, BACKOFF_LIMIT_S))
                continue
            if lost_at is not None:
                await self.blame(list(self.runs.values()), "")
            failures, lost_at = 0, None
            for handle, observation in seen.items():
                run = self.runs.get(handle)
                if run is not None:
                    self.deliver(run, observation)

    async def wait(self) -> None:
        """Until a hint, or until all runs are to be looked at: hints of one hide no other."""
        clock = asyncio.get_running_loop().time
        if not self.dirty:
            self.wake.clear()
            left = max(0.0, self.full_look_at - clock()) if self.runs else None
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.wake.wait(), left)
        if clock() >= self.full_look_at:
            self.full_look_at = clock() + self.tick_s
            self.dirty.update(self.runs)
