"""HTTP of events. No logic here."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from turnout.service.events import logic
from turnout.service.state import Service

router = APIRouter(prefix="/v1/events", tags=["events"])
View = dict[str, Any]


class EventsQuery(BaseModel):
    """Which events to list."""

    model_config = ConfigDict(extra="forbid")

    kind: str = ""
    name: str = ""
    who: str = ""
    before: int | None = None
    limit: int = Field(default=100, ge=1, le=logic.LIST_LIMIT)


@router.get("")
async def list_events(service: Service, wanted: Annotated[EventsQuery, Query()]) -> View:
    found = await logic.list_events(service.db, logic.Filter(**wanted.model_dump()))
    return {"events": found}
