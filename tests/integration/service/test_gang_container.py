"""Runs with several processes in a container: all are in one, with the parts of their nodes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service.test_clusters import Service
from tests.integration.service.test_gangs import PYTORCH, logs, needs_two_cores

from turnout.testing.dockerd import DockerEngine

SHOW = """
import json, os, sys
names = ("RANK", "NODE_RANK", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
print(json.dumps([*(os.environ[name] for name in names), sorted(os.sched_getaffinity(0))]))
sys.stdout.flush()
if os.environ["RANK"] == os.environ.get("FAILS"):
    sys.exit(9)
if "FAILS" in os.environ:
    import time
    time.sleep(600)
"""
BOXED: dict[str, Any] = {"user_managed": True, "container": {"image": "base:1"}}


@pytest.fixture
async def service(
    tmp_path: Path, docker: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Service]:
    needs_two_cores()
    monkeypatch.setenv("DOCKER_HOST", docker.host)
    async with Service(tmp_path / "home").running() as made:
        await made.create(max_nodes=2)
        yield made


async def submit(service: Service, **spec: Any) -> str:
    command = ["python3", "-c", SHOW]
    return await service.submit("", command=command, node_count=2, distribution=PYTORCH, **spec)


async def test_each_has_the_part_of_its_node(service: Service) -> None:
    run = await submit(service, environment=BOXED)
    await service.reached(run, "completed")
    found = [json.loads(text) for text in await logs(service, run)]
    assert [row[:4] for row in found] == [
        ["0", "0", "1", ""],
        ["1", "0", "1", ""],
        ["2", "1", "1", ""],
        ["3", "1", "1", ""],
    ]
    cores = [row[4] for row in found]
    assert cores[0] == cores[1] != cores[2] == cores[3]


async def test_one_that_fails_ends_them_all(service: Service) -> None:
    run = await submit(service, environment={**BOXED, "variables": {"FAILS": "2"}}, grace_s=5)
    await service.reached(run, "failed")
    error = (await service.run(run))["error"]
    assert error["message"].startswith("Process 2 (node cpu-")
    assert error["exit_code"] == 9


async def test_an_image_without_mpirun(service: Service) -> None:
    asked = {"kind": "mpi", "processes": 2}
    run = await service.submit("", command=["true"], environment=BOXED, distribution=asked)
    found = await service.reached(run, "failed")
    assert "openmpi-bin" in found["error"]["message"]
