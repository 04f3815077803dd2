"""The agent's protocol: repeated, torn, hostile and simultaneous requests."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_driver import AgentFault, Driver, bundle

H = "exp_1.1"


def test_hello_comes_unasked_and_on_demand(agent: Driver, root: Path) -> None:
    assert agent.hello["protocol"] == 1
    assert agent.hello["root"] == str(root)
    assert agent.call("hello")[0]["boot_id"] == agent.hello["boot_id"]
    assert root.stat().st_mode & 0o777 == 0o700


def test_launch_needs_the_snapshot_and_the_tools(agent: Driver, root: Path) -> None:
    tool = b"#!/bin/sh\necho made > $1\n"
    digest = hashlib.sha256(tool).hexdigest()
    data, snapshot = bundle({"t.py": b"print(open(__import__('os').environ['MADE']).read())"})
    made = {
        "key": "b" * 64,
        "label": "one",
        "tools": {"maker": digest},
        "lock": [{"message": "Locking", "argv": ["sh", "-c", "echo one > {files}/lock"]}],
        "build": [
            {"message": "Making", "argv": ["sh", "-c", "mkdir -p {prefix} && {maker} {prefix}/x"]}
        ],
        "activation": {"argv_prefix": ["python3"], "env": {"MADE": "{prefix}/x"}},
    }
    need = agent.launch(H, ["t.py"], snapshot=snapshot, recipe=made)
    assert need == {"state": "need", "snapshot": True, "tools": [digest], "data": []}
    assert agent.observe(H)["state"] == "absent"
    agent.call("put", data[:10], upload="s", kind="bundle", digest=snapshot)
    agent.call("put", data[10:], upload="s", kind="bundle", digest=snapshot, end=True)
    agent.call("put", tool, upload="t", kind="tool", digest=digest, name="maker", end=True)
    assert agent.launch(H, ["t.py"], snapshot=snapshot, recipe=made) == {"state": "launched"}
    assert agent.wait(H)["exit"]["code"] == 0
    assert agent.log(H) == b"made\n\n"
    assert b"Making" in agent.log(H, "environment")
    (row,) = agent.call("environments")[0]["environments"]
    assert (row["label"], row["ready"], row["size"] > 0) == ("one", True, True)
    # Once it is there its tools are not asked for.
    (root / "tools" / digest / "maker").unlink()
    assert agent.launch("exp_2.1", ["t.py"], snapshot=snapshot, recipe=made) == {
        "state": "launched"
    }
    assert agent.wait("exp_2.1")["exit"]["code"] == 0
    assert agent.log("exp_2.1", "environment") == b""


def test_damaged_uploads_are_refused(agent: Driver) -> None:
    data, digest = bundle({"a": b"hello"})
    with pytest.raises(AgentFault, match="damaged"):
        agent.call("put", b"x", upload="t", kind="tool", digest="0" * 64, name="uv", end=True)
    with pytest.raises(AgentFault, match="damaged"):
        agent.call("put", data.replace(b"hello", b"hellO"), upload="s", kind="bundle", end=True)
    with pytest.raises(AgentFault, match="cut"):
        agent.call("put", data[:-1], upload="s", kind="bundle", end=True)
    with pytest.raises(AgentFault, match="Another snapshot"):
        agent.call("put", data, upload="s", kind="bundle", digest="0" * 64, end=True)
    with pytest.raises(AgentFault, match="cannot be a tool"):
        agent.call("put", b"x", upload="t", kind="tool", digest="0" * 64, name="../x", end=True)
    agent.call("put", data, upload="s", kind="bundle", digest=digest, end=True)


def test_launch_twice_is_one_run(agent: Driver) -> None:
    digest = agent.send_tree({"t.py": b"print('once')"})
    assert agent.launch(H, ["t.py"], snapshot=digest) == {"state": "launched"}
    assert agent.launch(H, ["t.py"], snapshot=digest) == {"state": "already"}
    agent.wait(H)
    assert agent.launch(H, ["t.py"], snapshot=digest) == {"state": "already"}
    assert agent.log(H) == b"once\n"


def test_two_agents_launch_the_same_run_once(make_agent: Callable[..., Driver]) -> None:
    agents = [make_agent(), make_agent()]
    digest = agents[0].send_tree({"t.py": b"print('once')"})
    handles = [f"exp_{n}.1" for n in range(20)]
    states: list[list[str]] = [[], []]

    def launch_all(which: int) -> None:
        for handle in handles:
            found = agents[which].launch(handle, ["t.py"], snapshot=digest)
            states[which].append(found["state"])

    threads = [threading.Thread(target=launch_all, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(*states, strict=True):
        assert {one, other} == {"launched", "already"}
    for handle in handles:
        assert agents[0].wait(handle)["exit"]["code"] == 0
        assert agents[1].log(handle) == b"once\n"


def test_runs_outlive_their_agent(make_agent: Callable[..., Driver]) -> None:
    first = make_agent()
    digest = first.send_tree(
        {"t.py": b"import sys, time\nprint('up', flush=True)\ntime.sleep(1)\nsys.exit(5)"}
    )
    first.launch(H, ["t.py"], snapshot=digest)
    first.wait_log(H, b"up")
    first.kill()
    second = make_agent()
    assert second.wait_event() == H
    assert second.wait(H)["exit"]["code"] == 5


def test_a_killed_agents_socket_and_upload_are_cleared(
    make_agent: Callable[..., Driver], root: Path
) -> None:
    first = make_agent()
    data, _ = bundle({"a": os.urandom(100_000)})
    first.call("put", data[:50_000], upload="s", kind="bundle", digest="")
    assert len(list((root / "store" / "packs").iterdir())) == 1
    first.kill()
    second = make_agent()
    digest = second.send_tree({"t.py": b"print(1)"})
    assert len(list((root / "store" / "packs").iterdir())) == 1
    second.launch(H, ["t.py"], snapshot=digest)
    second.wait(H)
    assert len(list((root / "watch").iterdir())) == 1


def test_the_agent_ends_with_its_stdin(make_agent: Callable[..., Driver], root: Path) -> None:
    agent = make_agent()
    digest = agent.send_tree({"t.py": b"import time; time.sleep(60)"})
    agent.launch(H, ["t.py"], snapshot=digest)
    agent.wait(H, "running")
    assert agent.process.stdin
    assert agent.process.stdout
    agent.process.stdin.close()
    # A supervisor that held the agent's pipe would keep this from ending.
    while agent.process.stdout.read(4096):
        pass
    assert agent.process.wait(20) == 0
    assert list((root / "watch").iterdir()) == []


def test_wrong_requests_are_answered_and_the_agent_goes_on(agent: Driver) -> None:
    for op, params in [
        ("nonsense", {}),
        ("launch", {}),
        ("launch", {"handle": "../x", "ticket": {}}),
        ("launch", {"handle": H, "ticket": []}),
        ("launch", {"handle": H, "ticket": {"snapshot": "../../etc"}}),
        ("read", {"handle": H, "name": 5, "offset": 0, "limit": 1}),
        ("read", {"handle": H, "name": "records", "offset": "x", "limit": 1}),
        ("put", {"upload": "u", "kind": "other"}),
        ("missing", {}),
        ("stop", {"handle": "", "grace_s": 1}),
        ("observe", {"handles": 7}),
    ]:
        with pytest.raises(AgentFault):
            agent.call(op, **params)
    assert agent.process.stdin
    agent.process.stdin.write(struct.pack(">II", 4, 0) + b"nope")
    agent.process.stdin.flush()
    assert agent.read_answer()[0]["error"]["code"] == "invalid"
    assert agent.call("observe", handles=["../x"])[0]["runs"] == {"../x": {"state": "absent"}}


def test_names_never_leave_the_run(agent: Driver, root: Path) -> None:
    secret = root.parent / "secret.txt"
    secret.write_text("secret")
    script = f"""
import os
os.makedirs('outputs/deep'); os.mkdir('logs')
open('outputs/deep/a.txt', 'w').write('A')
open('plain.txt', 'w').write('P')
os.symlink({str(secret)!r}, 'outputs/out')
os.symlink({str(root.parent)!r}, 'outputs/dir')
os.symlink('../plain.txt', 'outputs/in')
os.symlink({str(secret)!r}, 'logs/out')
os.mkfifo('outputs/fifo')
open(b'outputs/\\xff', 'w').write('odd')
"""
    digest = agent.send_tree({"t.py": script.encode()})
    agent.launch(H, ["t.py"], snapshot=digest)
    found = agent.wait(H)
    assert found["exit"]["code"] == 0
    names = dict(agent.call("files", handle=H)[0]["files"])
    assert names == {"outputs/deep/a.txt": 1, "outputs/in": 1, "outputs/\udcff": 3}
    assert found["files"] == 3
    asked = [*names, "outputs/out", "outputs/dir/secret.txt", "outputs/../plain.txt", "plain.txt"]
    asked += ["/etc/passwd", "../ticket.json", "ticket.json", "outputs/fifo", "logs/out", "", "\0"]
    answer, body = agent.call("fetch", handle=H, names=[[n, 0, 100] for n in asked])
    assert answer["sizes"] == [1, 1, 3] + [None] * (len(asked) - 3)
    assert sorted([body[:1], body[1:2]]) == [b"A", b"P"]
    for name in asked[3:]:
        assert agent.log(H, name) == b""


def test_very_deep_outputs_do_not_end_the_agent(agent: Driver, root: Path) -> None:
    script = """
import os
os.mkdir('outputs'); os.chdir('outputs')
for _ in range(1500):
    os.mkdir('d'); os.chdir('d')
"""
    digest = agent.send_tree({"t.py": script.encode()})
    agent.launch(H, ["t.py"], snapshot=digest)
    assert agent.wait(H)["exit"]["code"] == 0
    assert agent.call("files", handle=H)[0]["files"] == []
    agent.call("forget", handle=H)
    assert agent.observe(H)["state"] == "absent"
    while any((root / "trash").iterdir()):
        time.sleep(0.02)


def test_fetch_by_parts_and_read_by_offsets(agent: Driver) -> None:
    digest = agent.send_tree(
        {
            "t.py": b"import os\nos.mkdir('outputs')\nopen('outputs/n','w').write('0123456789')\n"
            b"print('0123456789', end='')"
        }
    )
    agent.launch(H, ["t.py"], snapshot=digest)
    agent.wait(H)
    answer, body = agent.call("fetch", handle=H, names=[["outputs/n", 0, 4], ["outputs/n", 8, 9]])
    assert (answer["sizes"], body) == ([4, 2], b"012389")
    assert agent.log(H, offset=7) == b"789"
    assert agent.log(H, offset=10) == b""
    assert agent.log("exp_9.1") == b""


def test_forget_gives_the_tree_back(agent: Driver, root: Path) -> None:
    digest = agent.send_tree({"t.py": b"import os; print(os.stat('t.py').st_ino)", "d/x": b"1"})
    inodes = []
    for handle in ("exp_1.1", "exp_2.1"):
        agent.launch(handle, ["t.py"], snapshot=digest)
        agent.wait(handle)
        inodes.append(agent.log(handle))
        agent.call("forget", handle=handle)
        agent.call("forget", handle=handle)
        deadline = time.monotonic() + 20
        while any((root / "trash").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.005)
    assert inodes[0] == inodes[1]
    assert list((root / "runs").iterdir()) == []
    assert [p.name.split(".")[0] for p in (root / "trees").iterdir()] == [digest]


def test_a_running_run_is_not_forgotten(agent: Driver) -> None:
    digest = agent.send_tree({"t.py": b"import time; time.sleep(60)"})
    agent.launch(H, ["t.py"], snapshot=digest)
    agent.wait(H, "running")
    with pytest.raises(AgentFault, match="not ended"):
        agent.call("forget", handle=H)


def test_check_finds_nothing_on_a_good_host(agent: Driver) -> None:
    assert agent.call("check") == ({"problems": []}, b"")


def test_missing_and_stop_of_what_is_not_there(agent: Driver) -> None:
    lacking = ["0" * 64, "1" * 64, "0" * 64]
    assert json.loads(agent.call("missing", json.dumps(lacking).encode())[1]) == lacking[:2]
    agent.call("stop", handle="exp_7.1", grace_s=1)
    assert agent.observe("exp_7.1") == {"state": "absent"}
