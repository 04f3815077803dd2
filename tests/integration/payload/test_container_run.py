"""Runs in containers: the real supervisor, the real runner, a real Docker engine."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout.payload.builds import engine as engines
from turnout.testing import dockerd
from turnout.testing.dockerd import DockerEngine

# Test modules are imported by path: what they share is found beside them.
sys.path.insert(0, str(Path(__file__).parent))

from agent_driver import PATIENCE_S, Driver

IMAGE = "base:1"
Engine = DockerEngine


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return dockerd.make_base(tmp_path_factory.mktemp("base") / "base.tar")
    except dockerd.Unavailable as e:
        return give_up(e)


@pytest.fixture(scope="session")
def engine(archive: Path) -> Iterator[Engine]:
    yield from serve(archive, "--live-restore")


def serve(archive: Path, *options: str) -> Iterator[Engine]:
    try:
        with DockerEngine(*options) as found:
            found.import_image(archive, IMAGE)
            yield found
    except dockerd.Unavailable as e:
        give_up(e)


def give_up(why: Exception) -> Any:
    if os.environ.get("CI") == "true":
        pytest.fail(str(why))
    pytest.skip(str(why))


class Boxed:
    """Launches runs in containers."""

    def __init__(self, agent: Driver, payload: Path, engine: Engine, folder: Path) -> None:
        self.agent = agent
        self.payload = payload
        self.engine = engine
        self.about = folder / "container.json"
        self.names = ["PYTHONPATH", "PYTHONUNBUFFERED", "TURNOUT_RUN_FOLDER", "TURNOUT_RUN_ID"]
        self.names += ["TURNOUT_EXPERIMENT"]
        self.digest = ""

    def launch(self, handle: str, script: str, *args: str, **more: Any) -> None:
        self.write_about(more.pop("about", {}), more.pop("facts", {}))
        variables = {"DOCKER_HOST": self.engine.host, **more.pop("variables", {})}
        names = [*self.names, *(n for n in variables if n != "DOCKER_HOST")]
        variables["TURNOUT_INSIDE"] = json.dumps(names)
        main = self.payload / "turnout" / "payload" / "builds" / "__main__.py"
        launcher = [sys.executable, "-S", "-E", str(main), "container", "run", str(self.about)]
        recipe = {"key": None, "activation": {"argv_prefix": [*launcher, "--", "python3"]}}
        self.digest = self.agent.send_tree({"train.py": script.encode()})
        self.agent.launch(
            handle,
            ["train.py", *args],
            **{"snapshot": self.digest, "recipe": recipe, "variables": variables, **more},
        )

    def write_about(self, about: dict[str, Any], facts: dict[str, Any]) -> None:
        known = {"kind": "docker", "rootless": False, "remapped": False, "bridge": False}
        known = {**known, "gpus": False, "live_restore": "--live-restore" in self.engine.options}
        found = {"image": IMAGE, "engine": {**known, **facts}, "network": "host", **about}
        self.about.write_text(json.dumps(found))

    def run(self, handle: str, script: str, *args: str, **more: Any) -> dict[str, Any]:
        self.launch(handle, script, *args, **more)
        return self.agent.wait(handle)["exit"]

    def name(self, handle: str) -> str:
        return f"turnout-{handle}"

    def is_gone(self, handle: str) -> bool:
        return self.name(handle) not in self.engine.containers()

    def driver_log(self, handle: str) -> bytes:
        return (self.agent.root / "runs" / handle / "driver.log").read_bytes()

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


@pytest.fixture
def boxed(agent: Driver, payload: Path, engine: Engine, tmp_path: Path) -> Boxed:
    return Boxed(agent, payload, engine, tmp_path)


# -- output and ends -----------------------------------------------------------------------------


def test_script_runs_with_its_arguments_and_folder(boxed: Boxed) -> None:
    script = (
        "import os, sys\n"
        "print(sys.argv[1:], os.getcwd() == os.environ['TURNOUT_RUN_FOLDER'] + '/work')\n"
        "print(os.getpid() > 1, os.path.exists('/proc/1/environ'), file=sys.stderr)\n"
        "os.makedirs('outputs'); open('outputs/model', 'w').write('x')\n"
    )
    end = boxed.run("r.1", script, "--alpha", "0.1", "a b;$c")
    log = boxed.driver_log("r.1")
    assert end["reason"] == "exited", (end, log)
    assert end["code"] == 0, log
    assert log == b"['--alpha', '0.1', 'a b;$c'] True\nTrue True\n"
    assert (boxed.agent.root / "runs" / "r.1" / "work" / "outputs" / "model").exists()
    until(lambda: boxed.is_gone("r.1"), "the container is removed")


def test_large_binary_output_is_complete(boxed: Boxed) -> None:
    script = (
        "import hashlib, os, sys\n"
        "digest = hashlib.sha256()\n"
        "for i in range(50):\n"
        "    part = os.urandom(1 << 20); digest.update(part); sys.stdout.buffer.write(part)\n"
        "sys.stdout.flush()\n"
        "open('digest', 'w').write(digest.hexdigest())\n"
    )
    end = boxed.run("r.1", script)
    assert end["code"] == 0
    data = boxed.driver_log("r.1")
    assert len(data) == 50 << 20
    wanted = (boxed.agent.root / "runs" / "r.1" / "work" / "digest").read_text()
    assert hashlib.sha256(data).hexdigest() == wanted


@pytest.mark.parametrize("code", [0, 1, 7, 100, 200])
def test_exit_codes_come_back(boxed: Boxed, code: int) -> None:
    end = boxed.run(f"r{code}.1", f"import sys; sys.exit({code})")
    assert (end["reason"], end["code"]) == ("exited", code)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT", "SIGTERM", "SIGINT"])
def test_signals_come_back(boxed: Boxed, name: str) -> None:
    script = f"import os, signal\nsignal.signal(signal.{name}, signal.SIG_DFL)\n"
    if name == "SIGKILL":
        script = "import os, signal\n"
    end = boxed.run("r.1", f"{script}os.kill(os.getpid(), signal.{name})\n")
    assert (end["reason"], end["signal"]) == ("signaled", int(signal.Signals[name])), end


def test_interrupt_reaches_a_script_as_anywhere(boxed: Boxed) -> None:
    script = (
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT); signal.pause()\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    assert boxed.run("r.1", script)["code"] == 0
    assert boxed.driver_log("r.1") == b"interrupted\n"
