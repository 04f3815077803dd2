"""Runs in a virtual network: real containers of a real Docker engine, which talk to each other."""

from __future__ import annotations

import contextlib
import fcntl
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from container_driver import Boxed, until

from turnout.payload.builds.engine import Engine
from turnout.payload.builds.networks import Network
from turnout.payload.builds.telling import BuildError
from turnout.testing.addresses import own_address
from turnout.testing.dockerd import program

RANGE = "10.213.7.0/24"
NAME = "turnout-lab-10.213.7.0-24"
#: Answers everybody with a word, until it is stopped.
SERVE = (
    "import socket\n"
    "server = socket.create_server(('', 8000))\n"
    "print('ready', flush=True)\n"
    "while True:\n"
    "    other, _ = server.accept()\n"
    "    other.sendall(socket.gethostname().encode())\n"
    "    other.close()\n"
)
#: Says what each of its arguments (HOST:PORT) answers, or 'nothing'.
ASK = (
    "import socket, sys\n"
    "for word in sys.argv[1:]:\n"
    "    host, port = word.split(':')\n"
    "    try:\n"
    "        with socket.create_connection((host, int(port)), timeout=2) as other:\n"
    "            print(word, other.recv(100).decode())\n"
    "    except OSError as e:\n"
    "        print(word, 'nothing')\n"
)


def in_network(host: str, **more: Any) -> dict[str, Any]:
    """Words of a launch."""
    asked = {"name": NAME, "subnet": RANGE, "outside": False, "host": host, **more}
    return {"network": asked, "about": {"network": ""}}


def networks(boxed: Boxed) -> list[str]:
    return boxed.engine.docker("network", "ls", "--format", "{{.Name}}").split()


def answers(boxed: Boxed, handle: str) -> dict[str, str]:
    return dict(line.split() for line in boxed.driver_log(handle).decode().splitlines())


@pytest.fixture
def listener() -> Iterator[int]:
    """A port on every address of this machine that answers "host"."""
    server = socket.create_server(("", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                other, _ = server.accept()
                other.sendall(b"host")
                other.close()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def gateway(boxed: Boxed, network: str) -> str:
    found = json.loads(boxed.engine.docker("network", "inspect", network))[0]
    return found["IPAM"]["Config"][0].get("Gateway") or RANGE.replace("0/24", "1")


def test_two_runs_reach_each_other_by_name_and_nothing_else(boxed: Boxed, listener: int) -> None:
    boxed.launch("a.1", SERVE, **in_network("cpu-1"))
    other = {"name": "turnout-other-x", "subnet": "10.213.8.0/24"}
    boxed.launch("o.1", SERVE, **in_network("other-1", **other))
    for handle in ("a.1", "o.1"):
        boxed.agent.wait_log(handle, b"ready")
    outside = [
        f"{own_address()}:{listener}",
        f"{gateway(boxed, NAME)}:{listener}",
        # The other network's run, and the machine in that network.
        "other-1:8000",
        "10.213.8.2:8000",
        f"10.213.8.1:{listener}",
    ]
    end = boxed.run("b.1", ASK, "cpu-1:8000", "cpu-2:8000", *outside, **in_network("cpu-2"))
    assert end["code"] == 0, boxed.driver_log("b.1")
    found = answers(boxed, "b.1")
    assert found.pop("cpu-1:8000") == "cpu-1"
    assert set(found.values()) == {"nothing"}
    assert {NAME, "turnout-other-x"} <= set(networks(boxed))
    for handle in ("a.1", "o.1"):
        boxed.agent.call("stop", handle=handle, grace_s=5)
        boxed.agent.wait(handle)
    # The last one takes the network along.
    assert not {NAME, "turnout-other-x"} & set(networks(boxed))


def test_what_is_outside_is_reached_where_it_is_allowed(boxed: Boxed, listener: int) -> None:
    boxed.launch("a.1", SERVE, **in_network("cpu-1", outside=True))
    boxed.agent.wait_log("a.1", b"ready")
    bridge = f"{gateway(boxed, NAME)}:{listener}"
    end = boxed.run("b.1", ASK, "cpu-1:8000", bridge, **in_network("cpu-2", outside=True))
    assert end["code"] == 0, boxed.driver_log("b.1")
    assert answers(boxed, "b.1") == {"cpu-1:8000": "cpu-1", bridge: "host"}
    boxed.agent.call("stop", handle="a.1", grace_s=5)
    boxed.agent.wait("a.1")


def test_many_at_once_make_one_network(boxed: Boxed) -> None:
    names = [f"n{i}.1" for i in range(6)]
    for name in names:
        boxed.launch(name, "print('done')", **in_network(name))
    for name in names:
        assert boxed.agent.wait(name)["exit"]["code"] == 0, boxed.driver_log(name)
    assert NAME not in networks(boxed)


def test_the_engine_chooses_the_range_of_a_named_subnet(boxed: Boxed) -> None:
    asked = in_network("cpu-1", name="turnout-lab-default", subnet="")
    end = boxed.run("a.1", "import socket; print(socket.gethostname())", **asked)
    assert end["code"] == 0, boxed.driver_log("a.1")
    assert boxed.driver_log("a.1") == b"cpu-1\n"
    assert "turnout-lab-default" not in networks(boxed)


def test_a_range_that_is_taken_is_said(boxed: Boxed) -> None:
    boxed.engine.docker("network", "create", "--subnet", "10.213.0.0/20", "taken")
    try:
        end = boxed.run("a.1", "print(1)", **in_network("cpu-1"))
    finally:
        boxed.engine.docker("network", "rm", "taken")
    assert end["code"] == 125
    assert f"The range {RANGE} is taken on this machine" in end["message"]
    assert "overlaps" in end["message"]


def test_what_was_left_otherwise_is_made_anew(boxed: Boxed) -> None:
    boxed.engine.docker("network", "create", "--subnet", RANGE, NAME)
    boxed.launch("a.1", SERVE, **in_network("cpu-1"))
    boxed.agent.wait_log("a.1", b"ready")
    assert json.loads(boxed.engine.docker("network", "inspect", NAME))[0]["Internal"]
    # In use, it stays as it is.
    end = boxed.run("b.1", "print(1)", **in_network("cpu-2", outside=True))
    assert end["code"] == 125
    assert "must say the same of what is outside" in end["message"]
    boxed.agent.call("stop", handle="a.1", grace_s=5)
    boxed.agent.wait("a.1")


def test_a_network_that_others_use_stays(boxed: Boxed) -> None:
    """Others: runs of another host root, which know nothing of our locks."""
    boxed.launch("a.1", SERVE, **in_network("cpu-1"))
    boxed.agent.wait_log("a.1", b"ready")
    run = ("run", "--detach", "--name", "stranger", "--network", NAME, "base:1", "sleep", "1000")
    boxed.engine.docker(*run)
    try:
        boxed.agent.call("stop", handle="a.1", grace_s=5)
        assert boxed.agent.wait("a.1")["exit"]["reason"] == "stopped"
        assert NAME in networks(boxed)
    finally:
        boxed.engine.docker("rm", "--force", "stranger")
    boxed.run("b.1", "print(1)", **in_network("cpu-2"))
    assert NAME not in networks(boxed)


def test_a_killed_run_leaves_no_lock(boxed: Boxed) -> None:
    boxed.launch("a.1", SERVE, **in_network("cpu-1"))
    boxed.agent.wait_log("a.1", b"ready")
    used = boxed.agent.root / "networks" / f"{NAME}.used"
    with used.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    boxed.agent.call("stop", handle="a.1", grace_s=0)
    boxed.agent.wait("a.1")
    until(lambda: boxed.is_gone("a.1"), "the container is gone")
    with used.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    boxed.run("b.1", "print(1)", **in_network("cpu-2"))
    assert NAME not in networks(boxed)


def test_two_creators_of_one_name_are_harmless(
    boxed: Boxed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two host roots on one engine: between the look of one and its wish the other made it."""
    monkeypatch.setenv("DOCKER_HOST", boxed.engine.host)
    known = json.loads(boxed_about(boxed))["engine"]
    engine = Engine(program("docker"), known)
    asked = in_network("cpu-1")["network"]
    first = Network(engine, str(tmp_path / "one"), asked, "turnout-a.1")
    second = Network(engine, str(tmp_path / "two"), asked, "turnout-b.1")
    look, looks = second.look, iter([True])
    # At its first look there is none yet.
    monkeypatch.setattr(second, "look", lambda: None if next(looks, False) else look())
    with first, second:
        assert NAME in networks(boxed)
    assert NAME not in networks(boxed)
    with pytest.raises(BuildError, match="cannot be made"):
        Network(engine, str(tmp_path), {**asked, "subnet": "10.1.2.0/33"}, "b").__enter__()


def boxed_about(boxed: Boxed) -> str:
    boxed.write_about({}, "base:1")
    return boxed.about.read_text()


def test_names_of_the_world_are_asked_of_nobody(boxed: Boxed) -> None:
    script = (
        "import socket\n"
        "try: print(socket.gethostbyname('example.org'))\n"
        "except OSError: print('unknown')\n"
        "print(open('/proc/sys/net/ipv6/conf/eth0/disable_ipv6').read())\n"
    )
    end = boxed.run("a.1", script, **in_network("cpu-1"))
    assert end["code"] == 0
    # Nor is there a way out by version 6.
    assert boxed.driver_log("a.1").split() == [b"unknown", b"1"]
