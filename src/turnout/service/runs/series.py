"""What a run logged, for charts and tables: numbers as series, thinned to what a screen shows."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from turnout.payload.values import FLOAT_KEY, decode
from turnout.service.db import Database, Session
from turnout.service.runs.logic import find
from turnout.service.runs.tables import RecordRow

#: Points of a series, when nobody says otherwise: more than a chart has pixels side by side.
POINTS = 1000
#: Records read in one go: about 20 ms.
PART = 5000
NUMBERS = ("metric", "row")
#: Names whose newest value is told.
VALUES = 500
OTHERS = ("list", "table", "row", "image", "schema")


@dataclass
class Series:
    """The numbers of one metric in the order in which they were logged. What is no number (also
    NaN) is None, so that it is a gap in a chart."""

    #: Positions among all values; steps, None where none was given; seconds since the epoch.
    index: list[int] = field(default_factory=list[int])
    step: list[int] | None = None
    time: list[float] = field(default_factory=list[float])
    value: list[float | None] = field(default_factory=list["float | None"])

    def add(self, value: float | None, step: int | None, time: float) -> None:
        if step is not None and self.step is None:
            self.step = list(self.index)
        if self.step is not None:
            self.step.append(len(self.value) if step is None else step)
        self.index.append(len(self.value))
        self.time.append(time)
        self.value.append(value)

    def plain(self, points: int) -> dict[str, Any]:
        """For JSON: at most about `points` of the values, and what all of them come to."""
        known = [v for v in self.value if v is not None]
        kept = thinned(self.value, points)
        return {
            "index": [self.index[i] for i in kept],
            "step": None if self.step is None else [self.step[i] for i in kept],
            "time": [self.time[i] for i in kept],
            "value": [self.value[i] for i in kept],
            "count": len(self.value),
            "last": self.value[-1],
            "min": min(known, default=None),
            "max": max(known, default=None),
        }


def thinned(values: Sequence[float | None], points: int) -> list[int]:
    """Which values to keep so that a chart of them looks the same: the first, the last, and of
    each stretch the least and the greatest.

    >>> thinned([0, 5, 1, 1, -3, 1, 1, 2], 4)
    [0, 1, 4, 7]
    """
    count = len(values)
    if count <= max(points, 2):
        return list(range(count))
    kept = {0, count - 1}
    stretches = max(points // 2, 1)
    for number in range(stretches):
        stretch = range(number * count // stretches, (number + 1) * count // stretches)
        known = [i for i in stretch if values[i] is not None]
        if known:
            kept.add(min(known, key=lambda i: values[i] or 0.0))
            kept.add(max(known, key=lambda i: values[i] or 0.0))
        else:
            kept.add(stretch[0])
    return sorted(kept)


def is_number(value: Any) -> bool:
    """Whether a logged value is one, NaN and the infinities too, which JSON has not."""
    return isinstance(value, (int, float)) or (isinstance(value, dict) and FLOAT_KEY in value)


def number_of(value: Any) -> float | None:
    """A number that can be drawn; None for NaN and the infinities.

    >>> number_of(2), number_of({"$float": "NaN"}), number_of(True)
    (2, None, 1)
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)) and math.isfinite(value):
        return value
    return None


async def series(
    db: Database, run: str, names: Sequence[str] = (), points: int = POINTS
) -> dict[str, dict[str, Any]]:
    """Name → series of the run's numbers; `names` restricts. A column of `log_row` is a series
    "name.column". Texts are no series."""
    found: dict[str, Series] = {}
    for number, (kind, name, value, at) in enumerate(await records(db, run, NUMBERS, names)):
        if number % PART == PART - 1:
            await asyncio.sleep(0)
        time = at.timestamp()
        cells = value["value"].items() if kind == "row" else [("", value["value"])]
        for column, cell in cells:
            if is_number(cell):
                key = f"{name}.{column}" if kind == "row" else name
                step = value.get("step")
                found.setdefault(key, Series()).add(number_of(cell), step, time)
    return {name: one.plain(points) for name, one in found.items()}


async def last_values(db: Database, run: str) -> dict[str, Any]:
    """Name → the value logged last, numbers and texts. What was logged first comes first."""
    async with db.read() as session:
        row = await find(session, run)
        return decode(await newest_values(session, row.id))


async def newest_values(session: Session, run: str) -> dict[str, Any]:
    """The same as in the run folder, of the run with this id; columns of rows as in `series`, at
    most of `VALUES` names."""
    first, last = func.min(RecordRow.id), func.max(RecordRow.id)
    ends = await session.execute(
        select(first, last)
        .where(RecordRow.run == run, RecordRow.kind.in_(NUMBERS))
        .group_by(RecordRow.kind, RecordRow.name)
        .order_by(first)
        .limit(VALUES)
    )
    wanted = [end for _, end in ends]
    query = select(RecordRow.id, RecordRow.kind, RecordRow.name, RecordRow.value)
    rows = await session.execute(query.where(RecordRow.id.in_(wanted)))
    by_number = {number: (kind, name, value) for number, kind, name, value in rows}
    found: dict[str, Any] = {}
    for number in wanted:
        kind, name, value = by_number[number]
        if kind == "metric":
            found[name] = value["value"]
        else:
            found |= {f"{name}.{column}": cell for column, cell in value["value"].items()}
    return found


async def logged(db: Database, run: str) -> list[dict[str, Any]]:
    """Tables, lists, images and schemas, as in the run folder, as {"kind", "name", "value", "at"};
    rows of one name are one table. The order is that of their first record."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for number, (kind, name, value, at) in enumerate(await records(db, run, OTHERS)):
        if kind == "row":
            one = found.setdefault(
                (kind, name, 0), {"kind": "table", "name": name, "value": {}, "at": at.isoformat()}
            )
            add_row(one["value"], value["value"])
            continue
        shown = value["file"] if kind == "image" else value["value"]
        found[kind, name, number] = {
            "kind": kind,
            "name": name,
            "value": shown,
            "at": at.isoformat(),
        }
    return list(found.values())


def add_row(table: dict[str, list[Any]], row: dict[str, Any]) -> None:
    """Rows of one name need not have the same columns.

    >>> table = {"a": [1]}; add_row(table, {"b": 2}); table
    {'a': [1, None], 'b': [None, 2]}
    """
    height = max((len(column) for column in table.values()), default=0)
    for name in row:
        table.setdefault(name, [None] * height)
    for name, column in table.items():
        column.append(row.get(name))


async def records(
    db: Database, run: str, kinds: Sequence[str], names: Sequence[str] = ()
) -> list[Any]:
    """(kind, name, value, at) of the run's records, in order. Columns, as there may be many; and
    a part at a time, so that others have their turn."""
    async with db.read() as session:
        row = await find(session, run)
    query = (
        select(RecordRow.id, RecordRow.kind, RecordRow.name, RecordRow.value, RecordRow.at)
        .where(RecordRow.run == row.id, RecordRow.kind.in_(kinds))
        .order_by(RecordRow.id)
        .limit(PART)
    )
    if names:
        query = query.where(RecordRow.name.in_(names))
    found: list[Any] = []
    end = 0
    while True:
        async with db.read() as session:
            part = list(await session.execute(query.where(RecordRow.id > end)))
        found += [one[1:] for one in part]
        if len(part) < PART:
            return found
        end = part[-1].id
        await asyncio.sleep(0)
