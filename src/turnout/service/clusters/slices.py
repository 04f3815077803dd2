"""Clusters of this machine: nodes are slices of it, so making one and letting it go are changes of
rows and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from turnout.engine import autoscale, placement, preemption, quota, slices
from turnout.service.clusters import machine
from turnout.service.clusters.tables import NodeRow
from turnout.service.clusters.world import (
    World,
    as_node,
    free_name,
    note,
    policy_of,
    slice_of,
    waits,
)
from turnout.service.db import Session, now
from turnout.service.quotas import logic as quotas
from turnout.service.targets.tables import TargetRow
from turnout.spec.clusters import NodeState
from turnout.spec.sizes import Size, fitted, size_of


async def serve(session: Session, world: World, cluster: TargetRow) -> None:
    """Grow or shrink one cluster, and give its idle nodes to those who wait."""
    at = now()
    size, _ = fitted(size_of(cluster.config["vm_size"]), machine.machine())
    policy = policy_of(cluster)
    await shed(session, world, cluster, size)
    waiting = [waits(run) for run in world.waiting(cluster)]
    nodes = [as_node(row) for row in world.of(cluster)]
    space = space_for(world, cluster, size)
    plan = autoscale.plan(
        waiting, nodes, policy, len(space.fresh), at.timestamp(), bound=space.bound
    )
    # Where a quota is used up, only nodes that count for it help.
    full = space.left.quota if space.left.nodes <= plan.grow else ""
    if plan.short and await make_room(session, world, cluster, full):
        space = space_for(world, cluster, size)
        plan = autoscale.plan(
            waiting, nodes, policy, len(space.fresh), at.timestamp(), bound=space.bound
        )
    if plan.short and cluster.config["vm_priority"] == "dedicated":
        await take_back(session, world, cluster, size, plan)
    for row in [r for r in world.of(cluster) if r.name in plan.shrink]:
        world.nodes.remove(row)
        await session.delete(row)
    await session.flush()
    for found in space.fresh[: plan.grow]:
        row = NodeRow(
            cluster=cluster.name,
            name=free_name(world, cluster.name),
            state=NodeState.IDLE.value,
            run=None,
            cores=list(found.cores),
            memory_mb=found.memory_mb,
            gpus=list(found.gpus),
            since=at,
        )
        session.add(row)
        world.nodes.append(row)
    if plan.grow or plan.shrink:
        await note(session, cluster.name, change_of(plan))
    give(world, cluster, space_for(world, cluster, size), plan.short)


async def shed(session: Session, world: World, cluster: TargetRow, size: Size) -> None:
    """Let idle nodes go that a quota, lowered since, has no place for."""
    left = space_for(world, cluster, size).left
    idle = [row for row in world.of(cluster) if as_node(row).is_free]
    gone = idle[: max(-left.nodes, 0)]
    for row in gone:
        world.nodes.remove(row)
        await session.delete(row)
    if gone:
        names = ", ".join(row.name for row in gone)
        await note(session, cluster.name, f"{names} let go: the quota '{left.quota}' was lowered")


async def make_room(session: Session, world: World, wanting: TargetRow, full: str) -> bool:
    """Let go what other clusters do not need now: nobody waits beside an idle machine.

    `full` is a quota that is used up, or "": nodes that do not count for it stay.
    """
    gone: set[str] = set()
    for cluster in world.clusters:
        counts_for = ("", quota.NODES, quota.CORES + quotas.family_of(cluster))
        if cluster is wanting or full not in counts_for:
            continue
        waiting = [waits(run) for run in world.waiting(cluster)]
        nodes = [as_node(row) for row in world.of(cluster)]
        policy = replace(policy_of(cluster), idle_s=0.0)
        plan = autoscale.plan(waiting, nodes, policy, 0, now().timestamp())
        if plan.shrink:
            gone.update(plan.shrink)
            await note(session, cluster.name, f"{', '.join(plan.shrink)} let go: others wait")
    for row in [r for r in world.nodes if r.name in gone]:
        world.nodes.remove(row)
        await session.delete(row)
    await session.flush()
    return bool(gone)


async def take_back(
    session: Session, world: World, wanting: TargetRow, size: Size, plan: autoscale.Plan
) -> None:
    """Ask runs on low-priority nodes to make room for nodes of a dedicated cluster beyond what it
    grows by anyway, as many as can be had, if that lets a run of it start."""
    priorities = {c.name: c.config["vm_priority"] for c in world.clusters}
    low = [row for row in world.nodes if priorities.get(row.cluster) == "lowpriority"]
    if not low:
        return
    has = machine.machine()
    nodes = [as_node(row) for row in world.nodes]
    free = (
        has.cores - sum(len(node.cores) for node in nodes),
        has.memory_mb - sum(node.memory_mb for node in nodes),
        has.gpus - sum(len(node.gpus) for node in nodes),
    )
    waiting = [waits(run) for run in world.waiting(wanting)]
    own = [as_node(row) for row in world.of(wanting)]
    most, max_nodes = plan.grow + plan.short, policy_of(wanting).max_nodes
    for more in preemption.worth_having(waiting, own, most, max_nodes):
        wanted = (more * size.cores, more * size.memory_mb, more * size.gpus)
        missing = [max(0, w - f) for w, f in zip(wanted, free, strict=True)]
        names = preemption.preempt([as_node(row) for row in low], *missing)
        gone = [row for row in low if row.name in names or as_node(row).state in preemption.GOING]
        used = quotas.used_by(world.clusters, [row for row in world.nodes if row not in gone])
        # Nothing is taken that a quota would not give.
        if names and quota.room(world.limits, used, size.family, size.cores).nodes >= more:
            await ask_for(session, world, wanting, names)
            return


async def ask_for(
    session: Session, world: World, wanting: TargetRow, names: Sequence[str]
) -> None:
    """Note the wish in the rows of nodes and runs; the runs are stopped politely by it."""
    runs = {run.id: run for run in world.runs}
    for row in [row for row in world.nodes if row.name in names]:
        if row.run is None:
            world.nodes.remove(row)
            await session.delete(row)
            await note(session, row.cluster, f"{row.name} let go for '{wanting.name}'")
            continue
        row.state, row.since = NodeState.PREEMPTED.value, now()
        run = runs.get(row.run)
        await note(session, row.cluster, f"{row.name} is taken back for '{wanting.name}'")
        if run is not None and run.taken_back_at is None:
            run.taken_back_at = now()
            run.message = f"Its nodes are taken back for '{wanting.name}'"
            run.version += 1
            if run.handle is not None:
                world.taken_back.append((run.id, run.target, run.handle))
    await session.flush()


def give(world: World, cluster: TargetRow, space: Space, short: int) -> None:
    """Give idle nodes to runs; those that wait on are told why: also when `short` nodes are not
    there for a quota."""
    max_nodes = policy_of(cluster).max_nodes
    why = space.why(short)
    rows = {row.name: row for row in world.of(cluster)}
    waiting = world.waiting(cluster)
    running = Counter("" for row in rows.values() if row.run is not None)
    placed = placement.place(
        [waits(run) for run in waiting],
        [as_node(row) for row in rows.values()],
        running,
        cluster=cluster.name,
        max_nodes=max_nodes,
        room=len(space.fresh),
        bound="its quota" if why else "what else is on this machine",
    )
    for run in waiting:
        names = placed.assigned.get(run.id, ())
        if names:
            given = [rows[name] for name in names]
            run.allocation = [slice_of(row) for row in given]
            run.message = ""
            for row in given:
                row.run, row.state, row.since = run.id, NodeState.RUNNING.value, now()
            world.started.append((run.id, cluster.name))
        else:
            reason = placed.reasons.get(run.id, "")
            if why and waits(run).node_count <= max_nodes:
                reason = f"{reason}; {why}"
            if run.message == reason:
                continue
            run.message = reason
        run.version += 1
        world.told.add(run.id)


@dataclass(frozen=True)
class Space:
    """What one cluster may grow by."""

    #: What this machine still has, as nodes of the cluster's size, and what the quotas leave.
    machine: list[slices.Slice]
    left: quota.Room

    @property
    def fresh(self) -> list[slices.Slice]:
        return self.machine[: max(self.left.nodes, 0)]

    @property
    def bound(self) -> str:
        """Whose room is meant, in words."""
        held = len(self.fresh) < len(self.machine)
        return f"the quota '{self.left.quota}'" if held else "this machine"

    def why(self, short: int) -> str:
        """Words for `short` nodes that a quota does not allow; "" when it does, or when it allows
        what the machine has anyway."""
        if self.left.limit >= len(machine.cores()) or short <= max(self.left.nodes, 0):
            return ""
        return self.left.why(min(short, max(len(self.machine), 1)))


def space_for(world: World, cluster: TargetRow, size: Size) -> Space:
    taken = [as_node(row) for row in world.nodes]
    found = slices.carve(
        machine.cores(),
        machine.memory_mb(),
        machine.gpus(),
        taken,
        size,
        policy_of(cluster).max_nodes,
    )
    used = quotas.used_by(world.clusters, world.nodes)
    return Space(found, quota.room(world.limits, used, size.family, size.cores))


def change_of(plan: autoscale.Plan) -> str:
    parts: list[str] = []
    if plan.grow:
        parts.append(f"{plan.grow} node{'s' if plan.grow > 1 else ''} more")
    if plan.shrink:
        parts.append(f"{', '.join(plan.shrink)} let go")
    text = " and ".join(parts)
    return f"{text}: {plan.reason}" if plan.reason else text
