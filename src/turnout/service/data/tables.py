"""Rows of registered datasets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from turnout.service.db import Base


class DatasetRow(Base):
    """One version of a dataset under its name."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    #: Made by the client; makes a repeated registration harmless.
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    version: Mapped[int]
    #: "file" or "tabular".
    kind: Mapped[str]
    #: {"sources": [{"datastore", "path"}], "definition": {..}}, as in `spec.data`.
    content: Mapped[dict[str, Any]]
    description: Mapped[str]
    tags: Mapped[dict[str, str]]
    created_at: Mapped[datetime]
