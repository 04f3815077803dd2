"""What people did: noted in the transaction that does it, so that neither is without the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import Table, delete, insert, select

from turnout.service.accounts.who import who
from turnout.service.db import Database, Session, now
from turnout.service.events.tables import EventRow

#: What something can be done to, in the order of lists.
KINDS = (
    "run",
    "experiment",
    "target",
    "engine",
    "quota",
    "environment",
    "registry",
    "setting",
    "secret",
    "dataset",
    "model",
    "portal",
)
#: Events in one answer.
LIST_LIMIT = 500
KEPT = timedelta(days=180)
KEPT_COUNT = 100_000
#: How many are noted from one sweep to the next.
SWEPT_EVERY = 1000
# Of the table, not of the class: a tenth of a millisecond less, on the way of every submit.
INSERT = insert(cast(Table, EventRow.__table__))


async def note(
    session: Session, action: str, kind: str, name: str, *, by: str | None = None
) -> None:
    """Keep that the user of this request (or `by`) did `action` to the `kind` called `name`:
    `await note(session, "attached", "target", "lab")`. Old events go now and then."""
    user = who.get() if by is None else by
    found = await session.execute(
        INSERT, {"at": now(), "who": user, "action": action, "kind": kind, "name": name}
    )
    number: int = found.inserted_primary_key[0]
    if number % SWEPT_EVERY == 0:
        await session.execute(
            delete(EventRow).where(
                (EventRow.id <= number - KEPT_COUNT) | (EventRow.at < now() - KEPT)
            )
        )


@dataclass(frozen=True)
class Filter:
    """Which events to list; empty fields do not restrict."""

    kind: str = ""
    #: A part of the name.
    name: str = ""
    who: str = ""
    #: Only those with a lower id, to go on from a page's last.
    before: int | None = None
    limit: int = 100


async def list_events(db: Database, wanted: Filter) -> list[dict[str, Any]]:
    """The newest first."""
    query = select(EventRow).order_by(EventRow.id.desc())
    if wanted.kind:
        query = query.where(EventRow.kind == wanted.kind)
    if wanted.name:
        query = query.where(EventRow.name.icontains(wanted.name, autoescape=True))
    if wanted.who:
        query = query.where(EventRow.who == wanted.who)
    if wanted.before is not None:
        query = query.where(EventRow.id < wanted.before)
    async with db.read() as session:
        rows = await session.scalars(query.limit(max(1, min(wanted.limit, LIST_LIMIT))))
        return [event_view(row) for row in rows]


def event_view(row: EventRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": row.at.isoformat(),
        "who": row.who,
        "action": row.action,
        "kind": row.kind,
        "name": row.name,
    }
