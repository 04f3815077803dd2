"""The list of runs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from turnout.portal.pages import Page
from turnout.service.state import Service

router = APIRouter()


@router.get("/runs")
async def list_runs(service: Service, page: Page) -> Response:
    return page("runs/list.html")
