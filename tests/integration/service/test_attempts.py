"""Runs whose nodes are lost or taken back: another attempt, on real processes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.service.test_clusters import CORES, Service, waits_for

from turnout.testing.missing import missing
from turnout.testing.waiting import until

#: Counts its attempts in its outputs, and waits in the first of them.
COUNTS = """
import os, time
from turnout import Run
run = Run.get_context()
os.makedirs("outputs", exist_ok=True)
before = open("outputs/checkpoint").read() if os.path.exists("outputs/checkpoint") else ""
open("outputs/checkpoint", "w").write(before + "x")
print("attempt", os.environ["TURNOUT_RUN_ATTEMPT"], "after", repr(before), flush=True)
run.log("step", len(before))
while not before:
    time.sleep(0.01)
"""


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with Service(tmp_path / "home").running() as made:
        yield made


async def written(service: Service, run: str, text: str) -> None:
    async def there() -> bool:
        return text in await service.log(run)

    await until(there, f"{run} to write {text!r}")


def supervisor_of(service: Service, run: str) -> int:
    (folder,) = (service.home / "host" / "runs").glob(f"{run}.*")
    return json.loads((folder / "status.json").read_text())["pid"]


async def events(service: Service, name: str) -> list[str]:
    return [e["text"] for e in (await service.get(f"targets/{name}/nodes"))["events"]]


async def test_a_run_whose_node_is_lost_starts_again(service: Service) -> None:
    await service.create(max_nodes=1)
    run = await service.submit(COUNTS)
    await written(service, run, "attempt 1 after ''")
    os.kill(supervisor_of(service, run), signal.SIGKILL)
    found = await service.reached(run, "completed")
    assert found["attempt"] == 2
    (warning,) = found["warnings"]
    assert warning.startswith("Attempt 1: The run's supervisor")
    steps = [(e["attempt"], e["state"]) for e in found["history"]]
    assert [s for s in steps if s[1] in ("queued", "running", "completed")] == [
        (1, "queued"), (1, "running"), (2, "queued"), (2, "running"), (2, "completed"),
    ]  # fmt: skip
    assert any("supervisor" in e["message"] for e in found["history"] if e["attempt"] == 2)
    log = await service.log(run)
    # One log of all attempts, each line once.
    assert log.count("attempt 1 after ''") == log.count("attempt 2 after 'x'") == 1
    assert log.index("attempt 1") < log.index("Started again") < log.index("attempt 2")
    metrics = await service.get(f"runs/{run}/metrics")
    assert metrics["metrics"]["step"] == [0, 1]
    answer = await service.web.get(f"/v1/runs/{run}/files/outputs/checkpoint")
    assert answer.text == "xx"
    assert any("was lost" in text for text in await events(service, "cpu"))
    # Nothing of either attempt is left on the target.
    runs = service.home / "host" / "runs"

    async def empty() -> bool:
        return not list(runs.iterdir())

    await until(empty, "the run folders to go")


async def test_only_so_often(service: Service) -> None:
    await service.create(max_nodes=1)
    run = await service.submit("import time\nprint('up', flush=True)\ntime.sleep(60)", restarts=1)
    for attempt in (1, 2):

        async def up(count: int = attempt) -> bool:
            return (await service.log(run)).count("up\n") == count

        await until(up, f"attempt {attempt}")
        os.kill(supervisor_of(service, run), signal.SIGKILL)
    found = await service.reached(run, "failed")
    assert (found["attempt"], found["error"]["code"]) == (2, "lost")


async def test_never_where_the_run_says_so(service: Service) -> None:
    await service.create(max_nodes=1)
    run = await service.submit(COUNTS, restarts=0)
    await written(service, run, "attempt 1")
    os.kill(supervisor_of(service, run), signal.SIGKILL)
    assert (await service.reached(run, "failed"))["attempt"] == 1


async def test_canceled_between_two_attempts(service: Service, tmp_path: Path) -> None:
    """The first node is lost while another run takes the only place."""
    await service.create(max_nodes=1)
    run = await service.submit(COUNTS)
    await written(service, run, "attempt 1")
    go = tmp_path / "go"
    other = await service.submit(waits_for(go), priority=1)
    os.kill(supervisor_of(service, run), signal.SIGKILL)
    await service.reached(other, "running")
    assert (await service.run(run))["attempt"] == 2
    await service.web.post(f"/v1/runs/{run}/cancel")
    await service.reached(run, "canceled")
    go.touch()
    await service.reached(other, "completed")

    async def empty() -> bool:
        return not list((service.home / "host" / "runs").iterdir())

    await until(empty, "the run folders to go")


async def test_low_priority_nodes_are_taken_back(service: Service) -> None:
    if CORES < 2:
        missing("needs two cores")
    size = f"{CORES}c1g"
    await service.create("low", vm_size=size, vm_priority="lowpriority", max_nodes=1)
    await service.create("high", vm_size=size, max_nodes=1)
    low = await service.submit(COUNTS, "low", restarts=1)
    await written(service, low, "attempt 1")
    high = await service.submit("print('mine')", "high")
    await service.reached(high, "completed")
    found = await service.reached(low, "completed")
    assert found["attempt"] == 2
    assert "taken back" in found["warnings"][0]
    assert "attempt 2 after 'x'" in await service.log(low)
    told = await events(service, "low")
    assert any("is taken back for 'high'" in text for text in told)
    assert any("was taken back" in text for text in told)


async def test_a_run_of_several_nodes_gets_them_from_low_priority_ones(
    service: Service, tmp_path: Path
) -> None:
    """One node is free, the other is taken back; then both start together."""
    if CORES < 2:
        missing("needs two cores")
    await service.create("low", vm_size="1c1g", vm_priority="lowpriority", max_nodes=1)
    await service.create("high", vm_size=f"{CORES - CORES // 2}c1g", max_nodes=2, min_nodes=0)
    low = await service.submit(COUNTS, "low")
    await written(service, low, "attempt 1")
    high = await service.submit("print('mine')", "high", node_count=2)
    await service.reached(high, "completed")
    assert (await service.reached(low, "completed"))["attempt"] == 2


async def test_nodes_in_store_are_no_reason(service: Service) -> None:
    """`min_nodes` of a dedicated cluster disturbs nobody: no run waits for them."""
    await service.create("low", vm_size="1c1g", vm_priority="lowpriority", max_nodes=1)
    low = await service.submit(COUNTS, "low")
    await written(service, low, "attempt 1")
    await service.create("high", vm_size=f"{CORES}c1g", max_nodes=1, min_nodes=1)
    # A round that looked at both: the cluster changed, and a run came and waits.
    other = await service.submit("print('soon')", "low")
    await service.says(other, "1 of 1 node is busy; this one is next")
    assert (await service.run(low))["attempt"] == 1
    assert not any("taken back" in text for text in await events(service, "low"))
    for run in (low, other):
        await service.web.post(f"/v1/runs/{run}/cancel")
        await service.reached(run, "canceled", "completed")


async def test_dedicated_runs_and_lesser_needs_take_nothing_back(service: Service) -> None:
    """Dedicated nodes stay, and nobody's work is lost for a run that could not start anyway."""
    if CORES < 2:
        missing("needs two cores")
    await service.create("one", vm_size="1c1g", max_nodes=1)
    await service.create("low", vm_size="1c1g", vm_priority="lowpriority", max_nodes=1)
    await service.create("big", vm_size=f"{CORES}c1g", max_nodes=1)
    kept = [await service.submit(COUNTS, name) for name in ("one", "low")]
    for run in kept:
        await written(service, run, "attempt 1")
    big = await service.submit("print('big')", "big")
    await service.says(
        big, "needs 1 node, and with what else is on this machine 'big' can have 0 now"
    )
    for run in kept:
        assert (await service.run(run))["attempt"] == 1
        await service.web.post(f"/v1/runs/{run}/cancel")
    await service.reached(big, "completed")


async def test_a_service_that_comes_back_starts_it_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with Service(home).running() as service:
        await service.create(max_nodes=1)
        run = await service.submit(COUNTS)
        await written(service, run, "attempt 1")
        pid = supervisor_of(service, run)
    os.kill(pid, signal.SIGKILL)
    async with Service(home).running() as service:
        found = await service.reached(run, "completed")
        assert found["attempt"] == 2
