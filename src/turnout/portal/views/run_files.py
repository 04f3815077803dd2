"""Parts of a run's page that show files: logs, outputs, and the environment's."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from turnout.portal import downloads
from turnout.portal.pages import Page, printable
from turnout.portal.views.run import frame, logs_of
from turnout.service import files
from turnout.service.paths import use_file_names
from turnout.service.runs import analysis, logic, uploads
from turnout.service.runs.folders import FILES, LOGS
from turnout.service.runs.tables import RunRow
from turnout.service.runs.views import run_view
from turnout.service.state import Service, State
from turnout.spec.errors import NotFoundError

use_file_names()
router = APIRouter(prefix="/runs/{run}")
View = dict[str, Any]
#: Bytes of a log in one answer.
LOG_PART = 256 << 10
ENVIRONMENT_LOCK = "azureml-logs/25_environment_lock.txt"
DRIVER_LOG = "azureml-logs/70_driver_log.txt"


@router.get("/details.json")
async def details(run: str, service: Service) -> Response:
    return JSONResponse(run_view(await logic.get(service.db, run)))


@router.get("/logs")
async def logs(run: str, service: Service, page: Page, name: str = "", at: int = -1) -> Response:
    found = await frame(service, run, "logs")
    names = logs_of(service, found["run"]["id"])
    if name and name not in names:
        raise NotFoundError(f"The run has no log '{name}'.")
    chosen = name or default_log(found["run"], list(names))
    return page("run/logs.html", **found, logs=names, name=chosen, at=at)


def default_log(run: View, names: list[str]) -> str:
    """The script's output; before there is any, what makes the environment says."""
    if DRIVER_LOG in names or not names:
        return DRIVER_LOG
    readable = [name for name in names if name != ENVIRONMENT_LOCK]
    return (readable or names)[-1]


@router.get("/log")
async def log_part(
    run: str,
    service: Service,
    name: str,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=0, le=LOG_PART)] = LOG_PART,
) -> Response:
    """A part of a log, and how long the log is by now."""
    row = await logic.get(service.db, run)
    size = service.folders.sizes(row.id, LOGS).get(name)
    data = service.folders.read(row.id, LOGS, name, offset, limit) if size else b""
    headers = {**downloads.HARMLESS, "turnout-size": str(size or 0)}
    return Response(data, media_type="application/octet-stream", headers=headers)


@router.get("/log-search")
async def log_search(
    run: str, service: Service, page: Page, name: str, text: str = ""
) -> Response:
    if not text:
        return Response()
    found = await analysis.search_log(run, service, name, text)
    return page("run/hits.html", run=run, name=name, text=text, **found)


@router.get("/log/download")
async def log_download(run: str, service: Service, name: str) -> Response:
    row = await logic.get(service.db, run)
    service.folders.read(row.id, LOGS, name, 0, 0)
    path = service.folders.path(row.id, LOGS, name)
    # What is there now: a log that grows meanwhile would not keep to the length announced.
    size = path.stat().st_size
    return downloads.kept(cut(files.parts(path), size), size, f"{row.id}_{name}")


def cut(parts: Any, size: int) -> Any:
    for part in parts:
        yield part[:size]
        size -= len(part)
        if size <= 0:
            return


@router.get("/outputs")
async def outputs(run: str, service: Service, page: Page, name: str = "") -> Response:
    found = await frame(service, run, "outputs")
    row = await logic.get(service.db, run)
    found_sizes = await uploads.sizes(service.db, service.folders, row)
    sizes = {printable(name): size for name, size in found_sizes.items()}
    if name and name not in sizes:
        raise NotFoundError(f"The run has no file '{name}'.")
    preview: View = {}
    if name:
        owner, kept = await kept_at(service, row, name)
        preview = await asyncio.to_thread(preview_of, service, owner, kept)
    return page(
        "run/outputs.html",
        **found,
        files=sizes,
        tree=tree(sizes),
        name=name,
        preview=preview,
    )


async def kept_at(service: State, row: RunRow, name: str) -> tuple[str, str]:
    """(run, name) of a file, by its name as pages have it."""
    if not name.isascii():
        sizes = await uploads.sizes(service.db, service.folders, row)
        name = next((real for real in sizes if printable(real) == name), name)
    return await uploads.place(service.db, service.folders, row, name)


def preview_of(service: State, run: str, name: str) -> View:
    """What of a file can be shown in the page."""
    if downloads.picture_kind(name):
        return {"kind": "picture"}
    text = downloads.text_of(service.folders.read(run, FILES, name, 0, downloads.PREVIEW))
    return {"kind": "binary"} if text is None else {"kind": "text", "text": text}


def tree(sizes: dict[str, int]) -> list[View]:
    """Folders and files in the order of a listing: {"name", "path", "depth", "size"}; folders
    have no size.

    >>> [(x["name"], x["depth"]) for x in tree({"a/b/c": 1, "a/d": 2, "e": 3})]
    [('a', 0), ('b', 1), ('c', 2), ('d', 1), ('e', 0)]
    """
    found: list[View] = []
    open_folders: list[str] = []
    for path, size in sorted(sizes.items()):
        *folders, name = path.split("/")
        same = 0
        while same < min(len(folders), len(open_folders)) and folders[same] == open_folders[same]:
            same += 1
        found += [
            {"name": folder, "path": "", "depth": depth, "size": None}
            for depth, folder in enumerate(folders[same:], same)
        ]
        open_folders = folders
        found.append({"name": name, "path": path, "depth": len(folders), "size": size})
    return found


@router.get("/files/{name:file}")
async def file(run: str, name: str, service: Service, show: bool = False) -> Response:
    row = await logic.get(service.db, run)
    owner, kept = await kept_at(service, row, name)
    service.folders.read(owner, FILES, kept, 0, 0)
    path = service.folders.path(owner, FILES, kept)
    size, parts = path.stat().st_size, files.parts(path)
    kind = downloads.picture_kind(name) if show else ""
    return downloads.shown(parts, size, kind) if kind else downloads.kept(parts, size, name)


@router.get("/environment")
async def environment(run: str, service: Service, page: Page) -> Response:
    found = await frame(service, run, "environment")
    identity = found["run"]["id"]
    lock = ""
    if ENVIRONMENT_LOCK in service.folders.sizes(identity, LOGS):
        data = service.folders.read(identity, LOGS, ENVIRONMENT_LOCK, 0, downloads.PREVIEW)
        lock = data.decode(errors="replace")
    return page(
        "run/environment.html",
        **found,
        environment=found["run"]["spec"].get("environment") or {},
        lock=lock,
        lock_name=ENVIRONMENT_LOCK,
    )
