"""HTTP of models. No logic here."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from turnout.service.models import logic
from turnout.service.models.files import ModelFiles
from turnout.service.paths import use_file_names
from turnout.service.runs import logic as runs
from turnout.service.state import Service, State

use_file_names()
router = APIRouter(prefix="/v1", tags=["models"])
View = dict[str, Any]
Texts = dict[str, str | None]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewModelBody(Body):
    key: str
    name: str
    description: str = ""
    tags: Texts = Field(default_factory=dict)
    properties: Texts = Field(default_factory=dict)
    framework: str | None = None
    framework_version: str | None = None
    #: A run's id, and a file or folder of the run to copy; without `path` the files were sent.
    run: str | None = None
    path: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class TagsBody(Body):
    set: Texts = Field(default_factory=dict)
    remove: list[str] = Field(default_factory=list)


class ChangeModelBody(Body):
    tags: TagsBody = Field(default_factory=TagsBody)
    properties: Texts = Field(default_factory=dict)
    description: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


def files_of(service: State) -> ModelFiles:
    return ModelFiles(service.settings.home)


@router.put("/model-files/{key}/{name:file}", status_code=201)
async def write_file(key: str, name: str, request: Request, service: Service) -> View:
    size = await files_of(service).write(key, name, request.stream())
    return {"name": name, "size": size}


@router.post("/models", status_code=201)
async def register(body: NewModelBody, service: Service, response: Response) -> View:
    given = body.model_dump(exclude={"path"})
    files = files_of(service)
    logic.check_name(body.name)
    if body.run is not None:
        run = await runs.get(service.db, body.run)
        given |= {"run": run.id, "experiment": run.experiment}
        if body.path is not None and not await logic.is_known(service.db, body.key):
            places = await logic.places_of(service.db, run)
            await logic.copy_from_run(files, service.folders, places, body.key, body.path)
    row, is_new = await logic.register(service.db, files, logic.NewModel(**given))
    if is_new:
        await logic.sweep(service.db, files)
    else:
        response.status_code = 200
    return logic.model_view(row)


@router.get("/models")
async def list_models(
    service: Service,
    name: str | None = None,
    tag: Annotated[list[str] | None, Query()] = None,
    property: Annotated[list[str] | None, Query()] = None,
    run: str | None = None,
    framework: str | None = None,
    latest: bool = False,
) -> View:
    wanted = logic.Filter(name, tuple(tag or ()), tuple(property or ()), run, framework, latest)
    return {"models": [logic.model_view(r) for r in await logic.list_all(service.db, wanted)]}


@router.get("/models/{name}")
async def get_model(name: str, service: Service, version: int | None = None) -> View:
    return logic.model_view(await logic.get(service.db, name, version))


@router.patch("/models/{name}/{version}")
async def change_model(name: str, version: int, body: ChangeModelBody, service: Service) -> View:
    wanted = logic.Change(
        body.tags.set,
        tuple(body.tags.remove),
        body.properties,
        body.description,
        body.details,
    )
    return logic.model_view(await logic.change(service.db, name, version, wanted))


@router.delete("/models/{name}/{version}", status_code=204)
async def delete_model(name: str, version: int, service: Service) -> None:
    await logic.delete(service.db, files_of(service), name, version)


@router.get("/models/{name}/{version}/files/{file:file}")
async def read_file(name: str, version: int, file: str, service: Service) -> StreamingResponse:
    row = await logic.get(service.db, name, version)
    size, parts = files_of(service).parts(row.key, file)
    return StreamingResponse(
        parts, media_type="application/octet-stream", headers={"content-length": str(size)}
    )
