"""Finds runs for a list: filters, words, order and pages, with light rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Float, Select, Text, case, cast, func, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from turnout.service.db import Database, now
from turnout.service.runs.tables import RunRow
from turnout.service.runs.views import stamp
from turnout.spec.errors import UserError
from turnout.spec.runs import RunState, v1_status

#: Rows of one page at most.
PAGE_LIMIT = 200
Where = ColumnElement[bool]


@dataclass(frozen=True)
class Search:
    """Which runs, in which order, which part of them; empty fields do not restrict.

    `tag` is "name" or "name=value". `text` is looked for in id, display name, experiment and tags,
    large and small letters alike (beyond ASCII as the database knows them). Without `parent` only
    top-level runs are found, with `include_children` all.

    Example: `Search(states=("failed",), text="lr", sort="duration", descending=True)`.
    """

    experiment: str | None = None
    states: tuple[str, ...] = ()
    target: str | None = None
    tag: str | None = None
    type: str | None = None
    text: str = ""
    parent: str | None = None
    include_children: bool = False
    #: One of `SORTS`.
    sort: str = "number"
    descending: bool = True
    #: Rows of the page.
    size: int = 50
    offset: int = 0


@dataclass(frozen=True)
class Page:
    """One page of what was found, and how many there are on all of them."""

    rows: list[dict[str, Any]]
    total: int


class Seconds(FunctionElement[float]):
    """Seconds between two moments; no database says it like another."""

    inherit_cache = True
    type = Float()


@compiles(Seconds, "sqlite")
def seconds_on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(julianday({end}) - julianday({start})) * 86400"


@compiles(Seconds)
def seconds_elsewhere(element: Any, compiler: Any, **options: Any) -> str:
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"EXTRACT(EPOCH FROM ({end} - {start}))"


def sort_columns() -> dict[str, Any]:
    """What a list may be sorted by. A run that has no such value yet comes last."""
    order = {state.value: i for i, state in enumerate(RunState)}
    moment = func.coalesce(RunRow.ended_at, now())
    return {
        "number": RunRow.number,
        "name": func.lower(RunRow.display_name),
        "experiment": func.lower(RunRow.experiment),
        "state": case(order, value=RunRow.state),
        "target": func.lower(RunRow.target),
        "started": RunRow.started_at,
        "duration": Seconds(RunRow.started_at, moment),
    }


SORTS = ("number", "name", "experiment", "state", "target", "started", "duration")

#: What a list shows: a spec, a history or records are not read for it.
COLUMNS = (
    RunRow.id,
    RunRow.number,
    RunRow.display_name,
    RunRow.experiment,
    RunRow.type,
    RunRow.target,
    RunRow.state,
    RunRow.message,
    RunRow.tags,
    RunRow.parent,
    RunRow.cancel_requested_at,
    RunRow.created_at,
    RunRow.started_at,
    RunRow.ended_at,
    RunRow.attempt,
    RunRow.error,
)


async def page(db: Database, search: Search) -> Page:
    """The page that was asked for. Raises `UserError` for a state or an order that is none."""
    where = conditions(search)
    column = sort_columns().get(search.sort)
    if column is None:
        raise UserError(f"Runs cannot be sorted by '{search.sort}': {', '.join(SORTS)}.")
    order = column.desc() if search.descending else column.asc()
    # Numbers first: sorting whole rows means to read them all.
    numbers = select(RunRow.number).where(*where)
    if search.sort != "number":
        numbers = numbers.order_by(order.nulls_last(), RunRow.number.desc())
    else:
        numbers = numbers.order_by(order)
    start = max(0, search.offset)
    size = max(1, min(search.size, PAGE_LIMIT))
    async with db.read() as session:
        if search.text.strip() or search.tag:
            # Looking into every row is what costs: once, for the page and the total.
            everything = list(await session.scalars(numbers))
            wanted, total = everything[start : start + size], len(everything)
        else:
            total = await session.scalar(select(func.count(RunRow.number)).where(*where))
            wanted = list(await session.scalars(numbers.limit(size).offset(start)))
        found = await session.execute(select(*COLUMNS).where(RunRow.number.in_(wanted)))
        rows = {row.number: row for row in found}
        count = select(RunRow.parent, func.count(RunRow.number)).group_by(RunRow.parent)
        ids = [row.id for row in rows.values()]
        children = await session.execute(count.where(RunRow.parent.in_(ids)))
        counts: dict[str, int] = dict(children.all())
    return Page([line(rows[n], counts) for n in wanted if n in rows], total or 0)


def line(row: Any, children: Mapping[str, int]) -> dict[str, Any]:
    """One row of the list, named as in a run's own view."""
    cancel = row.cancel_requested_at is not None
    return {
        "id": row.id,
        "number": row.number,
        "display_name": row.display_name,
        "experiment": row.experiment,
        "type": row.type,
        "target": row.target,
        "state": row.state,
        "status": v1_status(RunState(row.state), cancel_requested=cancel),
        "message": row.message,
        "tags": row.tags,
        "parent": row.parent,
        "cancel_requested": cancel,
        "created_at": stamp(row.created_at),
        "started_at": stamp(row.started_at),
        "ended_at": stamp(row.ended_at),
        "attempt": row.attempt,
        "error": (row.error or {}).get("message"),
        "children": children.get(row.id, 0),
    }


async def counts(db: Database, search: Search) -> dict[str, int]:
    """How many runs there are in each state; what `search` says of states does not matter."""
    where = conditions(search, states=False)
    query = select(RunRow.state, func.count(RunRow.number)).where(*where).group_by(RunRow.state)
    async with db.read() as session:
        found: dict[str, int] = dict((await session.execute(query)).all())
    return {state.value: found[state.value] for state in RunState if state.value in found}


async def choices(db: Database) -> dict[str, list[str]]:
    """`experiments` and `targets` that have runs, for the fields of a filter."""
    async with db.read() as session:
        return {
            "experiments": list(await session.scalars(names_in(RunRow.experiment))),
            "targets": list(await session.scalars(names_in(RunRow.target))),
        }


def names_in(column: Any) -> Select[Any]:
    return select(column).distinct().order_by(column)


def conditions(search: Search, *, states: bool = True) -> list[Where]:
    """What a run must be like."""
    found: list[Where] = []
    for column, value in (
        (RunRow.experiment, search.experiment),
        (RunRow.target, search.target),
        (RunRow.type, search.type),
        (RunRow.parent, search.parent),
    ):
        if value:
            found.append(column == value)
    if not search.parent and not search.include_children:
        found.append(RunRow.parent.is_(None))
    known = [state.value for state in RunState]
    for state in search.states:
        if state not in known:
            raise UserError(f"'{state}' is no state of a run: {', '.join(known)}.")
    if states and search.states:
        found.append(RunRow.state.in_(search.states))
    if search.tag:
        found.append(has_tag(search.tag))
    if search.text.strip():
        found.append(says(search.text.strip()))
    return found


def has_tag(text: str) -> Where:
    """Whether there is the tag "name", or "name=value"."""
    name, has_value, value = text.partition("=")
    if '"' in name or "\\" in name:
        # Cannot stand in a path of JSON.
        start = json.dumps({name: value})[1:-1] if has_value else f"{json.dumps(name)}:"
        return cast(RunRow.tags, Text).contains(start, autoescape=True)
    held = RunRow.tags[name].as_string()
    if has_value:
        return held == value
    # A tag may have no value.
    bare = json.dumps({name: None})[1:-1]
    return held.is_not(None) | cast(RunRow.tags, Text).contains(bare, autoescape=True)


def says(text: str) -> Where:
    wanted = text.lower()
    in_json = json.dumps(text)[1:-1].lower()
    return or_(
        func.lower(RunRow.id).contains(wanted, autoescape=True),
        func.lower(RunRow.display_name).contains(wanted, autoescape=True),
        func.lower(RunRow.experiment).contains(wanted, autoescape=True),
        func.lower(cast(RunRow.tags, Text)).contains(in_json, autoescape=True),
    )
