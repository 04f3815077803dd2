"""Browsers that are let into the portal: by a link that works once, or by the token."""

from __future__ import annotations

import secrets
from datetime import timedelta
from hashlib import sha256

from sqlalchemy import delete, func, select

from turnout.service.accounts.tables import SessionRow
from turnout.service.db import Database, Session, now
from turnout.service.events import logic as events

LINK, SESSION = "link", "session"
LINK_LASTS = timedelta(minutes=5)
SESSION_LASTS = timedelta(days=30)


def key_of(code: str) -> str:
    return sha256(code.encode()).hexdigest()


class Sessions:
    """Codes that browsers hold; the database knows their digests only."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def make(self, kind: str, who: str) -> str:
        """A new code. Those that expired go."""
        code = secrets.token_urlsafe(32)
        lasts = LINK_LASTS if kind == LINK else SESSION_LASTS
        async with self.db.write() as session:
            await session.execute(delete(SessionRow).where(SessionRow.expires_at < now()))
            session.add(SessionRow(key=key_of(code), kind=kind, who=who, expires_at=now() + lasts))
            if kind == SESSION:
                await events.note(session, "signed in to", "portal", "portal", by=who)
        return code

    async def enter(self, link: str) -> str | None:
        """The code of a new session for a link's; None for one that was used or is too old."""
        async with self.db.write() as session:
            row = await self.find(session, LINK, link)
            if row is None:
                return None
            await session.delete(row)
        return await self.make(SESSION, row.who)

    async def who(self, code: str) -> str | None:
        """Whose session it is; None for one that is over, or never was."""
        async with self.db.read() as session:
            row = await self.find(session, SESSION, code)
        return None if row is None else row.who

    async def end(self, code: str) -> None:
        async with self.db.write() as session:
            await session.execute(delete(SessionRow).where(SessionRow.key == key_of(code)))

    async def any(self) -> bool:
        """Whether a browser may be there that would come back."""
        query = select(func.count()).where(
            SessionRow.kind == SESSION, SessionRow.expires_at > now()
        )
        async with self.db.read() as session:
            return bool(await session.scalar(query))

    @staticmethod
    async def find(session: Session, kind: str, code: str) -> SessionRow | None:
        query = select(SessionRow).where(
            SessionRow.key == key_of(code),
            SessionRow.kind == kind,
            SessionRow.expires_at > now(),
        )
        return await session.scalar(query)
