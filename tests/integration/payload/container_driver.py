"""Runs in containers, for tests: the real supervisor, the real runner, a real Docker engine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_driver import PATIENCE_S, Driver

from turnout.testing.dockerd import DockerEngine as Engine

IMAGE = "base:1"
POLITE = (
    "import signal, sys\n"
    "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(3)))\n"
    "print('ready', flush=True)\n"
    "while True: signal.pause()\n"
)
DEAF = (
    "import os, signal, sys\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('ready', flush=True)\n"
    "while True: signal.pause()\n"
)


class Boxed:
    """Launches runs in containers."""

    def __init__(self, agent: Driver, payload: Path, engine: Engine, folder: Path) -> None:
        self.agent = agent
        self.payload = payload
        self.engine = engine
        self.about = folder / "container.json"
        self.digest = ""

    def launch(self, handle: str, script: str, *args: str, **more: Any) -> None:
        self.write_about(more.pop("facts", {}), more.pop("image", IMAGE))
        limits = json.dumps({"network": "host", **more.pop("about", {})})
        variables = {"DOCKER_HOST": self.engine.host, **more.pop("variables", {})}
        main = self.payload / "turnout" / "payload" / "builds" / "__main__.py"
        launcher = ["{python}", "-S", "-E", str(main), "container", "run", str(self.about)]
        launcher += [limits, "--"]
        activation = {
            "launcher": launcher,
            "argv_prefix": [more.pop("python", "python3")],
            "env": variables,
            "isolated": True,
        }
        recipe = {"key": None, "activation": activation}
        self.digest = self.agent.send_tree({"train.py": script.encode()})
        self.agent.launch(
            handle,
            ["train.py", *args],
            **{"snapshot": self.digest, "recipe": recipe, **more},
        )

    def write_about(self, facts: dict[str, Any], image: str) -> None:
        known = {"kind": "docker", "rootless": False, "remapped": False, "bridge": False}
        known = {**known, "gpus": False, "live_restore": "--live-restore" in self.engine.options}
        self.about.write_text(json.dumps({"image": image, "engine": {**known, **facts}}))

    def run(self, handle: str, script: str, *args: str, **more: Any) -> dict[str, Any]:
        self.launch(handle, script, *args, **more)
        return self.agent.wait(handle)["exit"]

    def name(self, handle: str) -> str:
        return f"turnout-{handle}"

    def is_gone(self, handle: str) -> bool:
        """Whether it runs no more; what is left of it is removed by the next build."""
        return self.name(handle) not in self.engine.containers()

    def is_removed(self, handle: str) -> bool:
        return self.name(handle) not in self.engine.containers("--all")

    def driver_log(self, handle: str) -> bytes:
        path = self.agent.root / "runs" / handle / "driver.log"
        return path.read_bytes() if path.exists() else b""

    def script_pid(self, handle: str) -> int:
        """The runner's."""
        status = json.loads((self.agent.root / "runs" / handle / "status.json").read_text())
        return int(status["script_pid"])

    def supervisor_pid(self, handle: str) -> int:
        status = json.loads((self.agent.root / "runs" / handle / "status.json").read_text())
        return int(status["pid"])


def until(claim: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.02)
