"""What may be asked of clusters: their state, another scale, one for a single run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from turnout.service.clusters import machine
from turnout.service.clusters.tables import ClusterEventRow, NodeRow
from turnout.service.db import Database, now
from turnout.service.runs.tables import RunRow
from turnout.service.targets.tables import TargetRow
from turnout.spec.clusters import NodeState, node_state_counts
from turnout.spec.errors import ConflictError, NotFoundError, UserError
from turnout.spec.runs import RunSpec, RunState
from turnout.spec.sizes import fitted, size_of
from turnout.targets import registry

#: v1's name for "a cluster of my own, for this run".
RUN_BASED = "amlcompute"
EVENTS_SHOWN = 50
#: How long a deletion by force waits for its canceled runs: as long as a script's grace.
FREE_LOOKS, FREE_LOOK_S = 150, 0.1
FINAL = [state.value for state in RunState if state.is_final]


def check_size(config: Mapping[str, Any]) -> str:
    """What the size comes to here, in a sentence ("" when it is as asked); raises `UserError` for
    one that this machine cannot hold."""
    return fitted(size_of(str(config["vm_size"])), machine.machine())[1]


def config_for_run(spec: RunSpec) -> dict[str, Any] | None:
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
    config = {
        "vm_size": section["vm_size"],
        "max_nodes": int(section.get("cluster_max_node_count") or 1),
        "vm_priority": section.get("vm_priority") or "dedicated",
    }
    check_size(config)
    # All of it, with the defaults: whoever reads the row finds what any cluster has.
    return registry.config("cluster", config).model_dump()


def check_new(name: str, config: Mapping[str, Any]) -> None:
    """Raise `UserError` for a cluster that cannot be."""
    if name.lower() == RUN_BASED:
        raise UserError(
            f"'{name}' cannot name a cluster: a run with that target gets a cluster of its own. "
            "Take another name."
        )
    check_size(registry.config("cluster", config).model_dump())


async def status(db: Database, view: Mapping[str, Any]) -> dict[str, Any]:
    """What v1's `AmlComputeStatus` tells, and who waits."""
    name, config = view["name"], view["config"]
    size, text = fitted(size_of(config["vm_size"]), machine.machine())
    async with db.read() as session:
        states = await session.scalars(select(NodeRow.state).where(NodeRow.cluster == name))
        counts = node_state_counts([NodeState(state) for state in states])
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
        "limits": " ".join(part for part in (text, machine.limits()) if part),
    }


async def nodes(db: Database, name: str) -> dict[str, Any]:
    async with db.read() as session:
        rows = await session.scalars(
            select(NodeRow).where(NodeRow.cluster == name).order_by(NodeRow.id)
        )
        events = await session.scalars(
            select(ClusterEventRow)
            .where(ClusterEventRow.cluster == name)
            .order_by(ClusterEventRow.id.desc())
            .limit(EVENTS_SHOWN)
        )
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
                for row in rows
            ],
            "events": [{"at": e.at.isoformat(), "text": e.text} for e in events],
        }


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
        except UserError as e:
            why = e.message.partition(": ")[2].removeprefix("configuration: ")
            raise UserError(f"'{name}' cannot be changed so: {why}") from None
        row.config, row.modified_at = config, now()


async def active_runs(db: Database, name: str) -> list[str]:
    async with db.read() as session:
        query = select(RunRow.id).where(RunRow.target == name, RunRow.state.not_in(FINAL))
        return list(await session.scalars(query))


async def until_free(db: Database, name: str) -> None:
    """Wait for runs that were canceled; what takes longer is told by the detaching itself."""
    for _ in range(FREE_LOOKS):
        if not await active_runs(db, name):
            return
        await asyncio.sleep(FREE_LOOK_S)
