"""Hands nodes to runs: one transaction looks at everything, decides, and writes it down.

Nodes here are slices of this machine, so making one and letting it go are changes of rows and
nothing else; a service that dies at any line leaves rows that the next round understands.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy import delete, select

from turnout.engine import autoscale, placement, quota, slices
from turnout.service.clusters import machine
from turnout.service.clusters.tables import ClusterEventRow, NodeRow
from turnout.service.db import Database, Session, now
from turnout.service.quotas import logic as quotas
from turnout.service.runs.hub import Hub
from turnout.service.runs.tables import RunRow
from turnout.service.targets.tables import TargetRow
from turnout.spec.clusters import Node, NodeState, Policy, Waiting
from turnout.spec.runs import RunState
from turnout.spec.sizes import Size, fitted, size_of

log = structlog.get_logger()
#: Seconds between two rounds while there is a node that may become idle for too long.
TICK_S = 1.0
EVENTS_KEPT = 200
FINAL = [state.value for state in RunState if state.is_final]


@dataclass
class World:
    """What one round looks at."""

    clusters: Sequence[TargetRow]
    nodes: list[NodeRow]
    #: Runs of clusters that are not over, oldest first.
    runs: Sequence[RunRow]
    #: By quota: how much all clusters together may have.
    limits: Mapping[str, int]
    started: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    told: set[str] = field(default_factory=set[str])

    def of(self, cluster: TargetRow) -> list[NodeRow]:
        return [node for node in self.nodes if node.cluster == cluster.name]

    def waiting(self, cluster: TargetRow) -> list[RunRow]:
        return [
            run
            for run in self.runs
            if run.target == cluster.name and run.allocation == [] and not run.cancel_requested_at
        ]


class ClusterLoops:
    """All background work for clusters. `hint` wakes it; `start` gets runs that have nodes."""

    def __init__(self, db: Database, hub: Hub, start: Callable[[str, str], None]) -> None:
        self.db = db
        self.hub = hub
        self.start_run = start
        self.woken = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        #: Whether a run waits for a node, so that the service must stay.
        self.busy = False

    async def start(self) -> None:
        self.task = asyncio.create_task(self.loop())

    def hint(self) -> None:
        """Something changed for a cluster: a run came or ended, or the cluster itself."""
        self.woken.set()

    async def aclose(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    async def loop(self) -> None:
        while True:
            self.woken.clear()
            try:
                goes_on = await self.round()
            except Exception:
                log.exception("a round of the clusters failed; trying again")
                goes_on = True
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.woken.wait(), TICK_S if goes_on else None)

    async def round(self) -> bool:
        """load → decide → apply; whether time alone may change something."""
        async with self.db.read() as session:
            if (
                await session.scalar(select(TargetRow.id).where(TargetRow.kind == "cluster"))
                is None
            ):
                self.busy = False
                return False
        async with self.db.write() as session:
            world = await load(session)
            await release(session, world)
            for cluster in world.clusters:
                await serve(session, world, cluster)
        self.busy = any(world.waiting(cluster) for cluster in world.clusters)
        for run in world.told:
            self.hub.tell(run)
        for run, cluster in world.started:
            self.start_run(run, cluster)
        return self.busy or bool(world.nodes)


async def load(session: Session) -> World:
    clusters = await session.scalars(
        select(TargetRow).where(TargetRow.kind == "cluster").order_by(TargetRow.id)
    )
    nodes = await session.scalars(select(NodeRow).order_by(NodeRow.id))
    runs = await session.scalars(
        select(RunRow)
        .where(RunRow.allocation.is_not(None), RunRow.state.not_in(FINAL))
        .order_by(RunRow.number)
    )
    return World(list(clusters), list(nodes), list(runs), await quotas.limits(session))


async def release(session: Session, world: World) -> None:
    """Nodes whose run is over are idle; what belongs to no cluster goes, and so do clusters that
    were made for one run that is over."""
    alive = {run.id for run in world.runs}
    for node in world.nodes:
        if node.run is not None and node.run not in alive:
            node.run, node.state, node.since = None, NodeState.IDLE.value, now()
    kept: list[TargetRow] = []
    for cluster in world.clusters:
        owner = cluster.config.get("made_for")
        if owner and owner not in alive:
            await session.delete(cluster)
            await session.execute(
                delete(ClusterEventRow).where(ClusterEventRow.cluster == cluster.name)
            )
        else:
            kept.append(cluster)
    world.clusters = kept
    names = {cluster.name for cluster in kept}
    for node in [n for n in world.nodes if n.cluster not in names and n.run is None]:
        world.nodes.remove(node)
        await session.delete(node)
    await session.flush()


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


def policy_of(cluster: TargetRow) -> Policy:
    config = cluster.config
    return Policy(
        min_nodes=config["min_nodes"],
        max_nodes=config["max_nodes"],
        idle_s=float(config["idle_seconds_before_scaledown"]),
    )


def waits(run: RunRow) -> Waiting:
    return Waiting(
        run=run.id,
        user="",
        priority=int(run.spec.get("priority") or 0),
        node_count=int(run.spec.get("node_count") or 1),
        submitted_at=run.created_at.timestamp(),
    )


def as_node(row: NodeRow) -> Node:
    return Node(
        name=row.name,
        state=NodeState(row.state),
        run=row.run,
        since=row.since.timestamp(),
        cores=tuple(row.cores),
        memory_mb=row.memory_mb,
        gpus=tuple(row.gpus),
    )


def slice_of(row: NodeRow) -> dict[str, object]:
    return {
        "node": row.name,
        "cores": row.cores,
        "memory_mb": row.memory_mb,
        "gpus": row.gpus,
    }


def free_name(world: World, cluster: str) -> str:
    known = {node.name for node in world.nodes}
    number = 1
    while f"{cluster}-{number}" in known:
        number += 1
    return f"{cluster}-{number}"


def change_of(plan: autoscale.Plan) -> str:
    parts: list[str] = []
    if plan.grow:
        parts.append(f"{plan.grow} node{'s' if plan.grow > 1 else ''} more")
    if plan.shrink:
        parts.append(f"{', '.join(plan.shrink)} let go")
    text = " and ".join(parts)
    return f"{text}: {plan.reason}" if plan.reason else text


async def note(session: Session, cluster: str, text: str) -> None:
    session.add(ClusterEventRow(cluster=cluster, at=now(), text=text))
    await session.flush()
    newest = await session.scalars(
        select(ClusterEventRow.id)
        .where(ClusterEventRow.cluster == cluster)
        .order_by(ClusterEventRow.id.desc())
        .offset(EVENTS_KEPT)
        .limit(1)
    )
    for oldest in newest:
        await session.execute(
            delete(ClusterEventRow).where(
                ClusterEventRow.cluster == cluster, ClusterEventRow.id <= oldest
            )
        )
