"""Faults of engine, runner and supervisor while a container runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from agent_driver import Driver
from container_driver import DEAF, IMAGE, POLITE, Boxed, Engine, until


def test_runner_killed_ends_the_container(boxed: Boxed) -> None:
    boxed.launch("r.1", DEAF)
    boxed.agent.wait_log("r.1", b"ready")
    os.kill(boxed.script_pid("r.1"), signal.SIGKILL)
    end = boxed.agent.wait("r.1")["exit"]
    assert (end["reason"], end["signal"]) == ("signaled", 9)
    until(lambda: boxed.is_gone("r.1"), "the container ends")


def test_supervisor_killed_ends_the_container(boxed: Boxed) -> None:
    boxed.launch("r.1", DEAF)
    boxed.agent.wait_log("r.1", b"ready")
    os.kill(boxed.supervisor_pid("r.1"), signal.SIGKILL)
    assert boxed.agent.wait("r.1")["state"] == "lost"
    until(lambda: boxed.is_gone("r.1"), "the container ends")


def test_engine_dies_and_returns(boxed: Boxed) -> None:
    """With live-restore nothing is lost."""
    script = (
        "import os, sys, time\n"
        "for i in range(200):\n"
        "    print('line', i, flush=True)\n"
        "    while i == 100 and not os.path.exists('go'): time.sleep(0.01)\n"
        "sys.exit(4)\n"
    )
    boxed.launch("r.1", script)
    boxed.agent.wait_log("r.1", b"line 100\n")
    boxed.engine.kill()
    boxed.engine.start()
    (boxed.agent.root / "runs" / "r.1" / "work" / "go").touch()
    end = boxed.agent.wait("r.1")["exit"]
    assert (end["reason"], end["code"], end["message"]) == ("exited", 4, "")
    assert boxed.driver_log("r.1").split(b"\n")[:-1] == [b"line %d" % i for i in range(200)]
    until(lambda: boxed.is_removed("r.1"), "the container is removed")


def test_engine_is_away_when_the_script_ends(boxed: Boxed) -> None:
    boxed.launch("r.1", POLITE)
    boxed.agent.wait_log("r.1", b"ready")
    boxed.engine.kill()
    try:
        boxed.agent.call("stop", handle="r.1", grace_s=20.0)
        end = boxed.agent.wait("r.1")["exit"]
        assert (end["reason"], end["code"]) == ("stopped", 3)
    finally:
        boxed.engine.start()


def test_engine_hangs(boxed: Boxed) -> None:
    boxed.launch("r.1", POLITE)
    boxed.agent.wait_log("r.1", b"ready")
    boxed.engine.pause()
    try:
        boxed.agent.call("stop", handle="r.1", grace_s=20.0)
        end = boxed.agent.wait("r.1")["exit"]
        assert (end["reason"], end["code"]) == ("stopped", 3)
    finally:
        boxed.engine.resume()


def test_engine_without_live_restore_is_named(
    agent: Driver, payload: Path, mortal: Engine, tmp_path: Path
) -> None:
    boxed = Boxed(agent, payload, mortal, tmp_path)
    boxed.launch("r.1", POLITE)
    agent.wait_log("r.1", b"ready")
    mortal.kill()
    mortal.start()
    end = agent.wait("r.1")["exit"]
    assert end["reason"] == "signaled"
    assert "engine was restarted" in end["message"]
    assert "--live-restore" in end["message"]
    assert end["message"].encode() in boxed.driver_log("r.1")
    # And one that is stopped and stays away.
    boxed.launch("r.2", DEAF)
    agent.wait_log("r.2", b"ready")
    mortal.stop()
    assert "engine was stopped" in agent.wait("r.2")["exit"]["message"]


def test_container_killed_by_somebody(boxed: Boxed) -> None:
    boxed.launch("r.1", DEAF)
    boxed.agent.wait_log("r.1", b"ready")
    boxed.engine.docker("kill", boxed.name("r.1"))
    end = boxed.agent.wait("r.1")["exit"]
    assert (end["reason"], end["signal"]) == ("signaled", 9)
    assert "somebody killed it" in end["message"]


def test_leftover_of_the_same_name_is_removed(boxed: Boxed) -> None:
    boxed.engine.docker("create", "--name", boxed.name("r.1"), IMAGE, "true")
    assert boxed.run("r.1", "print('ran')")["code"] == 0
    assert boxed.driver_log("r.1") == b"ran\n"


def test_engine_is_not_there(boxed: Boxed) -> None:
    end = boxed.run("r.1", "print('ran')", variables={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert (end["reason"], end["code"]) == ("exited", 125)
    assert "does not answer (unix:///nowhere.sock). Is it running?" in end["message"]


def test_program_is_not_in_the_image(boxed: Boxed) -> None:
    end = boxed.run("r.1", "print('ran')", python="/opt/no/python")
    assert (end["reason"], end["code"]) == ("exited", 127)
    assert end["message"] == "The image has no program '/opt/no/python'."


def test_image_is_not_there(boxed: Boxed) -> None:
    end = boxed.run("r.1", "print('ran')", image="turnout/env:none")
    assert end["code"] == 125
    assert "The image is not there any more" in end["message"]


def test_image_without_a_shell(boxed: Boxed, tmp_path: Path) -> None:
    import io
    import tarfile

    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("hello"))
    (tmp_path / "empty.tar").write_bytes(data.getvalue())
    boxed.engine.import_image(tmp_path / "empty.tar", "empty:1")
    end = boxed.run("r.1", "print('ran')", image="empty:1")
    assert end["code"] == 125
    assert "has no shell" in end["message"], end
    until(lambda: boxed.is_removed("r.1"), "the container is removed")
