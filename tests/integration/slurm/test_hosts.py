"""Nodes of Slurm that are machines of their own: other names, addresses and processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.slurm.on_slurm import OnSlurm, made

#: The first process listens where the variables say, the others come to it from their nodes.
MEET = """
import os, socket, time
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
where = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if rank == 0:
    with socket.create_server(("", where[1])) as server:
        seen = [server.accept()[0].recv(99).decode() for _ in range(world - 1)]
    print(os.uname().nodename, sorted(seen), flush=True)
else:
    while True:
        try:
            with socket.create_connection(where) as one:
                one.sendall(f"{os.uname().nodename}:{rank}".encode())
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
"""
SUM = """
from mpi4py import MPI
world = MPI.COMM_WORLD
total = world.allreduce(world.Get_rank())
print(MPI.Get_processor_name(), total, flush=True)
"""


@pytest.fixture
async def service(other: Any, tmp_path: Path) -> Any:
    other(nodes=2, namespaces=True)
    async with made(OnSlurm(tmp_path / "home")) as service:
        yield service


async def test_a_run_is_followed_from_another_machine(service: OnSlurm) -> None:
    code = (
        "import os, time\nfor i in range(3):\n    print(os.uname().nodename, i, flush=True)\n"
        "    time.sleep(0.3)\n"
    )
    run = await service.on_slurm(code)
    await service.wrote(run, "n1 0")
    assert (await service.run(run))["state"] == "running"
    await service.reached(run, "completed")
    assert await service.log(run) == "n1 0\nn1 1\nn1 2\n"


async def test_processes_on_two_machines_find_each_other(service: OnSlurm) -> None:
    asked = {"kind": "pytorch", "processes": 2}
    run = await service.on_slurm(MEET, node_count=2, distribution=asked)
    await service.reached(run, "completed")
    assert await service.log(run) == "n1 ['n1:1', 'n2:2', 'n2:3']\n"


async def test_mpi_over_two_machines(service: OnSlurm) -> None:
    asked = {"kind": "mpi", "processes": 2}
    run = await service.on_slurm(SUM, node_count=2, distribution=asked)
    found = await service.reached(run, "completed", "failed")
    assert found["state"] == "completed", (found["error"], await service.log(run))
    assert await service.log(run) == "n1 6\n"
    name = "azureml-logs/70_driver_log_3.txt"
    assert (await service.web.get(f"/v1/runs/{run}/logs/{name}")).text == "n2 6\n"


async def test_cancel_reaches_all_machines(service: OnSlurm, tmp_path: Path) -> None:
    asked = {"kind": "mpi", "processes": 1}
    code = "import os, time\nprint('up', flush=True)\ntime.sleep(300)"
    run = await service.on_slurm(code, node_count=2, distribution=asked, grace_s=1)
    await service.wrote(run, "up")
    await service.cancel(run)
    await service.reached(run, "canceled")
    await service.nothing_left()
