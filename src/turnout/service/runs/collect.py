"""Brings what a run wrote into the service: log bytes, records, files; then applies a decision."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import select, update

from turnout.engine.lifecycle import Decision
from turnout.payload.rundir import USAGE_NAME
from turnout.service.data import outputs
from turnout.service.data.stores import DataStores
from turnout.service.db import Database, Session, now
from turnout.service.models import requests as model_requests
from turnout.service.models.files import ModelFiles
from turnout.service.runs import records
from turnout.service.runs.folders import FILES, LOGS, RunFolders
from turnout.service.runs.hub import Hub
from turnout.service.runs.tables import RunRow, by_id, handle_of
from turnout.service.runs.views import run_view
from turnout.spec.records import from_dict
from turnout.spec.runs import RunSpec, RunState
from turnout.spec.targets import Observation, ObservedState
from turnout.targets.base import Progress, Target

PART = 1 << 20
#: Log bytes of one run that are collected before others have their turn.
TURN = 8 << 20
RECORDS = "records"
DRIVER = "azureml-logs/70_driver_log.txt"
LOCK = "azureml-logs/25_environment_lock.txt"
#: Seconds that a message must last to be shown.
MESSAGE_S = 0.2
#: The line that says that an attempt is over is not longer.
MARK = 16 << 10


class Collector:
    """Copies from a target into `RunFolders` and the database; every step may be repeated."""

    def __init__(
        self,
        db: Database,
        hub: Hub,
        folders: RunFolders,
        stores: DataStores,
        again: Callable[[RunRow], None],
    ) -> None:
        self.db = db
        self.hub = hub
        self.folders = folders
        self.stores = stores
        #: Asks for another look at the run soon.
        self.again = again
        #: Messages that were seen but not written yet, and since when, by run.
        self.messages: dict[str, tuple[str, float]] = {}

    async def follow(
        self, target: Target[Any], row: RunRow, seen: Observation, decision: Decision
    ) -> None:
        """Take what is new, then apply. The state goes first when it says that output begins."""
        if decision.state is not None or self.is_news(row, seen):
            await self.apply(row.id, decision, seen)
        while not await self.logs(target, row, seen, TURN):
            pass
        await self.records(target, row, seen)

    def is_news(self, row: RunRow, seen: Observation) -> bool:
        """Whether the message is worth a write: one that lasts less than `MESSAGE_S` is not."""
        if seen.message == row.message:
            self.messages.pop(row.id, None)
            return False
        at = time.monotonic()
        message, since = self.messages.get(row.id, ("", at))
        if message != seen.message:
            self.messages[row.id] = (seen.message, at)
            self.again(row)
            return False
        return at - since >= MESSAGE_S

    async def finish(
        self,
        target: Target[Any],
        row: RunRow,
        seen: Observation,
        decision: Decision,
        progress: Progress,
    ) -> None:
        """Take all that is left, then apply the final state."""
        await self.follow(target, row, seen, Decision(decision.act))
        there = seen.files and seen.state is not ObservedState.ABSENT
        if row.handle and (there or row.attempt > 1):
            await self.change(row.id, state=RunState.FINALIZING)
            await self.files(target, row, progress)
            await self.outputs(row)
        await self.models(row)
        self.messages.pop(row.id, None)
        await self.apply(row.id, decision, seen)

    async def logs(self, target: Target[Any], row: RunRow, seen: Observation, budget: int) -> bool:
        """Append what the service lacks; whether all was taken."""
        assert row.handle is not None
        for name, size in seen.sizes.items():
            if name == RECORDS:
                continue
            path = self.folders.path(row.id, LOGS, name)
            start = row.log_starts.get(name, 0)
            have = max(0, (path.stat().st_size if path.exists() else 0) - start)
            while have < size:
                if budget <= 0:
                    return False
                data = await target.read(row.handle, name, have, PART)
                if not data:
                    break
                self.folders.append(row.id, name, start + have, data)
                have += len(data)
                budget -= len(data)
                self.hub.grew(row.id)
        return True

    async def records(self, target: Target[Any], row: RunRow, seen: Observation) -> None:
        """Rows and the offset up to which they reach commit in one transaction: exactly once."""
        assert row.handle is not None
        offset, size = row.records_offset, seen.sizes.get(RECORDS, 0)
        pending = b""
        while offset + len(pending) < size:
            data = await target.read(row.handle, RECORDS, offset + len(pending), PART)
            if not data:
                return
            pending += data
            found, taken, bad = records.parse(pending)
            if not taken:
                continue
            async with self.db.write() as session:
                fresh = await by_id(session, row.id)
                if fresh is None or fresh.records_offset != offset:
                    return
                changed = await records.absorb(session, fresh, found, bad)
                fresh.records_offset = offset + taken
            offset, pending = offset + taken, pending[taken:]
            for run in changed:
                self.hub.tell(run)

    async def restart(
        self, target: Target[Any], row: RunRow, seen: Observation, decision: Decision
    ) -> None:
        """Take what the attempt left, then let the run wait for another. Its logs go on in the
        same files: where the next attempt's begin is written with it."""
        assert decision.error is not None
        why = f"Attempt {row.attempt}: {decision.error.message}"
        if not self.closed(row, DRIVER):
            await self.follow(target, row, seen, Decision(decision.act))
        starts = self.close_logs(row, f"{why} Started again.")
        async with self.db.write() as session:
            fresh = await by_id(session, row.id)
            if fresh is None or fresh.attempt != row.attempt or RunState(fresh.state).is_final:
                return
            if fresh.cancel_requested_at is not None:
                # It came in this very moment: the next look carries it out.
                self.again(fresh)
                return
            await end_children(session, fresh, RunState.FAILED, now())
            fresh.attempt += 1
            fresh.losses += decision.error.code != "preempted"
            fresh.state, fresh.handle = RunState.QUEUED.value, None
            fresh.message = f"{why} Started again."
            fresh.started_at = fresh.taken_back_at = fresh.error = None
            fresh.allocation, fresh.records_offset, fresh.log_starts = [], 0, starts
            fresh.warnings = [*fresh.warnings, f"{why} It was started again."]
            fresh.version += 1
        self.hub.tell(row.id, run_view(fresh))

    def closed(self, row: RunRow, name: str) -> bool:
        """Whether the log says that this attempt is over: nothing of it comes behind that."""
        path = self.folders.path(row.id, LOGS, name)
        size = path.stat().st_size if path.exists() else 0
        start = max(row.log_starts.get(name, 0), size - MARK)
        tail = self.folders.read(row.id, LOGS, name, start, MARK) if size > start else b""
        return tail.endswith(b"]\n") and mark(row) in tail

    def close_logs(self, row: RunRow, text: str) -> dict[str, int]:
        """Say in the driver's log that the attempt is over; where the logs of the next begin."""
        # Each attempt has a whole one.
        self.folders.path(row.id, LOGS, LOCK).unlink(missing_ok=True)
        sizes = self.folders.sizes(row.id, LOGS)
        if sizes.get(DRIVER, 0) > row.log_starts.get(DRIVER, 0) and not self.closed(row, DRIVER):
            text = text.removeprefix(f"Attempt {row.attempt}:")
            self.folders.append(row.id, DRIVER, sizes[DRIVER], mark(row) + f"{text}]\n".encode())
        usage = sizes.get(USAGE_NAME, 0)
        if usage and self.folders.read(row.id, LOGS, USAGE_NAME, usage - 1, 1) != b"\n":
            # A torn line would take the next attempt's first along.
            self.folders.append(row.id, USAGE_NAME, usage, b"\n")
        return self.folders.sizes(row.id, LOGS)

    async def files(self, target: Target[Any], row: RunRow, progress: Progress) -> None:
        """Bring outputs and uploads, also those that the next attempt never came to take over."""
        if not row.spec.get("output_collection", True):
            return
        whose: dict[str, tuple[str, int]] = {}
        for attempt in range(1, row.attempt + 1):
            handle = handle_of(row, attempt)
            whose.update({f.name: (handle, f.size) for f in await target.files(handle)})
        have = self.folders.sizes(row.id, FILES)
        into = self.folders.folder(row.id, FILES)
        for handle in sorted({handle for handle, _ in whose.values()}):
            names = [n for n, (h, size) in whose.items() if h == handle and have.get(n) != size]
            if names:
                await target.fetch(handle, names, into, progress)

    async def outputs(self, row: RunRow) -> None:
        """Bring what the run's outputs hold into their datastores."""
        if not row.spec.get("outputs"):
            return
        spec = from_dict(RunSpec, row.spec, f"Run {row.id}")
        notes = await outputs.take_in(self.db, self.stores, self.folders, row, spec)
        news = [text for text in notes if text not in row.warnings]
        if news:
            await self.change(row.id, warnings=[*row.warnings, *news])

    async def models(self, row: RunRow) -> None:
        """Make the models that the script asked for: the run's files are here now."""
        news = await model_requests.carry_out(
            self.db, ModelFiles(self.folders.home), self.folders, row
        )
        if not news:
            return
        async with self.db.write() as session:
            fresh = await by_id(session, row.id)
            if fresh is None:
                return
            for text in news:
                records.warn(fresh, text)

    async def apply(
        self,
        run: str,
        decision: Decision,
        seen: Observation | None = None,
        *,
        handle: str | None = None,
    ) -> None:
        """Bring the row to the decision's state; one that is final already stays as it is."""
        async with self.db.write() as session:
            row = await by_id(session, run)
            if row is None or RunState(row.state).is_final:
                return
            row.handle = handle or row.handle
            row.message = seen.message if seen else ""
            if seen is not None and seen.started_at and row.started_at is None:
                row.started_at = datetime.fromtimestamp(seen.started_at, timezone.utc)
            state = decision.state
            if state is not None and state.order >= RunState(row.state).order:
                row.state = state.value
                if state.is_final:
                    # Before anything is flushed: its history has one end.
                    settle(row, decision)
                    await end(session, row, state, seen)
            row.version += 1
        self.hub.tell(run, run_view(row))

    async def change(self, run: str, *, state: RunState | None = None, **values: Any) -> None:
        """Set columns of a run that is not final; a state only goes forward."""
        async with self.db.write() as session:
            row = await by_id(session, run)
            if row is None or RunState(row.state).is_final:
                return
            if state is not None and state.order >= RunState(row.state).order:
                row.state = state.value
            for name, value in values.items():
                setattr(row, name, value)
            row.version += 1
        self.hub.tell(run, run_view(row))

    async def forgotten(self, runs: list[str]) -> None:
        """Their folders are gone from their targets."""
        async with self.db.write() as session:
            await session.execute(update(RunRow).where(RunRow.id.in_(runs)).values(handle=None))


def mark(row: RunRow) -> bytes:
    """How the line begins that says that this attempt is over."""
    return f"\n[turnout: Attempt {row.attempt}:".encode()


def settle(row: RunRow, decision: Decision) -> None:
    """The error of a run that ended. A reason that the script gave by `run.fail()` says more
    than its exit code, and makes a failure of a script that left with 0."""
    said = row.error
    if decision.error is None:
        if said is not None and decision.state is RunState.COMPLETED:
            row.state = RunState.FAILED.value
        return
    error = dataclasses.asdict(decision.error)
    if said is not None and decision.error.code == "script_failed":
        error["message"] = said["message"]
    row.error = error


async def end(session: Session, row: RunRow, state: RunState, seen: Observation | None) -> None:
    """Times of the end, and an end in `state` for children that the script left open."""
    row.message = ""
    ended_at = seen.exit.ended_at if seen and seen.exit else None
    at = datetime.fromtimestamp(ended_at, timezone.utc) if ended_at else now()
    row.ended_at = at
    await end_children(session, row, state, at)


async def end_children(session: Session, row: RunRow, state: RunState, at: datetime) -> None:
    open_states = [s.value for s in RunState if not s.is_final]
    query = select(RunRow).where(
        RunRow.id.startswith(f"{row.id}_", autoescape=True),
        RunRow.type == "sdk",
        RunRow.state.in_(open_states),
    )
    for child in await session.scalars(query):
        child.state, child.ended_at = state.value, at
        child.version += 1
