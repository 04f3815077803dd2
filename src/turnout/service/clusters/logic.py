"""What may be asked of clusters: their state, another scale, one for a single run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from turnout.service.clusters import machine
from turnout.service.clusters.tables import ClusterEventRow, NodeRow
from turnout.service.db import Database, Session, now
from turnout.service.environments import config as settings
from turnout.service.events import logic as events
from turnout.service.runs.tables import RunRow
from turnout.service.targets.pool import TargetPool
from turnout.service.targets.tables import TargetRow
from turnout.spec.clusters import NodeState, node_state_counts
from turnout.spec.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    TurnoutError,
    UserError,
)
from turnout.spec.runs import RunSpec, RunState
from turnout.spec.sizes import Size, fitted, size_of
from turnout.targets import registry

#: v1's name for "a cluster of my own, for this run".
RUN_BASED = "amlcompute"
EVENTS_SHOWN = 50
#: How long a deletion by force waits for its canceled runs: as long as a script's grace.
FREE_LOOKS, FREE_LOOK_S = 150, 0.1
FINAL = [state.value for state in RunState if state.is_final]


async def size_there(pool: TargetPool, config: Mapping[str, Any]) -> tuple[Size, str]:
    """What a size comes to where the nodes are, and a sentence ("" when it is as asked); raises
    `UserError` for one that they cannot hold."""
    engine = await pool.engine(config)
    there = machine.machine()
    if engine is not None:
        there = await engine.machine(config.get("partition") or "")
    try:
        return fitted(size_of(str(config["vm_size"])), there)
    except UserError as e:
        raise ConfigurationError(e.message, {"vm_size": e.message}) from None


async def with_engine(db: Database, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration, on the workspace's engine where it names none."""
    if "engine" in config:
        return dict(config)
    engine = await settings.value(db, "clusters.engine")
    return {**config, "engine": engine} if engine else dict(config)


async def config_for_run(db: Database, pool: TargetPool, spec: RunSpec) -> dict[str, Any] | None:
    """The cluster that a run asks for itself alone; None when it names a target."""
    if spec.target.lower() != RUN_BASED:
        return None
    asked = spec.sections.get("amlcompute")
    section: Mapping[str, Any] = asked if isinstance(asked, Mapping) else {}
    if not section.get("vm_size"):
        raise UserError(
            "A run with target 'amlcompute' gets a cluster of its own: say of which size "
            "(run_config.amlcompute.vm_size = 'STANDARD_D2_V2')."
        )
    config: dict[str, Any] = {
        "vm_size": section["vm_size"],
        "max_nodes": max(int(section.get("cluster_max_node_count") or 1), spec.node_count),
        "vm_priority": section.get("vm_priority") or "dedicated",
    }
    config = await with_engine(db, config)
    await size_there(pool, config)
    # All of it, with the defaults: whoever reads the row finds what any cluster has.
    return registry.config("cluster", config).model_dump()


async def check_new(pool: TargetPool, name: str, config: Mapping[str, Any]) -> None:
    """Raise `UserError` for a cluster that cannot be."""
    if name.lower() == RUN_BASED:
        raise UserError(
            f"'{name}' cannot name a cluster: a run with that target gets a cluster of its own. "
            "Take another name."
        )
    await size_there(pool, registry.config("cluster", config).model_dump())


async def status(db: Database, pool: TargetPool, view: Mapping[str, Any]) -> dict[str, Any]:
    """What v1's `AmlComputeStatus` tells, and who waits."""
    name, config = view["name"], view["config"]
    try:
        size, text = await size_there(pool, config)
        limits = " ".join(part for part in (text, await limits_of(pool, config)) if part)
    except TurnoutError as e:
        # An engine that does not answer, or changed: what is in the rows is told all the same.
        size, limits = size_of(config["vm_size"]), e.message
    async with db.read() as session:
        on_engine = bool(config.get("engine"))
        counts = await (engine_counts if on_engine else slice_counts)(session, name)
        waiting = await session.scalar(
            select(func.count()).where(
                RunRow.target == name,
                RunRow.state.not_in(FINAL),
                func.json_array_length(RunRow.allocation) == 0,
            )
        )
    current = sum(counts.values())
    return {
        "allocation_state": "resizing" if waiting and current < config["max_nodes"] else "steady",
        "current_node_count": current,
        "target_node_count": current,
        "node_state_counts": counts,
        "waiting": waiting or 0,
        "vm_size": config["vm_size"],
        "size": {"cores": size.cores, "memory_mb": size.memory_mb, "gpus": size.gpus},
        "limits": limits,
    }


async def limits_of(pool: TargetPool, config: Mapping[str, Any]) -> str:
    """How nodes are given and held, in words."""
    engine = await pool.engine(config)
    if engine is None:
        return machine.limits()
    site, row = await engine.site(), await engine.partition(config.get("partition") or "")
    text = f"Nodes are given by Slurm {site['version']}, partition {row['name']}."
    if config["min_nodes"]:
        text += " min_nodes has no effect: Slurm alone decides which nodes are powered on."
    return text


async def slice_counts(session: Session, name: str) -> dict[str, int]:
    states = await session.scalars(select(NodeRow.state).where(NodeRow.cluster == name))
    return node_state_counts([NodeState(state) for state in states])


async def engine_counts(session: Session, name: str) -> dict[str, int]:
    """Nodes that the engine gave to runs, and those that it is asked for."""
    query = select(RunRow).where(
        RunRow.target == name, RunRow.state.not_in(FINAL), RunRow.allocation.is_not(None)
    )
    states: list[NodeState] = []
    for run in await session.scalars(query):
        works = RunState(run.state).order > RunState.PROVISIONING.order
        state = NodeState.RUNNING if works else NodeState.STARTING
        states += [state] * len(run.allocation or ())
    return node_state_counts(states)


async def engine_nodes(db: Database, pool: TargetPool, view: Mapping[str, Any]) -> dict[str, Any]:
    """The engine's nodes that a cluster may get, with what ours run there."""
    engine = await pool.engine(view["config"])
    assert engine is not None
    row = await engine.partition(view["config"].get("partition") or "")
    found = await engine.nodes(row["name"])
    return {"nodes": [], "engine_nodes": found, "events": await events_of(db, view["name"])}


async def nodes(db: Database, name: str) -> dict[str, Any]:
    async with db.read() as session:
        rows = await session.scalars(
            select(NodeRow).where(NodeRow.cluster == name).order_by(NodeRow.id)
        )
        listed = list(rows)
    return {
        "nodes": [
            {
                "name": row.name,
                "state": row.state,
                "run": row.run,
                "cores": row.cores,
                "memory_mb": row.memory_mb,
                "gpus": row.gpus,
                "since": row.since.isoformat(),
            }
            for row in listed
        ],
        "events": await events_of(db, name),
    }


async def events_of(db: Database, name: str) -> list[dict[str, str]]:
    """What happened of late, the newest first."""
    query = (
        select(ClusterEventRow)
        .where(ClusterEventRow.cluster == name)
        .order_by(ClusterEventRow.id.desc())
        .limit(EVENTS_SHOWN)
    )
    async with db.read() as session:
        events = await session.scalars(query)
        return [{"at": e.at.isoformat(), "text": e.text} for e in events]


async def update(db: Database, name: str, change: Mapping[str, Any]) -> None:
    """Another scale. Raises `UserError` for one that cannot be."""
    async with db.write() as session:
        row = await session.scalar(select(TargetRow).where(TargetRow.name == name))
        if row is None:
            raise NotFoundError(f"There is no target '{name}'.")
        if row.kind != "cluster":
            raise ConflictError(f"'{name}' is a target of kind {row.kind}, which has no scale.")
        config = {**row.config, **change}
        try:
            registry.config("cluster", config)
        except ConfigurationError as e:
            why = e.message.partition(": ")[2].removeprefix("configuration: ")
            raise ConfigurationError(f"'{name}' cannot be changed so: {why}", e.fields) from None
        row.config, row.modified_at = config, now()
        await events.note(session, "scaled", "target", name)


async def active_runs(db: Database, name: str) -> list[str]:
    async with db.read() as session:
        query = select(RunRow.id).where(RunRow.target == name, RunRow.state.not_in(FINAL))
        return list(await session.scalars(query))


async def in_use(db: Database, name: str) -> dict[str, Any]:
    """What ends when a target or an engine goes: `{"runs": [{"id", "display_name", "state",
    "experiment"}], "clusters": [name]}`, runs that are not over and clusters made on it."""
    async with db.read() as session:
        runs = await session.execute(
            select(RunRow.id, RunRow.display_name, RunRow.state, RunRow.experiment)
            .where(RunRow.target == name, RunRow.state.not_in(FINAL))
            .order_by(RunRow.number)
        )
        clusters = await session.scalars(
            select(TargetRow).where(TargetRow.kind == "cluster").order_by(TargetRow.name)
        )
        return {
            "runs": [dict(row._mapping) for row in runs],
            "clusters": [c.name for c in clusters if c.config.get("engine") == name],
        }


async def until_free(db: Database, name: str) -> None:
    """Wait for runs that were canceled and for the target to have forgotten them; what takes
    longer is told by the detaching itself."""
    held = select(func.count()).where(RunRow.target == name, RunRow.handle.is_not(None))
    for _ in range(FREE_LOOKS):
        async with db.read() as session:
            left = await session.scalar(held)
        if not left and not await active_runs(db, name):
            return
        await asyncio.sleep(FREE_LOOK_S)
