"""Pages of the workspace, of environments, data and models."""

from __future__ import annotations

import os
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from turnout.service.app import parts_of
from turnout.service.events import logic as events

MARKUP = "<img src=x onerror=alert(1)>"
KEY = "0123456789abcdef"


async def page(browser: httpx.AsyncClient, place: str, status: int = 200, **query: Any) -> str:
    answer = await browser.get(f"/portal/{place}", params=query or None)
    assert answer.status_code == status, answer.text
    return answer.text


async def post(browser: httpx.AsyncClient, place: str, **form: str) -> httpx.Response:
    return await browser.post(f"/portal/{place}", data=form)


async def fill(web: httpx.AsyncClient) -> None:
    """One of everything, each with hostile text where a person may write some."""
    said = {"description": MARKUP, "tags": {MARKUP: MARKUP}}
    definition = {"python": {"pip": ["numpy"]}, "environment_variables": {"A": MARKUP}}
    await web.post("/v1/environments", json={"name": "env", "definition": definition, **said})
    store = "/v1/datastores/workspaceblobstore/files"
    await web.put(f"{store}/in/a.csv", content=b"a,b\n<b>1</b>")
    await web.put(f"{store}/in/page.html", content=b"<script>alert(1)</script>")
    await web.put(f"{store}/in/{MARKUP}.svg", content=b"<svg onload='alert(1)'/>")
    source = {"datastore": "workspaceblobstore", "path": "in/*"}
    data = {"key": "data-key-1", "name": "table", "kind": "file", "sources": [source], **said}
    assert (await web.post("/v1/datasets", json=data)).status_code == 201
    for key in (KEY, KEY[::-1]):
        await web.put(f"/v1/model-files/{key}/outputs/m.pkl", content=b"model")
        model = {"key": key, "name": "ridge", "framework": MARKUP, **said}
        assert (await web.post("/v1/models", json=model)).status_code == 201
    await web.put("/v1/secrets/password", json={"value": "hidden-1"})
    login = {"address": "registry.example.org", "username": MARKUP, "password": "hidden-2"}
    assert (await web.post("/v1/registries", json=login)).status_code == 201


PLACES = (
    "environments",
    "environments/built",
    "environments/named/env",
    "environments/named/scikit-learn",
    "data",
    "data/stores/workspaceblobstore",
    "data/stores/workspaceblobstore?folder=in",
    "data/stores/workspaceblobstore?folder=in&name=in/page.html",
    f"data/stores/workspaceblobstore?folder=in&name=in/{MARKUP}.svg",
    "data/stores/workspaceblobstore/usage",
    "data/datasets/table",
    "models",
    "models/ridge",
    "models/ridge?version=1",
    "workspace",
    "workspace?all=true",
    "workspace?quota=runs",
    "workspace/events",
    "workspace/settings",
    "workspace/settings?key=environments.eras",
    "workspace/logins",
    "workspace/kinds",
    "workspace/versions",
)


@pytest.mark.parametrize("place", PLACES)
async def test_pages_show_what_there_is_and_nothing_as_markup(
    web: httpx.AsyncClient, browser: httpx.AsyncClient, place: str
) -> None:
    await fill(web)
    text = await page(browser, place)
    assert "<img src=x" not in text
    assert "<svg onload" not in text
    assert "<script>alert" not in text
    assert "hidden-" not in text


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("environments", "turnout environments register"),
        ("data", "from_files"),
        ("data/stores/workspacefilestore", "turnout datastore upload -n workspacefilestore"),
        ("models", "turnout model register"),
        ("workspace/logins", "turnout registry login"),
        ("workspace/logins", "set_secret"),
    ],
)
async def test_empty_pages_teach(browser: httpx.AsyncClient, place: str, words: str) -> None:
    assert words in await page(browser, place)


@pytest.mark.parametrize(
    "place",
    [
        "environments/named/none",
        "data/stores/none",
        "data/stores/workspaceblobstore?folder=none",
        "data/stores/workspaceblobstore?folder=../..",
        "data/stores/workspaceblobstore?name=none",
        "data/stores/workspaceblobstore/files/none",
        "data/datasets/none",
        "models/none",
        "models/none/1/files/x",
    ],
)
async def test_what_is_not_there(browser: httpx.AsyncClient, place: str) -> None:
    await page(browser, place, 404)


# Quotas and settings


async def test_a_quota_is_set_and_unset(
    web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    async def limit() -> Any:
        found = (await web.get("/v1/quotas")).json()["quotas"]
        return next(q["limit"] for q in found if q["name"] == "runs")

    answer = await post(browser, "workspace", quota="runs", limit=" 7 ")
    assert (answer.status_code, answer.headers["location"]) == (303, "/portal/workspace")
    assert await limit() == 7
    assert "7 left" in await page(browser, "workspace")
    await post(browser, "workspace", quota="runs", unset="true")
    assert await limit() is None


@pytest.mark.parametrize("limit", ["", "many", "-1", "1.5", "9" * 30])
async def test_a_bad_limit_is_said_beside_the_field(
    browser: httpx.AsyncClient, limit: str
) -> None:
    answer = await post(browser, "workspace", quota="runs", limit=limit)
    assert answer.status_code == 422
    assert 'id="limit-error"' in answer.text
    assert "whole number" in answer.text
    assert "Limit of runs" in answer.text


async def test_a_quota_that_there_is_not(browser: httpx.AsyncClient) -> None:
    answer = await post(browser, "workspace", quota="run", limit="1")
    assert answer.status_code == 422
    assert "did you mean" in answer.text


async def test_a_setting_is_set_and_unset(
    web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    async def value(key: str) -> Any:
        found = (await web.get("/v1/config")).json()["settings"]
        return next((s["value"] for s in found if s["key"] == key), None)

    answer = await post(browser, "workspace/settings", key="environments.pins", value="exact")
    assert answer.headers["location"] == "/portal/workspace/settings"
    assert await value("environments.pins") == "exact"
    await post(browser, "workspace/settings", key="environments.pins", unset="true")
    assert await value("environments.pins") == "nearest"
    form = {"key": "environments.channel.<name>", "channel": "own", "value": "/srv/own"}
    assert (await post(browser, "workspace/settings", **form)).status_code == 303
    assert await value("environments.channel.own") == "/srv/own"


async def test_a_bad_value_is_said_beside_the_field_and_kept(browser: httpx.AsyncClient) -> None:
    answer = await post(
        browser, "workspace/settings", key="environments.keep_days", value="a while"
    )
    assert answer.status_code == 422
    assert "a whole number of days" in answer.text
    assert 'value="a while"' in answer.text
    assert 'id="value-error"' in answer.text


async def test_logging_out_of_a_registry(
    web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    await fill(web)
    await post(browser, "workspace/logins/forget", address="registry.example.org")
    assert (await web.get("/v1/registries")).json()["registries"] == []


# Events


async def test_events_say_who_did_it_in_the_portal(browser: httpx.AsyncClient) -> None:
    await post(browser, "workspace", quota="runs", limit="7")
    text = await page(browser, "workspace/events", kind="quota")
    assert "who=ana" in text
    assert "/portal/workspace?quota=runs" in text


async def test_older_events(app: FastAPI, browser: httpx.AsyncClient) -> None:
    for number in range(120):
        async with parts_of(app).db.write() as session:
            await events.note(session, "attached", "target", f"lab{number:03d}", by=MARKUP)
    first = await page(browser, "workspace/events", kind="target")
    assert "lab119" in first
    assert "lab019" not in first
    assert "<img" not in first.partition("<main")[2]
    before = first.partition("before=")[2].partition('"')[0]
    rest = await page(browser, "workspace/events", kind="target", before=before)
    assert "lab019" in rest
    assert "lab020" not in rest
    assert "before=" not in rest
    assert "Nothing of that kind" in await page(browser, "workspace/events", name="zzz")


# Data and models


async def test_files_of_a_datastore_are_saved_never_shown_as_documents(
    web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    await fill(web)
    store = "/portal/data/stores/workspaceblobstore/files"
    for name in ("in/page.html", f"in/{MARKUP}.svg"):
        answer = await browser.get(f"{store}/{name}", params={"show": "true"})
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert "sandbox" in answer.headers["content-security-policy"]
    preview = await page(
        browser, "data/stores/workspaceblobstore", folder="in", name="in/page.html"
    )
    assert "&lt;script&gt;alert(1)" in preview


async def test_a_folder_of_many_files_has_pages(app: FastAPI, browser: httpx.AsyncClient) -> None:
    root = parts_of(app).stores.root("workspaceblobstore")
    (root / "sub").mkdir()
    for number in range(205):
        (root / f"f{number:03d}").write_text("x")
    (root / os.fsdecode(b"odd\xff")).write_text("x")
    first = await page(browser, "data/stores/workspaceblobstore")
    assert "1 to 200 of 207" in first
    assert "f198" in first
    assert "f199" not in first
    last = await page(browser, "data/stores/workspaceblobstore", start=200)
    assert "f199" in last
    assert "odd\ufffd" in last
    answer = await browser.get("/portal/data/stores/workspaceblobstore/files/odd\ufffd")
    assert answer.text == "x"
    answer = await browser.get("/portal/data/stores/workspaceblobstore/files/../\ufffd/../..")
    assert answer.status_code == 404


async def test_a_dataset_whose_files_went(
    web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    await fill(web)
    for file in (await web.get("/v1/datastores/workspaceblobstore/files")).json()["files"]:
        await web.delete(f"/v1/datastores/workspaceblobstore/files/{file['name']}")
    assert "has no file at" in await page(browser, "data/datasets/table")


async def test_models(web: httpx.AsyncClient, browser: httpx.AsyncClient) -> None:
    await fill(web)
    assert "2 versions" in await page(browser, "models")
    assert "No model is like that" in await page(browser, "models", text="zzz")
    answer = await browser.get("/portal/models/ridge/1/files/outputs/m.pkl")
    assert answer.content == b"model"
    assert answer.headers["content-disposition"].startswith("attachment")
    deleted = await post(browser, "models/ridge/2/delete")
    assert deleted.headers["location"] == "/portal/models/ridge"
    assert "version 1," in await page(browser, "models/ridge")
    deleted = await post(browser, "models/ridge/1/delete")
    assert deleted.headers["location"] == "/portal/models"


async def test_environments_are_found_by_what_they_hold(
    web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    await fill(web)
    assert "named/env" in await page(browser, "environments", text="NumPy")
    assert "No environment is like that" in await page(browser, "environments", text="zzz")


async def test_json_twins(web: httpx.AsyncClient) -> None:
    await fill(web)
    kinds = (await web.get("/v1/kinds")).json()["kinds"]
    assert {("local", False), ("slurm", True)} <= {(k["kind"], k["engine"]) for k in kinds}
    versions = (await web.get("/v1/versions")).json()
    assert versions["database"].startswith("SQLite 3.")
    assert versions["uv"]
    folder = "/v1/datastores/workspaceblobstore/folder"
    top = (await web.get(folder)).json()
    assert top == {"folders": ["in"], "files": [], "total": 1}
    inner = (await web.get(folder, params={"path": "in", "limit": 1})).json()
    assert (len(inner["files"]), inner["total"]) == (1, 3)
    usage = (await web.get("/v1/datastores/workspaceblobstore/usage")).json()
    assert usage["files"] == 3
    found = (await web.get("/v1/datasets/table/versions")).json()
    assert found == {"versions": [1]}
    assert (await web.get("/v1/datasets/none/versions")).status_code == 404
