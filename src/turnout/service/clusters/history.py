"""Nodes of clusters over time, and how many there are of each cluster now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select

from turnout.service.clusters.tables import NodeCountRow, NodeRow
from turnout.service.clusters.world import FINAL, World
from turnout.service.db import Database, Session, now
from turnout.service.runs.tables import RunRow
from turnout.service.targets.tables import TargetRow
from turnout.spec.clusters import NodeState
from turnout.spec.runs import RunState

#: What is kept of each cluster.
DAYS, ROWS = 14, 5000
#: Old rows are looked for once in so many new ones.
PRUNE_EVERY = 50
HOURS = 24.0
#: Samples that are given out at most.
POINTS = 1000
#: Runs on engines that a history is made of, the newest.
RUNS = 2000
View = dict[str, Any]


@dataclass(frozen=True)
class Counts:
    """Nodes of one cluster by what they do, and the runs that wait for some."""

    busy: int = 0
    idle: int = 0
    #: Starting, leaving, unusable, or asked of an engine.
    changing: int = 0
    waiting: int = 0

    def view(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("busy", "idle", "changing", "waiting")}


def counts_of(nodes: Iterable[NodeRow], waiting: int) -> Counts:
    states = Counter(node.state for node in nodes)
    busy = states.pop(NodeState.RUNNING.value, 0)
    idle = states.pop(NodeState.IDLE.value, 0)
    return Counts(busy, idle, sum(states.values()), waiting)


def engine_counts_of(held: Iterable[tuple[str, int]], waiting: int) -> Counts:
    """`held`: (state of a run, how many nodes it was promised), of a cluster on an engine."""
    busy = changing = 0
    for state, given in held:
        if RunState(state).order > RunState.PROVISIONING.order:
            busy += given
        else:
            changing += given
    return Counts(busy=busy, changing=changing, waiting=waiting)


async def now_of_all(db: Database) -> tuple[dict[str, Counts], dict[str, int]]:
    """(counts of every cluster by its name, active runs of every target by its name): a few looks
    at the database, however many targets there are, and none at an engine."""
    active = RunRow.state.not_in(FINAL)
    length = func.json_array_length(RunRow.allocation)
    per_target = select(RunRow.target, func.count()).group_by(RunRow.target)
    async with db.read() as session:
        of_clusters = select(TargetRow).where(TargetRow.kind == "cluster")
        clusters = list(await session.scalars(of_clusters))
        nodes = list(await session.scalars(select(NodeRow)))
        used = dict((await session.execute(per_target.where(active))).all())
        waits = per_target.where(active, length == 0, RunRow.cancel_requested_at.is_(None))
        waiting = dict((await session.execute(waits)).all())
        holding = await session.execute(
            select(RunRow.target, RunRow.state, length).where(active, length > 0)
        )
        held: dict[str, list[tuple[str, int]]] = {}
        for target, state, given in holding:
            held.setdefault(target, []).append((state, given))
    found: dict[str, Counts] = {}
    for cluster in clusters:
        name = cluster.name
        if cluster.config.get("engine"):
            found[name] = engine_counts_of(held.get(name, ()), waiting.get(name, 0))
        else:
            own = [node for node in nodes if node.cluster == name]
            found[name] = counts_of(own, waiting.get(name, 0))
    return found, used


class Recorder:
    """Writes down counts when they change, in the transaction that changes them."""

    def __init__(self) -> None:
        #: What was written last, by the cluster's row; asked of the database after a start.
        self.known: dict[int, Counts] = {}

    async def note(self, session: Session, world: World) -> dict[int, Counts]:
        """Adds rows for what is not as it was; returns all counts, for `kept` after the commit."""
        found: dict[int, Counts] = {}
        for cluster in world.clusters:
            if cluster.config.get("engine"):
                # Its runs tell when they began and ended: nothing to write down.
                continue
            counts = counts_of(world.of(cluster), len(world.waiting(cluster)))
            found[cluster.id] = counts
            if (self.known.get(cluster.id) or await newest(session, cluster.name)) == counts:
                continue
            row = NodeCountRow(cluster=cluster.name, at=now(), **counts.view())
            session.add(row)
            await session.flush()
            if row.id % PRUNE_EVERY == 0:
                await prune(session, cluster.name)
        return found

    def kept(self, counts: dict[int, Counts]) -> None:
        self.known = counts


async def newest(session: Session, cluster: str) -> Counts | None:
    row = await session.scalar(
        select(NodeCountRow)
        .where(NodeCountRow.cluster == cluster)
        .order_by(NodeCountRow.id.desc())
        .limit(1)
    )
    return None if row is None else Counts(row.busy, row.idle, row.changing, row.waiting)


async def prune(session: Session, cluster: str) -> None:
    """Forget what is too old or too much; the newest row stays, however old it is."""
    of_cluster = NodeCountRow.cluster == cluster
    too_old = now() - timedelta(days=DAYS)
    newest_first = select(NodeCountRow.id).where(of_cluster).order_by(NodeCountRow.id.desc())
    last = await session.scalar(newest_first.limit(1))
    too_many = await session.scalar(newest_first.offset(ROWS).limit(1))
    gone = NodeCountRow.at < too_old
    if too_many is not None:
        gone = gone | (NodeCountRow.id <= too_many)
    await session.execute(delete(NodeCountRow).where(of_cluster, NodeCountRow.id != last, gone))


async def of(db: Database, target: View, hours: float = HOURS) -> View:
    """`{"samples": [{"at", "busy", "idle", "changing", "waiting"}], "max_nodes"}`, the oldest
    first: each holds until the next. The first says how it was when the time asked for began. Of
    more than `POINTS` the last in each part of the time is given."""
    since = now() - timedelta(hours=hours)
    config, name = target["config"], target["name"]
    async with db.read() as session:
        if config.get("engine"):
            found = await from_runs(session, name, since)
        else:
            found = await from_rows(session, name, since)
    samples = [{"at": at.isoformat(), **counts.view()} for at, counts in thinned(found, POINTS)]
    return {"samples": samples, "max_nodes": config.get("max_nodes", 0)}


def thinned(found: list[tuple[datetime, Counts]], points: int) -> list[tuple[datetime, Counts]]:
    """The first sample, and the last in each of `points` equal parts of the time."""
    if len(found) <= points:
        return found
    start, end = found[0][0], found[-1][0]
    part = max((end - start) / (points - 1), timedelta(microseconds=1))
    last = {(at - start) // part: (at, counts) for at, counts in found[1:]}
    return [found[0], *last.values()]


async def from_rows(session: Session, name: str, since: datetime) -> list[tuple[datetime, Counts]]:
    columns = (
        NodeCountRow.at,
        NodeCountRow.busy,
        NodeCountRow.idle,
        NodeCountRow.changing,
        NodeCountRow.waiting,
    )
    query = select(*columns).where(NodeCountRow.cluster == name)
    last_before = query.where(NodeCountRow.at < since).order_by(NodeCountRow.id.desc()).limit(1)
    before = (await session.execute(last_before)).all()
    after = await session.execute(query.where(NodeCountRow.at >= since).order_by(NodeCountRow.id))
    return [
        *((since, Counts(*counts)) for _, *counts in before),
        *((at, Counts(*counts)) for at, *counts in after.all()),
    ]


async def from_runs(session: Session, name: str, since: datetime) -> list[tuple[datetime, Counts]]:
    """Nodes of an engine: what runs had from their start to their end."""
    query = (
        select(RunRow.created_at, RunRow.started_at, RunRow.ended_at, RunRow.allocation)
        .where(RunRow.target == name, RunRow.allocation.is_not(None))
        .where(RunRow.ended_at.is_(None) | (RunRow.ended_at >= since))
        .order_by(RunRow.number.desc())
        .limit(RUNS)
    )
    runs = (await session.execute(query)).all()
    return steps(
        ((created, started, ended, len(given) or 1) for created, started, ended, given in runs),
        since,
    )


def steps(
    runs: Iterable[tuple[datetime, datetime | None, datetime | None, int]], since: datetime
) -> list[tuple[datetime, Counts]]:
    """The counts at every moment at which a run (came, started, ended, nodes) changed them."""
    changes: list[tuple[datetime, int, int]] = []
    for came, started, ended, nodes in runs:
        changes.append((max(came, since), 0, 1))
        left = started or ended
        if left is not None:
            changes.append((max(left, since), 0, -1))
        if started is not None:
            changes.append((max(started, since), nodes, 0))
            if ended is not None:
                changes.append((max(ended, since), -nodes, 0))
    found: list[tuple[datetime, Counts]] = []
    busy = waiting = 0
    for at, more_busy, more_waiting in sorted(changes, key=lambda change: change[0]):
        busy, waiting = busy + more_busy, waiting + more_waiting
        counts = Counts(busy=busy, waiting=waiting)
        if found and found[-1][0] == at:
            found[-1] = (at, counts)
        else:
            found.append((at, counts))
    return found
