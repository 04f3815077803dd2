"""Pages for what goes wrong."""

import httpx
import pytest
from fastapi import FastAPI

from turnout.service.app import parts_of
from turnout.service.runs import search


async def test_a_mistake_of_ours_is_a_page(
    app: FastAPI, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError("inside information")

    monkeypatch.setattr(search, "counts", fails)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    cookie = parts_of(app).cookie
    async with httpx.AsyncClient(
        transport=transport, base_url="http://turnout", cookies={cookie: browser.cookies[cookie]}
    ) as client:
        answer = await client.get("/portal/runs")
    assert answer.status_code == 500
    assert "This should not happen" in answer.text
    assert "inside information" not in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("no-such-page", 404, "There is no such page."),
        ("runs/no-such-run", 404, "There is no run &#39;no-such-run&#39;"),
        ("runs?start=x", 422, "start"),
        ("runs?sort=colour", 400, "cannot be sorted"),
        ("compute/nowhere", 404, "nowhere"),
    ],
)
async def test_errors_say_what_is_wrong(
    browser: httpx.AsyncClient, path: str, status: int, says: str
) -> None:
    answer = await browser.get(f"/portal/{path}")
    assert says in answer.text
    assert answer.status_code == status
