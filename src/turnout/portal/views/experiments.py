"""Experiments: what their runs came to, their tags, and which of them are put away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form
from starlette.responses import Response

from turnout.portal.pages import Page, url
from turnout.portal.views.run import TagForm
from turnout.service.runs import experiments, routes, search
from turnout.service.runs.routes import ChangeExperimentBody
from turnout.service.runs.search import Search
from turnout.service.state import Service

router = APIRouter(prefix="/experiments")
View = dict[str, Any]
#: Runs that the page of one experiment shows.
NEWEST = 20


@router.get("")
async def list_experiments(
    service: Service, page: Page, text: str = "", archived: bool = False
) -> Response:
    found = await experiments.listed(service.db)
    shown = [e for e in found if bool(e["archived_at"]) == archived and fits(e, text.strip())]
    shown.sort(key=lambda e: e["last_run_at"] or "", reverse=True)
    answer = page(
        "experiments/list.html",
        experiments=[with_bar(e) for e in shown],
        text=text,
        archived=archived,
        any=bool(found),
        place=page.here_with(),
        kept=sum(not e["archived_at"] for e in found),
        put_away=sum(bool(e["archived_at"]) for e in found),
    )
    if page.request.headers.get("hx-trigger") in ("filters", "text"):
        answer.headers["HX-Replace-Url"] = page.here_with()
    return answer


def fits(experiment: Mapping[str, Any], text: str) -> bool:
    """Whether the name or a tag says so."""
    tags = " ".join(f"{name}={value or ''}" for name, value in experiment["tags"].items())
    return text.lower() in f"{experiment['name']} {tags}".lower()


def with_bar(experiment: Mapping[str, Any]) -> View:
    """The states of an experiment's runs also as parts of a bar: (state, start, width) in %."""
    parts: list[tuple[str, float, float]] = []
    start, total = 0.0, max(experiment["runs"], 1)
    for state, count in experiment["states"].items():
        width = 100 * count / total
        parts.append((state, round(start, 2), round(width, 2)))
        start += width
    said = ", ".join(f"{count} {state}" for state, count in experiment["states"].items())
    return {**experiment, "bar": parts, "said": said}


@router.get("/{name}")
async def experiment(name: str, service: Service, page: Page) -> Response:
    found = await experiments.get(service.db, name)
    newest = await search.page(service.db, Search(experiment=name, size=NEWEST))
    return page("experiments/experiment.html", experiment=with_bar(found), runs=newest.rows)


@router.post("/{name}/archive")
async def archive(
    name: str,
    service: Service,
    page: Page,
    archived: Annotated[bool, Form()],
    back: Annotated[str, Form()] = "",
) -> Response:
    await experiments.get(service.db, name)
    await routes.change_experiment(name, ChangeExperimentBody(archived=archived), service)
    # Back to where the button was: the list, of those put away or of the others.
    if back == "list":
        return page.go(url("experiments", archived=None if archived else "true"))
    return page.go(url("experiments", name))


@router.post("/{name}/tag")
async def tag(
    name: str, service: Service, page: Page, form: Annotated[TagForm, Form()]
) -> Response:
    await experiments.get(service.db, name)
    await routes.change_experiment(name, ChangeExperimentBody(tags=form.change()), service)
    return page.go(url("experiments", name))
