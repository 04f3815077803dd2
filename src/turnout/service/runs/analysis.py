"""HTTP of looking into runs: searching among them and in what they logged. No logic here."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from turnout.service.runs import comparison, log_search, logic, search, series
from turnout.service.runs.folders import LOGS
from turnout.service.runs.search import Search
from turnout.service.state import Service

router = APIRouter(prefix="/v1", tags=["runs"])
View = dict[str, Any]


class SearchQuery(BaseModel):
    """Which runs, in which order, which part of them."""

    model_config = ConfigDict(extra="forbid")

    experiment: str | None = None
    states: list[str] = Field(default_factory=list, alias="state")
    target: str | None = None
    tag: str | None = None
    type: str | None = None
    text: str = ""
    parent: str | None = None
    include_children: bool = False
    sort: str = "number"
    descending: bool = True
    size: int = Field(default=50, ge=1, le=search.PAGE_LIMIT)
    offset: int = Field(default=0, ge=0, le=1 << 40)


@router.get("/runs/search")
async def search_runs(service: Service, wanted: Annotated[SearchQuery, Query()]) -> View:
    fields: View = {**wanted.model_dump(), "states": tuple(wanted.states)}
    asked = Search(**fields)
    found = await search.page(service.db, asked)
    counts = await search.counts(service.db, asked)
    choices = await search.choices(service.db)
    return {"runs": found.rows, "total": found.total, "counts": counts, **choices}


@router.get("/runs/{run}/series")
async def read_series(
    run: str,
    service: Service,
    name: Annotated[list[str] | None, Query()] = None,
    points: Annotated[int, Query(ge=2, le=100_000)] = series.POINTS,
) -> View:
    """The numbers that the run logged, thinned to what a chart shows."""
    return {"series": await series.series(service.db, run, name or (), points)}


@router.get("/runs/{run}/log-search")
async def search_log(run: str, service: Service, name: str, text: str) -> View:
    """The first lines of a log that have the text."""
    row = await logic.get(service.db, run)
    service.folders.read(row.id, LOGS, name, 0, 0)
    path = service.folders.path(row.id, LOGS, name)
    hits, more = await asyncio.to_thread(log_search.find, path, text)
    return {"hits": [asdict(hit) for hit in hits], "more": more}


@router.get("/runs/compare")
async def compare_runs(
    service: Service, run: Annotated[list[str] | None, Query(max_length=100)] = None
) -> View:
    return await comparison.compare(service.db, run or [])
