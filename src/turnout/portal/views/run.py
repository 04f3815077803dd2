"""The page of one run: how it is, and the parts that are told of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Response
from pydantic import BaseModel
from starlette.responses import Response as Answer

from turnout.payload.rundir import USAGE_NAME
from turnout.portal.pages import Page, url
from turnout.service.runs import logic, routes, series
from turnout.service.runs.folders import LOGS
from turnout.service.runs.routes import NewRunBody
from turnout.service.runs.views import run_view
from turnout.service.state import Service, State
from turnout.service.targets import logic as targets
from turnout.spec.errors import TurnoutError, UserError

router = APIRouter(prefix="/runs/{run}")
View = dict[str, Any]
#: Parts of the page: name in the address, title.
PARTS = (
    ("", "Overview"),
    ("metrics", "Metrics"),
    ("logs", "Logs"),
    ("outputs", "Outputs"),
    ("code", "Code"),
    ("environment", "Environment"),
    ("details", "Details"),
)


async def frame(service: State, run: str, part: str) -> View:
    """What every part of the page shows: the run, and the way to its other parts."""
    row = await logic.get(service.db, run)
    view = run_view(row)
    children = await logic.list_runs(service.db, logic.Filter(parent=row.id, limit=1))
    return {
        "run": view,
        "tabs": [(title, url("runs", row.id, *([name] if name else []))) for name, title in PARTS],
        "tab": next(title for name, title in PARTS if name == part),
        "has_children": bool(children),
        "final": view["ended_at"] is not None,
    }


@router.get("")
async def overview(run: str, service: Service, page: Page) -> Answer:
    found = await frame(service, run, "")
    row = await logic.get(service.db, run)
    children = await logic.list_runs(service.db, logic.Filter(parent=row.id, limit=20))
    return page(
        "run/overview.html",
        **found,
        history=row.history,
        children=[run_view(child) for child in children],
        metrics=await series.last_values(service.db, row.id),
        command=command_of(found["run"]["spec"]),
        logs=logs_of(service, row.id),
    )


def logs_of(service: State, run: str) -> dict[str, int]:
    """Sizes of what a person reads, by name."""
    sizes = service.folders.sizes(run, LOGS)
    return {name: size for name, size in sizes.items() if name != USAGE_NAME}


def command_of(spec: Mapping[str, Any]) -> str:
    """What the run executes, as one would type it."""
    words = spec.get("command") or [spec.get("script", ""), *spec.get("arguments", ())]
    return " ".join(str(word) for word in words if word)


@router.get("/details")
async def details(run: str, service: Service, page: Page) -> Answer:
    found = await frame(service, run, "details")
    return page(
        "run/details.html",
        **found,
        json=json.dumps(found["run"], indent=2, ensure_ascii=False),
    )


@router.post("/describe")
async def describe(
    run: str,
    service: Service,
    page: Page,
    display_name: Annotated[str, Form()] = "",
    description: Annotated[str, Form()] = "",
) -> Answer:
    body = routes.ChangeBody(display_name=display_name.strip() or None, description=description)
    view = await routes.change_run(run, body, service)
    return page.go(url("runs", view["id"], "details"))


class TagForm(BaseModel):
    """What the forms of `tag_editor` send: a tag to set, or one to take away."""

    tag: str = ""
    value: str = ""
    remove: str = ""

    def change(self) -> routes.TagsBody:
        if self.remove:
            return routes.TagsBody(remove=[self.remove])
        if not self.tag.strip():
            raise UserError("A tag needs a name.")
        return routes.TagsBody(set={self.tag.strip(): self.value})


@router.post("/tag")
async def tag(run: str, service: Service, page: Page, form: Annotated[TagForm, Form()]) -> Answer:
    body = routes.ChangeBody(tags=form.change())
    view = await routes.change_run(run, body, service)
    return page.go(url("runs", view["id"], "details"))


@router.post("/cancel")
async def cancel(run: str, service: Service, page: Page) -> Answer:
    view = await routes.cancel_run(run, service)
    return page.go(url("runs", view["id"]))


@router.get("/submit")
async def ask_again(run: str, service: Service, page: Page) -> Answer:
    """The form that submits the run once more."""
    row = await logic.get(service.db, run)
    return await again_page(service, page, run_view(row), {"target": asked_target(row.spec)})


async def again_page(
    service: State, page: Page, run: View, given: Mapping[str, str], problem: str = ""
) -> Answer:
    return page(
        "run/submit.html",
        status=422 if problem else 200,
        run=run,
        problem=problem,
        # Pressed twice it is one run.
        key=secrets.token_hex(16),
        targets=await targets.list_targets(service.db),
        given={"target": "local", "arguments": lines_of(run["spec"]), **given},
    )


def asked_target(spec: Mapping[str, Any]) -> str:
    return str(spec.get("target") or "local")


def lines_of(spec: Mapping[str, Any]) -> str:
    """Arguments for a text field, one on each line: they may hold spaces."""
    return "\n".join(str(word) for word in spec.get("arguments") or ())


@router.post("/submit")
async def submit_again(
    run: str,
    service: Service,
    page: Page,
    target: Annotated[str, Form()],
    arguments: Annotated[str, Form()] = "",
    key: Annotated[str, Form()] = "",
) -> Answer:
    row = await logic.get(service.db, run)
    given = {"target": target, "arguments": arguments}
    if not row.spec:
        raise UserError("This run has no script that could be submitted again.")
    # The nodes that it had belong to another target's sizes; all else is as it was.
    spec: View = {**row.spec, "target": target, "arguments": arguments.splitlines()}
    body = NewRunBody(
        key=key or secrets.token_hex(16),
        experiment=row.experiment,
        spec=spec,
        tags=row.tags,
        display_name=None if row.display_name == row.id else row.display_name,
    )
    try:
        view = await routes.create_run(body, service, Response())
    except TurnoutError as e:
        return await again_page(service, page, run_view(row), given, e.message)
    return page.go(url("runs", view["id"]))
