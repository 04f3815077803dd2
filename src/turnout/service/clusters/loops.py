"""Hands nodes to runs: one transaction looks at everything, decides, and writes it down.

A service that dies at any line leaves rows that the next round understands.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import structlog
from sqlalchemy import select

from turnout.service import ending
from turnout.service.clusters import history, slices, slots
from turnout.service.clusters.world import World, forget, load, note
from turnout.service.db import Database, Session, now
from turnout.service.runs.hub import Hub
from turnout.service.targets.tables import TargetRow
from turnout.spec.clusters import NodeState

log = structlog.get_logger()
#: Seconds between two rounds while there is a node that may become idle for too long.
TICK_S = 1.0
#: A round is followed by a rest as long as it took, but for so long at most.
REST_S = 0.5


class ClusterLoops:
    """All background work for clusters. `hint` wakes it; `start` gets runs that have nodes."""

    def __init__(
        self,
        db: Database,
        hub: Hub,
        start: Callable[[str, str], None],
        take_back: Callable[[str, str, str], None],
    ) -> None:
        self.db = db
        self.hub = hub
        self.start_run = start
        self.take_back = take_back
        self.woken = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.recorder = history.Recorder()
        #: Whether a run waits for a node, so that the service must stay.
        self.busy = False

    async def start(self) -> None:
        self.task = asyncio.create_task(self.loop())

    def hint(self) -> None:
        """Something changed for a cluster: a run came or ended, or the cluster itself."""
        self.woken.set()

    async def aclose(self) -> None:
        if self.task is not None:
            await ending.end([self.task])

    async def loop(self) -> None:
        while True:
            self.woken.clear()
            began = time.monotonic()
            try:
                goes_on = await self.round()
            except Exception:
                log.exception("a round of the clusters failed; trying again")
                goes_on = True
            # Many runs that end one after another do not make a round each.
            await asyncio.sleep(min(time.monotonic() - began, REST_S))
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
                if cluster.config.get("engine"):
                    slots.serve(world, cluster)
                else:
                    await slices.serve(session, world, cluster)
            counts = await self.recorder.note(session, world)
        if counts != self.recorder.known:
            self.hub.note("compute")
        self.recorder.kept(counts)
        self.busy = any(world.waiting(cluster) for cluster in world.clusters)
        for run in world.told:
            self.hub.tell(run)
        for run, cluster, handle in world.taken_back:
            self.take_back(run, cluster, handle)
        for run, cluster in world.started:
            self.start_run(run, cluster)
        return self.busy or bool(world.nodes)


async def release(session: Session, world: World) -> None:
    """Nodes whose run is over are idle; what belongs to no cluster goes, and so do clusters that
    were made for one run that is over."""
    alive = {run.id for run in world.runs}
    waiting = {run.id for run in world.runs if run.allocation == []}
    for node in list(world.nodes):
        if node.run in waiting:
            # The attempt ended and the run did not: a node that was lost is not given again.
            taken = node.state == NodeState.PREEMPTED.value
            why = "was taken back" if taken else "was lost"
            await note(session, node.cluster, f"{node.name} {why}; {node.run} waits again")
            world.nodes.remove(node)
            await session.delete(node)
        elif node.run is not None and node.run not in alive:
            if node.state == NodeState.PREEMPTED.value:
                # Its run ended before it had to.
                world.nodes.remove(node)
                await session.delete(node)
                continue
            node.run, node.state, node.since = None, NodeState.IDLE.value, now()
    kept: list[TargetRow] = []
    for cluster in world.clusters:
        owner = cluster.config.get("made_for")
        if owner and owner not in alive:
            await session.delete(cluster)
            await forget(session, cluster.name)
        else:
            kept.append(cluster)
    world.clusters = kept
    names = {cluster.name for cluster in kept}
    for node in [n for n in world.nodes if n.cluster not in names and n.run is None]:
        world.nodes.remove(node)
        await session.delete(node)
    await session.flush()
