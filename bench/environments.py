"""Environments: made anew with everything cached, and known ones."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.timing import Row, Times, Unavailable, command, repeat, take

PACKAGES = ("scikit-learn", "pandas", "matplotlib")
NEW = "New environment: scikit-learn, pandas and matplotlib, caches warm"


def client() -> Any:
    from turnout.client.embedded import default_client

    return default_client()


def prepare(environment: dict[str, Any], target: str = "local") -> dict[str, Any]:
    """Make an environment ready on a target; the run that did it."""
    from turnout.client import watching

    asked = {
        "key": os.urandom(16).hex(),
        "experiment": "environments",
        "spec": {"environment": environment, "target": target, "prepare_only": True},
    }
    run = client().post("/v1/runs", asked)
    end = watching.wait(client(), run["id"])
    if end["state"] != "completed":
        raise Unavailable(str(end["error"]))
    return end


def forget(target: str = "local") -> None:
    """Remove every environment, so that the next one is new; a run that ends lets go of its own
    a moment later."""
    while client().get(f"/v1/targets/{target}/environments")["environments"]:
        client().post(f"/v1/targets/{target}/environments/prune", {})


def made_anew(environment: dict[str, Any], runs: int) -> Times:
    def once() -> tuple[None, float]:
        forget()
        return None, take(lambda: prepare(environment))

    return repeat(once, runs)


def by_hand(folder: Path, steps: Callable[[Path], list[list[str]]], runs: int) -> Times:
    def once() -> tuple[None, float]:
        shutil.rmtree(folder, ignore_errors=True)
        calls = [command(argv) for argv in steps(folder)]
        return None, take(lambda: [call() for call in calls])

    return repeat(once, runs)


def new(root: Path, runs: int, *, quick: bool) -> list[Row]:
    """A list of packages that was not seen before; every wheel is in the cache."""
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")

    def with_uv(folder: Path) -> list[list[str]]:
        python = str(folder / "bin" / "python")
        return [
            [uv, "venv", "-q", "-p", sys.executable, str(folder)],
            [uv, "pip", "install", "-q", "-p", python, *PACKAGES],
        ]

    def with_pip(folder: Path) -> list[list[str]]:
        return [
            [sys.executable, "-m", "venv", str(folder)],
            [str(folder / "bin" / "pip"), "install", "-q", *PACKAGES],
        ]

    wanted = {"pip": list(PACKAGES)}
    first = take(lambda: prepare(wanted))
    rows = [
        Row(NEW, "turnout", made_anew(wanted, runs), note="with bytecode, compiled once a host"),
        Row(NEW, "turnout, the first time", Times(done=[first]), note="compiles bytecode; n=1"),
        Row(NEW, "uv by hand", by_hand(root / "uv", with_uv, runs), note="no bytecode"),
    ]
    if not quick:
        pip = by_hand(root / "pip", with_pip, 1)
        rows.append(Row(NEW, "venv and pip by hand", pip, note="n=1"))
    return rows


def conda(root: Path, runs: int) -> list[Row]:
    """A small conda list from a channel in a folder: solved and installed, then known."""
    from turnout.testing.conda_channel import CondaChannel, Package, add_python

    channel = CondaChannel(root / "channel")
    add_python(channel)
    code = {"site-packages/toy.py": "X = 1\n"}
    for version in ("1.0", "1.1"):
        made = Package("toy", version, noarch="python", depends=("python",), files=code)
        channel.add(made)
    channel.write()
    group = "Conda list: Python and a package from a channel in a folder, caches warm"
    wanted = {"conda": ["toy>=1"], "channels": [channel.address]}
    prepare(wanted)
    known = repeat(lambda: (None, take(lambda: prepare(wanted))), runs)
    return [
        Row(group, "turnout, new: solve and install", made_anew(wanted, runs)),
        Row(group, "turnout, known", known, note="the whole run that only prepares"),
    ]


def container(root: Path, runs: int) -> list[Row]:
    """A script in an image that is there, against the engine alone; needs root and dockerd."""
    from bench import ours
    from turnout import Environment, Experiment, RunConfiguration, ScriptRunConfig, Workspace
    from turnout.testing import dockerd

    group = "A trivial script in a container, image there"
    folder = root / "boxed"
    folder.mkdir()
    (folder / "hello.py").write_text("print('hello')\n")
    try:
        engine = dockerd.DockerEngine("--live-restore").start()
    except dockerd.Unavailable as error:
        return [Row(group, "turnout SDK", note=f"skipped: {error}")]
    try:
        image = engine.import_image(dockerd.make_base(root / "base.tar"), "base:1")
        os.environ["DOCKER_HOST"] = engine.host
        words = ["docker", "run", "--rm", "--network", "none", "-v", f"{folder}:/work", image]
        plain = command([*words, "python3", "/work/hello.py"])
        rows = [
            Row(group, "plain docker run", repeat(lambda: (None, take(plain)), runs)),
        ]
        with ours.home(root / "docker-home"):
            rc = RunConfiguration()
            box = Environment.from_docker_image("bench", image)
            box.python.user_managed_dependencies = True
            box.docker.network = "none"
            rc.environment = box
            config = ScriptRunConfig(str(folder), "hello.py", run_config=rc)
            exp = Experiment(workspace=Workspace.from_config(), name="bench")

            def once() -> tuple[None, float]:
                return None, take(lambda: exp.submit(config).wait_for_completion())

            rows.append(Row(group, "turnout SDK", repeat(once, runs, warm_ups=2)))
        return rows
    finally:
        os.environ.pop("DOCKER_HOST", None)
        engine.remove()
