"""Datastores, folder by folder, and datasets."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from turnout.portal import downloads
from turnout.portal.pages import Page, file_url, printable, url
from turnout.service import files
from turnout.service.data import logic, routes, stores
from turnout.service.paths import use_file_names
from turnout.service.state import Service, State
from turnout.spec.errors import NotFoundError, TurnoutError

use_file_names()
router = APIRouter(prefix="/data")
View = dict[str, Any]
#: Rows of a folder, and files of a dataset, on a page.
SIZE = 200


@router.get("")
async def list_data(service: Service, page: Page) -> Response:
    default = await logic.default_store(service.db)
    return page(
        "data/list.html",
        stores=[stores.view(name, default) for name in stores.STORES],
        datasets=await logic.list_all(service.db),
    )


@router.get("/stores/{store}/usage")
async def show_usage(store: str, service: Service, page: Page) -> Response:
    """A fragment: adding up a whole datastore may take a while."""
    return page("data/usage.html", usage=await asyncio.to_thread(service.stores.usage, store))


@router.get("/stores/{store}")
async def show_store(
    store: str,
    service: Service,
    page: Page,
    folder: str = "",
    name: str = "",
    start: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """One folder; `name`: the file of the datastore that is looked at beside it."""
    folder = await asyncio.to_thread(real_name, service, store, folder.strip("/"))
    found = await asyncio.to_thread(service.stores.folder, store, folder, start, SIZE)
    preview = await asyncio.to_thread(preview_of, service, store, name) if name else {}
    return page(
        "data/store.html",
        store=store,
        folder=folder,
        crumbs=crumbs(store, folder),
        folders=[
            (n, url("data", "stores", store, folder=inside(folder, n))) for n in found["folders"]
        ],
        files=[
            {
                **file,
                "path": inside(folder, file["name"]),
                "place": page.here_with(name=inside(folder, file["name"])),
            }
            for file in found["files"]
        ],
        total=found["total"],
        start=start,
        name=name,
        preview=preview,
        before=page.here_with(start=max(start - SIZE, 0) or None, name=None) if start else "",
        next=page.here_with(start=start + SIZE, name=None)
        if start + SIZE < found["total"]
        else "",
    )


def inside(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def crumbs(store: str, folder: str) -> list[tuple[str, str]]:
    """(title, address) of each folder on the way.

    >>> crumbs("blob", "a/b")[-1]
    ('b', '/portal/data/stores/blob?folder=a%2Fb')
    """
    parts = folder.split("/") if folder else []
    return [
        (store, url("data", "stores", store)),
        *(
            (part, url("data", "stores", store, folder="/".join(parts[: n + 1])))
            for n, part in enumerate(parts)
        ),
    ]


def real_name(service: State, store: str, name: str) -> str:
    """The name as the datastore has it: an address has replacement characters for what is no
    text."""
    if "\ufffd" not in name:
        return name
    place = service.stores.root(store)
    for piece in name.split("/"):
        known = [path.name for path in place.iterdir()] if place.is_dir() else []
        place /= next((real for real in known if printable(real) == piece), piece)
    return place.relative_to(service.stores.root(store)).as_posix()


def preview_of(service: State, store: str, name: str) -> View:
    """What of a file can be shown in the page."""
    name = real_name(service, store, name)
    path = service.stores.path(store, name)
    if not path.is_file():
        raise NotFoundError(f"The datastore '{store}' has no file '{name}'.")
    size = path.stat().st_size
    if downloads.picture_kind(name):
        return {"kind": "picture", "size": size}
    with path.open("rb") as file:
        text = downloads.text_of(file.read(downloads.PREVIEW))
    return {"kind": "binary" if text is None else "text", "text": text, "size": size}


@router.get("/stores/{store}/files/{name:file}")
async def read_file(store: str, name: str, service: Service, show: bool = False) -> Response:
    path = service.stores.path(store, await asyncio.to_thread(real_name, service, store, name))
    if not path.is_file():
        raise NotFoundError(f"The datastore '{store}' has no file '{name}'.")
    size, parts = path.stat().st_size, files.parts(path)
    kind = downloads.picture_kind(name) if show else ""
    return downloads.shown(parts, size, kind) if kind else downloads.kept(parts, size, name)


@router.get("/datasets/{name}")
async def show_dataset(
    name: str, service: Service, page: Page, version: int | None = None
) -> Response:
    found = await logic.get(service.db, name, version)
    files: list[View] = []
    problem = ""
    try:
        body = routes.SourcesBody(sources=found["sources"])
        files = (await routes.find_dataset_files(body, service))["files"]
    except TurnoutError as e:
        # The dataset stands, though its files went.
        problem = e.message
    definition = found["definition"]
    return page(
        "data/dataset.html",
        dataset=found,
        versions=await logic.versions(service.db, found["name"]),
        files=[
            {
                **file,
                "place": file_url("data", "stores", file["datastore"], "files", name=file["path"])
                if file["datastore"]
                else "",
            }
            for file in files[:SIZE]
        ],
        total=len(files),
        problem=problem,
        definition=json.dumps(definition, indent=2, ensure_ascii=False) if definition else "",
    )
