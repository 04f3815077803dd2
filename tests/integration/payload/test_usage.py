"""What runs use over time: real scripts, real containers, a stand-in for nvidia-smi."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent_driver import Driver
from container_driver import Boxed

from turnout.payload import rundir
from turnout.testing.waiting import wait_until

H = "exp_1.1"
#: Keeps one core busy and 200 MB in memory until there are two samples, then says what it used.
BUSY = (
    "import os, time\n"
    "held = bytearray(os.urandom(1 << 20)) * 200\n"
    "path = os.environ['TURNOUT_RUN_FOLDER'] + '/usage.jsonl'\n"
    "def lines():\n"
    "    return open(path).read().count('\\n') if os.path.exists(path) else 0\n"
    "while lines() < 2:\n"
    "    for _ in range(200000): pass\n"
    "print(time.process_time())\n"
)
#: Uses the CPU in processes that are gone before anybody looks.
CHILDREN = (
    "import os, subprocess, sys, time\n"
    "loop = 'import time\\nwhile time.process_time() < 0.1: pass'\n"
    "end = time.monotonic() + 2.5\n"
    "while time.monotonic() < end: subprocess.run([sys.executable, '-c', loop])\n"
    "print(sum(os.times()[:4]))\n"
)


def launch(agent: Driver, script: str, **more: Any) -> None:
    digest = agent.send_tree({"train.py": script.encode()})
    assert agent.launch(H, ["train.py"], snapshot=digest, **more) == {"state": "launched"}


def samples(agent: Driver) -> list[dict[str, Any]]:
    return [json.loads(line) for line in agent.log(H, rundir.USAGE_NAME).splitlines()]


def cpu_seconds(found: list[dict[str, Any]]) -> float:
    return sum(sample["cpu"] * sample["seconds"] for sample in found)


def test_a_busy_core_and_held_memory_are_seen(agent: Driver) -> None:
    launch(agent, BUSY)
    assert agent.wait(H)["exit"]["code"] == 0
    first, second, *_ = found = samples(agent)
    # As much as the script says itself, however much of the machine it was given.
    assert cpu_seconds(found[:2]) == pytest.approx(float(agent.log(H)), rel=0.1)
    assert 0 < second["cpu"] < 1.1
    assert 200 <= first["memory_mb"] < 300
    assert 200 <= second["memory_mb"] <= second["peak_mb"] < 300
    assert (first["processes"], first["gpus"]) == (1, [])
    assert 0.9 < first["seconds"] < second["seconds"]
    assert found == sorted(found, key=lambda sample: sample["at"])
    assert agent.observe(H)["sizes"][rundir.USAGE_NAME] > 0
    assert agent.log(H, "control") == b""


def test_processes_that_ended_in_between_count_and_the_end_is_noted(agent: Driver) -> None:
    launch(agent, CHILDREN)
    assert agent.wait(H)["exit"]["code"] == 0
    *_, last = found = samples(agent)
    assert cpu_seconds(found) == pytest.approx(float(agent.log(H)), rel=0.1)
    assert last["processes"] == last["memory_mb"] == 0
    assert last["peak_mb"] > 5


def test_a_short_run_has_none(agent: Driver) -> None:
    launch(agent, "print(1)")
    assert rundir.USAGE_NAME not in agent.wait(H)["sizes"]


# -- GPUs ----------------------------------------------------------------------------------------

#: What a machine with two cards has in its place.
STAND_IN = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/asked"
%s
echo '1, 87, 40536'
"""


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a program `nvidia-smi` on the PATH of agents made from now on."""

    def put(line: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "nvidia-smi"
        program.write_text(STAND_IN % line)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return folder

    return put


def test_gpus_of_the_run_are_asked_for(
    gpus: Callable[[str], Path], make_agent: Callable[..., Driver]
) -> None:
    folder = gpus("")
    agent = make_agent()
    launch(agent, "import time; time.sleep(2)", nodes=[{"node": "n1", "gpus": [1]}])
    agent.wait(H)
    assert samples(agent)[0]["gpus"] == [{"index": 1, "use": 87, "memory_mb": 40536}]
    assert samples(agent)[0]["processes"] == 1
    asked = (folder / "asked").read_text().splitlines()
    assert asked[0].startswith("--id=1 --query-gpu=index,utilization.gpu,memory.used ")


def test_a_node_without_gpus_asks_nobody(
    gpus: Callable[[str], Path], make_agent: Callable[..., Driver]
) -> None:
    folder = gpus("")
    agent = make_agent()
    launch(agent, "import time; time.sleep(1.5)", nodes=[{"node": "n1", "gpus": []}])
    agent.wait(H)
    assert samples(agent)[0]["gpus"] == []
    assert not (folder / "asked").exists()


def test_nvidia_smi_that_hangs_holds_nobody_up(
    gpus: Callable[[str], Path], make_agent: Callable[..., Driver]
) -> None:
    folder = gpus("exec sleep 1000")
    agent = make_agent()
    launch(
        agent,
        "import os, time\n"
        f"while not os.path.exists({str(folder / 'asked')!r}): time.sleep(0.01)\n",
        variables={"CUDA_VISIBLE_DEVICES": "0,1"},
        grace_s=30.0,
    )
    end = agent.wait(H)["exit"]
    # Asked after the first second, and the run ends while it hangs: without a grace for it.
    assert (end["reason"], end["code"], end["message"]) == ("exited", 0, "")
    assert (folder / "asked").read_text().startswith("--id=0,1 ")


def test_nvidia_smi_that_fails_leaves_the_rest(
    gpus: Callable[[str], Path], make_agent: Callable[..., Driver]
) -> None:
    gpus("echo 'NVIDIA-SMI has failed because it could not talk to the driver' >&2; exit 9")
    agent = make_agent()
    launch(agent, "import time; time.sleep(1.5)", variables={"CUDA_VISIBLE_DEVICES": "0"})
    agent.wait(H)
    assert samples(agent)[0]["gpus"] == []
    assert samples(agent)[0]["memory_mb"] > 5


# -- containers ----------------------------------------------------------------------------------


def test_what_a_container_uses_is_seen_from_outside(boxed: Boxed) -> None:
    boxed.launch(H, BUSY)
    assert boxed.agent.wait(H)["exit"]["code"] == 0, boxed.driver_log(H)
    first, second = samples(boxed.agent)
    used = float(boxed.driver_log(H))
    assert cpu_seconds([first, second]) == pytest.approx(used, rel=0.1, abs=0.2)
    assert 200 <= first["memory_mb"] < 300
    assert 200 <= second["memory_mb"] <= second["peak_mb"] < 300
    # The first process, the one that listens to us, and the script.
    assert first["processes"] == 3


def test_a_stopped_run_ends_as_ever(agent: Driver) -> None:
    launch(agent, "import time\nprint('ready', flush=True)\ntime.sleep(1000)")
    wait_until(lambda: bool(samples(agent)), "the first sample")
    agent.call("stop", handle=H, grace_s=5)
    assert agent.wait(H)["exit"]["reason"] == "stopped"
