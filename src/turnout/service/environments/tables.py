"""Rows of named environments, of logins at registries, and of the workspace's settings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from turnout.service.db import Base


class EnvironmentRow(Base):
    """One version of a named environment. Never changed once written."""

    __tablename__ = "environments"
    __table_args__ = (UniqueConstraint("name", "version"),)

    #: Also the order of versions: the highest is the newest.
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str]
    version: Mapped[str]
    #: `spec.definitions.EnvironmentDefinition`; holds no secret.
    definition: Mapped[dict[str, Any]]
    description: Mapped[str]
    tags: Mapped[dict[str, str]]
    created_at: Mapped[datetime]


class RegistryRow(Base):
    """A login at a registry of images. `sealed` is encrypted by the vault."""

    __tablename__ = "registries"

    id: Mapped[int] = mapped_column(primary_key=True)
    #: As image names begin with it: "registry.example.org:5000", "docker.io".
    address: Mapped[str] = mapped_column(unique=True)
    username: Mapped[str]
    sealed: Mapped[bytes]
    modified_at: Mapped[datetime]


class SettingRow(Base):
    """A setting of the workspace that somebody changed."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    modified_at: Mapped[datetime]
