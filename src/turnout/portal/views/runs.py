"""The list of runs: filters, search, order, pages; all of it in the address."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from turnout.portal.pages import Page, Show
from turnout.service.runs import search
from turnout.service.runs.search import Search
from turnout.service.state import Service
from turnout.spec.runs import RunState

router = APIRouter()
SIZE = 50
ACTIVE = tuple(s.value for s in RunState if not s.is_final)
#: What the list can be narrowed to: name in the address, title, states.
GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("", "All", ()),
    ("active", "Active", ACTIVE),
    ("completed", "Completed", ("completed",)),
    ("failed", "Failed", ("failed",)),
    ("canceled", "Canceled", ("canceled",)),
)
COLUMNS = (
    ("name", "Run"),
    ("state", "State"),
    ("experiment", "Experiment"),
    ("target", "Target"),
    ("started", "Started"),
    ("duration", "Duration"),
)


class Wanted(BaseModel):
    """The list's address. What is not known in it is passed over."""

    text: str = ""
    experiment: str = ""
    target: str = ""
    tag: str = ""
    state: str = ""
    parent: str = ""
    children: bool = False
    sort: str = "number"
    up: bool = False
    start: int = Field(default=0, ge=0)

    def search(self) -> Search:
        states = next((s for name, _, s in GROUPS if name == self.state), (self.state,))
        return Search(
            experiment=self.experiment or None,
            states=states,
            target=self.target or None,
            tag=self.tag or None,
            text=self.text,
            parent=self.parent or None,
            include_children=self.children,
            sort=self.sort,
            descending=not self.up,
            size=SIZE,
            offset=self.start,
        )


@router.get("/runs")
async def list_runs(
    request: Request, service: Service, page: Page, wanted: Annotated[Wanted, Query()]
) -> Response:
    asked = wanted.search()
    found = await search.page(service.db, asked)
    counts = await search.counts(service.db, asked)
    answer = page(
        "runs/list.html",
        place=clean(page),
        wanted=wanted,
        runs=found.rows,
        total=found.total,
        any=bool(counts) or narrowed(wanted),
        groups=[
            (title, name, page.here_with(state=name, start=None), sum_of(counts, states))
            for name, title, states in GROUPS
        ],
        columns=[(title, name, sorted_by(page, wanted, name)) for name, title in COLUMNS],
        newer=page.here_with(start=max(wanted.start - SIZE, 0) or None) if wanted.start else "",
        older=page.here_with(start=wanted.start + SIZE)
        if wanted.start + SIZE < found.total
        else "",
        choices=await search.choices(service.db),
    )
    # What was chosen goes into the address: a choice is a step back, letters typed are not.
    cause = request.headers.get("hx-trigger")
    if cause in ("filters", "text"):
        header = "HX-Push-Url" if cause == "filters" else "HX-Replace-Url"
        answer.headers[header] = clean(page)
    return answer


def clean(page: Show) -> str:
    """The address without empty parameters."""
    return page.here_with()


def narrowed(wanted: Wanted) -> bool:
    return any(
        (wanted.text, wanted.experiment, wanted.target, wanted.tag, wanted.state, wanted.parent)
    )


def sum_of(counts: dict[str, int], states: tuple[str, ...]) -> int:
    return sum(n for state, n in counts.items() if not states or state in states)


def sorted_by(page: Show, wanted: Wanted, name: str) -> dict[str, Any]:
    """The link of a column's head, and how it is sorted now."""
    now = wanted.sort == name
    # The newest, the longest and the last first; names from a to z.
    up = not wanted.up if now else name in ("name", "experiment", "target", "state")
    place = page.here_with(sort=name, up="true" if up else None, start=None)
    return {"place": place, "now": ("ascending" if wanted.up else "descending") if now else ""}
