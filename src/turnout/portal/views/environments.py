"""Environments: those that have a name, and those that targets have built."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from turnout.portal.pages import Page, url
from turnout.service.environments import config, named
from turnout.service.state import Service
from turnout.service.targets import logic as targets
from turnout.spec.definitions import EnvironmentDefinition
from turnout.spec.records import from_dict

router = APIRouter(prefix="/environments")
View = dict[str, Any]


def tabs() -> list[tuple[str, str]]:
    return [("Named", url("environments")), ("Built", url("environments", "built"))]


@router.get("")
async def list_environments(service: Service, page: Page, text: str = "") -> Response:
    """`text` is looked for in names, descriptions and packages."""
    every = [{**e, "holds": holds(definition_of(e))} for e in await named.list_all(service.db)]
    wanted = text.strip().casefold()
    found = [
        e for e in every if wanted in f"{e['name']}\n{e['description']}\n{e['holds']}".casefold()
    ]
    return page(
        "environments/list.html",
        tabs=tabs(),
        tab="Named",
        own=[e for e in found if not e["curated"]],
        curated=[e for e in found if e["curated"]],
        text=text,
        any_own=any(not e["curated"] for e in every),
    )


def definition_of(environment: View) -> EnvironmentDefinition:
    """With the defaults, which what is kept leaves out."""
    return from_dict(EnvironmentDefinition, environment["definition"], "The environment")


def holds(definition: EnvironmentDefinition) -> str:
    """What it is made of, on one line.

    >>> holds(from_dict(EnvironmentDefinition, {"python": {"pip": ["numpy"]}}, "It"))
    'numpy'
    """
    python, docker = definition.python, definition.docker
    found: list[str] = []
    if docker.enabled:
        found.append(f"image {docker.base_image}" if docker.base_image else "a Dockerfile")
    if python.user_managed_dependencies:
        found.append(f"{python.interpreter_path}, as it is")
    else:
        found += [f"Python {python.python_version}"] if python.python_version else []
        found += [*python.conda, *python.pip]
    return ", ".join(found) or "Python alone"


@router.get("/named/{name}")
async def show_environment(
    name: str, service: Service, page: Page, version: str | None = None
) -> Response:
    found = await named.get(service.db, name, version or None)
    return page(
        "environments/environment.html", environment=found, definition=definition_of(found)
    )


@router.get("/built")
async def list_built(service: Service, page: Page) -> Response:
    """A frame; each target is asked by a request of its own, as one may be slow or away."""
    every = await targets.list_targets(service.db)
    keep_days = await config.value(service.db, "environments.keep_days")
    return page(
        "environments/built.html", tabs=tabs(), tab="Built", targets=every, keep_days=keep_days
    )
