"""The workspace: quotas, who did what, settings, logins, kinds of target, versions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form
from pydantic import ValidationError
from starlette.responses import Response

from turnout.portal.pages import Page, url
from turnout.service import versions
from turnout.service.environments import config, registries
from turnout.service.environments import routes as environments
from turnout.service.events import logic as events
from turnout.service.quotas import logic as quotas
from turnout.service.quotas import routes as quota_routes
from turnout.service.secrets import logic as secrets
from turnout.service.state import Service, State
from turnout.service.targets import logic as targets
from turnout.spec.errors import TurnoutError, UserError

router = APIRouter(prefix="/workspace")
View = dict[str, Any]
#: Parts of the page: name in the address, title.
PARTS = (
    ("", "Quotas"),
    ("events", "Events"),
    ("settings", "Settings"),
    ("logins", "Logins and secrets"),
    ("kinds", "Kinds of target"),
    ("versions", "Versions"),
)
#: Events on a page.
SIZE = 100


def frame(part: str) -> View:
    """What every part of the page shows: the way to the others."""
    return {
        "tabs": [(title, url("workspace", *([name] if name else []))) for name, title in PARTS],
        "tab": next(title for name, title in PARTS if name == part),
    }


@router.get("")
async def show_quotas(
    service: Service, page: Page, quota: str = "", all: bool = False
) -> Response:
    """`quota`: the one whose limit is to be changed. `all`: with the families that nobody uses."""
    return await quotas_page(service, page, quota, all=all)


async def quotas_page(
    service: State, page: Page, quota: str, *, all: bool, given: str | None = None, error: str = ""
) -> Response:
    found = await quotas.list_all(service.db)
    return page(
        "workspace/quotas.html",
        status=422 if error else 200,
        **frame(""),
        quotas=[q for q in found if all or is_of_interest(q)],
        all=all,
        edited=next((q for q in found if q["name"] == quota), None),
        given=given,
        error=error,
    )


def is_of_interest(quota: View) -> bool:
    """Whether it is one of the workspace, in use, or set."""
    return ":" not in quota["name"] or quota["used"] > 0 or quota["limit"] != quota["default"]


@router.post("")
async def change_quota(
    service: Service,
    page: Page,
    quota: Annotated[str, Form()],
    limit: Annotated[str, Form()] = "",
    unset: Annotated[bool, Form()] = False,
) -> Response:
    try:
        if unset:
            await quota_routes.unset_quota(quota, service)
        else:
            await quota_routes.set_quota(quota, limit_of(limit), service)
    except TurnoutError as e:
        return await quotas_page(service, page, quota, all=False, given=limit, error=e.message)
    return page.go(url("workspace"))


def limit_of(text: str) -> quota_routes.LimitBody:
    try:
        return quota_routes.LimitBody.model_validate({"limit": text.strip()})
    except ValidationError:
        raise UserError("A limit is a whole number from 0 to 1,000,000.") from None


@router.get("/events")
async def show_events(
    service: Service,
    page: Page,
    kind: str = "",
    name: str = "",
    who: str = "",
    before: int | None = None,
) -> Response:
    wanted = events.Filter(kind=kind, name=name, who=who, before=before, limit=SIZE + 1)
    found = await events.list_events(service.db, wanted)
    shown = found[:SIZE]
    return page(
        "workspace/events.html",
        **frame("events"),
        events=[{**event, "place": place_of(event)} for event in shown],
        wanted=wanted,
        kinds=events.KINDS,
        older=page.here_with(before=shown[-1]["id"]) if len(found) > SIZE else "",
        newest=page.here_with(before=None) if before is not None else "",
        any=bool(found) or bool(kind or name or who or before),
    )


def place_of(event: View) -> str:
    """The page of what an event was about, "" where there is none."""
    name, _, version = event["name"].partition(":")
    places = {
        "run": url("runs", event["name"]),
        "experiment": url("runs", experiment=event["name"]),
        "target": url("compute", event["name"]),
        "quota": url("workspace", quota=event["name"]),
        "setting": url("workspace", "settings", key=event["name"]),
        "environment": url("environments", "named", name, version=version),
        "dataset": url("data", "datasets", name, version=version),
        "model": url("models", name, version=version),
    }
    is_gone = event["action"] in ("deleted", "detached", "forgot")
    return "" if is_gone else places.get(event["kind"], "")


@router.get("/settings")
async def show_settings(service: Service, page: Page, key: str = "") -> Response:
    """`key`: the setting to be changed."""
    return await settings_page(service, page, key)


async def settings_page(
    service: State, page: Page, key: str, given: View | None = None, error: str = ""
) -> Response:
    found = await config.list_all(service.db)
    return page(
        "workspace/settings.html",
        status=422 if error else 200,
        **frame("settings"),
        settings=found,
        pattern=config.PATTERN,
        edited=next((s for s in found if s["key"] == key), None),
        given=given or {},
        error=error,
    )


@router.post("/settings")
async def change_setting(
    service: Service,
    page: Page,
    key: Annotated[str, Form()],
    value: Annotated[str, Form()] = "",
    channel: Annotated[str, Form()] = "",
    unset: Annotated[bool, Form()] = False,
) -> Response:
    meant = config.CHANNEL_KEY + channel.strip() if key == config.PATTERN else key
    try:
        if unset:
            await environments.unset_setting(meant, service)
        else:
            await environments.set_setting(meant, environments.SettingBody(value=value), service)
    except TurnoutError as e:
        given = {"value": value, "channel": channel}
        return await settings_page(service, page, key, given, e.message)
    return page.go(url("workspace", "settings"))


@router.get("/logins")
async def show_logins(service: Service, page: Page) -> Response:
    return page(
        "workspace/logins.html",
        **frame("logins"),
        registries=await registries.list_all(service.db),
        secrets=await secrets.list_all(service.db),
    )


@router.post("/logins/forget")
async def log_out(service: Service, page: Page, address: Annotated[str, Form()]) -> Response:
    await environments.log_out(address, service)
    return page.go(url("workspace", "logins"))


@router.get("/kinds")
async def show_kinds(page: Page) -> Response:
    found = targets.list_kinds()
    return page(
        "workspace/kinds.html",
        **frame("kinds"),
        kinds=[k for k in found if not k["engine"]],
        engines=[k for k in found if k["engine"]],
        offers=list(found[0]["capabilities"]),
    )


@router.get("/versions")
async def show_versions(service: Service, page: Page) -> Response:
    found = await versions.versions(service.db, service.settings.database_url)
    home = str(service.settings.home)
    return page("workspace/versions.html", **frame("versions"), versions=found, home=home)
