"""The application below `/portal`: views, static files, errors as pages, and what browsers are
told to allow."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turnout.portal.pages import Show
from turnout.service.state import State
from turnout.spec.errors import TurnoutError

STATIC = Path(__file__).parent / "static"
#: Modules of `turnout.portal.views`, each with a `router`.
VIEWS = (
    "sign_in",
    "live",
    "home",
    "runs",
    "run",
    "run_files",
    "run_metrics",
    "compute_forms",
    "compute",
    "run_code",
    "compare",
    "experiments",
    "environments",
    "data",
    "models",
    "workspace",
)
#: Nothing runs, loads or frames but what is ours; no script or style inside of pages.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
TITLES = {
    400: "Not possible",
    404: "Not found",
    405: "Not possible here",
    409: "Not now",
    422: "Not possible",
}


def create(parts: State) -> FastAPI:
    """The portal of one service."""
    app = FastAPI(title="Turnout portal", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.turnout = parts
    for name in VIEWS:
        app.include_router(import_module(f"turnout.portal.views.{name}").router)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_exception_handler(TurnoutError, refused)
    app.add_exception_handler(RequestValidationError, misunderstood)
    app.add_exception_handler(HTTPException, no_page)
    app.add_exception_handler(Exception, broken)
    app.add_middleware(Guarded)
    return app


class Guarded:
    """Adds to every answer what browsers must keep to. A view may set its own policy."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                # Pages show what is now; scripts and styles are asked for again by their ETag.
                static = scope["path"].startswith("/portal/static/")
                headers.setdefault("cache-control", "no-cache" if static else "no-store")
            await send(message)

        await self.app(scope, receive, guarded)


def error_page(request: Request, status: int, message: str) -> Response:
    title = TITLES.get(status, "That did not work")
    return Show(request)("error.html", status=status, title=title, message=message)


async def refused(request: Request, e: Exception) -> Response:
    assert isinstance(e, TurnoutError)
    return error_page(request, e.status, e.message)


async def misunderstood(request: Request, e: Exception) -> Response:
    assert isinstance(e, RequestValidationError)
    found = "; ".join(f"{x['loc'][-1]}: {x['msg']}" for x in e.errors())
    return error_page(request, 422, f"This address was not understood: {found}.")


async def no_page(request: Request, e: Exception) -> Response:
    assert isinstance(e, HTTPException)
    return error_page(request, e.status_code, "There is no such page.")


async def broken(request: Request, _: Exception) -> Response:
    """A mistake of ours. What it was goes to the service's log, not to the page."""
    answer = error_page(
        request,
        500,
        "This should not happen. The service's log says what did: service.log in its home folder, "
        "or where `turnout server` writes.",
    )
    # Outside of what adds them to all other answers.
    answer.headers.update(HEADERS)
    return answer
