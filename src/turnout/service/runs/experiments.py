"""What may be done with experiments: list them with what their runs came to, tag, archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from turnout.service.db import Database, now
from turnout.service.events import logic as events
from turnout.service.runs.tables import ExperimentRow, RunRow
from turnout.service.runs.views import stamp
from turnout.spec.errors import NotFoundError
from turnout.spec.runs import RunState, check_name

View = dict[str, Any]
#: Top-level runs of each experiment by state, and when the newest of them was made.
RUNS = (
    select(RunRow.experiment, RunRow.state, func.count(), func.max(RunRow.created_at))
    .where(RunRow.parent.is_(None))
    .group_by(RunRow.experiment, RunRow.state)
)


async def listed(db: Database, name: str | None = None) -> list[View]:
    """All experiments by name, or one; `runs` and `states` count top-level runs."""
    query, counts = select(ExperimentRow).order_by(ExperimentRow.name), RUNS
    if name is not None:
        query = query.where(ExperimentRow.name == name)
        counts = counts.where(RunRow.experiment == name)
    async with db.read() as session:
        rows: list[ExperimentRow] = list(await session.scalars(query))
        found = await session.execute(counts)
    states: dict[str, dict[str, int]] = {}
    newest: dict[str, datetime] = {}
    for experiment, state, count, at in found:
        states.setdefault(experiment, {})[state] = count
        newest[experiment] = max(at, newest.get(experiment, at))
    return [view(row, states.get(row.name, {}), newest.get(row.name)) for row in rows]


async def get(db: Database, name: str) -> View:
    """One of them. Raises `NotFoundError`."""
    found = await listed(db, name)
    if not found:
        raise NotFoundError(f"There is no experiment '{name}'.")
    return found[0]


def view(row: ExperimentRow, states: Mapping[str, int], newest: datetime | None) -> View:
    return {
        "name": row.name,
        "created_at": row.created_at.isoformat(),
        "runs": sum(states.values()),
        "states": {s.value: states[s.value] for s in RunState if s.value in states},
        "last_run_at": stamp(newest),
        "tags": row.tags,
        "archived_at": stamp(row.archived_at),
    }


async def change(
    db: Database,
    name: str,
    set_tags: Mapping[str, str | None],
    remove_tags: Iterable[str],
    *,
    archived: bool | None,
) -> None:
    """Change what a person says of an experiment; one without runs comes to be."""
    check_name("an experiment", name)
    async with db.write() as session:
        row = await session.scalar(select(ExperimentRow).where(ExperimentRow.name == name))
        if row is None:
            row = ExperimentRow(name=name, created_at=now(), tags={})
            session.add(row)
        kept = {k: v for k, v in row.tags.items() if k not in remove_tags}
        tags = {**kept, **set_tags}
        if tags != row.tags:
            row.tags = tags
            await events.note(session, "tagged", "experiment", name)
        if archived is not None and archived != (row.archived_at is not None):
            row.archived_at = now() if archived else None
            await events.note(session, "archived" if archived else "restored", "experiment", name)
