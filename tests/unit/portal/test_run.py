"""Forms of a run's page, and the list of runs."""

import httpx
import pytest


@pytest.fixture
async def run(web: httpx.AsyncClient) -> str:
    body = {"key": "key-of-a-run", "experiment": "e", "interactive": True}
    return (await web.post("/v1/runs", json=body)).json()["id"]


async def view(web: httpx.AsyncClient, run: str) -> dict[str, object]:
    return (await web.get(f"/v1/runs/{run}")).json()


async def test_tags(browser: httpx.AsyncClient, web: httpx.AsyncClient, run: str) -> None:
    added = {"tag": " kind ", "value": "a b"}
    answer = await browser.post(f"/portal/runs/{run}/tag", data=added)
    assert answer.headers["location"] == f"/portal/runs/{run}/details"
    assert (await view(web, run))["tags"] == {"kind": "a b"}
    await browser.post(f"/portal/runs/{run}/tag", data={"remove": "kind"})
    assert (await view(web, run))["tags"] == {}
    answer = await browser.post(f"/portal/runs/{run}/tag", data={"tag": " "})
    assert answer.status_code == 400
    assert "A tag needs a name." in answer.text


async def test_name_and_description(
    browser: httpx.AsyncClient, web: httpx.AsyncClient, run: str
) -> None:
    form = {"display_name": "the best", "description": "so far"}
    await browser.post(f"/portal/runs/{run}/describe", data=form)
    found = await view(web, run)
    assert (found["display_name"], found["description"]) == ("the best", "so far")
    page = (await browser.get("/portal/runs")).text
    assert "the best" in page
    assert run in page


async def test_cancel(browser: httpx.AsyncClient, web: httpx.AsyncClient, run: str) -> None:
    answer = await browser.post(f"/portal/runs/{run}/cancel", headers={"HX-Request": "true"})
    assert answer.headers["hx-redirect"] == f"/portal/runs/{run}"
    assert (await view(web, run))["state"] == "canceled"


async def test_only_scripts_can_be_submitted_again(browser: httpx.AsyncClient, run: str) -> None:
    answer = await browser.post(f"/portal/runs/{run}/submit", data={"target": "local"})
    assert answer.status_code == 400
    assert "no script" in answer.text


async def test_the_address_holds_what_was_chosen(browser: httpx.AsyncClient, run: str) -> None:
    asked = "/portal/runs?text=&experiment=e&target=&sort=name"
    chosen = await browser.get(asked, headers={"HX-Request": "true", "HX-Trigger": "filters"})
    assert chosen.headers["hx-push-url"] == "/portal/runs?experiment=e&sort=name"
    typed = await browser.get(asked, headers={"HX-Request": "true", "HX-Trigger": "text"})
    assert typed.headers["hx-replace-url"] == "/portal/runs?experiment=e&sort=name"
    looked = await browser.get(asked, headers={"HX-Request": "true"})
    assert "hx-push-url" not in looked.headers
    assert "<html" not in looked.text
    assert run in looked.text


async def test_pages_of_the_list(browser: httpx.AsyncClient, web: httpx.AsyncClient) -> None:
    for number in range(60):
        body = {"key": f"key-number-{number}", "experiment": "many", "interactive": True}
        assert (await web.post("/v1/runs", json=body)).status_code == 201
    first = (await browser.get("/portal/runs?experiment=many")).text
    assert "1 to 50 of 60" in first
    assert "experiment=many&amp;start=50" in first
    second = (await browser.get("/portal/runs?experiment=many&start=50")).text
    assert "51 to 60 of 60" in second
    assert second.count('class="name"') == 10
