"""Runs with several processes on this machine: real processes, a real mpirun."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service.test_clusters import CORES, Service

from turnout.payload import slices
from turnout.testing.missing import missing
from turnout.testing.waiting import is_running, until

SHOW = """
import json, os
names = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "TF_CONFIG")
print(json.dumps({n: os.environ[n] for n in names if n in os.environ}), flush=True)
print(json.dumps([sorted(os.sched_getaffinity(0)), os.getpid()]), flush=True)
from turnout import Run
Run.get_context().log("rank", int(os.environ["TURNOUT_RANK"]))
"""
WAIT = "\nimport time\ntime.sleep(60)\n"
PYTORCH = {"kind": "pytorch", "processes": 2}
MPI = {"kind": "mpi", "processes": 2}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with Service(tmp_path / "home").running() as made:
        await made.create(max_nodes=2)
        yield made


@pytest.fixture
def mpirun() -> None:
    if not shutil.which("mpirun"):
        missing("there is no mpirun: scripts/slurm installs it")


async def logs(service: Service, run: str) -> list[str]:
    """The output of each process, by rank."""
    listed = [log["name"] for log in (await service.get(f"runs/{run}/logs"))["logs"]]
    ranks = {
        int(found[1] or 0): name
        for name in listed
        if (found := re.fullmatch(r"azureml-logs/70_driver_log(?:_(\d+))?\.txt", name))
    }
    texts: list[str] = []
    for rank in sorted(ranks):
        texts.append((await service.web.get(f"/v1/runs/{run}/logs/{ranks[rank]}")).text)
    return texts


async def shown(service: Service, run: str) -> list[tuple[dict[str, str], list[int], int]]:
    found: list[tuple[dict[str, str], list[int], int]] = []
    for text in await logs(service, run):
        variables, rest = text.splitlines()[:2]
        cores, pid = json.loads(rest)
        found.append((json.loads(variables), cores, pid))
    return found


def needs_two_cores() -> None:
    if CORES < 2:
        missing("needs two cores")


async def test_two_nodes_with_two_processes_each(service: Service) -> None:
    needs_two_cores()
    run = await service.submit(SHOW, node_count=2, distribution=PYTORCH)
    await service.reached(run, "completed")
    found = await shown(service, run)
    assert [f[0]["RANK"] for f in found] == ["0", "1", "2", "3"]
    assert [f[0]["NODE_RANK"] for f in found] == ["0", "0", "1", "1"]
    # Those of one node share its core, which the other node does not have.
    assert found[0][1] == found[1][1] != found[2][1] == found[3][1]
    metrics = await service.get(f"runs/{run}/metrics")
    assert metrics["metrics"] == {"rank": 0}
    assert "Attempted to log scalar metric rank" in (await logs(service, run))[3]


@pytest.mark.usefixtures("mpirun")
@pytest.mark.parametrize("target", ["cpu", "local"])
async def test_mpi(service: Service, target: str) -> None:
    nodes = 2 if target == "cpu" and CORES > 1 else 1
    run = await service.submit(SHOW, target, node_count=nodes, distribution=MPI)
    await service.reached(run, "completed")
    found = await shown(service, run)
    assert [f[0]["OMPI_COMM_WORLD_RANK"] for f in found] == list(map(str, range(2 * nodes)))


@pytest.mark.usefixtures("mpirun")
async def test_mpi_adds_up(service: Service) -> None:
    code = (
        "from mpi4py import MPI\nw = MPI.COMM_WORLD\nprint(w.allreduce(w.Get_rank()), flush=True)"
    )
    run = await service.submit(code, "local", distribution={"kind": "mpi", "processes": 4})
    await service.reached(run, "completed")
    assert await logs(service, run) == ["6\n"] * 4


@pytest.mark.parametrize("asked", [PYTORCH, MPI], ids=["pytorch", "mpi"])
async def test_one_that_fails_ends_the_others_and_is_named(
    service: Service, mpirun: None, asked: dict[str, Any]
) -> None:
    needs_two_cores()
    code = SHOW + "if os.environ['TURNOUT_RANK'] == '3':\n    raise SystemExit(7)\n" + WAIT
    run = await service.submit(code, node_count=2, distribution=asked, grace_s=2)
    found = await service.reached(run, "failed")
    assert re.fullmatch(
        r"Process 3 \(node cpu-\d\) exited with code 7; the others were ended\. "
        r"Its output: azureml-logs/70_driver_log_3\.txt\.",
        found["error"]["message"],
    )
    assert found["error"]["exit_code"] == 7


@pytest.mark.parametrize("asked", [PYTORCH, MPI], ids=["pytorch", "mpi"])
async def test_cancel_ends_all(service: Service, mpirun: None, asked: dict[str, Any]) -> None:
    run = await service.submit(SHOW + WAIT, distribution=asked, grace_s=2)

    async def up() -> bool:
        texts = await logs(service, run)
        return len(texts) == 2 and all(len(text.splitlines()) > 1 for text in texts)

    await until(up, "both processes")
    pids = [pid for _, _, pid in await shown(service, run)]
    await service.web.post(f"/v1/runs/{run}/cancel")
    await service.reached(run, "canceled")
    assert not any(map(is_running, pids))


async def test_servers_go_when_the_workers_are_done(service: Service) -> None:
    code = SHOW + (
        "\nif json.loads(os.environ['TF_CONFIG'])['task']['type'] == 'ps':\n"
        "    import time\n    time.sleep(300)\n"
    )
    asked = {"kind": "tensorflow", "workers": 1, "parameter_servers": 1}
    run = await service.submit(code, distribution=asked)
    await service.reached(run, "completed")
    found = [json.loads(f[0]["TF_CONFIG"]) for f in await shown(service, run)]
    assert [f["task"]["type"] for f in found] == ["worker", "ps"]
    assert len({*found[0]["cluster"]["worker"], *found[0]["cluster"]["ps"]}) == 2


async def test_a_node_that_is_outgrown_is_named(service: Service) -> None:
    needs_two_cores()
    if "cgroups" not in slices.limits():
        missing("memory is not held here")
    code = (
        "import os\nif os.environ['RANK'] == '1':\n    x = bytearray(3 << 30)\n"
        "    for i in range(0, len(x), 4096): x[i] = 1\n" + WAIT
    )
    run = await service.submit(code, node_count=2, grace_s=1)
    found = await service.reached(run, "failed")
    message = found["error"]["message"]
    assert "Process 1 (node" in message
    assert re.search(r"outgrew the memory of the node cpu-\d \(1024 MB\)", message)


async def test_more_nodes_than_there_can_be_are_refused(service: Service) -> None:
    for target, words in (
        ("cpu", "may have 2. Raise it: turnout target update cpu --max-nodes 3"),
        ("local", "is one machine and the run asks for 3 nodes"),
    ):
        body = {
            "key": f"gang-refused-{target}",
            "experiment": "e",
            "spec": {"command": ["true"], "target": target, "node_count": 3},
        }
        answer = await service.web.post("/v1/runs", json=body)
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]


async def test_without_mpirun_the_package_is_named(service: Service, tmp_path: Path) -> None:
    environment = {"user_managed": True, "variables": {"PATH": str(tmp_path)}}
    run = await service.submit(SHOW, "local", distribution=MPI, environment=environment)
    found = await service.reached(run, "failed")
    assert "openmpi-bin" in found["error"]["message"]
