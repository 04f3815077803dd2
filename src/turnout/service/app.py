"""The web application: routes of all domains behind one gate."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
from collections.abc import AsyncGenerator
from importlib import import_module
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from turnout import __version__
from turnout.service import db, state, versions
from turnout.service.accounts.gate import PORTAL, Gate
from turnout.service.accounts.routes import router as accounts
from turnout.service.clusters.routes import router as clusters
from turnout.service.data.routes import router as data
from turnout.service.engines.routes import router as engines
from turnout.service.environments.routes import router as environments
from turnout.service.events.routes import router as events
from turnout.service.models.routes import router as models
from turnout.service.quotas.routes import router as quotas
from turnout.service.runs.analysis import router as runs_analysis
from turnout.service.runs.routes import router as runs
from turnout.service.secrets.routes import router as secrets
from turnout.service.settings import Settings
from turnout.service.snapshots.routes import router as snapshots
from turnout.service.state import Service, State
from turnout.service.targets.routes import kinds
from turnout.service.targets.routes import router as targets
from turnout.spec.errors import ConfigurationError, TurnoutError

general = APIRouter(tags=["service"])


@general.get("/healthz")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@general.get("/v1/workspace")
async def workspace(service: Service) -> dict[str, Any]:
    settings = service.settings
    return {
        "name": settings.workspace,
        "version": __version__,
        "home": str(settings.home),
        "pid": os.getpid(),
    }


@general.get("/v1/versions")
async def get_versions(service: Service) -> dict[str, Any]:
    """Of Turnout and of what it stands on."""
    return await versions.versions(service.db, service.settings.database_url)


@general.post("/v1/shutdown", status_code=202)
async def shutdown() -> dict[str, str]:
    """Ends the service after the requests in flight. Runs go on."""
    asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
    return {"status": "ending"}


def create_app(settings: Settings) -> FastAPI:
    """The application of one service. Its parts are in `app.state.turnout`."""
    parts = state.build(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        await asyncio.to_thread(db.migrate, settings.database_url)
        await parts.loops.start()
        await parts.clusters.start()
        yield
        await parts.clusters.aclose()
        await parts.loops.aclose()
        await parts.pool.aclose()
        await parts.db.aclose()
        parts.store.close()

    app = FastAPI(
        title="Turnout",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        default_response_class=EscapedResponse,
    )
    app.state.turnout = parts
    for router in (
        general,
        accounts,
        # Before the runs: "/runs/search" is no run's id.
        runs_analysis,
        runs,
        targets,
        kinds,
        clusters,
        engines,
        quotas,
        environments,
        snapshots,
        secrets,
        data,
        models,
        events,
    ):
        app.include_router(router)
    app.mount(PORTAL, Portal(parts))
    app.add_exception_handler(TurnoutError, refused)
    app.add_exception_handler(RequestValidationError, misunderstood)
    app.add_middleware(Gate, state=parts)
    return app


@general.get("/", include_in_schema=False)
async def entrance() -> RedirectResponse:
    return RedirectResponse(f"{PORTAL}/")


class Portal:
    """The portal, from the room above, loaded when a browser first asks: nobody else waits for
    what only pages need."""

    def __init__(self, parts: State) -> None:
        self.parts = parts

    @functools.cached_property
    def app(self) -> ASGIApp:
        return import_module("turnout.portal.app").create(self.parts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class EscapedResponse(JSONResponse):
    """JSON in ASCII: names of files may hold what UTF-8 cannot say."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode()


def error(status: int, code: str, message: str, **more: Any) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, **more}}, status)


async def refused(_: Request, e: Exception) -> JSONResponse:
    assert isinstance(e, TurnoutError)
    fields = e.fields if isinstance(e, ConfigurationError) else {}
    return error(e.status, e.code, e.message, **({"fields": fields} if fields else {}))


async def misunderstood(_: Request, e: Exception) -> JSONResponse:
    assert isinstance(e, RequestValidationError)
    found = [f"{'.'.join(str(p) for p in x['loc'][1:])}: {x['msg']}" for x in e.errors()]
    return error(422, "invalid", f"The request was not understood: {'; '.join(found)}.")


def parts_of(app: FastAPI) -> State:
    return app.state.turnout
