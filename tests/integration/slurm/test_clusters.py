"""Clusters on a real Slurm, through a real service: what works, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service.test_clusters import waits_for
from tests.integration.slurm.on_slurm import WHERE, OnSlurm, until_none

from turnout.testing.slurm import Slurm
from turnout.testing.sshd import SSHServer
from turnout.testing.waiting import until

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


async def test_an_engine_for_all_clusters(service: OnSlurm) -> None:
    """Clusters that name no engine, and those of one run, as scripts of v1 make them."""
    body = {"value": "lab"}
    assert (await service.web.put("/v1/config/clusters.engine", json=body)).status_code == 200
    answer = await service.create("cpu", min_nodes=1)
    assert answer.json()["config"]["engine"] == "lab"
    assert "min_nodes has no effect" in (await service.get("targets/cpu"))["cluster"]["limits"]
    run = await service.submit(WHERE, "cpu")
    sections = {"amlcompute": {"vm_size": "STANDARD_D2_V2"}}
    alone = await service.submit(WHERE, "amlcompute", sections=sections)
    for one in (run, alone):
        await service.reached(one, "completed")
        assert (await service.log(one)).startswith("n")

    async def gone() -> bool:
        names = [t["name"] for t in (await service.get("targets"))["targets"]]
        return names == ["local", "cpu", "hpc"]

    await until(gone, "the cluster of one run to go with it")


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


async def test_canceled_by_hand_in_slurm(service: OnSlurm, slurm: Slurm) -> None:
    """Slurm's signal reaches the script before its supervisor, or after it."""
    code = "import time\nprint('up', flush=True)\ntime.sleep(60)"
    runs = [await service.on_slurm(code) for _ in range(6)]
    for run in runs:
        await service.wrote(run, "up")
    for number in slurm.numbers():
        slurm.run("scancel", number)
    for run in runs:
        await service.reached(run, "canceled")


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


async def test_a_site_that_does_not_know_the_memory_of_its_nodes(
    other: Any, tmp_path: Path
) -> None:
    """Slurm's default: it then says that they have 1 MB."""
    other(nodes=1, memory_mb=1)
    async with OnSlurm(tmp_path / "home").running() as service:
        await service.engine()
        for size in ("1c1g", "STANDARD_D2_V2"):
            await service.cluster(vm_size=size)
            run = await service.on_slurm("print('up')")
            await service.reached(run, "completed")
        answer = await service.create("bad", engine="lab", vm_size="64c1g")
        assert (
            "larger than the largest node of partition main" in answer.json()["error"]["message"]
        )


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


# -- several nodes

GANG = """
import json, os, time
print(json.dumps([os.environ["SLURMD_NODENAME"], os.environ["TURNOUT_RANK"]]), flush=True)
if os.environ["TURNOUT_RANK"] in os.environ.get("FAIL", ""):
    raise SystemExit(7)
if os.environ.get("FAIL") or '"ps", "index"' in os.environ.get("TF_CONFIG", ""):
    open("up" + os.environ["TURNOUT_RANK"], "w").close()
    time.sleep(300)
# Servers are ended with the workers: not before they have said where they are.
while '"worker", "index"' in os.environ.get("TF_CONFIG", "") and not (
    os.path.exists("up2") and os.path.exists("up3")
):
    time.sleep(0.05)
"""
WAYS = {
    "pytorch": {"kind": "pytorch", "processes": 2},
    "mpi": {"kind": "mpi", "processes": 2},
    "tensorflow": {"kind": "tensorflow", "workers": 2, "parameter_servers": 2},
}


@pytest.mark.parametrize("way", WAYS)
async def test_processes_on_two_nodes(service: OnSlurm, way: str) -> None:
    run = await service.on_slurm(GANG, node_count=2, distribution=WAYS[way], grace_s=1)
    await service.reached(run, "completed")
    first = json.loads(await service.log(run))
    seen = {first[1]: first[0]}
    for rank in (1, 2, 3):
        name = f"azureml-logs/70_driver_log_{rank}.txt"
        text = (await service.web.get(f"/v1/runs/{run}/logs/{name}")).text
        node, own = json.loads(text)
        seen[own] = node
    assert sorted(seen) == ["0", "1", "2", "3"]
    assert seen["0"] == seen["1"] != seen["2"] == seen["3"]


@pytest.mark.parametrize("way", ["pytorch", "mpi"])
async def test_one_that_fails_ends_those_on_other_nodes(
    service: OnSlurm, slurm: Slurm, way: str
) -> None:
    environment = {"user_managed": True, "variables": {"FAIL": "3"}}
    run = await service.on_slurm(
        GANG, node_count=2, distribution=WAYS[way], environment=environment, grace_s=1
    )
    found = await service.reached(run, "failed")
    assert found["error"]["message"].startswith("Process 3 (node n")
    assert found["error"]["exit_code"] == 7
    await until_none(slurm)
