"""The door: a link that works once, or the token."""

from __future__ import annotations

import hmac
import os
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from turnout.portal.pages import Page
from turnout.service.accounts.sessions import SESSION, SESSION_LASTS
from turnout.service.accounts.who import named
from turnout.service.state import Service, State

router = APIRouter()


def own_page(wanted: str) -> str:
    """Where to go after signing in: a page of the portal, never another site's.

    >>> own_page("/portal/runs?a=b"), own_page("//evil.example"), own_page("/portal/../v1")
    ('/portal/runs?a=b', '/portal/', '/portal/')
    """
    path = wanted.partition("?")[0]
    plain = path.startswith("/portal/") and ".." not in path and "\\" not in path
    return wanted if plain and wanted.isprintable() else "/portal/"


@router.get("/sign-in")
async def door(
    request: Request, service: Service, page: Page, code: str = "", next: str = "/portal/"
) -> Response:
    if await service.sessions.who(request.cookies.get(service.cookie, "")) is not None:
        return RedirectResponse(own_page(next), 303)
    problem = ""
    if code:
        session = await service.sessions.enter(code)
        if session is not None:
            return let_in(request, service, session, next)
        problem = "This link was used already, or is older than five minutes."
    return ask(page, service, next, problem)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    service: Service,
    page: Page,
    token: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/portal/",
) -> Response:
    if not hmac.compare_digest(token.strip().encode(), service.token.encode()):
        problem = "That is not the token of this service."
        return ask(page, service, next, problem, status=401)
    who = named(name)
    return let_in(request, service, await service.sessions.make(SESSION, who), next)


@router.post("/sign-out")
async def sign_out(request: Request, service: Service) -> Response:
    await service.sessions.end(request.cookies.get(service.cookie, ""))
    answer = RedirectResponse("/portal/sign-in", 303)
    answer.delete_cookie(service.cookie, path="/portal")
    return answer


def ask(page: Page, service: State, wanted: str, problem: str, *, status: int = 200) -> Response:
    hosted = service.door.is_hosted
    home = service.settings.home
    return page(
        "sign_in.html",
        status=status,
        hosted=hosted,
        token_file=os.fspath(home / "token") if not hosted else "",
        next=own_page(wanted),
        problem=problem,
    )


def let_in(request: Request, service: State, session: str, wanted: str) -> Response:
    answer = RedirectResponse(own_page(wanted), 303)
    answer.set_cookie(
        service.cookie,
        session,
        max_age=int(SESSION_LASTS.total_seconds()),
        path="/portal",
        httponly=True,
        # Not "strict": a link in a notebook or a message must open the page.
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer
