"""Who is let into the portal, and who is not."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update

from turnout.service.accounts.sessions import LINK, SESSION
from turnout.service.accounts.tables import SessionRow
from turnout.service.app import parts_of
from turnout.service.db import now

OWN = {"Origin": "http://turnout"}
PAGE = {"Accept": "text/html"}


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that has no session yet."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://turnout") as client:
        yield client


async def enter(web: httpx.AsyncClient, browser: httpx.AsyncClient) -> None:
    link = (await web.post("/v1/portal/links", json={})).json()["path"]
    answer = await browser.get(link)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/portal/"


async def test_a_link_lets_in_once(web: httpx.AsyncClient, browser: httpx.AsyncClient) -> None:
    link = (await web.post("/v1/portal/links", json={"page": "/portal/runs?a=b"})).json()["path"]
    assert (await browser.get("/portal/", headers=PAGE)).status_code == 303
    first = await browser.get(link)
    assert first.headers["location"] == "/portal/runs?a=b"
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/portal" in cookie
    assert (await browser.get("/portal/", headers=PAGE)).status_code == 200
    browser.cookies.clear()
    again = await browser.get(link)
    assert "used already" in again.text
    assert (await browser.get("/portal/", headers=PAGE)).status_code == 303


async def test_a_link_that_is_too_old(
    app: FastAPI, web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    link = (await web.post("/v1/portal/links", json={})).json()["path"]
    async with parts_of(app).db.write() as session:
        past = now() - timedelta(seconds=1)
        await session.execute(update(SessionRow).values(expires_at=past))
    assert "older than five minutes" in (await browser.get(link)).text


async def test_codes_are_not_kept(app: FastAPI) -> None:
    sessions = parts_of(app).sessions
    code = await sessions.make(SESSION, "ana")
    assert await sessions.who(code) == "ana"
    async with parts_of(app).db.read() as session:
        keys = list(await session.scalars(select(SessionRow.key)))
    assert keys
    assert code not in keys
    assert await sessions.enter(code) is None
    link = await sessions.make(LINK, "ana")
    assert await sessions.who(link) is None


async def test_the_token_lets_in(app: FastAPI, browser: httpx.AsyncClient) -> None:
    wrong = await browser.post("/portal/sign-in", data={"token": "no"}, headers=OWN)
    assert wrong.status_code == 401
    assert "not the token" in wrong.text
    form = {"token": parts_of(app).token, "name": "ana", "next": "/portal/runs"}
    right = await browser.post("/portal/sign-in", data=form, headers=OWN)
    assert right.headers["location"] == "/portal/runs"
    page = await browser.get("/portal/")
    assert "Sign out (ana)" in page.text


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example", "/portal/../v1/runs", "/v1/runs", "/portal\\x"],
)
async def test_signing_in_leads_to_our_own_pages(
    app: FastAPI, browser: httpx.AsyncClient, wanted: str
) -> None:
    form = {"token": parts_of(app).token, "next": wanted}
    answer = await browser.post("/portal/sign-in", data=form, headers=OWN)
    assert answer.headers["location"] == "/portal/"


async def test_signing_out_ends_the_session(
    app: FastAPI, web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    await enter(web, browser)
    code = browser.cookies[parts_of(app).cookie]
    assert (await browser.post("/portal/sign-out", headers=OWN)).status_code == 303
    browser.cookies.set(parts_of(app).cookie, code)
    assert (await browser.get("/portal/", headers=PAGE)).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://turnout:8888"},
        {"Origin": "null"},
        {"Origin": "http://turnout", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://turnout", "Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_forms_of_other_pages_are_refused(
    app: FastAPI, web: httpx.AsyncClient, browser: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    await enter(web, browser)
    answer = await browser.post("/portal/sign-out", headers=headers)
    assert answer.status_code in (401, 403)
    assert (await browser.get("/portal/", headers=PAGE)).status_code == 200


async def test_a_session_opens_pages_and_the_token_the_interface(
    web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    await enter(web, browser)
    assert (await browser.get("/v1/runs")).status_code == 401
    assert (await browser.post("/v1/shutdown", headers=OWN)).status_code == 401
    assert (await web.get("/portal/", headers=PAGE)).status_code == 303


async def test_a_fragment_leads_to_the_door_too(browser: httpx.AsyncClient) -> None:
    page = "http://turnout/portal/runs/a?name=b"
    asked = {"HX-Request": "true", "HX-Current-URL": page}
    answer = await browser.get("/portal/runs", headers=asked)
    assert answer.status_code == 401
    back = "%2Fportal%2Fruns%2Fa%3Fname%3Db"
    assert answer.headers["hx-redirect"] == f"/portal/sign-in?next={back}"


async def test_every_page_says_what_browsers_must_keep_to(
    web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    await enter(web, browser)
    for place in ("/portal/", "/portal/runs", "/portal/no-such-page", "/portal/runs/no-such-run"):
        answer = await browser.get(place)
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "<script>" not in answer.text
        assert " style=" not in answer.text
