"""Rows of secrets."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from turnout.service.db import Base


class SecretRow(Base):
    """A secret under its name. `sealed` is encrypted by the vault."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    sealed: Mapped[bytes]
    modified_at: Mapped[datetime]
