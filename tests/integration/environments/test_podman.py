"""The same with podman, on a machine that has no Docker engine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnout.environments import registry
from turnout.payload.recipes import Activation
from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.testing import dockerd
from turnout.testing.building import Building
from turnout.testing.missing import missing
from turnout.testing.podman import Podman
from turnout.testing.waiting import until
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
    folder.mkdir()
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
