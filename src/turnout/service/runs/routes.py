"""HTTP of runs and experiments. No logic here."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from turnout.service.clusters import logic as clusters
from turnout.service.data import logic as data
from turnout.service.environments import launching
from turnout.service.paths import use_file_names
from turnout.service.quotas import logic as quotas
from turnout.service.runs import events, experiments, logic, uploads, usage
from turnout.service.runs.folders import FILES, LOGS
from turnout.service.runs.views import run_details, run_view
from turnout.service.state import Service
from turnout.service.targets import logic as targets
from turnout.spec.errors import SnapshotMissingError, UserError

use_file_names()
router = APIRouter(prefix="/v1", tags=["runs"])
READ_LIMIT = 8 << 20
PART = 1 << 20
View = dict[str, Any]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewRunBody(Body):
    key: str
    experiment: str
    spec: dict[str, Any] = Field(default_factory=dict)
    tags: dict[str, str | None] = Field(default_factory=dict)
    properties: dict[str, str] = Field(default_factory=dict)
    display_name: str | None = None
    interactive: bool = False
    parent: str | None = None


class TagsBody(Body):
    set: dict[str, str | None] = Field(default_factory=dict)
    remove: list[str] = Field(default_factory=list)


class ChangeBody(Body):
    tags: TagsBody = Field(default_factory=TagsBody)
    properties: dict[str, str] = Field(default_factory=dict)
    display_name: str | None = None
    description: str | None = None


class ChangeExperimentBody(Body):
    tags: TagsBody = Field(default_factory=TagsBody)
    archived: bool | None = None


class FilterQuery(Body):
    """Which runs to list."""

    experiment: str | None = None
    state: str | None = None
    tag: str | None = None
    property: str | None = None
    parent: str | None = None
    target: str | None = None
    type: str | None = None
    include_children: bool = False
    before: int | None = None
    limit: int = Field(default=100, ge=1, le=logic.LIST_LIMIT)


class RecordsBody(Body):
    records: list[dict[str, Any]]
    key: str | None = Field(default=None, max_length=64)


@router.post("/runs", status_code=201)
async def create_run(body: NewRunBody, service: Service, response: Response) -> View:
    new = logic.NewRun(**body.model_dump())
    spec = logic.checked_spec(new)
    waits, own = False, None
    if spec is not None:
        own = await clusters.config_for_run(service.db, service.pool, spec)
        if own is None:
            target = await service.pool.get(spec.target)
            targets.refuse_engine(target)
            target.check_run(spec)
            waits = target.gives_nodes
            targets.check_nodes(target, spec)
        await launching.check(service.db, spec.environment)
        if spec.inputs or spec.outputs:
            await asyncio.to_thread(data.check_run, service.stores, spec)
        if spec.snapshot and not service.store.has(spec.snapshot):
            # Before anything is sent; and again in the transaction that makes the run.
            await quotas.check_runs(service.db)
            raise SnapshotMissingError(f"The service has no snapshot {spec.snapshot}.")
    row, is_new = await logic.create(service.db, new, spec, waits=waits, own_cluster=own)
    if is_new:
        service.hub.note("runs")
    if is_new and spec is not None:
        service.loops.submitted(row.id, row.target)
    if not is_new:
        response.status_code = 200
    return run_view(row)


@router.get("/runs")
async def list_runs(service: Service, wanted: Annotated[FilterQuery, Query()]) -> View:
    rows = await logic.list_runs(service.db, logic.Filter(**wanted.model_dump()))
    return {"runs": [run_view(row) for row in rows]}


@router.get("/runs/{run}")
async def get_run(run: str, service: Service) -> View:
    return run_details(await logic.get(service.db, run))


@router.patch("/runs/{run}")
async def change_run(run: str, body: ChangeBody, service: Service) -> View:
    wanted = logic.Change(
        body.tags.set,
        tuple(body.tags.remove),
        body.properties,
        body.display_name,
        body.description,
    )
    row = await logic.change(service.db, run, wanted)
    view = run_view(row)
    service.hub.tell(row.id, view)
    return view


@router.post("/runs/{run}/cancel")
async def cancel_run(run: str, service: Service) -> View:
    row = await logic.request_cancel(service.db, run)
    if row.type == logic.SCRIPT_RUN:
        await service.loops.canceled(row)
    service.hub.tell(row.id)
    return run_view(await logic.get(service.db, row.id))


@router.post("/runs/{run}/records", status_code=201)
async def add_records(run: str, body: RecordsBody, service: Service) -> View:
    for changed in await logic.add_records(service.db, run, body.records, body.key):
        service.hub.tell(changed)
    return {}


@router.get("/runs/{run}/records")
async def read_records(
    run: str,
    service: Service,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=logic.RECORDS_LIMIT)] = logic.RECORDS_LIMIT,
) -> View:
    found, end = await logic.read_records(service.db, run, after, limit)
    return {"records": found, "next": end}


@router.get("/runs/{run}/metrics")
async def metrics(run: str, service: Service, recursive: bool = False) -> View:
    return {"metrics": await logic.metrics(service.db, run, recursive=recursive)}


@router.get("/runs/{run}/events")
async def follow_run(
    run: str, service: Service, offset: Annotated[list[str] | None, Query()] = None
) -> StreamingResponse:
    row = await logic.get(service.db, run)
    stream = events.stream(
        service.db, service.hub, service.folders, row.id, parse_offsets(offset or [])
    )
    return StreamingResponse(stream, media_type="text/event-stream")


def parse_offsets(given: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in given:
        name, _, number = text.rpartition(":")
        if not name or not number.isdigit():
            raise UserError(f"offset '{text}' is not of the form name:bytes.")
        found[name] = int(number)
    return found


@router.get("/runs/{run}/logs")
async def list_logs(run: str, service: Service) -> View:
    row = await logic.get(service.db, run)
    sizes = service.folders.sizes(row.id, LOGS)
    return {"logs": [{"name": name, "size": size} for name, size in sizes.items()]}


@router.get("/runs/{run}/logs/{name:file}")
async def read_log(
    run: str,
    name: str,
    service: Service,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=READ_LIMIT)] = READ_LIMIT,
) -> Response:
    row = await logic.get(service.db, run)
    data = service.folders.read(row.id, LOGS, name, offset, limit)
    return Response(data, media_type="application/octet-stream")


@router.get("/runs/{run}/usage")
async def get_usage(run: str, service: Service) -> View:
    row = await logic.get(service.db, run)
    return {"samples": usage.samples(service.folders, row.id)}


@router.get("/runs/{run}/files")
async def list_files(run: str, service: Service) -> View:
    row = await logic.get(service.db, run)
    sizes = await uploads.sizes(service.db, service.folders, row)
    return {"files": [{"name": name, "size": size} for name, size in sizes.items()]}


@router.get("/runs/{run}/files/{name:file}")
async def read_file(run: str, name: str, service: Service) -> StreamingResponse:
    row = await logic.get(service.db, run)
    owner, name = await uploads.place(service.db, service.folders, row, name)
    service.folders.read(owner, FILES, name, 0, 0)
    size = service.folders.path(owner, FILES, name).stat().st_size
    parts = service.folders.parts(owner, FILES, name, PART)
    return StreamingResponse(
        parts, media_type="application/octet-stream", headers={"content-length": str(size)}
    )


@router.put("/runs/{run}/files/{name:file}", status_code=201)
async def write_file(run: str, name: str, request: Request, service: Service) -> View:
    row = await logic.get(service.db, run)
    size = await service.folders.write(row.id, FILES, name, request.stream())
    return {"name": name, "size": size}


@router.get("/experiments")
async def list_experiments(service: Service) -> View:
    return {"experiments": await experiments.listed(service.db)}


@router.patch("/experiments/{name}")
async def change_experiment(name: str, body: ChangeExperimentBody, service: Service) -> View:
    await experiments.change(
        service.db, name, body.tags.set, body.tags.remove, archived=body.archived
    )
    return await experiments.get(service.db, name)
