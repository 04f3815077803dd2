"""Models that scripts asked for: noted with their records, made when the run's files are here."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import select

from turnout.service.db import Database, Session
from turnout.service.models import logic
from turnout.service.models.files import ModelFiles
from turnout.service.models.tables import ModelRequestRow
from turnout.service.runs.folders import RunFolders
from turnout.service.runs.tables import SCRIPT_RUN, RunRow
from turnout.spec.errors import UserError

FIELDS = {
    "name": str,
    "path": str,
    "tags": dict,
    "properties": dict,
    "description": str,
    "framework": str,
    "framework_version": str,
    "details": dict,
}


async def note(session: Session, run: RunRow, owner: str, record: dict[str, Any]) -> None:
    """Keep the record of `Run.register_model` in a script. Raises ValueError for one that cannot
    be carried out."""
    if run.type != SCRIPT_RUN:
        raise ValueError("only a script's run leaves models to the end of it")
    asked = {name: record[name] for name in FIELDS if record.get(name) is not None}
    for name, value in asked.items():
        if not isinstance(value, FIELDS[name]):
            raise ValueError(f"{name} is {value!r}")
    same = json.dumps([owner, record["name"], record["path"]])
    key = hashlib.sha256(same.encode()).hexdigest()
    row = await session.scalar(select(ModelRequestRow).where(ModelRequestRow.key == key))
    if row is None:
        session.add(ModelRequestRow(key=key, run=run.id, owner=owner, asked=asked))
        await session.flush()
    else:
        row.asked = asked


async def carry_out(
    db: Database, files: ModelFiles, folders: RunFolders, run: RunRow
) -> list[str]:
    """Make the models that the run's script asked for; warnings for those that cannot be made.
    May be repeated: each request has its key."""
    async with db.read() as session:
        query = select(ModelRequestRow).where(ModelRequestRow.run == run.id)
        rows = list(await session.scalars(query.order_by(ModelRequestRow.key)))
    found: list[str] = []
    for row in rows:
        if await logic.is_known(db, row.key):
            continue
        asked = dict(row.asked)
        name, path = asked.pop("name"), asked.pop("path")
        new = logic.NewModel(row.key, name, run=row.owner, experiment=run.experiment, **asked)
        own = [] if row.owner == run.id else [(run, logic.below(row.owner))]
        try:
            logic.check_name(name)
            await logic.copy_from_run(files, folders, [*own, (run, "")], row.key, path)
            await logic.register(db, files, new)
        except UserError as e:
            found.append(f"The model '{name}' was not registered: {e.message}")
    return found
