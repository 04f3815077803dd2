"""Files that a run left, under whatever names."""

from __future__ import annotations

import os

import httpx
from fastapi import FastAPI
from tests.unit.portal.test_code import submit

from turnout.service.app import parts_of
from turnout.service.runs.folders import FILES


async def test_a_name_that_is_no_utf_8(
    app: FastAPI, web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    run = await submit(web, 1, None)
    path = parts_of(app).folders.path(run, FILES, os.fsdecode(b"outputs/odd\xff.txt"))
    path.parent.mkdir(parents=True)
    path.write_text("odd text")
    shown = "outputs/odd\ufffd.txt"
    listing = await browser.get(f"/portal/runs/{run}/outputs")
    assert listing.status_code == 200
    assert "odd\ufffd.txt" in listing.text
    one = await browser.get(f"/portal/runs/{run}/outputs", params={"name": shown})
    assert "odd text" in one.text
    answer = await browser.get(f"/portal/runs/{run}/files/{shown}")
    assert answer.text == "odd text"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert (await browser.get(f"/portal/runs/{run}/files/outputs/\ufffd")).status_code == 404
