"""The part of a run's page that shows its source folder as it was sent, and what differs from
another run's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from turnout.portal import downloads
from turnout.portal.pages import Page, printable
from turnout.portal.views.run import frame
from turnout.service.runs import logic
from turnout.service.runs.logic import Filter
from turnout.service.snapshots import browse
from turnout.service.snapshots.browse import Entry
from turnout.service.state import Service, State
from turnout.spec.errors import NotFoundError, UserError

router = APIRouter(prefix="/runs/{run}")
View = dict[str, Any]
#: Rows of a folder or of differences that are shown.
ROWS = 1000
#: Other runs that are offered for a comparison.
OFFERED = 20


@router.get("/code")
async def code(
    run: str,
    service: Service,
    page: Page,
    folder: str = "",
    name: str = "",
    other: Annotated[str, Query(alias="with")] = "",
) -> Response:
    found = await frame(service, run, "code")
    snapshot = found["run"]["snapshot"]
    if not snapshot:
        return page("run/code.html", **found, snapshot="")
    near: View = {"snapshot": snapshot, "near": await neighbours(service, found["run"])}
    if not other.strip():
        shown = await asyncio.to_thread(look, service, snapshot, folder.strip("/"), name)
        return page("run/code.html", **found, **near, **shown, other="", problem="", compared=None)
    try:
        against = await other_run(service, other.strip())
        compared = await asyncio.to_thread(
            differences, service, against["snapshot"], snapshot, name
        )
    except UserError as e:
        shown = await asyncio.to_thread(look, service, snapshot, "", "")
        asked: View = {"other": other, "problem": e.message, "compared": None}
        return page("run/code.html", status=e.status, **found, **near, **shown, **asked)
    return page(
        "run/code.html",
        **found, **near, name=name, other=against["id"], against=against, problem="",
        compared=compared,
    )  # fmt: skip


async def other_run(service: State, run: str) -> View:
    row = await logic.get(service.db, run)
    if not row.snapshot:
        raise UserError(f"The run {row.id} had no source folder to compare with.")
    return {"id": row.id, "name": row.display_name, "snapshot": row.snapshot}


async def neighbours(service: State, run: Mapping[str, Any]) -> list[View]:
    """The last runs of the same experiment, to compare with."""
    rows = await logic.list_runs(
        service.db, Filter(experiment=run["experiment"], limit=OFFERED + 1)
    )
    return [
        {"id": row.id, "name": row.display_name, "same": row.snapshot == run["snapshot"]}
        for row in rows
        if row.id != run["id"] and row.snapshot
    ][:OFFERED]


def files_of(service: State, snapshot: str) -> dict[str, Entry]:
    found = browse.entries(service.store, snapshot)
    return {printable(name): entry for name, entry in found.items()}


def look(service: State, snapshot: str, folder: str, name: str) -> View:
    """A folder's content and, when it was chosen, a file's."""
    files = files_of(service, snapshot)
    if name and not folder:
        folder = name.rpartition("/")[0]
    rows = listing(files, folder)
    if folder and not rows:
        raise NotFoundError(f"The run's source folder has no folder '{folder}'.")
    shown: View = {"name": name, "file": None}
    if name:
        entry = files.get(name)
        if entry is None:
            raise NotFoundError(f"The run's source folder has no file '{name}'.")
        shown["file"] = entry
        shown["preview"] = preview_of(service, entry)
    return {
        **shown,
        "folder": folder,
        "above": folder.rpartition("/")[0],
        "rows": rows[:ROWS],
        "left": len(rows[ROWS:]),
        "count": len(files),
        "bytes": sum(entry.size for entry in files.values()),
    }


def listing(files: Mapping[str, Entry], folder: str) -> list[View]:
    """What lies in `folder`, folders first: {"name", "path", "files" (below a folder), "size"}."""
    start = f"{folder}/" if folder else ""
    folders: dict[str, View] = {}
    found: list[View] = []
    for path, entry in files.items():
        if not path.startswith(start):
            continue
        name, is_below, _ = path[len(start) :].partition("/")
        if not is_below:
            found.append({"name": name, "path": path, "files": 0, "size": entry.size})
            continue
        empty = {"name": name, "path": start + name, "files": 0, "size": 0}
        held = folders.setdefault(name, empty)
        held["files"] += 1
        held["size"] += entry.size
    return [*folders.values(), *found]


def preview_of(service: State, entry: Entry) -> View:
    if entry.link:
        return {"kind": "link", "text": printable(entry.link)}
    if downloads.picture_kind(entry.name):
        return {"kind": "picture"}
    text = downloads.text_of(browse.content(service.store, entry, downloads.PREVIEW))
    return {"kind": "binary"} if text is None else {"kind": "text", "text": text}


def differences(service: State, before: str, after: str, name: str) -> View:
    """The files that differ and, when one was chosen, how."""
    found = browse.compare(service.store, before, after)
    rows = [
        {
            "path": printable(file["name"]),
            "change": change,
            "sizes": [file[key] for key in ("size_before", "size") if key in file],
        }
        for change in ("added", "removed", "changed")
        for file in found[change]
    ]
    rows.sort(key=lambda row: row["path"])
    shown: View = {"rows": rows[:ROWS], "left": len(rows[ROWS:]), "file": None}
    if name:
        entry = files_of(service, after).get(name) or files_of(service, before).get(name)
        if entry is None:
            raise NotFoundError(f"Neither source folder has a file '{name}'.")
        shown["file"] = browse.compare_file(service.store, before, after, entry.name)
    return shown


@router.get("/code/file")
async def code_file(run: str, name: str, service: Service, show: bool = False) -> Response:
    row = await logic.get(service.db, run)
    files = await asyncio.to_thread(files_of, service, row.snapshot) if row.snapshot else {}
    entry = files.get(name)
    if entry is None or entry.link:
        raise NotFoundError(f"The run's source folder has no file '{name}'.")
    parts = browse.parts(service.store, entry)
    kind = downloads.picture_kind(name) if show else ""
    if kind:
        return downloads.shown(parts, entry.size, kind)
    return downloads.kept(parts, entry.size, name)
