"""HTTP of engines. They are kept, checked and detached as targets are. No logic here."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from turnout.service.state import Service
from turnout.service.targets import logic
from turnout.spec.errors import NotFoundError, TurnoutError

router = APIRouter(prefix="/v1/engines", tags=["engines"])
View = dict[str, Any]


class EngineBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    kind: str = "slurm"
    config: dict[str, Any] = Field(default_factory=dict)
    description: str = ""
    tags: dict[str, str] = Field(default_factory=dict)


@router.post("", status_code=201)
async def attach(body: EngineBody, service: Service) -> View:
    found = await logic.attach(service.db, service.pool, logic.NewTarget(**body.model_dump()))
    service.hub.note("compute")
    return found


@router.get("")
async def list_engines(service: Service) -> View:
    return {"engines": await logic.list_engines(service.db)}


@router.get("/{name}")
async def get(name: str, service: Service) -> View:
    """With what it is like at the moment, or why that cannot be seen."""
    found = await named(name, service)
    try:
        engine = await service.pool.engine({"engine": name})
        assert engine is not None
        return {**found, "site": await engine.site(), "problem": ""}
    except TurnoutError as e:
        return {**found, "site": None, "problem": e.message}


@router.post("/{name}/check")
async def check(name: str, service: Service) -> View:
    await named(name, service)
    found = await logic.check(service.db, service.pool, name)
    service.hub.note("compute")
    return found


@router.delete("/{name}", status_code=204)
async def detach(name: str, service: Service) -> None:
    await named(name, service)
    await logic.detach(service.db, service.pool, name)
    service.hub.note("compute")


async def named(name: str, service: Service) -> View:
    for found in await logic.list_engines(service.db):
        if found["name"] == name:
            return found
    raise NotFoundError(f"There is no engine '{name}'. `turnout engine list` shows them.")
