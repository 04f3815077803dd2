"""Environments that lie on a target: shown with their sizes, removed when chosen."""

from __future__ import annotations

import re

import httpx
from fastapi import FastAPI

from turnout.service.app import parts_of
from turnout.testing.waiting import until

PART = {"HX-Request": "true"}


async def test_an_environment_is_shown_and_removed(
    app: FastAPI, browser: httpx.AsyncClient
) -> None:
    token = {"Authorization": f"Bearer {parts_of(app).token}"}
    spec = {"command": ["python", "-c", "print(1)"], "environment": {}}
    body = {"key": "a" * 16, "experiment": "exp", "spec": spec}
    run = (await browser.post("/v1/runs", json=body, headers=token)).json()["id"]

    async def over() -> bool:
        found = (await browser.get(f"/v1/runs/{run}", headers=token)).json()
        assert found["state"] != "failed", found["error"]
        return found["state"] == "completed"

    await until(over, "the run to be over")
    place = "/portal/compute/local/environments"
    (key,) = re.findall(
        r'name="key" value="([^"]+)"', (await browser.get(place, headers=PART)).text
    )
    answer = await browser.post(f"{place}/prune", data={"key": key})
    assert answer.status_code == 303, answer.text
    assert "None yet" in (await browser.get(place, headers=PART)).text
