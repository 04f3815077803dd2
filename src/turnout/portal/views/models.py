"""Models: the list, one with its versions and files."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from turnout.portal import downloads
from turnout.portal.pages import Page, url
from turnout.service.models import logic, routes
from turnout.service.paths import use_file_names
from turnout.service.state import Service

use_file_names()
router = APIRouter(prefix="/models")
View = dict[str, Any]


@router.get("")
async def list_models(service: Service, page: Page, text: str = "") -> Response:
    """The newest version of each. `text` is looked for in names, tags and frameworks."""
    every = [logic.model_view(r) for r in await logic.list_all(service.db, logic.Filter())]
    counts: dict[str, int] = {}
    newest: dict[str, View] = {}
    for model in every:
        counts[model["name"]] = counts.get(model["name"], 0) + 1
        newest.setdefault(model["name"], model)
    found = [{**m, "versions": counts[name]} for name, m in newest.items() if says(m, text)]
    return page("models/list.html", models=found, text=text, any=bool(every))


def says(model: View, text: str) -> bool:
    """
    >>> says({"name": "Ridge", "framework": None, "tags": {"stage": "test"}}, "stage=te")
    True
    """
    tags = [f"{name}={value or ''}" for name, value in model["tags"].items()]
    words = [model["name"], model["framework"] or "", *tags]
    return any(text.strip().casefold() in word.casefold() for word in words)


@router.get("/{name}")
async def show_model(
    name: str, service: Service, page: Page, version: int | None = None
) -> Response:
    row = await logic.get(service.db, name, version)
    every = await logic.list_all(service.db, logic.Filter(name=name))
    return page(
        "models/model.html",
        model=logic.model_view(row),
        versions=[logic.model_view(r) for r in every],
    )


@router.post("/{name}/{version}/delete")
async def delete_model(name: str, version: int, service: Service, page: Page) -> Response:
    await routes.delete_model(name, version, service)
    left = await logic.list_all(service.db, logic.Filter(name=name))
    return page.go(url("models", name) if left else url("models"))


@router.get("/{name}/{version}/files/{file:file}")
async def read_file(name: str, version: int, file: str, service: Service) -> Response:
    row = await logic.get(service.db, name, version)
    size, parts = routes.files_of(service).parts(row.key, file)
    return downloads.kept(parts, size, file)
