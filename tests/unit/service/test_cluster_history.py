from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from turnout.service.app import parts_of
from turnout.service.clusters import history
from turnout.service.clusters.history import Counts
from turnout.service.clusters.tables import NodeCountRow
from turnout.service.db import now
from turnout.testing.waiting import until

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


async def create(web: httpx.AsyncClient, name: str = "cpu", **config: Any) -> None:
    wanted = {"vm_size": "1c1g", "max_nodes": 2, "idle_seconds_before_scaledown": 0, **config}
    body = {"name": name, "kind": "cluster", "config": wanted}
    answer = await web.post("/v1/targets", json=body)
    assert answer.status_code == 201, answer.text


async def history_of(web: httpx.AsyncClient, name: str = "cpu", **query: Any) -> Any:
    answer = await web.get(f"/v1/targets/{name}/history", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def counted(web: httpx.AsyncClient, **wanted: int) -> None:
    """Until the newest sample says so."""

    async def there() -> bool:
        samples = (await history_of(web))["samples"]
        return bool(samples) and wanted.items() <= samples[-1].items()

    await until(there, f"a sample with {wanted}")


async def test_counts_are_written_down_when_they_change(web: httpx.AsyncClient) -> None:
    await create(web)
    await counted(web, idle=0)
    await web.patch("/v1/targets/cpu", json={"min_nodes": 1})
    await counted(web, idle=1)
    await web.patch("/v1/targets/cpu", json={"min_nodes": 0})
    await counted(web, idle=0)
    found = await history_of(web)
    assert [s["idle"] for s in found["samples"]] == [0, 1, 0]
    assert found["max_nodes"] == 2
    assert [s["busy"] for s in found["samples"]] == [0, 0, 0]


async def test_another_cluster_of_the_same_name_begins_anew(web: httpx.AsyncClient) -> None:
    await create(web, min_nodes=1)
    await counted(web, idle=1)
    assert (await web.delete("/v1/targets/cpu")).status_code == 204
    assert (await web.get("/v1/targets/cpu/history")).status_code == 404
    await create(web)
    await counted(web, idle=0)
    assert len((await history_of(web))["samples"]) == 1


async def test_what_is_old_or_too_much_is_forgotten(
    app: FastAPI, web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "ROWS", 10)
    db = parts_of(app).db
    async with db.write() as session:
        for age in (20, 15, *range(13)):
            at = now() - timedelta(days=age)
            row = NodeCountRow(cluster="x", at=at, busy=age, idle=0, changing=0, waiting=0)
            session.add(row)
            await session.flush()
        await history.prune(session, "x")
        left = list(await session.scalars(select(NodeCountRow.busy).order_by(NodeCountRow.id)))
        assert left == list(range(3, 13))
        # One that nothing happened on for long keeps what it is like.
        session.add(
            NodeCountRow(
                cluster="y", at=now() - timedelta(days=40), busy=1, idle=0, changing=0, waiting=0
            )
        )
        await session.flush()
        await history.prune(session, "y")
        assert await session.scalar(select(func.count()).where(NodeCountRow.cluster == "y")) == 1


async def test_the_window_begins_with_how_it_was(app: FastAPI, web: httpx.AsyncClient) -> None:
    await create(web)
    await counted(web, idle=0)
    db = parts_of(app).db
    async with db.write() as session:
        (row,) = await session.scalars(select(NodeCountRow))
        row.at, row.busy = now() - timedelta(hours=5), 3
    (sample,) = (await history_of(web, hours=1))["samples"]
    assert sample["busy"] == 3
    begins = datetime.fromisoformat(sample["at"])
    assert timedelta(minutes=59) < now() - begins < timedelta(minutes=61)
    assert (await web.get("/v1/targets/cpu/history", params={"hours": 0})).status_code == 422


def test_of_many_samples_the_last_of_each_part_is_given() -> None:
    found = [(after(i), Counts(busy=i)) for i in range(1000)]
    thin = history.thinned(found, 11)
    assert len(thin) <= 12
    assert (thin[0], thin[-1]) == (found[0], found[-1])
    assert [at for at, _ in thin] == sorted(at for at, _ in thin)
    assert history.thinned(found, 1000) == found
    same = [(after(0), Counts(busy=i)) for i in range(3)]
    assert history.thinned(same, 2)[-1] == same[-1]


RUN = {"came": 0, "started": 10, "ended": 20, "nodes": 2}


@pytest.mark.parametrize(
    ("runs", "since", "found"),
    [
        ([], 0, []),
        ([RUN], 0, [(0, 0, 1), (10, 2, 0), (20, 0, 0)]),
        ([{**RUN, "ended": None}], 0, [(0, 0, 1), (10, 2, 0)]),
        # It began before the window.
        ([RUN], 15, [(15, 2, 0), (20, 0, 0)]),
        # Canceled while it waited.
        ([{**RUN, "started": None, "ended": 5}], 0, [(0, 0, 1), (5, 0, 0)]),
        ([RUN, {**RUN, "came": 5, "nodes": 1}], 0, [(0, 0, 1), (5, 0, 2), (10, 3, 0), (20, 0, 0)]),
    ],
)
def test_what_runs_of_an_engine_tell(
    runs: list[Mapping[str, Any]], since: float, found: list[tuple[float, int, int]]
) -> None:
    def at(seconds: float | None) -> datetime | None:
        return None if seconds is None else after(seconds)

    rows = [(after(r["came"]), at(r["started"]), at(r["ended"]), r["nodes"]) for r in runs]
    wanted = [(after(s), Counts(busy=busy, waiting=waits)) for s, busy, waits in found]
    assert history.steps(rows, after(since)) == wanted


@pytest.mark.parametrize(
    ("held", "waiting", "counts"),
    [
        ([], 0, Counts()),
        ([("queued", 2), ("running", 3)], 4, Counts(busy=3, changing=2, waiting=4)),
        ([("provisioning", 1), ("preparing", 1)], 0, Counts(busy=1, changing=1)),
    ],
)
def test_counts_on_an_engine(held: list[tuple[str, int]], waiting: int, counts: Counts) -> None:
    assert history.engine_counts_of(held, waiting) == counts


async def test_a_list_tells_what_each_target_does(web: httpx.AsyncClient) -> None:
    await create(web, max_nodes=1)
    for key in ("a" * 16, "b" * 16):
        spec = {"command": ["sleep", "60"], "target": "cpu", "node_count": 1}
        body = {"key": key, "experiment": "exp", "spec": spec}
        answer = await web.post("/v1/runs", json=body)
        assert answer.status_code == 201, answer.text

    async def given() -> bool:
        listed = {t["name"]: t for t in (await web.get("/v1/targets")).json()["targets"]}
        cpu = listed["cpu"]
        assert "nodes" not in listed["local"]
        assert cpu["nodes"]["max"] == 1
        assert cpu["active_runs"] == 2
        return cpu["nodes"]["busy"] == 1 and cpu["nodes"]["waiting"] == 1

    await until(given, "one run to have the node")
    used = (await web.get("/v1/targets/cpu/in-use")).json()
    assert len(used["runs"]) == 2
    assert used["clusters"] == []
    assert (await web.delete("/v1/targets/cpu")).status_code == 409
    assert (await web.delete("/v1/targets/cpu", params={"force": True})).status_code == 204
