"""What may be done with models: register, list, change, delete."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from turnout.service.db import Database, Session, now
from turnout.service.events import logic as events
from turnout.service.models.files import ModelFiles
from turnout.service.models.tables import ModelRow
from turnout.service.runs.folders import FILES, LOGS, RunFolders
from turnout.service.runs.tables import SCRIPT_RUN, RunRow, by_id
from turnout.spec.errors import ConflictError, ModelNotFoundError, NotFoundError, UserError
from turnout.spec.records import nearest

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
#: Names that an error lists when nothing is similar.
SHOWN = 5


@dataclass(frozen=True)
class NewModel:
    """What a model is to be, its files left out."""

    key: str
    name: str
    description: str = ""
    tags: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    properties: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    framework: str | None = None
    framework_version: str | None = None
    run: str | None = None
    experiment: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


async def register(db: Database, files: ModelFiles, new: NewModel) -> tuple[ModelRow, bool]:
    """(row, whether it is new) of a model whose files lie under its key. The same key gives the
    same version. Raises `UserError` when there is nothing under the key."""
    check_name(new.name)
    sizes = await asyncio.to_thread(files.sizes, new.key)
    async with db.write() as session:
        known = await session.scalar(select(ModelRow).where(ModelRow.key == new.key))
        if known is not None:
            return known, False
        if not sizes:
            raise UserError(f"The model '{new.name}' has no files: send them, then register it.")
        newest = select(func.max(ModelRow.version)).where(ModelRow.name == new.name)
        row = ModelRow(
            key=new.key,
            name=new.name,
            version=(await session.scalar(newest) or 0) + 1,
            description=new.description,
            tags=dict(new.tags),
            properties=dict(new.properties),
            framework=new.framework,
            framework_version=new.framework_version,
            run=new.run,
            experiment=new.experiment,
            files=sizes,
            details=dict(new.details),
            created_at=now(),
            modified_at=now(),
            deleted_at=None,
        )
        session.add(row)
        await session.flush()
        await events.note(session, "registered", "model", f"{row.name}:{row.version}")
    return row, True


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot name a model: use letters, digits, '-', '_' and '.', at most 255 "
            "characters, and begin with none of '-' and '.'."
        )


#: A run, and where among its files to look.
Place = tuple[RunRow, str]


async def places_of(db: Database, run: RunRow) -> list[Place]:
    """Where files of the run may lie. What a child uploaded in a script came with the script's."""
    found = [(run, "")]
    async with db.read() as session:
        row: RunRow | None = run
        while row is not None and row.parent and row.type != SCRIPT_RUN:
            row = await by_id(session, row.parent)
    return [*found, (row, below(run.id))] if row is not None and row is not run else found


def below(child: str) -> str:
    """Where the files of a script's child lie among those of its run."""
    return f"children/{child}/"


async def copy_from_run(
    files: ModelFiles, folders: RunFolders, places: list[Place], key: str, path: str
) -> None:
    """Copy a file or folder of the run under the key, from the first place that has it. Raises
    `NotFoundError` with similar names when none has."""

    def copy() -> None:
        for (run, base), part in itertools.product(places, (FILES, LOGS)):
            found = chosen(folders.sizes(run.id, part), base, path)
            if found:
                sources = {n: folders.path(run.id, part, s) for n, s in found.items()}
                # Files take their names when they are whole; logs grow.
                files.copy(key, sources, may_link=part == FILES)
                return
        run, base = places[-1]
        names = [n[len(base) :] for n in folders.sizes(run.id, FILES) if n.startswith(base)]
        raise NotFoundError(
            f"Run {places[0][0].id} has no file or folder '{path}'{similar(path, names)}."
        )

    await asyncio.to_thread(copy)


def chosen(names: Iterable[str], base: str, path: str) -> dict[str, str]:
    """The run's files that `path` names, by what the model calls them: beginning with the last
    part of the path, as v1 does.

    >>> chosen(["outputs/m/a", "outputs/mm"], "", "outputs/m/")
    {'m/a': 'outputs/m/a'}
    """
    parts = [p for p in path.replace("\\", "/").split("/") if p not in ("", ".")]
    whole = base + "/".join(parts)
    start = len(whole) - len(parts[-1]) if parts else 0
    return {n[start:]: n for n in names if parts and (n == whole or n.startswith(whole + "/"))}


def similar(path: str, names: list[str]) -> str:
    """What the run has instead, for an error."""
    if not names:
        return "; it has no files"
    folders = {n.rpartition("/")[0] for n in names} - {""}
    by_base = [n for n in names if n.rpartition("/")[2] == path.rpartition("/")[2]]
    found = nearest(path, [*names, *sorted(folders)])
    if by_base or not found:
        shown = (by_base or names)[:SHOWN]
        return f"; it has {', '.join(shown)}{' and others' if len(names) > len(shown) else ''}"
    return found


async def find(session: Session, name: str, version: int | None = None) -> ModelRow:
    """The version asked for, else the newest. Raises `ModelNotFoundError`."""
    query = select(ModelRow).where(ModelRow.name == name, ModelRow.deleted_at.is_(None))
    rows = list(await session.scalars(query.order_by(ModelRow.version.desc())))
    if not rows:
        there = select(ModelRow.name).where(ModelRow.deleted_at.is_(None)).distinct()
        known = list(await session.scalars(there))
        raise ModelNotFoundError(
            f"ModelNotFound: there is no model '{name}' in the workspace{nearest(name, known)}. "
            "`turnout model list` shows what there is."
        )
    if version is None:
        return rows[0]
    for row in rows:
        if row.version == version:
            return row
    raise ModelNotFoundError(
        f"ModelNotFound: the model '{name}' has no version {version}; it has "
        f"{', '.join(str(row.version) for row in rows[:SHOWN])}"
        f"{' and older ones' if len(rows) > SHOWN else ''}."
    )


async def is_known(db: Database, key: str) -> bool:
    """Whether this registration was done, even if its model was deleted since."""
    async with db.read() as session:
        return await session.scalar(select(ModelRow.id).where(ModelRow.key == key)) is not None


async def get(db: Database, name: str, version: int | None = None) -> ModelRow:
    async with db.read() as session:
        return await find(session, name, version)


@dataclass(frozen=True)
class Filter:
    """Which models to list; empty fields do not restrict. Tags and properties: "name", or
    "name=value"; all must hold."""

    name: str | None = None
    tag: tuple[str, ...] = ()
    property: tuple[str, ...] = ()
    run: str | None = None
    framework: str | None = None
    latest: bool = False


async def list_all(db: Database, wanted: Filter) -> list[ModelRow]:
    """The newest first. `latest`: of what fits, one version for each name."""
    query = select(ModelRow).where(ModelRow.deleted_at.is_(None)).order_by(ModelRow.id.desc())
    for column, value in (
        (ModelRow.name, wanted.name),
        (ModelRow.run, wanted.run),
        (ModelRow.framework, wanted.framework),
    ):
        if value is not None:
            query = query.where(column == value)
    async with db.read() as session:
        rows = [
            row
            for row in await session.scalars(query)
            if has_all(row.tags, wanted.tag) and has_all(row.properties, wanted.property)
        ]
    if not wanted.latest:
        return rows
    newest: dict[str, ModelRow] = {}
    for row in rows:
        newest.setdefault(row.name, row)
    return list(newest.values())


def has_all(held: Mapping[str, str | None], wanted: Iterable[str]) -> bool:
    """
    >>> has_all({"a": "1", "b": None}, ["a=1", "b"]), has_all({"a": "1"}, ["a=2"])
    (True, False)
    """
    for text in wanted:
        name, has_value, value = text.partition("=")
        if name not in held or (has_value and held[name] != value):
            return False
    return True


@dataclass(frozen=True)
class Change:
    """Changes of a model. Properties are only added to."""

    set_tags: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    remove_tags: tuple[str, ...] = ()
    properties: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    description: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


async def change(db: Database, name: str, version: int, wanted: Change) -> ModelRow:
    async with db.write() as session:
        row = await find(session, name, version)
        for key, value in wanted.properties.items():
            if row.properties.get(key, value) != value:
                raise ConflictError(
                    f"Property '{key}' of the model {name}:{version} is "
                    f"'{row.properties[key]}' already; properties cannot be changed, tags can."
                )
        row.properties = {**row.properties, **wanted.properties}
        kept = {k: v for k, v in row.tags.items() if k not in wanted.remove_tags}
        row.tags = {**kept, **wanted.set_tags}
        row.description = row.description if wanted.description is None else wanted.description
        row.details = {**row.details, **wanted.details}
        row.modified_at = now()
        await events.note(session, "changed", "model", f"{row.name}:{row.version}")
        return row


async def delete(db: Database, files: ModelFiles, name: str, version: int) -> None:
    """The row is marked first: files without a living row go in the sweep at the latest."""
    async with db.write() as session:
        row = await find(session, name, version)
        row.deleted_at = now()
        await events.note(session, "deleted", "model", f"{row.name}:{row.version}")
    await asyncio.to_thread(files.remove, row.key)


async def sweep(db: Database, files: ModelFiles) -> None:
    """Remove the files of uploads that broke off, and of models that were deleted."""
    async with db.read() as session:
        living = select(ModelRow.key).where(ModelRow.deleted_at.is_(None))
        kept = set(await session.scalars(living))
    await asyncio.to_thread(files.sweep, kept)


def model_view(row: ModelRow) -> dict[str, Any]:
    """The model as docs/design/http-api.md says."""
    return {
        "id": f"{row.name}:{row.version}",
        "name": row.name,
        "version": row.version,
        "description": row.description,
        "tags": row.tags,
        "properties": row.properties,
        "framework": row.framework,
        "framework_version": row.framework_version,
        "run": row.run,
        "experiment": row.experiment,
        "files": [{"name": name, "size": size} for name, size in row.files.items()],
        "details": row.details,
        "created_at": row.created_at.isoformat(),
        "modified_at": row.modified_at.isoformat(),
    }
