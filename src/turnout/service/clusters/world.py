"""What a round of the clusters looks at, as rows and as what the decisions are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, select

from turnout.engine.quota import CORES, NODES
from turnout.service.clusters.tables import ClusterEventRow, NodeCountRow, NodeRow
from turnout.service.db import Session, now
from turnout.service.quotas import logic as quotas
from turnout.service.runs.tables import RunRow
from turnout.service.targets.tables import TargetRow
from turnout.spec.clusters import Node, NodeState, Policy, Waiting
from turnout.spec.runs import RunState
from turnout.spec.sizes import size_of

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
    #: Those of them that somebody set.
    set_limits: Mapping[str, int]
    started: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    #: Runs whose nodes are wanted back, with their cluster and handle.
    taken_back: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    told: set[str] = field(default_factory=set[str])

    def of(self, cluster: TargetRow) -> list[NodeRow]:
        return [node for node in self.nodes if node.cluster == cluster.name]

    def held(self, cluster: TargetRow) -> int:
        """How many nodes of its engine the runs of a cluster have, or are to get."""
        runs = (run for run in self.runs if run.target == cluster.name)
        return sum(len(run.allocation or ()) for run in runs)

    def held_of(self, name: str) -> int:
        """What runs on engines take of a quota."""
        found = 0
        for cluster in self.clusters:
            size = size_of(cluster.config["vm_size"])
            if cluster.config.get("engine") and name in (NODES, CORES + size.family):
                found += self.held(cluster) * (1 if name == NODES else size.cores)
        return found

    def waiting(self, cluster: TargetRow) -> list[RunRow]:
        return [
            run
            for run in self.runs
            if run.target == cluster.name and run.allocation == [] and not run.cancel_requested_at
        ]


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
    limits, chosen = await quotas.limits(session)
    # The dedicated ones first: room that was made for them is not taken by others.
    in_turn = sorted(clusters, key=lambda row: row.config.get("vm_priority") == "lowpriority")
    return World(in_turn, list(nodes), list(runs), limits, chosen)


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


async def forget(session: Session, cluster: str) -> None:
    """Nothing of a cluster that is gone is told of another with its name."""
    for table in (ClusterEventRow, NodeCountRow):
        await session.execute(delete(table).where(table.cluster == cluster))
