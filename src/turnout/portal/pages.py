"""Renders templates: a whole page, or only its content for a script that puts it in place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from turnout import __version__
from turnout.service.accounts.who import who

TEMPLATES = Path(__file__).parent / "templates"
#: The frame's links: the first part of the address that they stand for, title, symbol.
SECTIONS = (
    ("", "Overview", "home"),
    ("runs", "Runs", "run"),
    ("experiments", "Experiments", "experiment"),
    ("compute", "Compute", "compute"),
    ("environments", "Environments", "environment"),
    ("data", "Data", "data"),
    ("models", "Models", "model"),
    ("workspace", "Workspace", "workspace"),
)
SURROGATES = re.compile("[\ud800-\udfff]")
UNITS = ("B", "KB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Bytes for a person.

    >>> size(0), size(1023), size(2_500_000)
    ('0 B', '1.0 KB', '2.5 MB')
    """
    amount, unit = float(count), 0
    while amount >= 999.5 and unit < len(UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.0f} B" if not unit else f"{amount:.1f} {UNITS[unit]}"


def duration(seconds: float | None) -> str:
    """
    >>> duration(0.42), duration(75), duration(7384), duration(200000)
    ('0.4 s', '1 min 15 s', '2 h 3 min', '2 d 7 h')
    """
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = int(seconds)
    for span, unit, next_span, next_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= span:
            return f"{whole // span} {unit} {whole % span // next_span} {next_unit}"
    return f"{whole // 60} min {whole % 60} s"


def number(value: Any) -> str:
    """A logged value, short enough for a table.

    >>> number(0.123456789), number(3), number("text"), number(True)
    ('0.123457', '3', 'text', 'True')
    """
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def printable(text: str) -> str:
    """`text` as a page can have it: names of files may be any bytes, and come with surrogates for
    those that are no UTF-8. Addresses give such a name back in this form.

    >>> printable("ü.py"), printable("odd\\udcff")
    ('ü.py', 'odd\ufffd')
    """
    return text if text.isascii() else SURROGATES.sub("\ufffd", text)


def url(*parts: Any, **query: Any) -> str:
    """An address of the portal; every part is one piece of the path, whatever is in it.

    >>> url("runs", "a/b", tab="x y")
    '/portal/runs/a%2Fb?tab=x+y'
    """
    path = "/".join(["/portal", *(quote(printable(str(part)), safe="") for part in parts)])
    given = {
        k: printable(v) if isinstance(v, str) else v
        for k, v in query.items()
        if v not in (None, "", (), [])
    }
    return path + (f"?{urlencode(given, doseq=True)}" if given else "")


def file_url(*parts: Any, name: str, **query: Any) -> str:
    """As `url`, and a file's name behind, in which a slash stays one."""
    path, _, rest = url(*parts, **query).partition("?")
    return f"{path}/{quote(printable(name))}" + (f"?{rest}" if rest else "")


def seconds_between(start: str | datetime | None, end: str | datetime | None) -> float | None:
    """Seconds from `start` to `end`, or to now; None when it did not begin."""
    if start is None:
        return None
    return max((moment(end or datetime.now(timezone.utc)) - moment(start)).total_seconds(), 0.0)


def moment(at: str | datetime) -> datetime:
    return datetime.fromisoformat(at) if isinstance(at, str) else at


class Missing(Undefined):
    """A variable that no view gave is a mistake of ours; a key that a record leaves out is not."""

    def __new__(cls, *given: Any, **where: Any) -> Any:
        return (Undefined if "obj" in where else StrictUndefined)(*given, **where)

    def __init__(self, *given: Any, **where: Any) -> None: ...


def environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=Missing,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared: dict[str, Any] = found.globals
    shared |= {
        "version": __version__,
        "sections": SECTIONS,
        "url": url,
        "file_url": file_url,
        "seconds_between": seconds_between,
    }
    found.filters.update(size=size, duration=duration, number=number)
    return found


TEMPLATE = environment()


class Show:
    """Makes a page out of a template: `show("runs/list.html", runs=rows)`."""

    def __init__(self, request: Request) -> None:
        self.request = request
        #: What had happened before the view looked: the page hears of what came after.
        self.seen: int = request.app.state.turnout.hub.news

    @property
    def is_fragment(self) -> bool:
        """A script asked, and puts the answer into a page that is there."""
        return "hx-request" in self.request.headers

    @property
    def path(self) -> str:
        """This page's address without its query, as it must stand in a link."""
        return quote(self.request.scope["path"])

    def __call__(self, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
        settings = self.request.app.state.turnout.settings
        query = self.request.url.query
        text = TEMPLATE.get_template(template).render(
            layout="fragment.html" if self.is_fragment else "layout.html",
            workspace=settings.workspace,
            who=who.get(),
            seen=self.seen,
            here=self.path + (f"?{query}" if query else ""),
            section=self.path.removeprefix("/portal").strip("/").partition("/")[0],
            **context,
        )
        return HTMLResponse(printable(text), status)

    def go(self, place: str) -> Response:
        """Sends the browser to another page, after a form was taken."""
        if self.is_fragment:
            return Response(status_code=204, headers={"hx-redirect": place})
        return RedirectResponse(place, 303)

    def here_with(self, **query: Any) -> str:
        """This page's address with other parameters; None takes one away."""
        given: dict[str, Any] = {}
        for name, value in self.request.query_params.multi_items():
            if value:
                given.setdefault(name, []).append(value)
        changed: Mapping[str, Any] = {**given, **query}
        kept = {
            name: [printable(v) for v in value]
            if isinstance(value, list)
            else printable(str(value))
            for name, value in changed.items()
            if value not in (None, "", [])
        }
        return f"{self.path}?{urlencode(kept, doseq=True)}" if kept else self.path


Page = Annotated[Show, Depends(Show)]
