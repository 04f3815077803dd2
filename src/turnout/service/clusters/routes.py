"""HTTP of clusters, beside that of targets. No logic here."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from turnout.service.clusters import history, logic
from turnout.service.runs import usage
from turnout.service.state import Service
from turnout.service.targets import logic as targets
from turnout.spec import sizes

router = APIRouter(prefix="/v1", tags=["clusters"])
View = dict[str, Any]


class ScaleBody(BaseModel):
    """Another scale; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    min_nodes: int | None = None
    max_nodes: int | None = None
    idle_seconds_before_scaledown: int | None = None


@router.patch("/targets/{name}")
async def update(name: str, body: ScaleBody, service: Service) -> View:
    await logic.update(service.db, name, body.model_dump(exclude_none=True))
    await service.pool.drop(name)
    service.hub.note("compute")
    service.clusters.hint()
    return await targets.get(service.db, service.pool, name)


@router.get("/targets/{name}/nodes")
async def nodes(name: str, service: Service) -> View:
    view = await targets.get(service.db, service.pool, name)
    if view["config"].get("engine"):
        found = await logic.engine_nodes(service.db, service.pool, view)
    else:
        found = await logic.nodes(service.db, name)
    for node in found["nodes"]:
        run = node.get("run")
        node["usage"] = usage.last(service.folders, run) if run else None
    return found


@router.get("/targets/{name}/history")
async def nodes_over_time(
    name: str, service: Service, hours: Annotated[float, Query(gt=0, le=24 * history.DAYS)] = 24.0
) -> View:
    view = await targets.get(service.db, service.pool, name)
    return await history.of(service.db, view, hours)


@router.get("/targets/{name}/in-use")
async def in_use(name: str, service: Service) -> View:
    await targets.get(service.db, service.pool, name)
    return await logic.in_use(service.db, name)


@router.get("/sizes")
async def list_sizes() -> View:
    known = sizes.supported()
    return {
        "sizes": [
            {"name": s.name, "cores": s.cores, "memory_mb": s.memory_mb, "gpus": s.gpus}
            for s in known
        ]
    }
