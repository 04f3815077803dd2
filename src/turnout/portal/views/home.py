"""The first page: what goes on, and where."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from turnout.portal.pages import Page
from turnout.service.runs import logic as runs
from turnout.service.runs.views import run_view
from turnout.service.state import Service
from turnout.service.targets import logic as targets

router = APIRouter()
SHOWN = 8


@router.get("/")
async def home(service: Service, page: Page) -> Response:
    found = [run_view(r) for r in await runs.list_runs(service.db, runs.Filter(limit=SHOWN))]
    active = [run_view(r) for r in await runs.active(service.db)]
    return page(
        "home/home.html",
        recent=found,
        active=[r for r in active if r["ended_at"] is None][-SHOWN:],
        targets=await targets.list_targets(service.db),
    )
