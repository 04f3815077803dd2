"""Rows of what people did."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from turnout.service.db import Base


class EventRow(Base):
    """One act of a person: "ana attached the target lab"."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    #: As the client named its user; "" for what the service did by itself.
    who: Mapped[str]
    #: "attached", "canceled" …
    action: Mapped[str]
    #: "target", "run", "quota" …
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(index=True)
