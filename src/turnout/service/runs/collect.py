"""Brings what a run wrote into the service: log bytes, records, files; then applies a decision."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import select

from turnout.engine.lifecycle import Decision
from turnout.service.db import Database, now
from turnout.service.runs import records
from turnout.service.runs.folders import FILES, LOGS, RunFolders
from turnout.service.runs.hub import Hub
from turnout.service.runs.tables import RunRow
from turnout.spec.runs import RunState
from turnout.spec.targets import Observation, ObservedState
from turnout.targets.base import Progress, Target

PART = 1 << 20
#: Log bytes of one run that are collected before others have their turn.
TURN = 8 << 20
RECORDS = "records"


@dataclasses.dataclass(frozen=True)
class Records:
    """Complete lines of the record file and where they end."""

    data: bytes
    offset: int


class Collector:
    """Copies from a target into `RunFolders` and the database; every step may be repeated."""

    def __init__(self, db: Database, hub: Hub, folders: RunFolders) -> None:
        self.db = db
        self.hub = hub
        self.folders = folders

    async def follow(
        self, target: Target[Any], row: RunRow, seen: Observation, decision: Decision
    ) -> None:
        """Take what is new, then apply. The state goes first when it says that output begins."""
        if decision.state is not None or seen.message != row.message:
            await apply(self.db, row.id, decision, seen)
            self.hub.tell(row.id)
        while not await self.logs(target, row, seen, TURN):
            self.hub.tell(row.id)
        await self.records(target, row, seen)

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
        if seen.files and seen.state is not ObservedState.ABSENT and row.handle:
            await change(self.db, row.id, state=RunState.FINALIZING)
            self.hub.tell(row.id)
            await self.files(target, row, progress)
        await apply(self.db, row.id, decision, seen)
        self.hub.tell(row.id)

    async def logs(self, target: Target[Any], row: RunRow, seen: Observation, budget: int) -> bool:
        """Append what the service lacks; whether all was taken."""
        assert row.handle is not None
        for name, size in seen.sizes.items():
            if name == RECORDS:
                continue
            path = self.folders.path(row.id, LOGS, name)
            have = path.stat().st_size if path.exists() else 0
            while have < size:
                if budget <= 0:
                    return False
                data = await target.read(row.handle, name, have, PART)
                if not data:
                    break
                self.folders.append(row.id, name, have, data)
                have += len(data)
                budget -= len(data)
                self.hub.tell(row.id)
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
                fresh = await session.scalar(select(RunRow).where(RunRow.id == row.id))
                if fresh is None or fresh.records_offset != offset:
                    return
                changed = await records.absorb(session, fresh, found, bad)
                fresh.records_offset = offset + taken
            offset, pending = offset + taken, pending[taken:]
            for run in changed:
                self.hub.tell(run)

    async def files(self, target: Target[Any], row: RunRow, progress: Progress) -> None:
        assert row.handle is not None
        if not row.spec.get("output_collection", True):
            return
        have = self.folders.sizes(row.id, FILES)
        there = await target.files(row.handle)
        names = [f.name for f in there if have.get(f.name) != f.size]
        if names:
            into = self.folders.folder(row.id, FILES)
            await target.fetch(row.handle, names, into, progress)


async def apply(
    db: Database,
    run: str,
    decision: Decision,
    seen: Observation | None,
    *,
    handle: str | None = None,
) -> None:
    """Bring the row to the decision's state; a row that is final already stays as it is."""
    async with db.write() as session:
        row = await session.scalar(select(RunRow).where(RunRow.id == run))
        if row is None or RunState(row.state).is_final:
            return
        if handle is not None:
            row.handle = handle
        row.message = seen.message if seen else ""
        if seen is not None and seen.started_at and row.started_at is None:
            row.started_at = datetime.fromtimestamp(seen.started_at, timezone.utc)
        state = decision.state
        if state is not None and state.order >= RunState(row.state).order:
            row.state = state.value
            if state.is_final:
                await end(session, row, seen)
                if decision.error is not None:
                    # A reason that the script gave by `run.fail()` says more than its exit code.
                    said = (row.error or {}).get("message")
                    error = dataclasses.asdict(decision.error)
                    if said and decision.error.code == "script_failed":
                        error["message"] = said
                    row.error = error
                elif row.error is not None and state is RunState.COMPLETED:
                    row.state = RunState.FAILED.value
        row.version += 1


async def end(session: Any, row: RunRow, seen: Observation | None) -> None:
    """Times of the end, and an end for children that the script left open."""
    row.message = ""
    ended_at = seen.exit.ended_at if seen and seen.exit else None
    row.ended_at = datetime.fromtimestamp(ended_at, timezone.utc) if ended_at else now()
    open_states = [s.value for s in RunState if not s.is_final]
    query = select(RunRow).where(
        RunRow.id.startswith(f"{row.id}_", autoescape=True),
        RunRow.type == "sdk",
        RunRow.state.in_(open_states),
    )
    for child in await session.scalars(query):
        child.state, child.ended_at = row.state, row.ended_at
        child.version += 1


async def change(db: Database, run: str, **values: Any) -> None:
    """Set columns of a run that is not final; only `handle` may change after the end."""
    async with db.write() as session:
        row = await session.scalar(select(RunRow).where(RunRow.id == run))
        if row is None:
            return
        final = RunState(row.state).is_final
        for name, value in values.items():
            if name == "state":
                if not final and value.order >= RunState(row.state).order:
                    row.state = value.value
            elif not final or name == "handle":
                setattr(row, name, value)
        row.version += 1
