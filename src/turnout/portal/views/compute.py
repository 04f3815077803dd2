"""Targets, clusters and engines: all of them, one of them, and what becomes of one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import JSONResponse, Response

from turnout.portal import forms
from turnout.portal.pages import Page, Show, url
from turnout.service.clusters import history
from turnout.service.clusters import logic as clusters
from turnout.service.clusters import routes as cluster_routes
from turnout.service.clusters.routes import ScaleBody
from turnout.service.engines import routes as engine_routes
from turnout.service.runs import search, usage
from turnout.service.runs.search import Search
from turnout.service.state import Service, State
from turnout.service.targets import logic, routes
from turnout.service.targets.pool import BUILT_IN
from turnout.service.targets.routes import PruneBody
from turnout.spec.errors import ConfigurationError, TurnoutError
from turnout.spec.sizes import size_of
from turnout.targets import registry

router = APIRouter(prefix="/compute")
View = dict[str, Any]
RUNS_SHOWN = 10
#: What the chart can show: hours, title.
SPANS = ((1, "hour"), (24, "day"), (168, "week"), (336, "two weeks"))
SCALE = ("min_nodes", "max_nodes", "idle_seconds_before_scaledown")


@router.get("")
async def list_all(service: Service, page: Page) -> Response:
    found = (await routes.list_targets(service))["targets"]
    engines = await logic.list_engines(service.db)
    for view in (*found, *engines):
        view["where"] = where(view)
    made_on = {view["config"].get("engine") for view in found}
    return page(
        "compute/list.html",
        targets=found,
        engines=[{**view, "is_used": view["name"] in made_on} for view in engines],
    )


def where(view: Mapping[str, Any]) -> str:
    """Where a target is, in a few words.

    >>> where({"kind": "ssh", "config": {"address": "lab", "username": "ana", "port": 2222}})
    'ana@lab:2222'
    >>> where({"kind": "cluster", "config": {"engine": "", "vm_size": "2c4g"}})
    'this machine, 2c4g'
    """
    config = view["config"]
    if view["kind"] == "cluster":
        return f"{config.get('engine') or 'this machine'}, {config['vm_size']}"
    if view["kind"] not in registry.KINDS and view["kind"] not in registry.ENGINES:
        return str(config.get("address") or "")
    place = config.get("ssh_config_host") or config.get("address")
    if not place:
        return "this machine"
    user = f"{config['username']}@" if config.get("username") else ""
    port = config.get("port") or 22
    return f"{user}{place}{'' if port == 22 else f':{port}'}"


@router.get("/{name}")
async def show_one(
    name: str,
    service: Service,
    page: Page,
    hours: Annotated[int, Query(ge=1, le=24 * history.DAYS)] = 24,
) -> Response:
    return await one(service, page, name, hours=hours)


async def one(
    service: State,
    page: Show,
    name: str,
    *,
    hours: int = 24,
    scale: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response:
    """The page of one target. Only the database is asked: what the machine itself must say is
    asked for by parts of the page."""
    view = await logic.get(service.db, service.pool, name)
    kind = registry.kind(view["kind"])
    is_cluster = kind.gives_nodes
    counts, used = await history.now_of_all(service.db)
    found: View = {"nodes": [], "events": []}
    if is_cluster and not view["config"].get("engine"):
        found = await clusters.nodes(service.db, name)
        for node in found["nodes"]:
            node["usage"] = usage.last(service.folders, node["run"]) if node["run"] else None
    elif is_cluster:
        found["events"] = await clusters.events_of(service.db, name)
    runs = await search.page(
        service.db, Search(target=name, include_children=True, size=RUNS_SHOWN)
    )
    return page(
        "compute/target.html",
        status=422 if errors else 200,
        target=view,
        where=where(view),
        is_cluster=is_cluster,
        is_engine=kind.is_engine,
        is_built_in=name in BUILT_IN,
        counts=counts.get(name),
        size=size_of(view["config"]["vm_size"]) if is_cluster else None,
        active=used.get(name, 0),
        made_on_it=(await clusters.in_use(service.db, name))["clusters"] if kind.is_engine else [],
        nodes=found["nodes"],
        events=found["events"],
        runs=runs.rows,
        total=runs.total,
        configuration=configuration(view, await secret_names(service, view)),
        hours=hours,
        spans=[(title, span, url("compute", name, hours=span)) for span, title in SPANS],
        scale={key: view["config"].get(key) for key in SCALE} | dict(scale or {}),
        errors=errors or {},
    )


async def secret_names(service: State, view: Mapping[str, Any]) -> set[str]:
    """Names of the secrets that are set."""
    _, config = await service.pool.configuration(view["name"])
    return config.keys() - view["config"].keys()


def configuration(view: Mapping[str, Any], secrets: set[str]) -> list[tuple[str, str]]:
    """(title, value) of what is set; of secrets only that they are."""
    fields = forms.fields_of(registry.kind(view["kind"]).config_model)
    shown = forms.values(fields, view["config"])
    found: list[tuple[str, str]] = []
    for field in fields:
        if field.is_secret and field.name in secrets:
            found.append((field.title, "set"))
        elif shown.get(field.name):
            found.append((field.title, shown[field.name]))
    return found


@router.get("/{name}/history.json")
async def nodes_over_time(
    name: str, service: Service, hours: Annotated[float, Query(gt=0, le=24 * history.DAYS)] = 24.0
) -> Response:
    return JSONResponse(await cluster_routes.nodes_over_time(name, service, hours))


@router.get("/{name}/nodes")
async def engine_nodes(name: str, service: Service, page: Page) -> Response:
    """A part of the page: nodes of an engine, and what it is like. It may take seconds."""
    view = await logic.get(service.db, service.pool, name)
    found: View = {"engine_nodes": [], "site": None, "problem": "", "limits": ""}
    try:
        if registry.kind(view["kind"]).is_engine:
            found |= await engine_routes.get(name, service)
        else:
            found |= await clusters.engine_nodes(service.db, service.pool, view)
            found["limits"] = await clusters.limits_of(service.pool, view["config"])
    except TurnoutError as e:
        found["problem"] = e.message
    return page("compute/nodes.html", target=view, **found)


@router.get("/{name}/environments")
async def environments(name: str, service: Service, page: Page) -> Response:
    """A part of the page: what lies built there, asked of the machine now."""
    try:
        found = [as_shown(e) for e in (await routes.environments(name, service))["environments"]]
        problem = ""
    except TurnoutError as e:
        found, problem = [], e.message
    return page("compute/environments.html", name=name, found=found, problem=problem)


def as_shown(environment: View) -> View:
    """Its times as moments."""
    at = {
        key: datetime.fromtimestamp(environment[key], timezone.utc) if environment[key] else None
        for key in ("built_at", "used_at")
    }
    return {**environment, **at}


@router.post("/{name}/environments/prune")
async def prune(
    name: str, service: Service, page: Page, key: Annotated[list[str] | None, Form()] = None
) -> Response:
    if key:
        await routes.prune(name, PruneBody(keys=key), service)
    return page.go(url("compute", name) + "#environments")


@router.post("/{name}/check")
async def check(name: str, service: Service, page: Page) -> Response:
    view = await logic.get(service.db, service.pool, name)
    is_engine = registry.kind(view["kind"]).is_engine
    await (engine_routes if is_engine else routes).check(name, service)
    return page.go(url("compute", name))


@router.post("/{name}/scale")
async def change_scale(name: str, request: Request, service: Service, page: Page) -> Response:
    form = await request.form()
    given = {key: str(form.get(key) or "").strip() for key in SCALE}
    wrong = {key: "A whole number is needed." for key, text in given.items() if not text.isdigit()}
    try:
        if wrong:
            raise ConfigurationError("The scale cannot be read.", wrong)
        body = ScaleBody(**{key: int(text) for key, text in given.items()})
        await cluster_routes.update(name, body, service)
    except ConfigurationError as e:
        return await one(service, page, name, scale=given, errors=e.fields)
    return page.go(url("compute", name))


@router.get("/{name}/detach")
async def ask_detach(name: str, service: Service, page: Page) -> Response:
    return await detach_page(service, page, name)


async def detach_page(service: State, page: Show, name: str, problem: str = "") -> Response:
    view = await logic.get(service.db, service.pool, name)
    kind = registry.kind(view["kind"])
    return page(
        "compute/detach.html",
        status=409 if problem else 200,
        target=view,
        problem=problem,
        verb="Delete" if kind.capabilities.created else "Detach",
        is_engine=kind.is_engine,
        used=await clusters.in_use(service.db, name),
        is_built_in=name in BUILT_IN,
    )


@router.post("/{name}/detach")
async def detach(
    name: str, service: Service, page: Page, force: Annotated[bool, Form()] = False
) -> Response:
    view = await logic.get(service.db, service.pool, name)
    try:
        if registry.kind(view["kind"]).is_engine:
            await engine_routes.detach(name, service)
        else:
            await routes.detach(name, service, force)
    except TurnoutError as e:
        return await detach_page(service, page, name, e.message)
    return page.go(url("compute"))
