"""Rows of nodes and of what happened to clusters."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index
from sqlalchemy.orm import Mapped, mapped_column

from turnout.service.db import Base


class NodeRow(Base):
    __tablename__ = "nodes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    #: Name of the cluster's target.
    cluster: Mapped[str] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(unique=True)
    #: `turnout.spec.clusters.NodeState`.
    state: Mapped[str]
    #: The run that has it.
    run: Mapped[str | None]
    cores: Mapped[list[Any]] = mapped_column(JSON)
    memory_mb: Mapped[int]
    gpus: Mapped[list[Any]] = mapped_column(JSON)
    #: When it came into this state.
    since: Mapped[datetime]


class ClusterEventRow(Base):
    """For a person: "Grew by 2 nodes: 2 runs wait"."""

    __tablename__ = "cluster_events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    cluster: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    text: Mapped[str]


class NodeCountRow(Base):
    """How many nodes a cluster had from a moment on."""

    __tablename__ = "node_counts"
    __table_args__ = (Index("ix_node_counts_cluster", "cluster", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    cluster: Mapped[str]
    at: Mapped[datetime]
    busy: Mapped[int]
    idle: Mapped[int]
    #: Starting, preparing, leaving or unusable.
    changing: Mapped[int]
    #: Runs that wait for nodes.
    waiting: Mapped[int]
