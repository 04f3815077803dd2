"""Takes what scripts log into the database: each record once, children as runs of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from turnout.payload.metrics import fold_metrics
from turnout.payload.rundir import HANDLE
from turnout.service.db import Session, now
from turnout.service.models import requests as model_requests
from turnout.service.runs.tables import RecordRow, RunRow, by_id
from turnout.spec.runs import RunState

VALUES = frozenset({"metric", "list", "row", "table", "image", "schema"})
#: A script cannot flood the run's row: further warnings are dropped.
WARNINGS_LIMIT = 20


def parse(data: bytes) -> tuple[list[dict[str, Any]], int, int]:
    """(records, bytes of the complete lines, lines that are no record)."""
    end = data.rfind(b"\n") + 1
    found: list[dict[str, Any]] = []
    bad = 0
    for line in data[:end].splitlines():
        try:
            record = json.loads(line)
            if b"\\ud" in line:
                record = encodable(record)
        except ValueError:
            record = None
        if isinstance(record, dict) and isinstance(record.get("t"), str):
            found.append(record)
        elif line.strip():
            bad += 1
    return found, end, bad


def encodable(value: Any) -> Any:
    """`value` with "?" for what UTF-8 cannot say: names of files may be any bytes."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


async def absorb(
    session: Session, run: RunRow, records: Iterable[dict[str, Any]], bad: int = 0
) -> set[str]:
    """Apply records to `run` and its children in `session`; return the ids of changed runs."""
    rows = {run.id: run}
    for record in records:
        owner = str(record.get("run") or run.id)
        row = rows.get(owner)
        if row is None:
            row = await by_id(session, owner) if owner.startswith(f"{run.id}_") else None
        if row is None:
            warn(run, f"A record names run '{owner}', which is no child of this run.")
            continue
        rows[owner] = row
        try:
            child = apply(session, row, record)
            if record["t"] == "model":
                await model_requests.note(session, run, row.id, record)
        except (TypeError, ValueError, KeyError, AttributeError) as e:
            warn(run, f"A record of kind '{record['t']}' was not understood: {e!r}.")
            continue
        if child is not None and child.id not in rows:
            known = await by_id(session, child.id)
            if known is None:
                session.add(child)
                # Its row must stand before rows that refer to it.
                await session.flush()
            rows[child.id] = known or child
    if bad:
        warn(run, f"{bad} lines of the record file are not records.")
    for row in rows.values():
        row.version += 1
    return set(rows)


def warn(run: RunRow, text: str) -> None:
    if len(run.warnings) < WARNINGS_LIMIT and text not in run.warnings:
        run.warnings = [*run.warnings, text]


def apply(session: Session, row: RunRow, record: dict[str, Any]) -> RunRow | None:
    """One record; a child that begins is returned, not added."""
    kind = record["t"]
    at = datetime.fromtimestamp(float(record.get("at") or now().timestamp()), timezone.utc)
    if kind in VALUES:
        value = {k: v for k, v in record.items() if k not in ("t", "at", "run", "name")}
        session.add(RecordRow(run=row.id, kind=kind, name=str(record["name"]), value=value, at=at))
    elif kind == "tags":
        removed: list[str] = record.get("remove") or []
        kept = {k: v for k, v in row.tags.items() if k not in removed}
        row.tags = {**kept, **(record.get("set") or {})}
    elif kind == "properties":
        # The script refused changes already; here the first value stands.
        row.properties = {**(record.get("add") or {}), **row.properties}
    elif kind == "warning":
        warn(row, str(record["text"]))
    elif kind == "display_name":
        row.display_name = str(record["value"])
    elif kind == "description":
        row.description = str(record["value"])
    elif kind == "state":
        apply_state(row, record, at)
    elif kind == "child":
        return child_of(row, record, at)
    elif kind not in ("file", "model"):
        raise ValueError(kind)
    return None


def apply_state(row: RunRow, record: dict[str, Any], at: datetime) -> None:
    state = RunState(record["state"])
    error = record.get("error")
    if row.type == "azureml.scriptrun":
        # The end of a script run is what its exit says; `run.fail()` leaves its reason for then.
        if state is RunState.FAILED:
            row.error = {"code": "script_failed", "message": text_of(error), "exit_code": None}
        return
    if RunState(row.state).is_final or state.order < RunState(row.state).order:
        return
    row.state = state.value
    if state is RunState.RUNNING and row.started_at is None:
        row.started_at = at
    if state.is_final:
        row.ended_at = at
    if state is RunState.FAILED:
        row.error = {"code": "script_failed", "message": text_of(error), "exit_code": None}


def text_of(error: object) -> str:
    if isinstance(error, dict):
        error = error.get("message") or error
    return str(error or "The script said that the run failed.")


def child_of(parent: RunRow, record: dict[str, Any], at: datetime) -> RunRow:
    identity = str(record["id"])
    if not identity.startswith(f"{parent.id}_") or not HANDLE.fullmatch(identity):
        raise ValueError(f"{identity!r} cannot be the id of a child of {parent.id}")
    return RunRow(
        id=identity,
        key=identity,
        experiment=parent.experiment,
        display_name=str(record.get("name") or identity),
        type="sdk",
        target=parent.target,
        state=RunState.RUNNING.value,
        message="",
        spec={},
        snapshot=None,
        tags=record.get("tags") or {},
        properties={},
        parent=parent.id,
        created_at=at,
        started_at=at,
        warnings=[],
        attempt=1,
        records_offset=0,
        record_keys=[],
        version=1,
    )


def summarise(rows: Iterable[tuple[str, str, dict[str, Any]]]) -> dict[str, Any]:
    """Metrics as `Run.get_metrics` shows them, also in the script."""
    return fold_metrics({"t": kind, "name": name, **value} for kind, name, value in rows)
