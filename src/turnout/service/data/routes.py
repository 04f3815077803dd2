"""HTTP of datastores and datasets. No logic here."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from turnout.service.data import logic, stores
from turnout.service.files import parts
from turnout.service.paths import use_file_names
from turnout.service.state import Service
from turnout.spec.errors import NotFoundError

use_file_names()
router = APIRouter(prefix="/v1", tags=["data"])
View = dict[str, Any]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DatasetBody(Body):
    key: str = Field(min_length=8, max_length=128)
    name: str
    kind: str
    sources: list[dict[str, Any]]
    definition: dict[str, Any] = Field(default_factory=dict)
    description: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    create_new_version: bool = False


class ChangeDatasetBody(Body):
    description: str | None = None
    tags: dict[str, str] | None = None


class SourcesBody(Body):
    sources: list[dict[str, Any]]


@router.get("/datastores")
async def list_datastores(service: Service) -> View:
    default = await logic.default_store(service.db)
    return {"datastores": [stores.view(name, default) for name in stores.STORES]}


@router.get("/datastores/{store}/files")
async def list_store_files(store: str, service: Service, prefix: str = "") -> View:
    sizes = await asyncio.to_thread(service.stores.names, store, prefix)
    return {"files": [{"name": name, "size": size} for name, size in sizes.items()]}


@router.get("/datastores/{store}/folder")
async def list_store_folder(
    store: str,
    service: Service,
    path: str = "",
    start: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=stores.FOLDER_LIMIT)] = stores.FOLDER_LIMIT,
) -> View:
    """One level of a datastore, folders first."""
    return await asyncio.to_thread(service.stores.folder, store, path, start, limit)


@router.get("/datastores/{store}/usage")
async def get_store_usage(store: str, service: Service) -> View:
    return await asyncio.to_thread(service.stores.usage, store)


@router.get("/datastores/{store}/files/{name:file}")
async def read_store_file(store: str, name: str, service: Service) -> StreamingResponse:
    path = service.stores.path(store, name)
    if not path.is_file():
        raise NotFoundError(f"The datastore '{store}' has no file '{name}'.")
    return stream(path)


@router.put("/datastores/{store}/files/{name:file}", status_code=201)
async def write_store_file(store: str, name: str, request: Request, service: Service) -> View:
    return {"name": name, "size": await service.stores.write(store, name, request.stream())}


@router.delete("/datastores/{store}/files/{name:file}", status_code=204)
async def remove_store_file(store: str, name: str, service: Service) -> None:
    service.stores.path(store, name).unlink(missing_ok=True)


@router.post("/datasets", status_code=201)
async def register_dataset(body: DatasetBody, service: Service) -> View:
    new = logic.NewDataset(**body.model_dump())
    return await logic.register(service.db, service.stores, new)


@router.get("/datasets")
async def list_datasets(service: Service) -> View:
    return {"datasets": await logic.list_all(service.db)}


@router.post("/datasets/files")
async def find_dataset_files(body: SourcesBody, service: Service) -> View:
    """The files that sources mean, each with the datastore and the name that it has there; those
    of the web with their address."""
    found: list[View] = []
    sources = logic.sources_of(body.sources)
    home = service.stores.home / "datastores"
    local = [s for s in sources if s.datastore]
    for file in await asyncio.to_thread(service.stores.find, local):
        store, _, name = file.path.relative_to(home).as_posix().partition("/")
        found.append({"name": file.name, "datastore": store, "path": name})
    found += [
        {"name": stores.web_name(s.path), "datastore": "", "path": s.path}
        for s in sources
        if not s.datastore
    ]
    return {"files": found}


@router.get("/datasets/{name}")
async def get_dataset(name: str, service: Service, version: int | None = None) -> View:
    return await logic.get(service.db, name, version)


@router.get("/datasets/{name}/versions")
async def list_dataset_versions(name: str, service: Service) -> View:
    return {"versions": await logic.versions(service.db, name)}


@router.patch("/datasets/{name}")
async def change_dataset(name: str, body: ChangeDatasetBody, service: Service) -> View:
    return await logic.change(service.db, name, body.description, body.tags)


@router.delete("/datasets/{name}", status_code=204)
async def forget_dataset(name: str, service: Service) -> None:
    await logic.forget(service.db, name)


def stream(path: Any) -> StreamingResponse:
    size = {"content-length": str(path.stat().st_size)}
    return StreamingResponse(parts(path), media_type="application/octet-stream", headers=size)
