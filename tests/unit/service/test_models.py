import os
import time
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from turnout.service.app import parts_of
from turnout.service.models import logic, requests
from turnout.service.models.files import KEPT_S, ModelFiles
from turnout.service.runs import logic as runs
from turnout.service.runs import records

KEY = "0123456789abcdef"


@pytest.fixture
async def run(web: httpx.AsyncClient) -> str:
    body = {"key": "of-a-notebook", "experiment": "exp", "interactive": True}
    identity = (await web.post("/v1/runs", json=body)).json()["id"]
    for name in ("outputs/model.pkl", "outputs/net/w", "outputs/network"):
        await web.put(f"/v1/runs/{identity}/files/{name}", content=name.encode())
    return identity


async def send(web: httpx.AsyncClient, key: str, name: str, data: bytes = b"data") -> None:
    answer = await web.put(f"/v1/model-files/{key}/{name}", content=data)
    assert answer.status_code == 201, answer.text


async def register(web: httpx.AsyncClient, key: str, name: str, **more: Any) -> httpx.Response:
    return await web.post("/v1/models", json={"key": key, "name": name, **more})


async def test_the_same_key_is_one_version(web: httpx.AsyncClient) -> None:
    await send(web, KEY, "m.pkl")
    first = await register(web, KEY, "m", tags={"a": "b"})
    again = await register(web, KEY, "m", tags={"a": "other"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["version"] == 1
    await send(web, KEY + "00", "m.pkl")
    assert (await register(web, KEY + "00", "m")).json()["version"] == 2


async def test_what_cannot_be_registered(web: httpx.AsyncClient) -> None:
    nothing = await register(web, KEY, "m")
    assert nothing.status_code == 400
    assert "has no files" in nothing.json()["error"]["message"]
    for name in ("../m", "a/b", "", ".m", "m:1", "x" * 256):
        answer = await register(web, KEY, name)
        assert answer.status_code == 400, name
        assert "cannot name a model" in answer.json()["error"]["message"]


async def test_names_never_leave_their_folder(web: httpx.AsyncClient, app: FastAPI) -> None:
    home = parts_of(app).settings.home
    for path in (
        f"/v1/model-files/{KEY}/..%2f..%2ftoken",
        f"/v1/model-files/{KEY}/a//b",
        f"/v1/model-files/{KEY}/a%00b",
        "/v1/model-files/..%2f..%2fruns/x",
        "/v1/model-files/short/x",
    ):
        before = sorted(home.rglob("*"))
        answer = await web.put(path, content=b"bad")
        assert answer.status_code in (400, 404), path
        assert [p for p in sorted(home.rglob("*")) if p not in before and p.is_file()] == []
    await send(web, KEY, "m.pkl")
    await register(web, KEY, "m")
    answer = await web.get("/v1/models/m/1/files/..%2f..%2f..%2fturnout.db")
    assert answer.status_code == 404


async def test_a_file_that_is_a_folder_already(web: httpx.AsyncClient) -> None:
    await send(web, KEY, "a/b")
    for name in ("a", "a/b/c"):
        answer = await web.put(f"/v1/model-files/{KEY}/{name}", content=b"")
        assert answer.status_code == 400
        assert f"'{name}' cannot be written: it is a folder" in answer.json()["error"]["message"]


async def test_files_of_a_run_are_copied(web: httpx.AsyncClient, run: str) -> None:
    answer = await register(web, KEY, "m", run=run, path="outputs/model.pkl")
    assert answer.json()["run"] == run
    assert answer.json()["experiment"] == "exp"
    assert answer.json()["files"] == [{"name": "model.pkl", "size": 17}]
    # The model's own: the run's file may be replaced.
    await web.put(f"/v1/runs/{run}/files/outputs/model.pkl", content=b"new")
    assert (await web.get("/v1/models/m/1/files/model.pkl")).content == b"outputs/model.pkl"
    answer = await register(web, KEY + "00", "net", run=run, path="outputs/net/")
    assert [f["name"] for f in answer.json()["files"]] == ["net/w"]
    for path in ("outputs/modl.pkl", "model.pkl", "/"):
        answer = await register(web, KEY + "ff", "m", run=run, path=path)
        assert answer.status_code == 404, path
        assert "outputs/model.pkl" in answer.json()["error"]["message"]
    for path in ("../outputs", "outputs/../../outputs/model.pkl", "."):
        assert (await register(web, KEY + "ff", "m", run=run, path=path)).status_code == 404


async def test_lists_and_changes(web: httpx.AsyncClient) -> None:
    for i, name in enumerate(("a", "a", "b")):
        await send(web, f"{KEY}{i}", "f")
        await register(web, f"{KEY}{i}", name, tags={"n": str(i), "x": None}, framework="F")

    async def listed(**query: Any) -> list[str]:
        answer = await web.get("/v1/models", params=query)
        return [view["id"] for view in answer.json()["models"]]

    assert await listed() == ["b:1", "a:2", "a:1"]
    assert await listed(latest=True) == ["b:1", "a:2"]
    assert await listed(name="a", tag=["n=0", "x"]) == ["a:1"]
    assert await listed(framework="other") == []
    change = {"tags": {"set": {"new": "1"}, "remove": ["x"]}, "properties": {"p": "1"}}
    view = (await web.patch("/v1/models/a/1", json=change)).json()
    assert (view["tags"], view["properties"]) == ({"n": "0", "new": "1"}, {"p": "1"})
    refused = await web.patch("/v1/models/a/1", json={"properties": {"p": "2"}})
    assert refused.status_code == 409


async def test_a_deleted_version_never_comes_back(web: httpx.AsyncClient, app: FastAPI) -> None:
    await send(web, KEY, "f")
    await register(web, KEY, "m")
    assert (await web.delete("/v1/models/m/1")).status_code == 204
    gone = await web.delete("/v1/models/m/1")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "model_not_found")
    assert not (parts_of(app).settings.home / "models" / KEY).exists()
    await send(web, KEY + "00", "f")
    assert (await register(web, KEY + "00", "m")).json()["version"] == 2
    answer = await web.get("/v1/models/m", params={"version": 1})
    assert "no version 1; it has 2" in answer.json()["error"]["message"]


async def test_uploads_that_broke_off_are_swept(web: httpx.AsyncClient, app: FastAPI) -> None:
    folder = parts_of(app).settings.home / "models"
    for key in (KEY, KEY + "00", KEY + "11"):
        await send(web, key, "f")
    old = time.time() - KEPT_S - 60
    os.utime(folder / KEY, (old, old))
    os.utime(folder / (KEY + "00"), (old, old))
    await register(web, KEY, "m")
    assert sorted(p.name for p in folder.iterdir()) == [KEY, KEY + "11"]


async def test_what_scripts_ask_for_is_made_once(web: httpx.AsyncClient, app: FastAPI) -> None:
    parts = parts_of(app)
    files = ModelFiles(parts.settings.home)
    spec = {"command": ["true"], "environment": {"user_managed": True}}
    body = {"key": "of-a-script", "experiment": "exp", "spec": spec}
    identity = (await web.post("/v1/runs", json=body)).json()["id"]
    child = f"{identity}_inner"
    asked = {"t": "model", "name": "m", "path": "outputs/m"}
    found = [
        {**asked, "tags": {"a": "1"}},
        {**asked, "tags": {"a": "2"}},
        {**asked, "name": "../bad"},
        {**asked, "path": "outputs/none"},
        {"t": "model", "name": "no-path"},
        {**asked, "tags": "text"},
        {"t": "child", "id": child, "name": "inner"},
        {**asked, "run": child, "name": "of-child", "path": "c"},
    ]
    async with parts.db.write() as session:
        row = await runs.find(session, identity)
        await records.absorb(session, row, found)
        warnings = row.warnings
    assert len(warnings) == 2
    assert all("of kind 'model' was not understood" in text for text in warnings)
    for name in ("outputs/m", f"children/{child}/c"):
        await web.put(f"/v1/runs/{identity}/files/{name}", content=b"x")
    for _ in range(2):
        said = await requests.carry_out(parts.db, files, parts.folders, row)
        assert len(said) == 2
        assert any("cannot name a model" in text for text in said)
        assert any("'outputs/none'" in text for text in said)
    rows = await logic.list_all(parts.db, logic.Filter())
    assert sorted((r.name, r.version, r.run) for r in rows) == [
        ("m", 1, identity),
        ("of-child", 1, child),
    ]
    assert (await logic.get(parts.db, "m")).tags == {"a": "2"}


async def test_a_notebooks_run_has_no_end_to_wait_for(web: httpx.AsyncClient, run: str) -> None:
    record = {"t": "model", "name": "m", "path": "outputs/model.pkl"}
    await web.post(f"/v1/runs/{run}/records", json={"records": [record]})
    view = (await web.get(f"/v1/runs/{run}")).json()
    assert "only a script's run" in view["warnings"][0]
