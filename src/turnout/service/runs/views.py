"""What the outside sees of a run's row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from turnout.service.runs.tables import RunRow
from turnout.spec.runs import RunState, v1_status


def stamp(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def run_view(row: RunRow) -> dict[str, Any]:
    """The run as docs/design/http-api.md says."""
    cancel = row.cancel_requested_at is not None
    return {
        "id": row.id,
        "number": row.number,
        "version": row.version,
        "experiment": row.experiment,
        "display_name": row.display_name,
        "description": row.description,
        "type": row.type,
        "state": row.state,
        "status": v1_status(RunState(row.state), cancel_requested=cancel),
        "message": row.message,
        "target": row.target,
        "spec": row.spec,
        "snapshot": row.snapshot,
        "tags": row.tags,
        "properties": row.properties,
        "parent": row.parent,
        "created_at": stamp(row.created_at),
        "started_at": stamp(row.started_at),
        "ended_at": stamp(row.ended_at),
        "attempt": row.attempt,
        "cancel_requested": cancel,
        "error": row.error,
        "warnings": row.warnings,
    }


def run_details(row: RunRow) -> dict[str, Any]:
    """The view of one run, with its history: too long for lists."""
    return {**run_view(row), "history": row.history}
