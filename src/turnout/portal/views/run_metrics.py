"""Part of a run's page: what it logged, as charts, tables and pictures."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from turnout.payload.values import decode
from turnout.portal.pages import Page
from turnout.portal.views.run import frame
from turnout.service.runs import analysis, series
from turnout.service.state import Service

router = APIRouter(prefix="/runs/{run}")
#: Rows of a table, and items of a list, that are shown.
ROWS = 200


@router.get("/metrics")
async def metrics(run: str, service: Service, page: Page) -> Response:
    found = await frame(service, run, "metrics")
    logged = await series.logged(service.db, found["run"]["id"])
    return page(
        "run/metrics.html",
        **found,
        tables=[table(one) for one in logged if one["kind"] == "table"],
        lists=[(x["name"], decode(x["value"])[:ROWS]) for x in logged if x["kind"] == "list"],
        images=[one for one in logged if one["kind"] == "image"],
        schemas=[(x["name"], decode(x["value"])) for x in logged if x["kind"] == "schema"],
        any=bool(logged) or found["final"],
    )


def table(one: dict[str, Any]) -> dict[str, Any]:
    """A logged table, turned into rows; columns may be values alone."""
    columns: dict[str, Any] = decode(one["value"])
    lists = {k: v if isinstance(v, list) else [v] for k, v in columns.items()}
    height = max((len(v) for v in lists.values()), default=0)
    rows = [
        [column[i] if i < len(column) else "" for column in lists.values()]
        for i in range(min(height, ROWS))
    ]
    return {"name": one["name"], "columns": list(lists), "rows": rows, "height": height}


@router.get("/series")
async def numbers(run: str, service: Service, points: int = series.POINTS) -> Response:
    return JSONResponse(await analysis.read_series(run, service, None, points))
