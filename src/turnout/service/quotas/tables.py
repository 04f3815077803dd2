"""Rows of quotas that somebody set; the others are at their defaults."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from turnout.service.db import Base


class QuotaRow(Base):
    __tablename__ = "quotas"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]
