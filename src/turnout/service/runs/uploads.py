"""Files of a run: its own, and what a script uploaded to a child, which came with the parent's."""

from __future__ import annotations

from turnout.payload.sinks import CHILDREN
from turnout.service.db import Database
from turnout.service.runs.folders import FILES, RunFolders
from turnout.service.runs.tables import INTERACTIVE_RUN, SCRIPT_RUN, RunRow, by_id


async def sizes(db: Database, folders: RunFolders, row: RunRow) -> dict[str, int]:
    """Sizes by name, sorted."""
    found = folders.sizes(row.id, FILES)
    keeper = await keeper_of(db, row)
    if keeper is not None:
        found.update(folders.sizes(keeper, f"{FILES}/{CHILDREN}/{row.id}"))
    return dict(sorted(found.items()))


async def place(db: Database, folders: RunFolders, row: RunRow, name: str) -> tuple[str, str]:
    """(run, name) under which the file is kept; it need not be there."""
    if not folders.path(row.id, FILES, name).exists():
        keeper = await keeper_of(db, row)
        if keeper is not None:
            return keeper, f"{CHILDREN}/{row.id}/{name}"
    return row.id, name


async def keeper_of(db: Database, row: RunRow) -> str | None:
    """The script run that brought the files of this child; None for a run that is no child."""
    above: RunRow | None = row
    async with db.read() as session:
        while above is not None and above.type == INTERACTIVE_RUN and above.parent is not None:
            above = await by_id(session, above.parent)
    return (
        above.id if above is not None and above.type == SCRIPT_RUN and above is not row else None
    )
