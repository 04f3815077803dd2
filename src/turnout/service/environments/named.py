"""Named environments: register, list, get. Versions never change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from turnout.service.db import Database, Session, now
from turnout.service.environments import curated
from turnout.service.environments.curated import Curated
from turnout.service.environments.tables import EnvironmentRow
from turnout.service.events import logic as events
from turnout.spec.definitions import EnvironmentDefinition
from turnout.spec.errors import ConflictError, NotFoundError, UserError
from turnout.spec.records import from_dict, nearest, to_dict
from turnout.spec.runs import NAME, check_name

#: Registrations of one name at the same moment that are put up with.
TRIES = 5


@dataclass(frozen=True)
class NewEnvironment:
    """A request to register."""

    name: str
    definition: Mapping[str, Any]
    #: None: the newest one again if it is the same, else the next number.
    version: str | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


async def register(db: Database, new: NewEnvironment) -> tuple[dict[str, Any], bool]:
    """(what is kept, whether it is new). What the newest version says already is that version;
    so is a version that is asked for by its number and says the same."""
    check_name("an environment", new.name)
    if curated.is_reserved(new.name):
        raise ConflictError(
            f"'{new.name}' names a curated environment. Register yours under another name."
        )
    if new.version is not None and not NAME.fullmatch(new.version):
        raise UserError(f"'{new.version}' cannot be a version; write it like '1' or '2025-01'.")
    definition = from_dict(EnvironmentDefinition, new.definition, "The environment")
    definition.to_spec()
    plain = to_dict(definition)
    for left in reversed(range(TRIES)):
        try:
            return await write(db, new, plain)
        except IntegrityError:
            # On a database server, where writers do not queue: another took the number.
            if not left:
                raise
    raise AssertionError("unreachable")


async def write(
    db: Database, new: NewEnvironment, plain: dict[str, Any]
) -> tuple[dict[str, Any], bool]:
    async with db.write() as session:
        if new.version is None:
            same = await newest(session, new.name)
        else:
            same = await version_of(session, new.name, new.version)
        if same is not None and same.definition == plain:
            return view(same, await versions(session, new.name)), False
        if same is not None and new.version is not None:
            raise ConflictError(
                f"Version '{new.version}' of '{new.name}' is there already and says something "
                "else; versions never change. Leave the version out to get the next one."
            )
        taken = await versions(session, new.name)
        row = EnvironmentRow(
            name=new.name,
            version=new.version or next_version(taken),
            definition=plain,
            description=new.description,
            tags=dict(new.tags),
            created_at=now(),
        )
        session.add(row)
        await session.flush()
        await events.note(session, "registered", "environment", f"{row.name}:{row.version}")
        return view(row, [row.version, *taken]), True


def next_version(taken: list[str]) -> str:
    """
    >>> next_version([]), next_version(["2025-01", "2", "1"])
    ('1', '3')
    """
    return str(max((int(v) for v in taken if v.isdigit()), default=0) + 1)


async def get(db: Database, name: str, version: str | None = None) -> dict[str, Any]:
    """One version, the newest by default. v1's curated names give ours of their family."""
    found = curated.find(name)
    if found is not None:
        # Which version v1 had of it says nothing here.
        if name in curated.CURATED and version not in (None, found.version):
            raise NotFoundError(
                f"The curated environment '{name}' has the version {found.version} only, not "
                f"'{version}'."
            )
        return curated_view(name, found)
    async with db.read() as session:
        known = await versions(session, name)
        if version is None:
            row = await newest(session, name)
        else:
            row = await version_of(session, name, version)
        if row is not None:
            return view(row, known)
        if known:
            raise NotFoundError(
                f"The environment '{name}' has no version '{version}'"
                f"{nearest(str(version), known)}; it has {', '.join(known[:10])}."
            )
        names = [*curated.CURATED, *await session.scalars(select(EnvironmentRow.name).distinct())]
    raise NotFoundError(
        f"There is no environment '{name}'{nearest(name, names)}. There are: "
        f"{', '.join(sorted(names))}."
    )


async def list_all(db: Database) -> list[dict[str, Any]]:
    """The newest version of each, by name; then the curated ones."""
    last = select(func.max(EnvironmentRow.id)).group_by(EnvironmentRow.name)
    query = select(EnvironmentRow).where(EnvironmentRow.id.in_(last)).order_by(EnvironmentRow.name)
    pairs = select(EnvironmentRow.name, EnvironmentRow.version).order_by(EnvironmentRow.id.desc())
    known: dict[str, list[str]] = {}
    async with db.read() as session:
        for name, version in (await session.execute(pairs)).all():
            known.setdefault(name, []).append(version)
        rows = list(await session.scalars(query))
    return [
        *(view(row, known[row.name]) for row in rows),
        *(curated_view(name, found) for name, found in curated.CURATED.items()),
    ]


async def newest(session: Session, name: str) -> EnvironmentRow | None:
    query = select(EnvironmentRow).where(EnvironmentRow.name == name)
    return await session.scalar(query.order_by(EnvironmentRow.id.desc()).limit(1))


async def version_of(session: Session, name: str, version: str) -> EnvironmentRow | None:
    return await session.scalar(
        select(EnvironmentRow).where(
            EnvironmentRow.name == name, EnvironmentRow.version == version
        )
    )


async def versions(session: Session, name: str) -> list[str]:
    """The newest first."""
    query = select(EnvironmentRow.version).where(EnvironmentRow.name == name)
    return list(await session.scalars(query.order_by(EnvironmentRow.id.desc())))


def view(row: EnvironmentRow, known: list[str]) -> dict[str, Any]:
    return {
        "name": row.name,
        "version": row.version,
        "versions": known,
        "definition": row.definition,
        "description": row.description,
        "tags": row.tags,
        "curated": False,
        "created_at": row.created_at.isoformat(),
    }


def curated_view(name: str, found: Curated) -> dict[str, Any]:
    return {
        "name": name,
        "version": found.version,
        "versions": [found.version],
        "definition": to_dict(found.definition),
        "description": found.description,
        "tags": {},
        "curated": True,
        "created_at": None,
    }
