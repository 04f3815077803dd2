"""Clusters on a real Slurm when agents, controllers and nodes die, and when much waits."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service.test_clusters import waits_for
from tests.integration.slurm.on_slurm import WHERE, OnSlurm, agents_of, made, until_none

from turnout.testing.missing import missing
from turnout.testing.slurm import PATH, Slurm
from turnout.testing.waiting import until

#: Where a program of ours stands before Slurm's.
COUNTING = '#!/bin/sh\necho x >> {folder}/{name}.calls\nexec /usr/bin/{name} "$@"\n'


def counting(folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        (folder / name).write_text(COUNTING.format(folder=folder, name=name))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{PATH}")


def calls(folder: Path, name: str) -> int:
    path = folder / f"{name}.calls"
    return len(path.read_text().split()) if path.exists() else 0


# -- faults


async def test_a_service_that_comes_back(tmp_path: Path, slurm: Slurm) -> None:
    home, go = tmp_path / "home", tmp_path / "go"
    async with made(OnSlurm(home)) as service:
        run = await service.on_slurm(waits_for(go) + "\nprint('done')")
        await service.reached(run, "running")
    go.touch()
    await until_none(slurm)
    async with made(OnSlurm(home)) as service:
        await service.reached(run, "completed")
        assert await service.log(run) == "done\n"


@pytest.mark.parametrize("waits", [True, False])
async def test_the_agent_is_killed(
    service: OnSlurm, slurm: Slurm, tmp_path: Path, waits: bool
) -> None:
    """While Slurm has the run in its queue, and while it runs."""
    go, mark = tmp_path / "go", tmp_path / "mark"
    if waits:
        slurm.run("scontrol", "update", "nodename=n[1-3]", "state=drain", "reason=test")
    code = f"open({str(mark)!r}, 'a').write('x')\nprint('up', flush=True)\n" + waits_for(go)
    run = await service.on_slurm(code)
    if waits:
        await service.tells(run, "In Slurm's queue")
    else:
        await service.wrote(run, "up")
    killed = agents_of(service.home)
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    slurm.call("scontrol", "update", "nodename=n[1-3]", "state=resume")
    go.touch()
    await service.reached(run, "completed")
    assert mark.read_text() == "x"


async def test_the_controller_is_killed_just_after_it_took_the_run(
    other: Any, tmp_path: Path
) -> None:
    """What it had not written down is lost, or started twice: the run is not."""
    slurm = other()
    mark = tmp_path / "mark"
    async with made(OnSlurm(tmp_path / "home")) as service:
        run = await service.on_slurm(f"open({str(mark)!r}, 'a').write('x')\nprint('once')")
        numbers = service.home / "host" / "slurm"

        async def taken() -> bool:
            return any('"number":"' in path.read_text() for path in numbers.glob("*.json"))

        await until(taken, "Slurm to take the run")
        slurm.controller_kill()
        slurm.controller_start()
        found = await service.reached(run, "completed")
        # Once in each attempt, and not more attempts than it says.
        assert len(mark.read_text()) == found["attempt"]


async def test_a_controller_that_is_down_is_waited_for(other: Any, tmp_path: Path) -> None:
    slurm = other(nodes=1)
    async with made(OnSlurm(tmp_path / "home")) as service:
        slurm.controller_stop()
        run = await service.on_slurm("print('late')")
        await service.tells(run, "controller")
        slurm.controller_start()
        await service.reached(run, "completed")
        assert await service.log(run) == "late\n"


async def test_a_service_that_begins_while_the_controller_is_down(
    other: Any, tmp_path: Path
) -> None:
    slurm = other(nodes=1)
    async with made(OnSlurm(tmp_path / "home")):
        pass
    slurm.controller_stop()
    async with OnSlurm(tmp_path / "home").running() as service:
        run = await service.on_slurm("print('late')")
        await service.tells(run, "Slurm does not answer")
        slurm.controller_start()
        await service.reached(run, "completed")


async def test_a_node_that_is_lost(other: Any, tmp_path: Path) -> None:
    slurm = other(nodes=2)
    code = (
        "import os, time\nfirst = not os.path.exists('outputs/c')\nos.makedirs('outputs', "
        "exist_ok=True)\nopen('outputs/c', 'a').write('x')\n"
        "print(os.environ['SLURMD_NODENAME'], flush=True)\nwhile first: time.sleep(0.1)"
    )
    async with made(OnSlurm(tmp_path / "home")) as service:
        run = await service.on_slurm(code)
        await service.wrote(run, "n1")
        slurm.node_kill("n1")
        found = await service.reached(run, "completed")
        assert found["attempt"] == 2
        assert found["warnings"] == ["Attempt 1: A node was lost (node n1). It was started again."]
        assert "n2" in await service.log(run)


async def test_a_slurmd_that_comes_back_changes_nothing(other: Any, tmp_path: Path) -> None:
    slurm = other(nodes=1)
    go = tmp_path / "go"
    async with made(OnSlurm(tmp_path / "home")) as service:
        run = await service.on_slurm(waits_for(go) + "\nprint('through')")
        await service.reached(run, "running")
        slurm.slurmd_kill("n1")
        slurm.node_start("n1")
        slurm.becomes("n1", ("mixed", "allocated"))
        go.touch()
        found = await service.reached(run, "completed")
        assert found["attempt"] == 1


async def test_a_run_that_outgrows_its_memory(other: Any, tmp_path: Path) -> None:
    if not os.access("/sys/fs/cgroup/memory", os.W_OK):
        missing("no cgroups of version 1 that can be written")
    other(nodes=1, memory=True)
    async with made(OnSlurm(tmp_path / "home")) as service:
        await service.cluster(vm_size="1c1g")
        run = await service.on_slurm(
            "x = bytearray(3 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1"
        )
        found = await service.reached(run, "failed")
        assert "outgrew the memory" in found["error"]["message"]
        assert found["attempt"] == 1


async def test_time_limits(service: OnSlurm) -> None:
    run = await service.on_slurm("import time; time.sleep(60)", max_run_duration_s=1)
    found = await service.reached(run, "failed")
    assert found["error"]["code"] == "time_limit"


async def test_nodes_taken_back_by_slurm(other: Any, tmp_path: Path) -> None:
    slurm = other(
        nodes=1, preemption=True, partitions={"low": "PriorityTier=1", "high": "PriorityTier=10"}
    )
    code = (
        "import os, time\nfirst = not os.path.exists('outputs/c')\nos.makedirs('outputs', "
        "exist_ok=True)\nopen('outputs/c', 'a').write('x')\nprint('up', flush=True)\n"
        "while first: time.sleep(0.1)"
    )
    async with made(OnSlurm(tmp_path / "home")) as service:
        await service.cluster(partition="low", vm_size="4c1g")
        run = await service.on_slurm(code)
        await service.wrote(run, "up")
        slurm.run("sbatch", "-p", "high", "-c", "4", "-o", "/dev/null", "--wrap", "sleep 1")
        found = await service.reached(run, "completed")
        assert found["attempt"] == 2
        assert "took its nodes back" in found["warnings"][0]


async def test_nodes_that_are_powered_on_and_off(other: Any, tmp_path: Path) -> None:
    slurm = other(nodes=1, power_saving=True)
    async with made(OnSlurm(tmp_path / "home")) as service:
        run = await service.on_slurm(WHERE)
        message = await service.tells(run, "being powered on")
        assert message.startswith("Node n1 is being powered on, ")
        assert (await service.run(run))["state"] == "provisioning"
        await service.reached(run, "completed")
        slurm.becomes("n1", ("idle~",))


async def test_gpus(other: Any, tmp_path: Path) -> None:
    other(nodes=1, gpus=2)
    async with made(OnSlurm(tmp_path / "home")) as service:
        await service.cluster(vm_size="1c1g1gpu")
        run = await service.on_slurm("import os; print(os.environ['CUDA_VISIBLE_DEVICES'])")
        await service.reached(run, "completed")
        assert await service.log(run) == "0\n"


async def test_a_thousand_that_wait_are_asked_for_once_a_second(
    service: OnSlurm, slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    counting(programs, monkeypatch, "squeue", "sbatch")
    for pid in agents_of(service.home):
        # The next one finds the programs that count.
        os.kill(pid, signal.SIGKILL)
    await service.web.patch("/v1/targets/hpc", json={"max_nodes": 1000})
    slurm.run("scontrol", "update", "nodename=n[1-3]", "state=drain", "reason=test")
    try:
        runs = list(await asyncio.gather(*(service.on_slurm("print(1)") for _ in range(1000))))

        async def held() -> bool:
            return len(slurm.numbers()) == 1000

        await until(held, "Slurm to have a thousand")
        before = calls(programs, "squeue")
        assert calls(programs, "sbatch") < 300
        await service.tells(runs[-1], "In Slurm's queue")
        start = time.monotonic()
        await asyncio.sleep(5)
        took = time.monotonic() - start
        assert calls(programs, "squeue") - before <= took * 1.2 + 2

        async def deleted() -> bool:
            answer = await service.web.delete("/v1/targets/hpc?force=true")
            return answer.status_code == 204

        await until(deleted, "the runs to be canceled and the cluster to go")
        await until_none(slurm)
    finally:
        slurm.run("scontrol", "update", "nodename=n[1-3]", "state=resume")
