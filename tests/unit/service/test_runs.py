from typing import Any

import httpx
import pytest

SPEC = {"command": ["true"], "environment": {"user_managed": True}}


def body(**changes: Any) -> dict[str, Any]:
    return {"key": "key-000001", "experiment": "exp", "interactive": True, **changes}


async def create(web: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await web.post("/v1/runs", json=body(**changes))
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def test_a_repeated_key_is_the_same_run(web: httpx.AsyncClient) -> None:
    first = await create(web)
    again = await web.post("/v1/runs", json=body())
    assert again.status_code == 200
    assert again.json()["id"] == first["id"]
    assert len((await web.get("/v1/runs")).json()["runs"]) == 1


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"spec": {"comand": ["x"]}}, "did you mean 'command'"),
        ({"spec": {}}, "needs a script or a command"),
        ({"spec": {**SPEC, "target": "lap"}}, "no target 'lap'"),
        ({"spec": {**SPEC, "node_count": 2}}, "node_count"),
        ({"spec": {**SPEC, "node_count": "1"}}, "must be int"),
        ({"spec": {"script": "../x.py"}}, "inside the source folder"),
        ({"spec": {"script": "/x.py"}}, "inside the source folder"),
        ({"spec": {**SPEC, "directories_to_watch": ["../x"]}}, "inside the source folder"),
        ({"spec": {**SPEC, "environment": {"pip": ["-r x"]}}}, "not a package requirement"),
        ({"spec": SPEC, "experiment": "a/b"}, "cannot name an experiment"),
        ({"spec": SPEC, "key": "short"}, "8 to 128"),
    ],
)
async def test_bad_runs_are_refused_before_anything_starts(
    web: httpx.AsyncClient, changes: dict[str, Any], word: str
) -> None:
    answer = await web.post("/v1/runs", json=body(interactive=False, **changes))
    assert 400 <= answer.status_code < 500
    assert word in answer.json()["error"]["message"]
    assert (await web.get("/v1/runs")).json()["runs"] == []


async def test_an_unknown_snapshot_is_asked_for(web: httpx.AsyncClient) -> None:
    spec = {"script": "a.py", "snapshot": "0" * 64}
    answer = await web.post("/v1/runs", json=body(interactive=False, spec=spec))
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "snapshot_missing"


async def test_unknown_fields_are_named(web: httpx.AsyncClient) -> None:
    answer = await web.post("/v1/runs", json=body(colour="red"))
    assert answer.status_code == 422
    assert "colour" in answer.json()["error"]["message"]


async def test_filters(web: httpx.AsyncClient) -> None:
    one = await create(web, key="key-000001", experiment="a", tags={"t": "1"})
    two = await create(web, key="key-000002", experiment="b", tags={"t": "2"})
    child = await create(web, key="key-000003", experiment="b", parent=two["id"])

    async def ids(**query: Any) -> list[str]:
        return [r["id"] for r in (await web.get("/v1/runs", params=query)).json()["runs"]]

    assert await ids() == [two["id"], one["id"]]
    assert await ids(include_children=True) == [child["id"], two["id"], one["id"]]
    assert await ids(parent=two["id"]) == [child["id"]]
    assert await ids(experiment="a") == [one["id"]]
    assert await ids(tag="t") == [two["id"], one["id"]]
    assert await ids(tag="t=1") == [one["id"]]
    assert await ids(target=two["target"]) == [two["id"], one["id"]]
    assert await ids(target="another") == []
    assert await ids(limit=1) == [two["id"]]
    assert await ids(before=two["number"]) == [one["id"]]
    assert (await web.get("/v1/runs", params={"colour": "red"})).status_code == 422


async def test_part_of_an_id_is_enough_when_it_is_unique(web: httpx.AsyncClient) -> None:
    one = await create(web, key="key-000001")
    await create(web, key="key-000002")
    assert (await web.get(f"/v1/runs/{one['id'][-8:]}")).json()["id"] == one["id"]
    assert "Several" in (await web.get("/v1/runs/exp_1")).json()["error"]["message"]
    assert (await web.get("/v1/runs/%25%25%25%25")).status_code == 404


async def test_changes(web: httpx.AsyncClient) -> None:
    run = (await create(web, tags={"a": "1"}, properties={"p": "1"}))["id"]
    change = {"tags": {"set": {"b": None}, "remove": ["a"]}, "display_name": "n"}
    view = (await web.patch(f"/v1/runs/{run}", json=change)).json()
    assert (view["tags"], view["display_name"]) == ({"b": None}, "n")
    same = await web.patch(f"/v1/runs/{run}", json={"properties": {"p": "1", "q": "2"}})
    assert same.json()["properties"] == {"p": "1", "q": "2"}
    other = await web.patch(f"/v1/runs/{run}", json={"properties": {"p": "2"}})
    assert other.status_code == 409


async def test_an_interactive_run(web: httpx.AsyncClient) -> None:
    run = (await create(web))["id"]
    records = [{"t": "metric", "name": "m", "value": 1}, {"t": "state", "state": "completed"}]
    await web.post(f"/v1/runs/{run}/records", json={"records": records})
    await web.put(f"/v1/runs/{run}/files/outputs/a b.txt", content=b"hello")
    view = (await web.get(f"/v1/runs/{run}")).json()
    assert (view["state"], view["status"], view["type"]) == ("completed", "Completed", "sdk")
    assert (await web.get(f"/v1/runs/{run}/files/outputs/a b.txt")).content == b"hello"
    listed = (await web.get(f"/v1/runs/{run}/files")).json()["files"]
    assert listed == [{"name": "outputs/a b.txt", "size": 5}]
    events = (await web.get(f"/v1/runs/{run}/events")).text
    assert events.startswith("event: run\n")
    assert "event: end\n" in events


@pytest.mark.parametrize(
    "name", ["..%2F..%2Ftoken", "%2Fetc%2Fpasswd", "a%2F..%2F..%2Fb", ".%2Fx", "a%00b", "a//b"]
)
async def test_names_never_leave_the_run(web: httpx.AsyncClient, name: str) -> None:
    run = (await create(web))["id"]
    for part in ("files", "logs"):
        assert (await web.get(f"/v1/runs/{run}/{part}/{name}")).status_code == 404
    answer = await web.put(f"/v1/runs/{run}/files/{name}", content=b"x")
    assert answer.status_code == 404


async def test_canceling_an_interactive_run(web: httpx.AsyncClient) -> None:
    run = (await create(web))["id"]
    assert (await web.post(f"/v1/runs/{run}/cancel")).json()["state"] == "canceled"
    assert (await web.post(f"/v1/runs/{run}/cancel")).json()["state"] == "canceled"


async def test_experiments(web: httpx.AsyncClient) -> None:
    one = await create(web, experiment="b", key="key-000001")
    await create(web, experiment="a", key="key-000002")
    await create(web, experiment="b", key="key-000003", parent=one["id"])
    found = (await web.get("/v1/experiments")).json()["experiments"]
    assert [(e["name"], e["runs"]) for e in found] == [("a", 1), ("b", 1)]
