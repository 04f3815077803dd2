"""Rows of models, and of models that scripts asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from turnout.service.db import Base


class ModelRow(Base):
    """One version of a model. A deleted one keeps its row, so that no number comes twice."""

    __tablename__ = "models"
    __table_args__ = (
        UniqueConstraint("name", "version"),
        Index("ix_models_run", "run"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    #: Made by the client; makes a repeated request harmless, and names the folder of the files.
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    version: Mapped[int]
    description: Mapped[str]
    tags: Mapped[dict[str, str | None]]
    properties: Mapped[dict[str, str | None]]
    framework: Mapped[str | None]
    framework_version: Mapped[str | None]
    run: Mapped[str | None]
    experiment: Mapped[str | None]
    #: Bytes by the name of the file.
    files: Mapped[dict[str, int]] = mapped_column(JSON)
    #: What is kept as it was said: datasets, sample data, resources.
    details: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class ModelRequestRow(Base):
    """A model that a script asked for; made when the files of its run are here."""

    __tablename__ = "model_requests"

    #: The same run, name and path are one request, however many processes and attempts ask.
    key: Mapped[str] = mapped_column(primary_key=True)
    #: The script's run, and the run (it or its child) whose model it is.
    run: Mapped[str] = mapped_column(index=True)
    owner: Mapped[str]
    asked: Mapped[dict[str, Any]]
