"""The same with podman, on a machine that has no Docker engine."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from turnout.environments import registry
from turnout.payload.recipes import Activation
from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.testing import dockerd
from turnout.testing.addresses import own_address
from turnout.testing.building import Building
from turnout.testing.missing import missing
from turnout.testing.podman import Podman
from turnout.testing.waiting import until, wait_until
from turnout.testing.wheels import add_wheel


@pytest.fixture
def podman(base_archive: Path) -> Iterator[Podman]:
    try:
        with Podman() as found:
            found.podman("import", str(base_archive), "localhost/base:1")
            yield found
    except dockerd.Unavailable as e:
        missing(e)


def run(podman: Podman, made: Activation, folder: Path, code: str) -> tuple[int, str, str]:
    """Run a script as a supervisor does: (exit code, output, what was said of its end)."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [*made.launcher, *made.argv_prefix, "-c", code],
        cwd=folder,
        env={
            **{**podman.environ, "TURNOUT_RUN_FOLDER": str(folder), "KEY": "value"},
            "TURNOUT_INSIDE": json.dumps(["KEY"]),
        },
        stdout=subprocess.PIPE,
    )
    said = folder / "container" / "said.json"
    message = json.loads(said.read_text())["message"] if said.exists() else ""
    return done.returncode, done.stdout.decode(), message


async def test_image_is_made_and_run(podman: Podman, tmp_path: Path) -> None:
    add_wheel(tmp_path, "greeting", "1.0", "WORD = 'hello'\n")
    settings = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1"}
    settings |= {"PIP_FIND_LINKS": str(tmp_path), "UV_PYTHON_DOWNLOADS": "never"}
    building = Building(tmp_path / "host", {**podman.environ, **settings})
    text = "FROM localhost/base:1\nRUN echo given >/given\n"
    container = ContainerSpec(dockerfile=text, memory="64m")
    made = await building.ensure(
        registry.recipe(EnvironmentSpec(pip=("greeting",), container=container))
    )
    assert any(said.startswith("Dockerfile, step 2 of 2") for said in building.said)
    code = "import greeting, os; print(greeting.WORD, os.environ['KEY'], open('/given').read())"
    assert run(podman, made, tmp_path / "r.1", code) == (0, "hello value given\n\n", "")
    assert run(podman, made, tmp_path / "r.2", "import sys; sys.exit(7)")[0] == 7
    assert run(podman, made, tmp_path / "r.3", "import os; os.kill(os.getpid(), 11)")[0] == -11
    eater = "data = []\nwhile True: data.append(bytearray(8 << 20))"
    code, _, message = run(podman, made, tmp_path / "r.4", eater)
    assert code == -9
    assert "ran out of its memory (limit 64m)" in message

    async def is_clean() -> bool:
        return podman.podman("ps", "--all", "--quiet") == ""

    # Podman removes what has ended a moment later.
    await until(is_clean, "the containers are removed")


async def test_runs_meet_in_a_virtual_network(podman: Podman, tmp_path: Path) -> None:
    building = Building(tmp_path / "host", podman.environ)
    spec = EnvironmentSpec(user_managed=True, container=ContainerSpec(image="localhost/base:1"))
    made = await building.ensure(registry.recipe(spec))
    subnet = "10.213.11.0/24"
    name = "turnout-lab-10.213.11.0-24"

    def join(node: str) -> Path:
        folder = tmp_path / "host" / "runs" / f"{node}.1"
        folder.mkdir(parents=True)
        asked = {"name": name, "subnet": subnet, "outside": False, "host": node}
        (folder / "ticket.json").write_text(json.dumps({"network": asked}))
        return folder

    with socket.create_server(("", 0)) as outside:
        serve = (
            "import socket\n"
            "server = socket.create_server(('', 8000))\n"
            "open('ready', 'w').close()\n"
            "server.accept()[0].sendall(socket.gethostname().encode())\n"
        )
        ask = (
            "import socket, time\n"
            "print(socket.create_connection(('cpu-1', 8000), 5).recv(99).decode())\n"
            f"try: socket.create_connection((%r, {outside.getsockname()[1]}), 2)\n"
            "except OSError: print('nothing')\n"
        )
        with ThreadPoolExecutor() as pool:
            first = join("cpu-1")
            server = pool.submit(run, podman, made, first, serve)
            wait_until((first / "ready").exists, "the first run to serve")
            code, out, said = run(podman, made, join("cpu-2"), ask % own_address())
            assert (code, out) == (0, "cpu-1\nnothing\n"), said
            assert server.result()[0] == 0
    assert name not in podman.podman("network", "ls", "--format", "{{.Name}}").split()
