import asyncio
from typing import Any

import httpx
import pytest

from turnout.service.clusters import machine
from turnout.testing.waiting import until

CORES = len(machine.cores())


async def quotas(web: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    answer = await web.get("/v1/quotas")
    return {view.pop("name"): view for view in answer.json()["quotas"]}


async def put(web: httpx.AsyncClient, name: str, limit: Any) -> httpx.Response:
    return await web.put(f"/v1/quotas/{name}", json={"limit": limit})


async def attach(web: httpx.AsyncClient, name: str, kind: str = "cluster") -> httpx.Response:
    # Port 1: refused at once; an attach that fails is kept too.
    closed = {"address": "127.0.0.1", "port": 1, "username": "ana"}
    config = closed if kind == "ssh" else {"vm_size": "1c1g", "max_nodes": 1}
    return await web.post("/v1/targets", json={"name": name, "kind": kind, "config": config})


async def submit(web: httpx.AsyncClient, key: str, **fields: Any) -> httpx.Response:
    spec = {"command": ["sleep", "60"], "target": "local", "environment": {"user_managed": True}}
    body = {"key": key, "experiment": "exp", "spec": {**spec, **fields.pop("spec", {})}, **fields}
    return await web.post("/v1/runs", json=body)


async def cancel(web: httpx.AsyncClient, run: str) -> None:
    await web.post(f"/v1/runs/{run}/cancel")

    async def over() -> bool:
        return (await web.get(f"/v1/runs/{run}")).json()["state"] == "canceled"

    await until(over, f"{run} to be canceled")


async def test_defaults(web: httpx.AsyncClient) -> None:
    found = await quotas(web)
    assert list(found)[:3] == ["nodes", "targets", "runs"]
    assert found["nodes"] == {"limit": CORES, "used": 0, "default": CORES}
    assert found["targets"] == {"limit": 200, "used": 0, "default": 200}
    assert found["runs"] == {"limit": None, "used": 0, "default": None}
    for family in ("standardDv2Family", "standardNCFamily", "custom"):
        assert found[f"cores:{family}"] == {"limit": CORES, "used": 0, "default": CORES}


async def test_set_and_unset(web: httpx.AsyncClient) -> None:
    answer = await put(web, "cores:standarddv2family", 3)
    assert answer.status_code == 200
    name = "cores:standardDv2Family"
    assert answer.json() == {"name": name, "limit": 3, "used": 0, "default": CORES}
    await put(web, name, 4)
    assert (await quotas(web))[name]["limit"] == 4
    for _ in range(2):
        assert (await web.delete(f"/v1/quotas/{name}")).status_code == 204
        assert (await quotas(web))[name]["limit"] == CORES


@pytest.mark.parametrize(
    ("name", "limit", "status", "words"),
    [
        ("target", 1, 404, "did you mean 'targets'"),
        ("cores:standardDv2", 1, 404, "did you mean 'cores:standardDv2Family'"),
        ("cores:", 1, 404, "turnout quota show --all"),
        ("targets", -1, 422, "limit"),
        ("targets", "many", 422, "limit"),
        ("targets", 10**30, 422, "limit"),
    ],
)
async def test_what_is_no_quota_or_no_limit(
    web: httpx.AsyncClient, name: str, limit: Any, status: int, words: str
) -> None:
    answer = await put(web, name, limit)
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (status, True)


async def test_a_cluster_of_a_guessed_size_has_a_quota(web: httpx.AsyncClient) -> None:
    config = {"vm_size": "STANDARD_X2_V9", "max_nodes": 1}
    await web.post("/v1/targets", json={"name": "odd", "kind": "cluster", "config": config})
    assert (await quotas(web))["cores:standardXv9Family"]["used"] == 0


@pytest.mark.parametrize("kind", ["ssh", "cluster"])
async def test_targets(web: httpx.AsyncClient, kind: str) -> None:
    await put(web, "targets", 1)
    assert (await attach(web, "one", kind)).status_code == 201
    # The same one again is not one more.
    assert (await attach(web, "one", kind)).status_code == 201
    answer = await attach(web, "two", kind)
    assert answer.status_code == 409
    assert answer.json()["error"] == {
        "code": "quota",
        "message": "One more would pass the quota 'targets': 1 of 1 in use. "
        "Raise it: turnout quota set targets 2",
    }
    assert (await quotas(web))["targets"]["used"] == 1
    await put(web, "targets", 2)
    assert (await attach(web, "two", kind)).status_code == 201


async def test_two_targets_at_once_do_not_both_take_the_last_place(
    web: httpx.AsyncClient,
) -> None:
    await put(web, "targets", 1)
    answers = await asyncio.gather(*(attach(web, f"lab{n}", "ssh") for n in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_a_cluster_for_one_run_counts_as_a_target(web: httpx.AsyncClient) -> None:
    await put(web, "targets", 0)
    sections = {"amlcompute": {"vm_size": "STANDARD_D1_V2"}}
    answer = await submit(web, "own-cluster", spec={"target": "amlcompute", "sections": sections})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "quota")
    assert (await web.get("/v1/runs")).json()["runs"] == []
    assert (await web.get("/v1/experiments")).json()["experiments"] == []


async def test_runs(web: httpx.AsyncClient) -> None:
    await put(web, "runs", 1)
    # One that logs by itself needs no place.
    assert (await submit(web, "notebook-1", interactive=True)).status_code == 201
    first = (await submit(web, "run-key-1")).json()["id"]
    # A repeated request is not one more.
    assert (await submit(web, "run-key-1")).json()["id"] == first
    answer = await submit(web, "run-key-2")
    assert answer.status_code == 409
    assert answer.json()["error"]["message"] == (
        "One more would pass the quota 'runs': 1 of 1 in use. Raise it: turnout quota set runs 2"
    )
    # Before its snapshot is asked for.
    answer = await submit(web, "run-key-3", spec={"snapshot": "0" * 64})
    assert answer.json()["error"]["code"] == "quota"
    assert (await quotas(web))["runs"]["used"] == 1
    await cancel(web, first)
    second = await submit(web, "run-key-2")
    assert second.status_code == 201
    await cancel(web, second.json()["id"])
