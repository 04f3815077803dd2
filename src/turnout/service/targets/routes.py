"""HTTP of targets. No logic here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from turnout.service.clusters import history
from turnout.service.clusters import logic as clusters
from turnout.service.runs import logic as runs
from turnout.service.state import Service
from turnout.service.targets import logic
from turnout.targets import registry

router = APIRouter(prefix="/v1/targets", tags=["targets"])
kinds = APIRouter(prefix="/v1/kinds", tags=["targets"])
View = dict[str, Any]


class IdentityBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: str = "ssh"
    config: dict[str, Any] = Field(default_factory=dict)


class TargetBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    kind: str
    config: dict[str, Any] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    description: str = ""


class PruneBody(BaseModel):
    """Which environments to remove: by the beginnings of their keys, else by their last use."""

    model_config = ConfigDict(extra="forbid")

    keys: list[str] | None = None
    older_than_s: float = Field(default=0.0, ge=0)
    dry_run: bool = False


@kinds.get("")
async def list_kinds() -> View:
    return {"kinds": logic.list_kinds()}


@router.post("/host-key")
async def host_key(body: IdentityBody, service: Service) -> View:
    seen = await logic.identity(service.pool, body.kind, body.config)
    return {} if seen is None else asdict(seen)


@router.post("", status_code=201)
async def attach(body: TargetBody, service: Service) -> View:
    if registry.kind(body.kind).gives_nodes:
        body.config = await clusters.with_engine(service.db, body.config)
        await clusters.check_new(service.pool, body.name, body.config)
    found = await logic.attach(service.db, service.pool, logic.NewTarget(**body.model_dump()))
    service.hub.note("compute")
    service.clusters.hint()
    return found


@router.get("")
async def list_targets(service: Service) -> View:
    """With what each is doing, from the rows alone: no target or engine is asked."""
    found = await logic.list_targets(service.db)
    counts, used = await history.now_of_all(service.db)
    for target in found:
        name = target["name"]
        target["active_runs"] = used.get(name, 0)
        if name in counts:
            target["nodes"] = {**counts[name].view(), "max": target["config"]["max_nodes"]}
    return {"targets": found}


@router.get("/{name}")
async def get(name: str, service: Service) -> View:
    found = await logic.get(service.db, service.pool, name)
    if registry.kind(found["kind"]).gives_nodes:
        found["cluster"] = await clusters.status(service.db, service.pool, found)
    return found


@router.post("/{name}/check")
async def check(name: str, service: Service) -> View:
    found = await logic.check(service.db, service.pool, name)
    service.hub.note("compute")
    return found


@router.delete("/{name}", status_code=204)
async def detach(name: str, service: Service, force: bool = False) -> None:
    if force:
        for run in await clusters.active_runs(service.db, name):
            await service.loops.canceled(await runs.request_cancel(service.db, run))
        await clusters.until_free(service.db, name)
    await logic.detach(service.db, service.pool, name)
    service.hub.note("compute")
    service.clusters.hint()


@router.get("/{name}/environments")
async def environments(name: str, service: Service) -> View:
    target = await service.pool.get(name)
    return {"environments": [asdict(found) for found in await target.environments()]}


@router.post("/{name}/environments/prune")
async def prune(name: str, body: PruneBody, service: Service) -> View:
    target = await service.pool.get(name)
    removed = await target.prune(body.keys, body.older_than_s, dry_run=body.dry_run)
    return {"removed": [asdict(row) for row in removed], "freed": sum(r.size for r in removed)}
