"""Rows of targets. `config` holds no secret; those are in `secrets`, encrypted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from turnout.service.db import Base


class TargetRow(Base):
    __tablename__ = "targets"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    config: Mapped[dict[str, Any]]
    secrets: Mapped[bytes]
    provisioning_state: Mapped[str]
    #: `{"errors": [{"code", "message", "fix"}]}`
    provisioning_errors: Mapped[dict[str, Any]]
    tags: Mapped[dict[str, str]]
    description: Mapped[str]
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]
