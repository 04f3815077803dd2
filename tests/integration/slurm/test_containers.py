"""Containers on nodes of Slurm, where a node has an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.slurm.on_slurm import OnSlurm, made

from turnout.testing.dockerd import DockerEngine
from turnout.testing.slurm import Slurm


@pytest.fixture
async def service(
    docker: DockerEngine, slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    monkeypatch.setenv("DOCKER_HOST", docker.environ["DOCKER_HOST"])
    async with made(OnSlurm(tmp_path / "home")) as service:
        yield service


def asked(**more: Any) -> dict[str, Any]:
    return {"user_managed": True, "container": {"image": "base:1"}, **more}


async def test_a_run_in_a_container_on_a_node(service: OnSlurm) -> None:
    code = "import os; print(os.path.exists('/.dockerenv'), os.environ['SLURMD_NODENAME'])"
    run = await service.on_slurm(code, command=["python3", "-c", code], environment=asked())
    found = await service.reached(run, "completed", "failed")
    assert found["state"] == "completed", found["error"]
    assert (await service.log(run)).startswith("True")


async def test_its_exit_code_and_its_end(service: OnSlurm) -> None:
    line = ["python3", "-c", "raise SystemExit(5)"]
    run = await service.on_slurm("", command=line, environment=asked())
    assert (await service.reached(run, "failed"))["error"]["exit_code"] == 5
    line = ["python3", "-c", "import time; print('up', flush=True); time.sleep(300)"]
    run = await service.on_slurm("", command=line, environment=asked(), grace_s=1)
    await service.wrote(run, "up")
    await service.cancel(run)
    await service.reached(run, "canceled")


async def test_several_processes_in_one_container(service: OnSlurm) -> None:
    code = "import os; print(os.environ['RANK'], os.environ['WORLD_SIZE'], flush=True)"
    run = await service.on_slurm(
        "",
        command=["python3", "-c", code],
        environment=asked(),
        distribution={"kind": "pytorch", "processes": 2},
    )
    found = await service.reached(run, "completed", "failed")
    assert found["state"] == "completed", found["error"]
    assert await service.log(run) == "0 2\n"
