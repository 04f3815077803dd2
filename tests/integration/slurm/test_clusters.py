"""Clusters on a real Slurm, through a real service: what works, and what is done about faults."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service.test_clusters import Service, waits_for

from turnout.testing.dockerd import Unavailable
from turnout.testing.missing import missing
from turnout.testing.slurm import PATH, Slurm
from turnout.testing.sshd import SSHServer
from turnout.testing.waiting import until

WHERE = "import os; print(os.environ['SLURMD_NODENAME'], os.environ['SLURM_CPUS_PER_TASK'])"
#: Where a program of ours stands before Slurm's.
COUNTING = '#!/bin/sh\necho x >> {folder}/{name}.calls\nexec /usr/bin/{name} "$@"\n'


class OnSlurm(Service):
    """The service, with an engine "lab" and a cluster "hpc" on it."""

    async def engine(self, **config: Any) -> dict[str, Any]:
        body = {"name": "lab", "config": config}
        answer = await self.web.post("/v1/engines", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def cluster(self, **config: Any) -> None:
        answer = await self.create("hpc", **{"engine": "lab", "max_nodes": 8, **config})
        assert answer.status_code == 201, answer.text
        assert answer.json()["provisioning_state"] == "Succeeded", answer.text

    async def on_slurm(self, code: str, **spec: Any) -> str:
        return await self.submit(code, "hpc", **spec)

    async def wrote(self, run: str, text: str) -> None:
        async def there() -> bool:
            return text in await self.log(run)

        await until(there, f"{run} to write {text!r}")

    async def tells(self, run: str, part: str) -> str:
        async def there() -> bool:
            return part in (await self.run(run))["message"]

        try:
            await until(there, f"{run} to say {part!r}")
        except AssertionError:
            raise AssertionError((await self.run(run))["message"]) from None
        return (await self.run(run))["message"]

    async def cancel(self, run: str) -> None:
        await self.web.post(f"/v1/runs/{run}/cancel")

    async def nothing_left(self) -> None:
        async def empty() -> bool:
            return not list((self.home / "host" / "runs").iterdir())

        await until(empty, "the run folders to go")


@pytest.fixture
async def service(tmp_path: Path, slurm: Slurm) -> AsyncIterator[OnSlurm]:
    async with made(OnSlurm(tmp_path / "home")) as service:
        yield service


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a Slurm of another form, for one test."""
    running: list[Slurm] = []

    def make(**options: Any) -> Slurm:
        try:
            slurm = Slurm(**options)
        except Unavailable as e:
            missing(e)
        running.append(slurm.__enter__())
        monkeypatch.setenv("SLURM_CONF", slurm.environ["SLURM_CONF"])
        monkeypatch.setenv("PATH", PATH)
        return slurm

    yield make
    for slurm in running:
        slurm.__exit__()


def made(service: OnSlurm) -> Any:
    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[OnSlurm]:
        async with service.running():
            if not (service.home / "made").exists():
                found = await service.engine()
                assert found["provisioning_state"] == "Succeeded", found
                await service.cluster()
                (service.home / "made").touch()
            yield service

    return running()


def counting(folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        (folder / name).write_text(COUNTING.format(folder=folder, name=name))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{PATH}")


def calls(folder: Path, name: str) -> int:
    path = folder / f"{name}.calls"
    return len(path.read_text().split()) if path.exists() else 0


def agents_of(home: Path) -> list[int]:
    """Agents that answer for this home's engine."""
    found: list[int] = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                line = (place / "cmdline").read_bytes()
            except OSError:
                continue
            if b"--engine" in line and str(home).encode() in line and b"FIND" not in line:
                found.append(int(place.name))
    return found


# -- what works


async def test_a_run_on_a_node(service: OnSlurm) -> None:
    run = await service.on_slurm(
        "import os; os.mkdir('outputs'); open('outputs/a', 'w').write('b');" + WHERE
    )
    found = await service.reached(run, "completed")
    assert found["attempt"] == 1
    node, cores = (await service.log(run)).split()
    assert node in ("n1", "n2", "n3")
    assert cores == "1"
    assert (await service.web.get(f"/v1/runs/{run}/files/outputs/a")).text == "b"
    view = await service.get("targets/hpc")
    assert view["cluster"]["node_state_counts"]["running"] == 0
    assert "partition main" in view["cluster"]["limits"]
    await service.nothing_left()


async def test_what_runs_where_is_shown(service: OnSlurm, tmp_path: Path) -> None:
    go = tmp_path / "go"
    run = await service.on_slurm(waits_for(go))
    await service.reached(run, "running")

    async def shown() -> bool:
        nodes = (await service.get("targets/hpc/nodes"))["engine_nodes"]
        return [run] in [node["runs"] for node in nodes]

    await until(shown, "the node to show its run")
    view = await service.get("targets/hpc")
    assert view["cluster"]["node_state_counts"]["running"] == 1
    go.touch()
    await service.reached(run, "completed")


async def test_many_at_once_are_few_batches(
    service: OnSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.web.patch("/v1/targets/hpc", json={"max_nodes": 100})
    runs = [await service.on_slurm("print('ok')") for _ in range(60)]
    for run in runs:
        await service.reached(run, "completed")
        assert await service.log(run) == "ok\n"
    batches = list((service.home / "host" / "slurm").glob("*.json"))
    assert 1 <= len(batches) < len(runs)


async def test_failures_come_back(service: OnSlurm) -> None:
    run = await service.on_slurm("raise SystemExit(3)")
    found = await service.reached(run, "failed")
    assert (found["error"]["code"], found["error"]["exit_code"]) == ("script_failed", 3)


async def test_max_nodes_holds(service: OnSlurm, tmp_path: Path) -> None:
    await service.web.patch("/v1/targets/hpc", json={"max_nodes": 2})
    go = tmp_path / "go"
    runs = [await service.on_slurm(waits_for(go)) for _ in range(3)]
    for run in runs[:2]:
        await service.reached(run, "running")
    await service.tells(runs[2], "2 of 2 nodes are busy")
    go.touch()
    for run in runs:
        await service.reached(run, "completed")


# -- cancel in every state


async def test_canceled_while_it_runs(service: OnSlurm, slurm: Slurm) -> None:
    run = await service.on_slurm("import time\nprint('up', flush=True)\ntime.sleep(60)")
    await service.wrote(run, "up")
    await service.cancel(run)
    await service.reached(run, "canceled")
    await until_none(slurm)
    await service.nothing_left()


async def test_canceled_in_slurms_queue(service: OnSlurm, slurm: Slurm, tmp_path: Path) -> None:
    slurm.run("scontrol", "update", "nodename=n[1-3]", "state=drain", "reason=test")
    try:
        run = await service.on_slurm("print('never')")
        message = await service.tells(run, "In Slurm's queue")
        assert (await service.run(run))["state"] == "queued"
        assert ":" in message
        await service.cancel(run)
        await service.reached(run, "canceled")
        await until_none(slurm)
    finally:
        slurm.run("scontrol", "update", "nodename=n[1-3]", "state=resume")
    await service.nothing_left()


async def until_none(slurm: Slurm) -> None:
    async def none() -> bool:
        return not slurm.numbers()

    await until(none, "Slurm's queue to be empty")


# -- what is refused


async def test_what_slurm_refuses_is_said_in_its_words(service: OnSlurm) -> None:
    await service.cluster(constraint="nowhere")
    run = await service.on_slurm("print('never')")
    found = await service.reached(run, "failed")
    assert found["error"]["message"].startswith("Slurm refused it: ")
    assert "feature" in found["error"]["message"].lower()
    await service.nothing_left()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"partition": "nope"}, "Slurm has no partition 'nope'. Partitions: main, short."),
        ({"vm_size": "64c1g"}, "is larger than"),
        ({"engine": "nope"}, "There is no engine 'nope'"),
        ({"account": "a b"}, "is not one word"),
    ],
)
async def test_clusters_that_cannot_be(
    service: OnSlurm, config: dict[str, str], words: str
) -> None:
    answer = await service.create("bad", **{"engine": "lab", **config})
    assert answer.status_code >= 400
    assert words in answer.json()["error"]["message"]


async def test_engines_are_no_targets_and_stay_while_used(service: OnSlurm) -> None:
    body = {"key": "engine-as-target", "experiment": "e", "spec": {"script": "x", "target": "lab"}}
    answer = await service.web.post("/v1/runs", json=body)
    assert "is an engine, no target" in answer.json()["error"]["message"]
    assert [t["name"] for t in (await service.get("targets"))["targets"]] == ["local", "hpc"]
    assert [e["name"] for e in (await service.get("engines"))["engines"]] == ["lab"]
    assert (await service.web.delete("/v1/engines/lab")).status_code == 409
    assert (await service.web.delete("/v1/targets/hpc")).status_code == 204
    assert (await service.web.delete("/v1/engines/lab")).status_code == 204


async def test_an_engine_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin:/nowhere")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "none"))
    async with OnSlurm(tmp_path / "home").running() as service:
        found = await service.engine()
        assert found["provisioning_state"] == "Failed"
        (problem,) = found["provisioning_errors"]
        assert problem["code"] == "slurm_down"
        assert "configuration" in problem["message"] or "answer" in problem["message"]


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


# -- over SSH


async def test_a_login_machine_over_ssh(slurm: Slurm, tmp_path: Path) -> None:
    options = [f"SetEnv SLURM_CONF={slurm.environ['SLURM_CONF']}"]
    with SSHServer(options=options) as login:
        async with OnSlurm(tmp_path / "home").running() as service:
            found = await service.engine(
                address=login.address,
                port=login.port,
                username=login.username,
                private_key=login.user_key.read_text(),
                host_key=login.host_key,
                folder=str(tmp_path / "shared"),
                python=sys.executable,
            )
            assert found["provisioning_state"] == "Succeeded", found
            assert "private_key" not in found["config"]
            await service.cluster()
            run = await service.on_slurm("print('far')")
            await service.reached(run, "completed")
            assert await service.log(run) == "far\n"
