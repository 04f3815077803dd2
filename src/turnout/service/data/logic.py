"""Datasets: registered under a name, checked against the datastores. No HTTP here."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from turnout.service.data.stores import STORES, DataStores
from turnout.service.data.tables import DatasetRow
from turnout.service.db import Database, Session, now
from turnout.service.environments import config
from turnout.service.events import logic as events
from turnout.spec.data import DataSource, check_dataset_name
from turnout.spec.errors import ConflictError, NotFoundError, UserError
from turnout.spec.records import from_dict, nearest, to_dict
from turnout.spec.runs import RunSpec

DEFAULT = "data.default_datastore"
KINDS = ("file", "tabular")


@dataclass(frozen=True)
class NewDataset:
    """A request to register a dataset."""

    key: str
    name: str
    kind: str
    sources: list[dict[str, Any]]
    definition: dict[str, Any] = field(default_factory=dict[str, Any])
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Another version when the name is there; else that is an error, unless it says the same.
    create_new_version: bool = False


async def default_store(db: Database) -> str:
    """The datastore that is meant when none is named."""
    found = await config.value(db, DEFAULT)
    return found if found in STORES else next(iter(STORES))


def sources_of(given: Iterable[Mapping[str, Any]]) -> tuple[DataSource, ...]:
    return tuple(from_dict(DataSource, source, "The source") for source in given)


async def register(db: Database, stores: DataStores, new: NewDataset) -> dict[str, Any]:
    """Keep a dataset under its name. Raises `UserError` for one without a file."""
    check_dataset_name(new.name)
    if new.kind not in KINDS:
        raise UserError(f"A dataset is of kind {' or '.join(KINDS)}, not '{new.kind}'.")
    sources = sources_of(new.sources)
    if not sources:
        raise UserError(f"The dataset '{new.name}' has no files.")
    for source in sources:
        await asyncio.to_thread(stores.match, source)
    content = {"sources": [to_dict(s) for s in sources], "definition": new.definition}
    async with db.write() as session:
        known = await session.scalar(select(DatasetRow).where(DatasetRow.key == new.key))
        if known is not None:
            return view(known)
        last = await newest(session, new.name)
        if last is not None and (last.kind, last.content) == (new.kind, content):
            last.description = new.description or last.description
            last.tags = {**last.tags, **new.tags}
            return view(last)
        if last is not None and not new.create_new_version:
            raise ConflictError(
                f"There is a dataset '{new.name}' already, with other files: say "
                "create_new_version=True to register this as its next version."
            )
        row = DatasetRow(
            id=secrets.token_hex(16),
            key=new.key,
            name=new.name,
            version=1 if last is None else last.version + 1,
            kind=new.kind,
            content=content,
            description=new.description,
            tags=dict(new.tags),
            created_at=now(),
        )
        session.add(row)
        await session.flush()
        await events.note(session, "registered", "dataset", f"{row.name}:{row.version}")
        return view(row)


async def newest(session: Session, name: str) -> DatasetRow | None:
    query = select(DatasetRow).where(DatasetRow.name == name)
    return await session.scalar(query.order_by(DatasetRow.version.desc()).limit(1))


async def get(db: Database, name: str, version: int | None = None) -> dict[str, Any]:
    """A dataset by its id, or by its name: the newest version, or the one asked for."""
    async with db.read() as session:
        if version is None:
            row = await newest(session, name)
            row = row or await session.scalar(select(DatasetRow).where(DatasetRow.id == name))
        else:
            query = select(DatasetRow).where(
                DatasetRow.name == name, DatasetRow.version == version
            )
            row = await session.scalar(query)
        if row is not None:
            return view(row)
        last = await newest(session, name)
        if last is not None:
            raise NotFoundError(
                f"The dataset '{name}' has no version {version}; its newest is {last.version}."
            )
        known = list(await session.scalars(select(DatasetRow.name).distinct()))
    raise NotFoundError(f"There is no dataset '{name}'{nearest(name, known)}.")


async def versions(db: Database, name: str) -> list[int]:
    """The newest first; raises `NotFoundError`."""
    query = select(DatasetRow.version).where(DatasetRow.name == name)
    async with db.read() as session:
        found = list(await session.scalars(query.order_by(DatasetRow.version.desc())))
    if not found:
        await get(db, name)
    return found


async def list_all(db: Database) -> list[dict[str, Any]]:
    """The newest version of each, by name."""
    last = (
        select(DatasetRow.name, func.max(DatasetRow.version).label("version"))
        .group_by(DatasetRow.name)
        .subquery()
    )
    query = select(DatasetRow).join(
        last, (last.c.name == DatasetRow.name) & (last.c.version == DatasetRow.version)
    )
    async with db.read() as session:
        return [view(row) for row in await session.scalars(query.order_by(DatasetRow.name))]


async def change(
    db: Database, name: str, description: str | None, tags: Mapping[str, str] | None
) -> dict[str, Any]:
    """What a person says of the dataset's newest version."""
    async with db.write() as session:
        row = await newest(session, name)
        if row is None:
            raise NotFoundError(f"There is no dataset '{name}'.")
        row.description = row.description if description is None else description
        row.tags = row.tags if tags is None else dict(tags)
        await events.note(session, "changed", "dataset", name)
        return view(row)


async def forget(db: Database, name: str) -> None:
    """All versions; the files stay where they are."""
    async with db.write() as session:
        rows = list(await session.scalars(select(DatasetRow).where(DatasetRow.name == name)))
        if not rows:
            raise NotFoundError(f"There is no dataset '{name}'.")
        for row in rows:
            await session.delete(row)
        await events.note(session, "forgot", "dataset", name)


def view(row: DatasetRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "kind": row.kind,
        "sources": row.content["sources"],
        "definition": row.content["definition"],
        "description": row.description,
        "tags": row.tags,
        "created_at": row.created_at.isoformat(),
    }


def check_run(stores: DataStores, spec: RunSpec) -> None:
    """Raise `UserError` for data that a run asks for and that is not there."""
    for item in spec.inputs:
        for source in item.sources:
            if item.kind == "reference":
                # A place: it may still be empty.
                stores.path(source.datastore, source.path)
            else:
                stores.match(source)
    for output in spec.outputs:
        if output.datastore:
            stores.root(output.datastore)
        if output.register_name:
            check_dataset_name(output.register_name)
