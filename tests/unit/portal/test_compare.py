"""Runs side by side, as a page."""

from __future__ import annotations

from typing import Any

import httpx
from tests.unit.portal.test_code import EVIL, submit


async def page(browser: httpx.AsyncClient, status: int = 200, **query: Any) -> str:
    answer = await browser.get("/portal/compare", params=query)
    assert answer.status_code == status, answer.text
    return answer.text


async def test_runs_side_by_side(web: httpx.AsyncClient, browser: httpx.AsyncClient) -> None:
    one = await submit(web, 1, {"a": b"1"})
    two = await submit(web, 2, {"a": b"2"})
    records = [{"t": "metric", "name": EVIL, "value": {"$float": "NaN"}}]
    await web.post(f"/v1/runs/{two}/records", json={"records": records})
    await web.patch(f"/v1/runs/{two}", json={"display_name": EVIL})

    text = await page(browser, run=[one, two])
    assert "2 runs side by side" in text
    assert "<script>alert" not in text
    assert ">nan<" in text
    assert f"/portal/runs/{two}/code?with={one}" in text
    assert "user_managed" in text
    assert f'data-series="/portal/runs/{two}/series"' in text
    # What is the same is left out on demand; the way there and back is in the address.
    differences = await page(browser, run=[one, two], differences="true")
    assert "user_managed" not in differences
    assert f"/portal/compare?run={one}&amp;run={two}" in differences
    assert f"/portal/compare?run={one}&amp;differences=true" in differences


async def test_one_that_is_none_does_not_take_away_the_others(
    web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    runs = [await submit(web, number, None) for number in range(11)]
    text = await page(browser, 404, run=[*runs[:3], "nobody"])
    assert "3 runs side by side" in text
    assert "no run &#39;nobody&#39;" in text
    text = await page(browser, 400, run=runs)
    assert "10 runs side by side" in text
    assert "not 11" in text
    assert "no run &#39;nobody&#39;" in await page(browser, 404, run="nobody")
    assert "No runs chosen" in await page(browser)
