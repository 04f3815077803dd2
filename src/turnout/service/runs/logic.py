"""What may be done with runs: create, list, change, cancel. No HTTP here, no target either."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, select

from turnout.engine import quota
from turnout.service.db import Database, Session, now
from turnout.service.events import logic as events
from turnout.service.quotas import logic as quotas
from turnout.service.runs import records
from turnout.service.runs.tables import (
    INTERACTIVE_RUN,
    SCRIPT_RUN,
    ExperimentRow,
    RecordRow,
    RunRow,
    by_id,
)
from turnout.service.targets.tables import TargetRow
from turnout.spec.errors import ConflictError, NotFoundError, UserError
from turnout.spec.records import from_dict, to_dict
from turnout.spec.runs import RunSpec, RunState, check_name
from turnout.spec.targets import ProvisioningState

LIST_LIMIT = 1000
#: Records in one answer.
RECORDS_LIMIT = 10_000
#: Requests whose repetition is noticed: more than one client has under way.
RECORD_KEYS = 16
BY_KEY = select(RunRow).where(RunRow.key == bindparam("key"))
EXPERIMENT = select(ExperimentRow.id).where(ExperimentRow.name == bindparam("name"))


@dataclass(frozen=True)
class NewRun:
    """A request for a run."""

    key: str
    experiment: str
    spec: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tags: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    display_name: str | None = None
    interactive: bool = False
    parent: str | None = None


def checked_spec(new: NewRun) -> RunSpec | None:
    """The spec of a script run, checked; None for an interactive run."""
    check_name("an experiment", new.experiment)
    if not 8 <= len(new.key) <= 128:
        raise UserError("A run's key has 8 to 128 characters.")
    if new.interactive:
        return None
    spec = from_dict(RunSpec, new.spec, "The run")
    spec.check()
    return spec


async def create(
    db: Database,
    new: NewRun,
    spec: RunSpec | None,
    *,
    waits: bool = False,
    own_cluster: Mapping[str, Any] | None = None,
) -> tuple[RunRow, bool]:
    """(row, whether it is new). The same key gives the same run.

    `waits`: its target gives it nodes. `own_cluster`: make a cluster of this configuration in the
    same breath, for this run alone.
    """
    at = now()
    async with db.write() as session:
        known = await session.scalar(BY_KEY, {"key": new.key})
        if known is not None:
            return known, False
        if new.parent is not None:
            await find(session, new.parent)
        if spec is not None:
            await quotas.check(session, quota.RUNS)
        if own_cluster is not None:
            await quotas.check(session, quota.TARGETS)
        if await session.scalar(EXPERIMENT, {"name": new.experiment}) is None:
            session.add(ExperimentRow(name=new.experiment, created_at=at))
            await session.flush()
        # v1's form: experiment, seconds, a random part. A child's id begins with its parent's.
        stem = new.parent or f"{new.experiment}_{int(at.timestamp())}"
        identity = f"{stem}_{secrets.token_hex(4)}"
        state = RunState.RUNNING if spec is None else RunState.QUEUED
        row = RunRow(
            id=identity,
            key=new.key,
            experiment=new.experiment,
            display_name=new.display_name or identity,
            description="",
            type=INTERACTIVE_RUN if spec is None else SCRIPT_RUN,
            target="sdk" if spec is None else spec.target,
            state=state.value,
            message="",
            spec={} if spec is None else to_dict(spec),
            snapshot=None if spec is None else spec.snapshot,
            tags=dict(new.tags),
            properties=dict(new.properties),
            parent=new.parent,
            created_at=at,
            started_at=at if spec is None else None,
            warnings=[],
            attempt=1,
            losses=0,
            log_starts={},
            records_offset=0,
            record_keys=[],
            version=1,
        )
        if waits or own_cluster is not None:
            row.allocation = []
        if own_cluster is not None:
            row.target = f"run-{identity.rpartition('_')[2]}"
            session.add(cluster_of(row, own_cluster))
        if spec is not None and spec.snapshot:
            row.properties = {"ContentSnapshotId": spec.snapshot, **row.properties}
        session.add(row)
        if new.parent is None:
            await events.note(session, "started" if spec is None else "submitted", "run", row.id)
    return row, True


def cluster_of(run: RunRow, config: Mapping[str, Any]) -> TargetRow:
    """The cluster that a run has for itself; it goes when the run is over."""
    return TargetRow(
        name=run.target,
        kind="cluster",
        config={**config, "made_for": run.id},
        secrets=b"",
        provisioning_state=ProvisioningState.SUCCEEDED.value,
        provisioning_errors={},
        tags={},
        description=f"Made for the run {run.id}",
        created_at=run.created_at,
        modified_at=run.created_at,
    )


async def find(session: Session, run: str) -> RunRow:
    """The run by its whole id, or by a part that only one run has."""
    row = await by_id(session, run)
    if row is not None:
        return row
    if len(run) >= 4 and "%" not in run:
        rows = (
            await session.scalars(
                select(RunRow).where(RunRow.id.contains(run, autoescape=True)).limit(2)
            )
        ).all()
        if len(rows) == 1:
            return rows[0]
        if rows:
            raise NotFoundError(f"Several runs have '{run}' in their id; give more of it.")
    raise NotFoundError(f"There is no run '{run}'. `turnout run list` shows what there is.")


async def get(db: Database, run: str) -> RunRow:
    async with db.read() as session:
        return await find(session, run)


@dataclass(frozen=True)
class Filter:
    """Which runs to list; empty fields do not restrict."""

    experiment: str | None = None
    state: str | None = None
    tag: str | None = None
    property: str | None = None
    parent: str | None = None
    target: str | None = None
    type: str | None = None
    include_children: bool = False
    before: int | None = None
    limit: int = 100


async def list_runs(db: Database, wanted: Filter) -> list[RunRow]:
    """Newest first."""
    query = select(RunRow).order_by(RunRow.number.desc())
    for column, value in (
        (RunRow.experiment, wanted.experiment),
        (RunRow.state, wanted.state),
        (RunRow.parent, wanted.parent),
        (RunRow.target, wanted.target),
        (RunRow.type, wanted.type),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.parent is None and not wanted.include_children:
        query = query.where(RunRow.parent.is_(None))
    for mapping, text in ((RunRow.tags, wanted.tag), (RunRow.properties, wanted.property)):
        if text is not None:
            name, has_value, value = text.partition("=")
            if has_value:
                query = query.where(mapping[name].as_string() == value)
            else:
                query = query.where(mapping[name].as_string().is_not(None))
    if wanted.before is not None:
        query = query.where(RunRow.number < wanted.before)
    async with db.read() as session:
        rows = await session.scalars(query.limit(max(1, min(wanted.limit, LIST_LIMIT))))
        return list(rows)


@dataclass(frozen=True)
class Change:
    """Changes of a run that a person may make at any time."""

    set_tags: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    remove_tags: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    display_name: str | None = None
    description: str | None = None


async def change(db: Database, run: str, wanted: Change) -> RunRow:
    async with db.write() as session:
        row = await find(session, run)
        for name, value in wanted.properties.items():
            if row.properties.get(name, value) != value:
                raise ConflictError(
                    f"Property '{name}' of run {row.id} is '{row.properties[name]}' already; "
                    "properties cannot be changed, tags can."
                )
        row.properties = {**row.properties, **wanted.properties}
        tags = {k: v for k, v in row.tags.items() if k not in wanted.remove_tags}
        row.tags = {**tags, **wanted.set_tags}
        row.display_name = wanted.display_name or row.display_name
        row.description = row.description if wanted.description is None else wanted.description
        row.version += 1
        return row


async def request_cancel(db: Database, run: str) -> RunRow:
    """Note the wish. The loops carry it out; a final run stays as it is."""
    async with db.write() as session:
        row = await find(session, run)
        if RunState(row.state).is_final or row.cancel_requested_at is not None:
            return row
        row.cancel_requested_at = now()
        row.version += 1
        if row.type != SCRIPT_RUN:
            row.state, row.ended_at = RunState.CANCELED.value, now()
        await events.note(session, "canceled", "run", row.id)
        return row


async def add_records(
    db: Database, run: str, found: list[dict[str, Any]], key: str | None = None
) -> set[str]:
    """Take records over HTTP; those that came with the same `key` before are not taken again."""
    async with db.write() as session:
        row = await find(session, run)
        if key is not None:
            if key in row.record_keys:
                return set()
            row.record_keys = [*row.record_keys, key][-RECORD_KEYS:]
        return await records.absorb(session, row, records.encodable(found))


async def read_records(
    db: Database, run: str, after: int, limit: int
) -> tuple[list[dict[str, Any]], int]:
    """What was logged, in order, each as in the run folder, and where to go on from."""
    async with db.read() as session:
        row = await find(session, run)
        query = select(RecordRow).where(RecordRow.run == row.id, RecordRow.id > after)
        found = list(await session.scalars(query.order_by(RecordRow.id).limit(limit)))
    end = found[-1].id if found else after
    return [{**x.value, "t": x.kind, "name": x.name, "at": x.at.timestamp()} for x in found], end


async def metrics(db: Database, run: str, *, recursive: bool) -> dict[str, Any]:
    """`{name: value}`, or by run id over the run and all below it."""
    async with db.read() as session:
        root = await find(session, run)
        if not recursive:
            return records.summarise(await logged(session, root.id))
        found: dict[str, Any] = {}
        todo = [root.id]
        while todo:
            identity = todo.pop()
            found[identity] = records.summarise(await logged(session, identity))
            todo += await session.scalars(select(RunRow.id).where(RunRow.parent == identity))
        return found


async def logged(session: Session, run: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(kind, name, value) of each record, in order. Columns, not objects: there may be many."""
    query = select(RecordRow.kind, RecordRow.name, RecordRow.value)
    found = await session.execute(query.where(RecordRow.run == run).order_by(RecordRow.id))
    return [(kind, name, value) for kind, name, value in found]


async def active(db: Database) -> list[RunRow]:
    """Script runs that are not over, and those whose target still holds their folder."""
    final = [s.value for s in RunState if s.is_final]
    query = select(RunRow).where(
        RunRow.type == SCRIPT_RUN, RunRow.state.not_in(final) | RunRow.handle.is_not(None)
    )
    async with db.read() as session:
        return list(await session.scalars(query))
