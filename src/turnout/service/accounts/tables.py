"""Rows of browsers that are let in, and of links that let one in once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from turnout.service.db import Base


class SessionRow(Base):
    __tablename__ = "sessions"

    #: SHA-256 of the code that the browser holds: a copied database lets nobody in.
    key: Mapped[str] = mapped_column(primary_key=True)
    #: "link" until it was used, "session" after.
    kind: Mapped[str]
    #: The user, as the client that asked for the link named it.
    who: Mapped[str]
    expires_at: Mapped[datetime]
