"""Forms that make targets: a cluster, an attached machine, an engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from turnout.portal import forms
from turnout.portal.forms import FormField
from turnout.portal.pages import Page, Show, url
from turnout.service.clusters import logic as clusters
from turnout.service.clusters import machine
from turnout.service.engines import routes as engine_routes
from turnout.service.engines.routes import EngineBody
from turnout.service.state import Service, State
from turnout.service.targets import logic, routes
from turnout.service.targets.pool import BUILT_IN, split_secrets
from turnout.service.targets.routes import TargetBody
from turnout.spec.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    TurnoutError,
    UserError,
)
from turnout.spec.runs import check_name
from turnout.spec.sizes import Size, fitted, supported
from turnout.targets import registry
from turnout.targets.base import Identity

router = APIRouter(prefix="/compute")
View = dict[str, Any]
#: Fields of the cluster form that have a place of their own in it.
PLACED = ("vm_size", "max_nodes", "engine")

USUAL_SIZE = "Standard_D2_v2"
#: What says which machine is meant, of configurations that have host keys.
PLACE = ("address", "port", "ssh_config_host", "jump")


@dataclass
class Filled:
    """A form as it was sent, and what is to be said of it."""

    name: str = ""
    description: str = ""
    tags: str = ""
    #: The person knows that a target of this name is there.
    replace: bool = False
    values: dict[str, str] = field(default_factory=dict[str, str])
    #: Message by field; "" for the whole.
    errors: dict[str, str] = field(default_factory=dict[str, str])
    #: A host key to be confirmed.
    identity: Identity | None = None
    trusted: str = ""
    #: What a check found.
    problems: list[View] = field(default_factory=list[View])

    @classmethod
    def of(cls, fields: list[FormField], form: Mapping[str, Any]) -> Filled:
        def text(name: str) -> str:
            return str(form.get(name) or "").strip()

        return cls(
            name=text("name"),
            description=text("description"),
            tags=text("tags"),
            replace=bool(form.get("replace")),
            values=forms.typed(fields, form),
        )

    def refuse(self, e: TurnoutError) -> None:
        """Puts an error beside the fields that it means."""
        if isinstance(e, ConfigurationError) and e.fields:
            self.errors |= e.fields
        else:
            self.errors[""] = e.message

    def tag_values(self) -> dict[str, str]:
        """ "a=1, b" as a mapping."""
        pairs = [tag.partition("=") for tag in self.tags.split(",") if tag.strip()]
        return {name.strip(): value.strip() for name, _, value in pairs}


def shown_names(fields: list[FormField]) -> set[str]:
    """Where an error has a place of its own; others are told above the form."""
    return {"", "name", "replace", *(f.name for f in fields if not f.is_hidden)}


async def check_free(service: State, filled: Filled, kind: str) -> None:
    """Say it where the name cannot be, or is taken."""
    try:
        check_name("a target" if kind not in registry.ENGINES else "an engine", filled.name)
        if filled.name in BUILT_IN:
            raise ConflictError(f"'{filled.name}' is there in every workspace.")
        known = await logic.get(service.db, service.pool, filled.name)
    except NotFoundError:
        return
    except UserError as e:
        filled.errors["name"] = e.message
        return
    if known["kind"] != kind:
        filled.errors["name"] = (
            f"'{filled.name}' is there already, of kind {known['kind']}. Take another name."
        )
    elif not filled.replace:
        filled.errors["name"] = (
            f"'{filled.name}' is there already. Take another name, or say below that it is to be "
            "replaced."
        )
        filled.errors["replace"] = "taken"


# Clusters


@router.get("/create")
async def ask_cluster(request: Request, service: Service, page: Page) -> Response:
    query = request.query_params
    config = await clusters.with_engine(service.db, {})
    values = {"vm_size": USUAL_SIZE, "engine": str(config.get("engine") or "")}
    values |= {name: query[name] for name in ("engine", "vm_size") if name in query}
    return await cluster_form(service, page, Filled(values=values))


async def cluster_form(
    service: State, page: Show, filled: Filled, listed_size: str = ""
) -> Response:
    """`listed_size`: what was chosen in the list, beside a size of one's own."""
    fits, larger = sizes()
    wanted = filled.values.get("vm_size", "")
    is_listed = wanted.casefold() in {size.name.casefold() for size in (*fits, *larger)}
    fields = forms.fields_of(registry.kind("cluster").config_model)
    return page(
        "compute/create.html",
        status=422 if filled.errors or filled.problems else 200,
        fields=fields,
        known_names=shown_names(fields),
        filled=filled,
        fits=fits,
        larger=larger,
        listed_size=wanted if is_listed else listed_size or USUAL_SIZE,
        own_size="" if is_listed else wanted,
        machine=machine.machine(),
        placed=PLACED,
        engines=[view["name"] for view in await logic.list_engines(service.db)],
    )


def sizes() -> tuple[list[Size], list[Size]]:
    """The well-known sizes that this machine can hold as they are, and those it cannot."""
    here = machine.machine()
    fits: list[Size] = []
    larger: list[Size] = []
    for size in supported():
        (larger if fitted(size, here)[1] else fits).append(size)
    return fits, larger


@router.get("/size")
async def show_size(
    service: Service, page: Page, vm_size: str = "", own_size: str = "", engine: str = ""
) -> Response:
    """A part of the form: what a size comes to where the nodes will be."""
    wanted = own_size.strip() or vm_size
    found, text, problem = None, "", ""
    try:
        config = registry.config("cluster", {"vm_size": wanted, "engine": engine}).model_dump()
        found, text = await clusters.size_there(service.pool, config)
    except ConfigurationError as e:
        problem = e.fields.get("vm_size") or e.message
    except TurnoutError as e:
        problem = e.message
    return page("compute/size.html", size=found, text=text, problem=problem)


@router.post("/create")
async def create(request: Request, service: Service, page: Page) -> Response:
    form = {**await request.form()}
    fields = forms.fields_of(registry.kind("cluster").config_model)
    own = str(form.get("own_size") or "").strip()
    form[f"{forms.PREFIX}vm_size"] = own or form.get("vm_size") or ""
    form[f"{forms.PREFIX}engine"] = form.get("engine") or ""
    filled = Filled.of(fields, form)
    await check_free(service, filled, "cluster")
    try:
        # Said outright, also when it is this machine: the workspace's engine is only a default.
        config = {"engine": "", **forms.read(fields, form)}
        body = TargetBody(
            name=filled.name,
            kind="cluster",
            config=config,
            tags=filled.tag_values(),
            description=filled.description,
        )
        registry.config("cluster", config)
        await clusters.check_new(service.pool, filled.name, config)
        if not filled.errors:
            view = await routes.attach(body, service)
            # What is not well is kept all the same: another try replaces it.
            filled.problems, filled.replace = view["provisioning_errors"], True
    except TurnoutError as e:
        filled.refuse(e)
    if filled.errors or filled.problems:
        return await cluster_form(service, page, filled, str(form.get("vm_size") or ""))
    return page.go(url("compute", filled.name))


# Machines and engines


@router.get("/attach")
async def choose_kind(page: Page) -> Response:
    return page("compute/kinds.html", kinds=attachable())


def attachable() -> list[View]:
    """Kinds that can be attached, ours and those that other packages bring."""
    found: list[View] = []
    for name in (*registry.kinds(), *registry.ENGINES):
        if name in BUILT_IN.values():
            continue
        try:
            kind = registry.kind(name)
        except Exception as e:
            # Of a package that is not ours: the others are there all the same.
            found.append({"name": name, "about": "", "problem": f"It cannot be loaded: {e}"})
            continue
        if not kind.capabilities.created:
            about = (kind.__doc__ or "").strip().partition("\n")[0]
            is_engine = kind.is_engine
            found.append({"name": name, "about": about, "is_engine": is_engine, "problem": ""})
    return found


def attached_fields(kind: str) -> list[FormField]:
    """The form of a kind; raises `UserError` for one that is not attached."""
    found = registry.kind(kind)
    if kind in BUILT_IN.values() or found.capabilities.created:
        raise NotFoundError(f"Nothing of kind '{kind}' can be attached.")
    return forms.fields_of(found.config_model)


@router.get("/attach/{kind}")
async def ask_attach(kind: str, service: Service, page: Page, name: str = "") -> Response:
    """`name`: a target that is there, to be attached again with other settings."""
    fields = attached_fields(kind)
    filled = Filled()
    if name:
        view = await logic.get(service.db, service.pool, name)
        if view["kind"] == kind:
            filled = Filled(
                name=name,
                description=view["description"],
                tags=", ".join(f"{k}={v}" if v else k for k, v in view["tags"].items()),
                replace=True,
                values=forms.values(fields, view["config"]),
            )
    return attach_form(page, kind, fields, filled)


def attach_form(page: Show, kind: str, fields: list[FormField], filled: Filled) -> Response:
    found = registry.kind(kind)
    return page(
        "compute/attach.html",
        status=422 if filled.errors or filled.problems else 200,
        kind=kind,
        about=" ".join((found.config_model.__doc__ or "").split()),
        is_engine=found.is_engine,
        fields=fields,
        hidden=[f for f in fields if f.is_hidden],
        known_names=shown_names(fields),
        filled=filled,
    )


@router.post("/attach/{kind}")
async def attach(kind: str, request: Request, service: Service, page: Page) -> Response:
    """Checks the form, asks for the host key to be confirmed, then attaches."""
    fields = attached_fields(kind)
    form = {**await request.form()}
    filled = Filled.of(fields, form)
    await check_free(service, filled, kind)
    try:
        config = forms.read(fields, form)
        shown = {f.name: config[f.name] for f in fields if f.name in config and is_open(f)}
        seen = sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()
        if form.get("trusted") != seen:
            # What was confirmed was another machine's.
            config = {
                f.name: config[f.name] for f in fields if f.name in config and not f.is_hidden
            }
            filled.values = {k: v for k, v in filled.values.items() if k in config}
        checked = registry.config(kind, config)
        if not filled.errors:
            filled.trusted = seen
            view = await confirmed(service, kind, config, checked, filled)
            if view is not None and not view["provisioning_errors"]:
                return page.go(url("compute", filled.name))
            filled.problems = view["provisioning_errors"] if view is not None else []
    except TurnoutError as e:
        filled.refuse(e)
    return attach_form(page, kind, fields, filled)


def is_open(f: FormField) -> bool:
    """Whether a field says which machine is meant, and nothing that must not be seen."""
    return not f.is_hidden and not f.is_secret


async def confirmed(
    service: State, kind: str, config: View, checked: BaseModel, filled: Filled
) -> View | None:
    """The attached target; None where a host key must be confirmed first."""
    hidden = {f.name for f in forms.fields_of(registry.kind(kind).config_model) if f.is_hidden}
    if not hidden & config.keys():
        identity = await logic.identity(service.pool, kind, config)
        if identity is not None:
            is_pinned = await is_confirmed(service, filled.name, checked, identity)
            if not identity.known and not is_pinned:
                filled.identity = identity
                return None
            config = {**config, **identity.pinned}
    common: View = {
        "name": filled.name,
        "kind": kind,
        "config": config,
        "tags": filled.tag_values(),
        "description": filled.description,
    }
    # What becomes of it is kept as of any attach: another try replaces it.
    filled.replace = True
    if kind in registry.ENGINES:
        return await engine_routes.attach(EngineBody(**common), service)
    return await routes.attach(TargetBody(**common), service)


async def is_confirmed(service: State, name: str, checked: BaseModel, identity: Identity) -> bool:
    """Whether the target of this name has this very key. Raises `ConflictError` where another key
    of this machine was confirmed before."""
    config, _ = split_secrets(checked)
    if identity.conflict:
        raise ConflictError(
            f"The machine shows the host key {identity.fingerprint}, and known_hosts of the "
            f"service's user has {identity.conflict}. It was set up anew, or somebody stands in "
            "between. If you know that it was set up anew, remove the old key there: "
            f"ssh-keygen -R {config.get('address') or config.get('ssh_config_host')}"
        )
    try:
        known = (await logic.get(service.db, service.pool, name))["config"]
    except NotFoundError:
        return False
    if not known.get("host_key") or any(known.get(k) != config.get(k) for k in PLACE):
        return False
    if known["host_key"] != identity.host_key:
        raise ConflictError(
            f"The machine shows the host key {identity.fingerprint}, which is not the one that "
            f"'{name}' was attached with. It was set up anew, or somebody stands in between. If "
            f"you know that it was set up anew, detach '{name}' first and attach it as a new one."
        )
    return True
