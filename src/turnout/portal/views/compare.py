"""Runs side by side: what they were asked to do, what came out, their charts in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from turnout.payload.values import decode
from turnout.portal.pages import Page, duration, number, url
from turnout.service.runs import comparison
from turnout.service.state import Service
from turnout.spec.errors import UserError
from turnout.spec.runs import RunState

router = APIRouter()
View = dict[str, Any]
TITLES = {
    "run": "Run",
    "arguments": "Arguments",
    "metrics": "Last metrics",
    "environment": "Environment",
    "tags": "Tags",
}


@router.get("/compare")
async def compare(
    service: Service,
    page: Page,
    run: Annotated[list[str] | None, Query()] = None,
    differences: bool = False,
) -> Response:
    asked = list(dict.fromkeys(name.strip() for name in run or () if name.strip()))
    if not asked:
        return page("compare/compare.html", runs=[], limit=comparison.LIMIT)
    problem, status = "", 200
    try:
        found = await comparison.compare(service.db, asked)
    except UserError as e:
        # What was added last is what is wrong, most likely: the others are shown all the same.
        if len(asked) < 2:
            raise
        problem, status = e.message, e.status
        asked = asked[: min(comparison.LIMIT, len(asked) - 1)]
        found = await comparison.compare(service.db, asked)
    runs = found["runs"]
    rows = [row for row in found["rows"] if row["differs"] or not differences]
    return page(
        "compare/compare.html",
        status=status,
        problem=problem,
        runs=[
            {**view, "without": page.here_with(run=[r["id"] for r in runs if r is not view])}
            for view in runs
        ],
        groups=[
            (TITLES[group], [shown(row, runs) for row in rows if row["group"] == group])
            for group in comparison.GROUPS
        ],
        differences=differences,
        count=sum(row["differs"] for row in found["rows"]),
        all_rows=page.here_with(differences=None),
        only_differences=page.here_with(differences="true"),
        live=any(not RunState(view["state"]).is_final for view in runs),
        limit=comparison.LIMIT,
    )


def shown(row: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> View:
    cells: list[View] = []
    for view, value in zip(runs, row["values"], strict=True):
        text = text_of(row["name"] if row["group"] == "run" else "", decode(value))
        cell: View = {"text": text, "missing": value is None, "link": "", "change": ""}
        if row["group"] == "run" and row["name"] == "snapshot" and value is not None:
            cell["link"] = url("runs", view["id"], "code")
            if value != row["values"][0] and row["values"][0] is not None:
                cell["change"] = url("runs", view["id"], "code", **{"with": runs[0]["id"]})
        cells.append(cell)
    return {"name": row["name"], "differs": row["differs"], "cells": cells}


def text_of(name: str, value: Any) -> str:
    """A value as a person reads it."""
    if name == "duration":
        return duration(value)
    if name == "snapshot":
        return str(value or "")[:12]
    if isinstance(value, Mapping | list):
        return str(value)  # pyright: ignore[reportUnknownArgumentType]
    return "" if value is None else number(value)
