"""HTTP of quotas. No logic here."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from turnout.service.quotas import logic
from turnout.service.state import Service

router = APIRouter(prefix="/v1/quotas", tags=["quotas"])
View = dict[str, Any]


class LimitBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(ge=0, le=1_000_000)


@router.get("")
async def list_quotas(service: Service) -> View:
    return {"quotas": await logic.list_all(service.db)}


@router.put("/{name}")
async def set_quota(name: str, body: LimitBody, service: Service) -> View:
    found = await logic.put(service.db, name, body.limit)
    service.clusters.hint()
    return found


@router.delete("/{name}", status_code=204)
async def unset_quota(name: str, service: Service) -> None:
    await logic.unset(service.db, name)
    service.clusters.hint()
