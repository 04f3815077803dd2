"""Who did what: events of the workspace."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from turnout.service.accounts.sessions import LINK, SESSION
from turnout.service.app import parts_of
from turnout.service.events import logic
from turnout.service.events.tables import EventRow
from turnout.spec.errors import ConflictError
from turnout.testing.waiting import until


async def events(web: httpx.AsyncClient, **query: Any) -> list[tuple[str, str, str, str]]:
    answer = await web.get("/v1/events", params=query)
    assert answer.status_code == 200, answer.text
    return [(e["who"], e["action"], e["kind"], e["name"]) for e in answer.json()["events"]]


@pytest.fixture
def ana(web: httpx.AsyncClient) -> httpx.AsyncClient:
    web.headers["Turnout-User"] = "ana"
    return web


RUN = {"command": ["sleep", "60"], "target": "local", "environment": {"user_managed": True}}


async def test_nobody_did_anything(web: httpx.AsyncClient) -> None:
    assert await events(web) == []


async def test_runs(ana: httpx.AsyncClient) -> None:
    body = {"key": "run-key-1", "experiment": "exp", "spec": RUN}
    run = (await ana.post("/v1/runs", json=body)).json()["id"]
    # A repeated request did nothing.
    await ana.post("/v1/runs", json=body)
    for _ in range(2):
        await ana.post(f"/v1/runs/{run}/cancel")
    notebook = {"key": "run-key-2", "experiment": "exp", "interactive": True}
    second = (await ana.post("/v1/runs", json=notebook)).json()["id"]
    assert await events(ana, kind="run") == [
        ("ana", "started", "run", second),
        ("ana", "canceled", "run", run),
        ("ana", "submitted", "run", run),
    ]

    async def over() -> bool:
        return (await ana.get(f"/v1/runs/{run}")).json()["state"] == "canceled"

    await until(over, "the run to be canceled")


async def test_targets(ana: httpx.AsyncClient) -> None:
    cluster = {
        "name": "cpu",
        "kind": "cluster",
        "config": {"vm_size": "1c1g", "max_nodes": 1},
    }
    # Port 1: refused at once; an attach that fails is kept too.
    closed = {"address": "127.0.0.1", "port": 1, "username": "ana"}
    for _ in range(2):
        await ana.post("/v1/targets", json=cluster)
    await ana.patch("/v1/targets/cpu", json={"max_nodes": 2})
    await ana.post("/v1/targets", json={"name": "lab", "kind": "ssh", "config": closed})
    await ana.delete("/v1/targets/cpu")
    await ana.delete("/v1/targets/lab")
    found = await events(ana)
    assert found[::-1] == [
        ("ana", action, "target", name)
        for action, name in (
            ("created", "cpu"),
            ("changed", "cpu"),
            ("scaled", "cpu"),
            ("attached", "lab"),
            ("deleted", "cpu"),
            ("detached", "lab"),
        )
    ]


async def test_what_holds_for_everyone(ana: httpx.AsyncClient) -> None:
    await ana.put("/v1/quotas/RUNS", json={"limit": 5})
    # Twice: the second does nothing.
    for _ in range(2):
        await ana.delete("/v1/quotas/runs")
    await ana.put("/v1/config/environments.pins", json={"value": "exact"})
    for _ in range(2):
        await ana.delete("/v1/config/environments.pins")
    login = {
        "address": "https://Registry.example.org/v2/",
        "username": "a",
        "password": "hidden-1",
    }
    await ana.post("/v1/registries", json=login)
    await ana.delete("/v1/registries/registry.example.org")
    await ana.put("/v1/secrets/key", json={"value": "hidden-2"})
    await ana.delete("/v1/secrets/key")
    found = await events(ana)
    assert [e[1:] for e in found][::-1] == [
        ("set", "quota", "runs"),
        ("unset", "quota", "runs"),
        ("set", "setting", "environments.pins"),
        ("unset", "setting", "environments.pins"),
        ("logged in at", "registry", "registry.example.org"),
        ("logged out of", "registry", "registry.example.org"),
        ("set", "secret", "key"),
        ("deleted", "secret", "key"),
    ]
    assert "hidden" not in (await ana.get("/v1/events")).text


async def test_what_is_kept_under_a_name(ana: httpx.AsyncClient) -> None:
    for _ in range(2):
        await ana.post("/v1/environments", json={"name": "env", "definition": {}})
    await ana.put("/v1/datastores/workspaceblobstore/files/a.csv", content=b"a")
    source = {"datastore": "workspaceblobstore", "path": "a.csv"}
    data = {"key": "data-key-1", "name": "table", "kind": "file", "sources": [source]}
    for _ in range(2):
        assert (await ana.post("/v1/datasets", json=data)).status_code == 201
    await ana.patch("/v1/datasets/table", json={"description": "new"})
    await ana.delete("/v1/datasets/table")
    await ana.put("/v1/model-files/0123456789abcdef/m.pkl", content=b"m")
    model = {"key": "0123456789abcdef", "name": "ridge"}
    for _ in range(2):
        await ana.post("/v1/models", json=model)
    await ana.patch("/v1/models/ridge/1", json={"description": "new"})
    await ana.delete("/v1/models/ridge/1")
    for archived in (False, True, True, False):
        await ana.patch("/v1/experiments/exp", json={"archived": archived})
    for _ in range(2):
        await ana.patch("/v1/experiments/exp", json={"tags": {"set": {"a": "b"}}})
    assert [e[1:] for e in await events(ana)][::-1] == [
        ("registered", "environment", "env:1"),
        ("registered", "dataset", "table:1"),
        ("changed", "dataset", "table"),
        ("forgot", "dataset", "table"),
        ("registered", "model", "ridge:1"),
        ("changed", "model", "ridge:1"),
        ("deleted", "model", "ridge:1"),
        ("archived", "experiment", "exp"),
        ("restored", "experiment", "exp"),
        ("tagged", "experiment", "exp"),
    ]


async def test_signing_in(app: FastAPI, web: httpx.AsyncClient) -> None:
    sessions = parts_of(app).sessions
    link = await sessions.make(LINK, "ana")
    assert await events(web) == []
    await sessions.enter(link)
    await sessions.make(SESSION, "bob")
    assert await events(web) == [
        ("bob", "signed in to", "portal", "portal"),
        ("ana", "signed in to", "portal", "portal"),
    ]


async def test_filters_and_pages(app: FastAPI, web: httpx.AsyncClient) -> None:
    for number in range(5):
        name = f"lab_{number}"
        async with parts_of(app).db.write() as session:
            await logic.note(session, "attached", "target", name, by="ana" if number else "")
    everything = (await web.get("/v1/events")).json()["events"]
    assert [e["name"] for e in everything] == [f"lab_{n}" for n in (4, 3, 2, 1, 0)]
    first = (await web.get("/v1/events", params={"limit": 2})).json()["events"]
    rest = {"limit": 10, "before": first[-1]["id"]}
    assert first + (await web.get("/v1/events", params=rest)).json()["events"] == everything
    assert len(await events(web, who="ana")) == 4
    assert await events(web, name="B_3") == [("ana", "attached", "target", "lab_3")]
    # Nothing in a name is a pattern.
    assert await events(web, name="b%") == []
    assert await events(web, kind="quota") == []


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 501}, {"before": "x"}, {"no": "1"}])
async def test_what_cannot_be_asked(web: httpx.AsyncClient, query: dict[str, Any]) -> None:
    assert (await web.get("/v1/events", params=query)).status_code == 422


async def test_what_did_not_happen_is_not_noted(app: FastAPI, web: httpx.AsyncClient) -> None:
    db = parts_of(app).db

    async def act() -> None:
        async with db.write() as session:
            await logic.note(session, "attached", "target", "lab")
            raise ConflictError("no")

    with pytest.raises(ConflictError):
        await act()
    assert await events(web) == []


async def test_old_events_go(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logic, "SWEPT_EVERY", 10)
    monkeypatch.setattr(logic, "KEPT_COUNT", 5)
    db = parts_of(app).db
    for number in range(19):
        async with db.write() as session:
            await logic.note(session, "attached", "target", f"lab{number}")
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(EventRow)) == 14
        assert await session.scalar(select(func.min(EventRow.id))) == 6
