"""Clusters in a virtual network: a real service, a real Docker engine, runs that meet by name."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from turnout.service.app import create_app, parts_of
from turnout.service.settings import Settings
from turnout.testing.dockerd import DockerEngine
from turnout.testing.missing import missing
from turnout.testing.waiting import until

KEYS = itertools.count(1)
RANGE = "10.213.9.0/24"
NETWORK = {"vnet_name": "lab", "subnet_name": RANGE}
NAME = "turnout-lab-10.213.9.0-24"
#: Says its node's name, and waits until somebody has asked for it.
SERVE = (
    "import socket\n"
    "server = socket.create_server(('', 8000))\n"
    "print(socket.gethostname(), flush=True)\n"
    "other, _ = server.accept()\n"
    "other.sendall(b'hello'); other.close()\n"
)


@pytest.fixture
async def web(
    tmp_path: Path, docker: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    if len(os.sched_getaffinity(0)) < 2:
        missing("needs two cores to cut into nodes")
    monkeypatch.setenv("DOCKER_HOST", docker.host)
    app = create_app(Settings(home=tmp_path / "home", tick_s=0.5))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://turnout/v1/",
            headers={"Authorization": f"Bearer {parts_of(app).token}"},
        ) as made,
    ):
        yield made


async def create(web: httpx.AsyncClient, **config: Any) -> httpx.Response:
    wanted = {"vm_size": "1c1g", "max_nodes": 2, "idle_seconds_before_scaledown": 0, **config}
    return await web.post("targets", json={"name": "cpu", "kind": "cluster", "config": wanted})


async def submit(web: httpx.AsyncClient, code: str, **container: Any) -> httpx.Response:
    environment = {"user_managed": True, "container": {"image": "base:1", **container}}
    spec = {"command": ["python3", "-c", code], "target": "cpu", "environment": environment}
    body = {"key": f"network-{next(KEYS)}", "experiment": "exp", "spec": spec}
    return await web.post("runs", json=body)


async def log(web: httpx.AsyncClient, run: str) -> str:
    found = await web.get(f"runs/{run}/logs/azureml-logs/70_driver_log.txt")
    return found.text if found.status_code == 200 else ""


async def ended(web: httpx.AsyncClient, run: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def is_over() -> bool:
        nonlocal found
        found = (await web.get(f"runs/{run}")).json()
        return found["state"] in ("completed", "failed", "canceled")

    await until(is_over, f"{run} to end")
    return found


async def test_runs_of_a_cluster_meet_under_their_nodes_names(
    web: httpx.AsyncClient, docker: DockerEngine
) -> None:
    made = await create(web, **NETWORK)
    assert made.status_code == 201, made.text
    first = (await submit(web, SERVE)).json()["id"]

    async def serves() -> bool:
        return "\n" in await log(web, first)

    await until(serves, "the first run to serve")
    node = next(
        n for n in (await web.get("targets/cpu/nodes")).json()["nodes"] if n["run"] == first
    )
    assert await log(web, first) == f"{node['name']}\n"
    assert NAME in docker.docker("network", "ls", "--format", "{{.Name}}").split()
    ask = (
        "import socket\n"
        f"print(socket.create_connection(({node['name']!r}, 8000), 5).recv(9).decode())"
    )
    second = (await submit(web, ask)).json()["id"]
    assert (await ended(web, second))["state"] == "completed"
    assert await log(web, second) == "hello\n"
    assert (await ended(web, first))["state"] == "completed"
    assert NAME not in docker.docker("network", "ls", "--format", "{{.Name}}").split()


async def test_runs_that_cannot_be_held_are_refused_at_once(web: httpx.AsyncClient) -> None:
    await create(web, **NETWORK)
    environment = {"user_managed": True}
    spec = {"command": [sys.executable, "-V"], "target": "cpu", "environment": environment}
    plain = await web.post("runs", json={"key": "plain-run", "experiment": "e", "spec": spec})
    assert plain.status_code == 400
    assert "in its virtual network 'lab', which holds containers only" in plain.text
    own = await submit(web, "print(1)", network="host")
    assert own.status_code == 400
    assert "leave '--network host' out" in own.text
    assert (await web.get("runs")).json()["runs"] == []


async def test_networks_that_cannot_be_are_refused(web: httpx.AsyncClient) -> None:
    found = await create(web, vnet_name="lab")
    assert found.status_code == 400
    assert "vnet_name and subnet_name belong together" in found.text
    found = await create(web, vnet_name="lab", subnet_name="10.20.0.1/24")
    assert "has host bits set" in found.text
