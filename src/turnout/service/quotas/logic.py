"""Quotas as they are set and used, and the refusal of what would pass one.

What clusters may have is not refused here: the loop that gives them nodes stops at it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import bindparam, func, select

from turnout.engine import quota
from turnout.service.clusters import machine
from turnout.service.clusters.tables import NodeRow
from turnout.service.db import Database, Session
from turnout.service.events import logic as events
from turnout.service.quotas.tables import QuotaRow
from turnout.service.runs.tables import SCRIPT_RUN, RunRow
from turnout.service.targets.tables import TargetRow
from turnout.spec.errors import NotFoundError, QuotaError
from turnout.spec.records import nearest
from turnout.spec.runs import RunState
from turnout.spec.sizes import families, size_of

FINAL = [state.value for state in RunState if state.is_final]


async def check(session: Session, name: str) -> None:
    """Raise `QuotaError` when there may not be one more target or run.

    To be asked in the transaction that makes it, so that two at once do not both pass.
    """
    limit = await session.scalar(LIMIT, {"name": name})
    if limit is None:
        limit = quota.default(name, len(machine.cores()))
    if limit is None:
        return
    refusal = quota.refusal(name, limit, await session.scalar(COUNTS[name]))
    if refusal:
        raise QuotaError(refusal)


async def check_runs(db: Database) -> None:
    """Raise `QuotaError` when there may not be one more run."""
    async with db.read() as session:
        await check(session, quota.RUNS)


#: A database server has several writers: those that ask for the same quota go one by one.
LIMIT = select(QuotaRow.value).where(QuotaRow.name == bindparam("name")).with_for_update()
#: Targets that were attached, created, or made for one run; `local` is in no row. Runs of scripts
#: that wait or work: one that logs by itself takes nothing from anyone.
COUNTS = {
    quota.TARGETS: select(func.count()).select_from(TargetRow),
    quota.RUNS: select(func.count())
    .select_from(RunRow)
    .where(RunRow.type == SCRIPT_RUN, RunRow.state.not_in(FINAL)),
}


async def limits(session: Session) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """The limits of nodes and of the cores of any family; and those of them that are set."""
    cores = len(machine.cores())
    chosen = {row.name: row.value for row in await session.scalars(select(QuotaRow))}
    return defaultdict(lambda: cores, chosen), chosen


def family_of(cluster: TargetRow) -> str:
    return size_of(cluster.config["vm_size"]).family


def used_by(clusters: Iterable[TargetRow], nodes: Iterable[NodeRow]) -> Counter[str]:
    """What the nodes of all clusters take of their quotas."""
    names = {cluster.name: family_of(cluster) for cluster in clusters}
    used: Counter[str] = Counter()
    for node in nodes:
        used[quota.NODES] += 1
        if node.cluster in names:
            used[quota.CORES + names[node.cluster]] += len(node.cores)
    return used


async def list_all(db: Database) -> list[dict[str, Any]]:
    """Those of the workspace, then one for each family of sizes."""
    async with db.read() as session:
        values = {row.name: row.value for row in await session.scalars(select(QuotaRow))}
        clusters = list(
            await session.scalars(select(TargetRow).where(TargetRow.kind == "cluster"))
        )
        used = used_by(clusters, await session.scalars(select(NodeRow)))
        for name, count in COUNTS.items():
            used[name] = await session.scalar(count)
    of_families = {
        *(quota.CORES + family for family in families()),
        *(quota.CORES + family_of(cluster) for cluster in clusters),
        *(name for name in values if name.startswith(quota.CORES)),
    }
    cores = len(machine.cores())
    return [
        {
            "name": name,
            "limit": values.get(name, quota.default(name, cores)),
            "used": used[name],
            "default": quota.default(name, cores),
        }
        for name in (quota.NODES, quota.TARGETS, quota.RUNS, *sorted(of_families))
    ]


async def put(db: Database, name: str, limit: int) -> dict[str, Any]:
    """Set a limit; below what is in use, it holds for what comes next."""
    name = await known(db, name)
    async with db.write() as session:
        row = await session.scalar(select(QuotaRow).where(QuotaRow.name == name))
        if row is None:
            row = QuotaRow(name=name)
            session.add(row)
        row.value = limit
        await events.note(session, "set", "quota", name)
    return next(view for view in await list_all(db) if view["name"] == name)


async def unset(db: Database, name: str) -> None:
    name = await known(db, name)
    async with db.write() as session:
        row = await session.scalar(select(QuotaRow).where(QuotaRow.name == name))
        if row is not None:
            await session.delete(row)
            await events.note(session, "unset", "quota", name)


async def known(db: Database, name: str) -> str:
    """The quota that `name` means, whatever its case; raises `NotFoundError`."""
    names = {view["name"].casefold(): view["name"] for view in await list_all(db)}
    found = names.get(name.casefold())
    if found is None:
        raise NotFoundError(
            f"There is no quota '{name}'{nearest(name, names.values())}. "
            "`turnout quota show --all` lists them."
        )
    return found
