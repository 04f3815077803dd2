"""Managed clusters on this machine: a real service, real processes, nodes that come and go."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typing_extensions import Self

from turnout.payload import slices
from turnout.service.app import create_app, parts_of
from turnout.service.settings import Settings
from turnout.testing.missing import missing
from turnout.testing.waiting import until

KEYS = itertools.count(1)
CORES = len(os.sched_getaffinity(0))
SHOW = "import os; print(sorted(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'])"


class Service:
    """A service in this process, and short words for what is asked of it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.web: httpx.AsyncClient

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        app = create_app(Settings(home=self.home, tick_s=0.5))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://turnout",
                headers={"Authorization": f"Bearer {parts_of(app).token}"},
            ) as self.web,
        ):
            yield self

    async def get(self, path: str) -> Any:
        answer = await self.web.get(f"/v1/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def create(self, name: str = "cpu", **config: Any) -> httpx.Response:
        wanted = {"vm_size": "1c1g", "max_nodes": 2, "idle_seconds_before_scaledown": 0, **config}
        body = {"name": name, "kind": "cluster", "config": wanted}
        return await self.web.post("/v1/targets", json=body)

    async def submit(self, code: str, target: str = "cpu", **spec: Any) -> str:
        body = {
            "key": f"cluster-{next(KEYS)}",
            "experiment": "exp",
            "spec": {
                "command": [sys.executable, "-c", code],
                "target": target,
                "environment": {"user_managed": True},
                **spec,
            },
        }
        answer = await self.web.post("/v1/runs", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    async def run(self, run: str) -> dict[str, Any]:
        return await self.get(f"runs/{run}")

    async def reached(self, run: str, *states: str) -> dict[str, Any]:
        async def there() -> bool:
            return (await self.run(run))["state"] in states

        await until(there, f"{run} in {states}")
        return await self.run(run)

    async def says(self, run: str, message: str) -> None:
        said = ""

        async def there() -> bool:
            nonlocal said
            said = (await self.run(run))["message"]
            return said == message

        try:
            await until(there, f"{run} to say why it waits")
        except AssertionError:
            assert said == message
            raise

    async def nodes(self, name: str = "cpu") -> list[dict[str, Any]]:
        return (await self.get(f"targets/{name}/nodes"))["nodes"]

    async def counted(self, count: int, name: str = "cpu") -> None:
        async def there() -> bool:
            return len(await self.nodes(name)) == count

        await until(there, f"{count} nodes")

    async def log(self, run: str) -> str:
        name = "azureml-logs/70_driver_log.txt"
        return (await self.web.get(f"/v1/runs/{run}/logs/{name}")).text


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with Service(tmp_path / "home").running() as made:
        yield made


@pytest.fixture
def two_cores() -> None:
    if CORES < 2:
        missing("needs two cores")


def waits_for(path: Path) -> str:
    return f"import os, time\nwhile not os.path.exists({str(path)!r}): time.sleep(0.01)"


@pytest.mark.usefixtures("two_cores")
async def test_it_grows_shares_and_shrinks_to_nothing(service: Service, tmp_path: Path) -> None:
    go = tmp_path / "go"
    assert (await service.create()).status_code == 201
    assert await service.nodes() == []
    runs = [await service.submit(waits_for(go)) for _ in range(3)]
    for run in runs[:2]:
        await service.reached(run, "running")
    last = await service.run(runs[2])
    assert last["state"] == "queued"
    assert last["message"].startswith("2 of 2 nodes are busy")
    busy = await service.nodes()
    assert sorted(node["run"] for node in busy) == sorted(runs[:2])
    # No core is given twice.
    assert len({core for node in busy for core in node["cores"]}) == 2
    state = (await service.get("targets/cpu"))["cluster"]
    assert (state["waiting"], state["node_state_counts"]["running"]) == (1, 2)
    go.touch()
    for run in runs:
        await service.reached(run, "completed")
    await service.counted(0)
    texts = [e["text"] for e in (await service.get("targets/cpu/nodes"))["events"]]
    assert any("let go" in text for text in texts)


async def test_a_run_sees_the_cores_of_its_node(service: Service) -> None:
    await service.create()
    run = await service.submit(SHOW)
    await service.reached(run, "completed")
    assert (await service.log(run)).endswith("] 1\n")
    assert (await service.log(run)).count(",") == 0


async def test_a_node_shows_what_its_run_uses(service: Service, tmp_path: Path) -> None:
    await service.create()
    go = tmp_path / "go"
    run = await service.submit(f"held = bytearray(b'x') * (100 << 20)\n{waits_for(go)}")
    await service.reached(run, "running")
    node = (await service.nodes())[0]

    async def is_seen() -> bool:
        nonlocal node
        node = (await service.nodes())[0]
        return node["usage"] is not None

    await until(is_seen, "the node's use")
    assert 100 <= node["usage"]["memory_mb"] < 200
    assert 0 < node["usage"]["cpu"] < 2
    go.touch()
    await service.reached(run, "completed")
    first = (await service.get(f"runs/{run}/usage"))["samples"][0]
    assert first == node["usage"]
    quick = await service.submit("print(1)")
    await service.reached(quick, "completed")
    assert (await service.get(f"runs/{quick}/usage"))["samples"] == []


async def test_a_run_that_outgrows_its_node_is_named(service: Service) -> None:
    if "not held" in slices.limits():
        missing(slices.limits())
    await service.create()
    run = await service.submit("x = bytearray(3 << 30); print(len(x))")
    found = await service.reached(run, "failed", "completed")
    assert found["state"] == "failed"
    assert "outgrew the memory of its node (1024 MB)" in found["error"]["message"]


async def test_a_service_that_comes_back_finds_it_all_again(tmp_path: Path) -> None:
    """Runs that had nodes keep them, those that wait go on waiting, nothing runs twice."""
    home, go, count = tmp_path / "home", tmp_path / "go", tmp_path / "count"
    code = f"open({str(count)!r}, 'a').write('x')\n" + waits_for(go)
    async with Service(home).running() as service:
        await service.create(max_nodes=1)
        runs = [await service.submit(code) for _ in range(2)]
        await service.reached(runs[0], "running")
    async with Service(home).running() as service:
        (node,) = await service.nodes()
        assert node["run"] == runs[0]
        go.touch()
        for run in runs:
            await service.reached(run, "completed")
        await service.counted(0)
    assert count.read_text() == "xx"


async def test_a_run_may_be_canceled_while_it_waits(service: Service, tmp_path: Path) -> None:
    go = tmp_path / "go"
    await service.create(max_nodes=1)
    first = await service.submit(waits_for(go))
    await service.reached(first, "running")
    second = await service.submit("print(2)")
    await service.web.post(f"/v1/runs/{second}/cancel")
    await service.reached(second, "canceled")
    go.touch()
    await service.reached(first, "completed")


async def test_priority_goes_first(service: Service, tmp_path: Path) -> None:
    go, order = tmp_path / "go", tmp_path / "order"
    await service.create(max_nodes=1)
    first = await service.submit(waits_for(go))
    await service.reached(first, "running")
    say = f"open({str(order)!r}, 'a').write"
    low = await service.submit(f"{say}('low ')")
    high = await service.submit(f"{say}('high ')", priority=5)
    go.touch()
    for run in (low, high):
        await service.reached(run, "completed")
    assert order.read_text() == "high low "


async def test_a_cluster_for_one_run_goes_with_it(service: Service) -> None:
    sections = {"amlcompute": {"vm_size": "STANDARD_D1_V2"}}
    run = await service.submit(SHOW, target="amlcompute", sections=sections)
    found = await service.reached(run, "completed")
    assert found["target"].startswith("run-")

    async def gone() -> bool:
        names = [t["name"] for t in (await service.get("targets"))["targets"]]
        return names == ["local"]

    await until(gone, "the cluster to be gone")


async def test_scale_can_be_changed_and_is_kept_within_bounds(service: Service) -> None:
    await service.create()
    answer = await service.web.patch("/v1/targets/cpu", json={"min_nodes": 1})
    assert answer.status_code == 200
    await service.counted(1)
    for change in ({"min_nodes": 9}, {"max_nodes": 0}, {"min_nodes": -1}):
        answer = await service.web.patch("/v1/targets/cpu", json=change)
        assert answer.status_code == 400, change
        assert answer.json()["error"]["message"].startswith("'cpu' cannot be changed so: ")
    await service.web.patch("/v1/targets/cpu", json={"min_nodes": 0})
    await service.counted(0)
    answer = await service.web.patch("/v1/targets/local", json={"min_nodes": 0})
    assert answer.status_code in (404, 409)


async def test_nobody_waits_beside_idle_nodes_of_another_cluster(service: Service) -> None:
    size = f"{CORES}c1g"
    await service.create("first", vm_size=size, idle_seconds_before_scaledown=3600)
    await service.create("second", vm_size=size, idle_seconds_before_scaledown=3600)
    await service.reached(await service.submit("print(1)", "first"), "completed")
    await service.counted(1, "first")
    await service.reached(await service.submit("print(2)", "second"), "completed")
    assert await service.nodes("first") == []


@pytest.mark.usefixtures("two_cores")
async def test_a_quota_of_cores_holds_a_cluster_and_the_run_says_why(
    service: Service, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    await service.web.put("/v1/quotas/cores:custom", json={"limit": 1})
    assert (await service.create()).status_code == 201
    runs = [await service.submit(waits_for(go)) for _ in range(2)]
    await service.reached(runs[0], "running")
    await service.says(
        runs[1],
        "1 of 1 node is busy; this one is next; the quota 'cores:custom' allows no more nodes: "
        "1 of 1 cores in use, one node needs 1. Raise it: turnout quota set cores:custom 2",
    )
    assert len(await service.nodes()) == 1
    await service.web.put("/v1/quotas/cores:custom", json={"limit": 2})
    await service.reached(runs[1], "running")
    found = {q["name"]: q for q in (await service.get("quotas"))["quotas"]}
    assert [found[name]["used"] for name in ("nodes", "cores:custom", "runs")] == [2, 2, 2]
    go.touch()
    for run in runs:
        await service.reached(run, "completed")


@pytest.mark.usefixtures("two_cores")
async def test_a_quota_counts_over_all_clusters_and_lets_idle_nodes_go(
    service: Service, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    await service.create("first", min_nodes=1)
    await service.create("second", min_nodes=1, vm_size="STANDARD_D1_V2")
    await service.counted(1, "second")
    run = await service.submit(waits_for(go), "first")
    await service.reached(run, "running")
    await service.web.put("/v1/quotas/nodes", json={"limit": 1})
    await service.counted(0, "second")
    events = (await service.get("targets/second/nodes"))["events"]
    assert events[0]["text"] == "second-1 let go: the quota 'nodes' was lowered"
    # The run that works there goes on; when it is over, whoever waits gets its place.
    other = await service.submit("print(1)", "second")
    await service.says(
        other,
        "needs 1 node, and with its quota 'second' can have 0 now; the quota 'nodes' allows no "
        "more nodes: 1 of 1 in use, one node needs 1. Raise it: turnout quota set nodes 2",
    )
    await service.web.patch("/v1/targets/first", json={"min_nodes": 0})
    go.touch()
    await service.reached(other, "completed")


@pytest.mark.usefixtures("two_cores")
async def test_a_full_quota_does_not_take_the_nodes_of_other_families(service: Service) -> None:
    await service.create("warm", vm_size=f"{CORES}c1g", idle_seconds_before_scaledown=3600)
    await service.reached(await service.submit("print(1)", "warm"), "completed")
    await service.web.put("/v1/quotas/cores:standardDv2Family", json={"limit": 0})
    await service.create("held", vm_size="STANDARD_D1_V2")
    run = await service.submit("print(1)", "held")
    await service.says(
        run,
        "needs 1 node, and with its quota 'held' can have 0 now; the quota "
        "'cores:standardDv2Family' allows no more nodes: 0 of 0 cores in use, one node needs 1. "
        "Raise it: turnout quota set cores:standardDv2Family 1",
    )
    assert len(await service.nodes("warm")) == 1


async def test_deleting_one_with_runs_needs_force(service: Service, tmp_path: Path) -> None:
    await service.create()
    run = await service.submit(waits_for(tmp_path / "never"))
    await service.reached(run, "running")
    answer = await service.web.delete("/v1/targets/cpu")
    assert answer.status_code == 409
    assert "1 runs are active" in answer.json()["error"]["message"]
    answer = await service.web.delete("/v1/targets/cpu?force=true")
    assert answer.status_code == 204
    assert (await service.run(run))["state"] == "canceled"
    assert [t["name"] for t in (await service.get("targets"))["targets"]] == ["local"]


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"vm_size": "4096c1g"}, "4096"),
        ({"vm_size": "huge"}, "huge"),
        ({"min_nodes": 3}, "min_nodes is 3"),
        ({"max_nodes": 0}, "max_nodes"),
        ({"max_node": 3}, "did you mean 'max_nodes'"),
        ({"vm_priority": "urgent"}, "vm_priority"),
    ],
)
async def test_what_cannot_be_is_refused(
    service: Service, config: dict[str, Any], word: str
) -> None:
    answer = await service.create(**config)
    assert answer.status_code == 400
    assert word in answer.json()["error"]["message"]
    assert [t["name"] for t in (await service.get("targets"))["targets"]] == ["local"]


async def test_a_cluster_cannot_be_called_as_v1_calls_one_for_a_run(service: Service) -> None:
    answer = await service.create("AmlCompute")
    assert answer.status_code == 400
    assert "Take another name" in answer.json()["error"]["message"]


async def test_a_run_based_cluster_needs_a_size(service: Service) -> None:
    body = {
        "key": "no-size-1",
        "experiment": "exp",
        "spec": {"command": ["true"], "target": "amlcompute"},
    }
    answer = await service.web.post("/v1/runs", json=body)
    assert answer.status_code == 400
    assert "vm_size" in answer.json()["error"]["message"]
