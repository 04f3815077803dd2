"""Rows of experiments, runs and what runs logged."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, bindparam, event, select
from sqlalchemy.orm import Mapped, mapped_column

from turnout.engine import timeline
from turnout.engine.timeline import Step
from turnout.service.db import Base, Session, now
from turnout.spec.runs import RunState

#: Types of runs, with v1's names: of a script, and of a program that logs by itself.
SCRIPT_RUN, INTERACTIVE_RUN = "azureml.scriptrun", "sdk"


class ExperimentRow(Base):
    __tablename__ = "experiments"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    tags: Mapped[dict[str, str | None]] = mapped_column(JSON, default=dict, server_default="{}")
    archived_at: Mapped[datetime | None]


class RunRow(Base):
    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_state", "state"),
        Index("ix_runs_experiment", "experiment", "number"),
        Index("ix_runs_parent", "parent"),
    )

    #: Counts all runs of the service; also the order of lists.
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    #: Made by the client; makes a repeated submit harmless.
    key: Mapped[str] = mapped_column(unique=True)
    experiment: Mapped[str] = mapped_column(ForeignKey("experiments.name"))
    display_name: Mapped[str]
    type: Mapped[str]
    target: Mapped[str]
    state: Mapped[str]
    message: Mapped[str] = mapped_column(default="")
    spec: Mapped[dict[str, Any]]
    snapshot: Mapped[str | None]
    tags: Mapped[dict[str, str | None]]
    properties: Mapped[dict[str, str]]
    parent: Mapped[str | None]
    description: Mapped[str] = mapped_column(default="", server_default="")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    attempt: Mapped[int] = mapped_column(default=1)
    #: What the target calls the attempt; None before the launch and after it was forgotten.
    handle: Mapped[str | None]
    #: Slices of the nodes that the run was given; empty while it waits for them, null where a
    #: target has no nodes to give.
    allocation: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    cancel_requested_at: Mapped[datetime | None]
    #: The cluster wants the run's nodes back.
    taken_back_at: Mapped[datetime | None]
    #: How often a node was lost under it.
    losses: Mapped[int] = mapped_column(default=0, server_default="0")
    #: Where the logs of this attempt begin in those of the run, in bytes by name.
    log_starts: Mapped[dict[str, int]] = mapped_column(JSON, server_default="{}")
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    warnings: Mapped[list[str]]
    #: Bytes of the record file that are in the database: moves in the same transaction.
    records_offset: Mapped[int] = mapped_column(default=0)
    #: Keys of the last records that came over HTTP: a repeated request adds nothing.
    record_keys: Mapped[list[str]]
    #: Raised by every write; a guarded apply names the one that it read.
    version: Mapped[int] = mapped_column(default=1)
    #: Steps on its way, the oldest first: {"state", "at" (ISO), "message", "attempt"}. Written by
    #: `note_step` with the row. The last column: others are found without reading it.
    history: Mapped[list[Any]] = mapped_column(JSON, default=list, server_default="[]")


@event.listens_for(RunRow, "before_insert")
@event.listens_for(RunRow, "before_update")
def note_step(mapper: object, connection: object, row: RunRow) -> None:
    """Whoever changes a run's row, what it went through is written in the same transaction."""
    state, attempt = RunState(row.state), row.attempt or 1
    at = row.ended_at if state.is_final else row.started_at if state is RunState.RUNNING else None
    why = (row.error or {}).get("message") if state.is_final else row.message
    held = row.history or []
    steps = [Step(row.state, at or now(), why or "", attempt)]
    running = RunState.RUNNING
    if row.started_at is not None and state.order > running.order and not went(held, row):
        # It ran while nobody looked.
        steps.insert(0, Step(running.value, row.started_at, attempt=attempt))
    history = held
    for step in steps:
        history = timeline.extended(history, step)
    if history != held:
        row.history = history


def went(history: list[Any], row: RunRow) -> bool:
    """Whether the attempt was seen running."""
    return any((e["state"], e["attempt"]) == ("running", row.attempt) for e in history)


def handle_of(row: RunRow, attempt: int | None = None) -> str:
    """What the target calls an attempt of the run (the newest), launched or not."""
    return f"{row.id}.{attempt or row.attempt}"


#: Built once: building a statement costs more than running it.
BY_ID = select(RunRow).where(RunRow.id == bindparam("run"))


async def by_id(session: Session, run: str) -> RunRow | None:
    """The run with this very id."""
    return await session.scalar(BY_ID, {"run": run})


class RecordRow(Base):
    """One logged value: metric, list, row, table, image or schema, as in the run folder."""

    __tablename__ = "records"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    run: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    kind: Mapped[str]
    name: Mapped[str]
    value: Mapped[dict[str, Any]]
    at: Mapped[datetime]
