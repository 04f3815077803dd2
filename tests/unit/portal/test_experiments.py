"""Experiments as pages: found, tagged, put away and brought back."""

from __future__ import annotations

import httpx
from tests.unit.portal.test_code import EVIL, submit


async def text_of(browser: httpx.AsyncClient, place: str, status: int = 200) -> str:
    answer = await browser.get(f"/portal/experiments{place}")
    assert answer.status_code == status, answer.text
    return answer.text


async def test_an_empty_workspace_teaches(browser: httpx.AsyncClient) -> None:
    assert "turnout submit --experiment first" in await text_of(browser, "")


async def test_experiments(web: httpx.AsyncClient, browser: httpx.AsyncClient) -> None:
    run = await submit(web, 1, None)
    await submit(web, 2, None)
    await web.patch("/v1/experiments/bare", json={"tags": {"set": {"team": EVIL}}})
    text = await text_of(browser, "")
    assert 'aria-label="2 canceled"' in text
    assert "<script>alert" not in text
    assert text.index(">exp<") < text.index(">bare<"), "the last that ran comes first"
    assert ">exp<" not in await text_of(browser, "?text=TEAM=")
    assert "No experiment is like that" in await text_of(browser, "?text=nothing")
    one = await text_of(browser, "/exp")
    assert run in one
    assert "/portal/runs?experiment=exp&amp;state=canceled" in one
    assert "turnout submit --experiment bare" in await text_of(browser, "/bare")
    await text_of(browser, "/nobody", 404)


async def test_tags_and_the_archive(web: httpx.AsyncClient, browser: httpx.AsyncClient) -> None:
    await submit(web, 1, None)

    async def post(place: str, **form: str) -> httpx.Response:
        return await browser.post(f"/portal/experiments/exp/{place}", data=form)

    answer = await post("tag", tag="owner", value="x")
    assert (answer.status_code, answer.headers["location"]) == (303, "/portal/experiments/exp")
    assert "owner: x" in await text_of(browser, "/exp")
    await post("tag", remove="owner")
    assert "owner" not in await text_of(browser, "/exp")
    assert "A tag needs a name" in (await post("tag")).text

    answer = await post("archive", archived="true", back="list")
    assert answer.headers["location"] == "/portal/experiments"
    assert "All experiments are archived" in await text_of(browser, "")
    assert "Bring back exp" in await text_of(browser, "?archived=true")
    answer = await post("archive", archived="false")
    assert answer.headers["location"] == "/portal/experiments/exp"
    assert ">exp<" in await text_of(browser, "")
    # Only what is there is changed.
    answer = await browser.post("/portal/experiments/nobody/archive", data={"archived": "true"})
    assert answer.status_code == 404
    assert len((await web.get("/v1/experiments")).json()["experiments"]) == 1
