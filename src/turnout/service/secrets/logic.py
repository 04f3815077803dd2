"""Keeps secrets sealed; each is given out alone, by its name, and never in a list."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select

from turnout.service.accounts.vault import Vault
from turnout.service.db import Database, now
from turnout.service.events import logic as events
from turnout.service.secrets.tables import SecretRow
from turnout.spec.errors import NotFoundError, UserError
from turnout.spec.records import nearest

#: v1's rule for names in a key vault.
NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
LIMIT = 25_000


async def keep(db: Database, vault: Vault, name: str, value: str) -> dict[str, Any]:
    """Keep a secret; one of that name is replaced."""
    if not NAME.fullmatch(name):
        raise UserError(f"'{name}' cannot name a secret: use letters, digits and '-'.")
    if len(value) > LIMIT:
        raise UserError(f"The secret '{name}' is longer than {LIMIT} characters.")
    async with db.write() as session:
        row = await session.scalar(select(SecretRow).where(SecretRow.name == name))
        if row is None:
            row = SecretRow(name=name)
            session.add(row)
        row.sealed, row.modified_at = vault.seal({"value": value}), now()
        await session.flush()
        await events.note(session, "set", "secret", name)
        return view(row)


async def reveal(db: Database, vault: Vault, name: str) -> str:
    async with db.read() as session:
        row = await session.scalar(select(SecretRow).where(SecretRow.name == name))
        if row is None:
            raise await unknown(session, name)
    return vault.open(row.sealed)["value"]


async def list_all(db: Database) -> list[dict[str, Any]]:
    async with db.read() as session:
        return [view(r) for r in await session.scalars(select(SecretRow).order_by(SecretRow.name))]


async def forget(db: Database, name: str) -> None:
    async with db.write() as session:
        row = await session.scalar(select(SecretRow).where(SecretRow.name == name))
        if row is None:
            raise await unknown(session, name)
        await session.delete(row)
        await events.note(session, "deleted", "secret", name)


async def unknown(session: Any, name: str) -> NotFoundError:
    known = list(await session.scalars(select(SecretRow.name)))
    return NotFoundError(f"There is no secret '{name}'{nearest(name, known)}.")


def view(row: SecretRow) -> dict[str, Any]:
    return {"name": row.name, "modified_at": row.modified_at.isoformat()}
