"""Attach, check, list and detach targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from turnout.engine import quota
from turnout.service.clusters.world import forget
from turnout.service.db import Database, Session, now
from turnout.service.events import logic as events
from turnout.service.quotas import logic as quotas
from turnout.service.runs.tables import RunRow
from turnout.service.targets.pool import BUILT_IN, TargetPool, capabilities, split_secrets
from turnout.service.targets.tables import TargetRow
from turnout.spec.errors import ConflictError, NotFoundError, TargetError, UserError
from turnout.spec.runs import RunSpec, RunState, check_name
from turnout.spec.targets import Problem, ProvisioningState
from turnout.targets import registry
from turnout.targets.base import Identity, Target


@dataclass(frozen=True)
class NewTarget:
    """A request to attach."""

    name: str
    kind: str
    config: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    description: str = ""


async def identity(pool: TargetPool, kind: str, config: Mapping[str, Any]) -> Identity | None:
    """What a person should confirm before secrets are sent there. Nothing is stored."""
    target = await pool.build("new", kind, config)
    try:
        return await target.identity()
    finally:
        await target.aclose()


async def attach(db: Database, pool: TargetPool, new: NewTarget) -> dict[str, Any]:
    """Check, then keep: `Succeeded`, or `Failed` with the reasons. A target of the same name and
    kind is replaced; runs that go on there are found again by the new configuration."""
    check_name("a target", new.name)
    if new.name in BUILT_IN:
        raise ConflictError(f"'{new.name}' is there in every workspace; choose another name.")
    config = registry.config(new.kind, new.config)
    async with db.read() as session:
        known = await session.scalar(select(TargetRow).where(TargetRow.name == new.name))
        if known is None:
            await quotas.check(session, quota.TARGETS)
    if known is not None and known.kind != new.kind:
        raise ConflictError(
            f"Target '{new.name}' is of kind {known.kind}. Detach it first, or take another name."
        )
    values, secret = split_secrets(config)
    target = await pool.build(new.name, new.kind, {**values, **secret})
    try:
        problems: Sequence[Problem]
        try:
            seen = await target.identity()
            problems = ()
        except TargetError as e:
            seen, problems = (
                None,
                [Problem("unreachable" if e.retryable else "refused", e.message)],
            )
        if seen is not None:
            values = {**values, **seen.pinned}
            await target.aclose()
            target = await pool.build(new.name, new.kind, {**values, **secret})
        problems = problems or await target.check()
    finally:
        await target.aclose()
    async with db.write() as session:
        row = await session.scalar(select(TargetRow).where(TargetRow.name == new.name))
        if row is None:
            # Again: another may have come while this one was checked.
            await quotas.check(session, quota.TARGETS)
            row = TargetRow(name=new.name, kind=new.kind, created_at=now())
            session.add(row)
            action = "created" if registry.kind(new.kind).gives_nodes else "attached"
        else:
            action = "changed"
        row.config, row.secrets = values, pool.vault.seal(secret)
        row.tags, row.description = dict(new.tags), new.description
        note(row, problems)
        await events.note(session, action, what_is(new.kind), new.name)
    await pool.drop(new.name)
    return view(row)


def note(row: TargetRow, problems: Sequence[Problem]) -> None:
    state = ProvisioningState.FAILED if problems else ProvisioningState.SUCCEEDED
    row.provisioning_state = state.value
    row.provisioning_errors = {
        "errors": [{"code": p.code, "message": p.message, "fix": p.fix} for p in problems]
    }
    row.modified_at = now()


async def check(db: Database, pool: TargetPool, name: str) -> dict[str, Any]:
    target = await pool.get(name)
    problems = await target.check()
    if name in BUILT_IN:
        return built_in(name, problems)
    async with db.write() as session:
        row = await session.scalar(select(TargetRow).where(TargetRow.name == name))
        if row is None:
            raise NotFoundError(f"There is no target '{name}'.")
        note(row, problems)
    return view(row)


async def detach(db: Database, pool: TargetPool, name: str) -> None:
    if name in BUILT_IN:
        raise ConflictError(f"'{name}' cannot be detached.")
    final = [s.value for s in RunState if s.is_final]
    async with db.write() as session:
        row = await session.scalar(select(TargetRow).where(TargetRow.name == name))
        if row is None:
            raise NotFoundError(f"There is no target '{name}'.")
        query = select(func.count()).where(RunRow.target == name, RunRow.state.not_in(final))
        await refuse_engine_in_use(session, row)
        active = await session.scalar(query)
        if active:
            raise ConflictError(
                f"{active} runs are active on '{name}'. Wait for them or cancel them first."
            )
        await session.delete(row)
        await forget(session, name)
        action = "deleted" if registry.kind(row.kind).gives_nodes else "detached"
        await events.note(session, action, what_is(row.kind), name)
    await pool.drop(name)


def what_is(kind: str) -> str:
    """What events call it."""
    return "engine" if registry.kind(kind).is_engine else "target"


def refuse_engine(target: Target[Any]) -> None:
    """Raise `UserError` for what nothing can be submitted to."""
    if target.is_engine:
        raise UserError(
            f"'{target.name}' is an engine, no target: make a cluster on it and name that. "
            f"turnout target create cluster NAME --engine {target.name} --size 2c4g"
        )


def check_nodes(target: Target[Any], spec: RunSpec) -> None:
    """Raise `UserError` for more nodes than the target can ever have."""
    if spec.node_count > 1 and not target.gives_nodes:
        raise UserError(
            f"'{target.name}' is one machine and the run asks for {spec.node_count} nodes "
            "(node_count): submit it to a cluster."
        )
    most = getattr(target.config, "max_nodes", spec.node_count)
    if spec.node_count > most:
        raise UserError(
            f"The run asks for {spec.node_count} nodes, and '{target.name}' may have {most}. "
            f"Raise it: turnout target update {target.name} --max-nodes {spec.node_count}"
        )


async def refuse_engine_in_use(session: Session, row: TargetRow) -> None:
    if not registry.kind(row.kind).is_engine:
        return
    clusters = await session.scalars(select(TargetRow).where(TargetRow.kind == "cluster"))
    names = [c.name for c in clusters if c.config.get("engine") == row.name]
    if names:
        raise ConflictError(
            f"Clusters are made on '{row.name}': {', '.join(names)}. Delete them first "
            "(`turnout target delete`)."
        )


async def get(db: Database, pool: TargetPool, name: str) -> dict[str, Any]:
    if name in BUILT_IN:
        return built_in(name, ())
    await pool.configuration(name)
    async with db.read() as session:
        row = await session.scalar(select(TargetRow).where(TargetRow.name == name))
    if row is None:
        raise NotFoundError(f"There is no target '{name}'.")
    return view(row)


async def list_targets(db: Database) -> list[dict[str, Any]]:
    rows = await rows_of(db, engines=False)
    return [*(built_in(name, ()) for name in BUILT_IN), *(view(row) for row in rows)]


async def list_engines(db: Database) -> list[dict[str, Any]]:
    return [view(row) for row in await rows_of(db, engines=True)]


async def rows_of(db: Database, *, engines: bool) -> list[TargetRow]:
    async with db.read() as session:
        rows = await session.scalars(select(TargetRow).order_by(TargetRow.name))
        return [row for row in rows if registry.kind(row.kind).is_engine is engines]


def list_kinds() -> list[dict[str, Any]]:
    """What each kind of target can carry, those of other distributions among them; engines too."""
    return [
        {
            "kind": name,
            "type": registry.kind(name).v1_type,
            "engine": registry.kind(name).is_engine,
            "capabilities": capabilities(name),
        }
        for name in (*registry.kinds(), *registry.ENGINES)
    ]


def built_in(name: str, problems: Sequence[Problem]) -> dict[str, Any]:
    row = TargetRow(
        id=0,
        name=name,
        kind=BUILT_IN[name],
        config={},
        tags={},
        description="",
        created_at=now(),
    )
    note(row, problems)
    return {**view(row), "created_at": None, "modified_at": None}


def view(row: TargetRow) -> dict[str, Any]:
    """What the outside sees: never a secret, only the names of those that are set."""
    return {
        "id": str(row.id),
        "name": row.name,
        "kind": row.kind,
        "type": registry.kind(row.kind).v1_type,
        "config": row.config,
        "provisioning_state": row.provisioning_state,
        "provisioning_errors": row.provisioning_errors.get("errors", []),
        "created_at": row.created_at.isoformat(),
        "modified_at": row.modified_at.isoformat(),
        "tags": row.tags,
        "description": row.description,
        "capabilities": capabilities(row.kind),
    }
