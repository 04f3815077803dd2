"""Scripts of every kind, with a real agent and real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_driver import Driver, bundle, python_versions, ticket

H = "exp_1.1"


def launch(agent: Driver, script: str, handle: str = H, **more: object) -> None:
    digest = agent.send_tree({"train.py": script.encode()})
    more.setdefault("argv", ["train.py"])
    assert agent.launch(handle, snapshot=digest, **more) == {"state": "launched"}  # type: ignore[arg-type]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_output_exit_code_and_surroundings(agent: Driver, root: Path) -> None:
    launch(
        agent,
        "import os, sys, json\n"
        "print(json.dumps([sys.argv[1:], os.getcwd(), sys.stdin.read(), os.environ['K'],\n"
        "  os.environ['TURNOUT_RUN_ID'], os.environ['TURNOUT_EXPERIMENT'],\n"
        "  os.environ['TURNOUT_RUN_FOLDER'], os.environ['PYTHONPATH'].split(':')[:2]]))\n"
        "sys.stderr.write('err\\n'); sys.exit(3)",
        argv=["train.py", "--x", "a b"],
        variables={"K": "V"},
    )
    found = agent.wait(H)
    assert found["exit"]["reason"] == "exited"
    assert found["exit"]["code"] == 3
    assert found["exit"]["ended_at"] >= found["exit"]["started_at"] == found["started_at"]
    out, err = agent.log(H).decode().splitlines()
    folder = str(root / "runs" / H)
    arguments, cwd, stdin, value, run, experiment, run_folder, path = json.loads(out)
    assert (arguments, stdin, value) == (["--x", "a b"], "", "V")
    assert (cwd, run, experiment, run_folder) == (f"{folder}/work", "exp_1", "exp", folder)
    assert path[1] == f"{folder}/work"
    assert err == "err"
    assert agent.log(H, "control") == b""


@pytest.mark.parametrize("python", python_versions() or [sys.executable])
def test_core_scenario_on_every_python(make_agent: Callable[..., Driver], python: str) -> None:
    agent = make_agent(python=python)
    script = (
        "from turnout.payload import rundir\nimport os, time\n"
        "f = os.environ['TURNOUT_RUN_FOLDER']\n"
        "for i in range(3): rundir.append_record(f, {'t': 'metric', 'value': i})\n"
        "print('ready'); time.sleep(60)"
    )
    launch(agent, script, python=python)
    agent.wait_log(H, b"ready")
    lines = agent.log(H, "records").splitlines()
    assert [json.loads(line)["value"] for line in lines] == [0, 1, 2]
    agent.call("stop", handle=H, grace_s=5)
    end = agent.wait(H)["exit"]
    assert (end["reason"], end["signal"]) == ("stopped", signal.SIGTERM)
    launch(agent, "print(1)", "exp_2.1", python=python)
    assert agent.wait("exp_2.1")["exit"]["code"] == 0
    agent.call("forget", handle="exp_2.1")
    assert agent.observe("exp_2.1")["state"] == "absent"
    assert agent.log(H, "control") == b""


def test_a_line_is_told_at_once(agent: Driver) -> None:
    launch(agent, "import time\nprint('one', flush=True)\ntime.sleep(60)")
    while b"one" not in agent.log(H):
        assert agent.wait_event() == H
    agent.call("stop", handle=H, grace_s=0)
    while agent.observe(H)["state"] != "ended":
        assert agent.wait_event() == H


def test_the_last_of_many_records_is_told(agent: Driver) -> None:
    launch(
        agent,
        "from turnout.payload import rundir\nimport os, time\n"
        "for i in range(500):\n"
        "    rundir.append_record(os.environ['TURNOUT_RUN_FOLDER'], {'i': i})\n"
        "time.sleep(60)",
        heartbeat_s=300.0,
        watch=[],
    )
    while agent.log(H, "records").count(b"\n") < 500:
        assert agent.wait_event() == H


def test_watched_files_are_told_and_read(agent: Driver) -> None:
    launch(
        agent,
        "import os, time\nos.mkdir('logs')\nf = open('logs/a.txt', 'w', buffering=1)\n"
        "f.write('first\\n'); time.sleep(60)",
        heartbeat_s=300.0,
    )
    while agent.log(H, "logs/a.txt") != b"first\n":
        assert agent.wait_event() == H
    assert agent.observe(H)["sizes"]["logs/a.txt"] == 6


def test_killed_by_a_signal(agent: Driver) -> None:
    launch(agent, "import os; os.kill(os.getpid(), 11)")
    end = agent.wait(H)["exit"]
    assert (end["reason"], end["code"], end["signal"]) == ("signaled", None, 11)


def test_a_script_that_raises_shows_its_traceback(agent: Driver) -> None:
    launch(agent, "raise ValueError('so it is')")
    assert agent.wait(H)["exit"]["code"] == 1
    assert b"ValueError: so it is" in agent.log(H)


def test_binary_output_is_kept_byte_by_byte(agent: Driver) -> None:
    launch(agent, "import sys; sys.stdout.buffer.write(bytes(range(256)) * 1000)")
    agent.wait(H)
    assert agent.log(H) == bytes(range(256)) * 1000


def test_200_mb_of_output_in_bounded_memory(agent: Driver, root: Path) -> None:
    launch(
        agent,
        "import sys, os\nblock = b'x' * 999 + b'\\n'\n"
        "for _ in range(2000): sys.stdout.buffer.write(block * 100)\n"
        "sys.stdout.flush()\n"
        "print([l for l in open(f'/proc/{os.getppid()}/status') if 'VmHWM' in l][0])",
    )
    agent.wait(H)
    log = root / "runs" / H / "driver.log"
    with log.open("rb") as file:
        file.seek(200_000_000)
        peak = int(file.read().split()[1])
    assert agent.observe(H)["sizes"]["azureml-logs/70_driver_log.txt"] > 200_000_000
    assert peak < 60_000


def test_missing_script(agent: Driver) -> None:
    launch(agent, "", argv=["other.py"])
    end = agent.wait(H)["exit"]
    assert end["reason"] == "prepare"
    assert "'other.py' is not in the snapshot" in end["message"]
    assert end["started_at"] is None


def recipe(prefix: str) -> dict[str, object]:
    return {"key": None, "activation": {"argv_prefix": [prefix]}}


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("python9.9", "no program 'python9.9' on the PATH"),
        ("/nowhere/python", "'/nowhere/python' does not exist"),
        ("/etc/passwd", "not an executable file"),
        ("/etc", "not an executable file"),
    ],
)
def test_unusable_interpreter(agent: Driver, prefix: str, words: str) -> None:
    launch(agent, "", recipe=recipe(prefix))
    end = agent.wait(H)["exit"]
    assert end["reason"] == "prepare"
    assert words in end["message"]


def test_a_program_without_an_interpreter_line(agent: Driver) -> None:
    data, digest = bundle(
        {"run.sh": b"echo hi\n", "bad.sh": b"#!/nowhere/sh\n", "ok.sh": b"#!/bin/sh\necho ok\n"},
        executable=("run.sh", "bad.sh", "ok.sh"),
    )
    agent.call("put", data, upload="x", kind="bundle", digest=digest, end=True)
    words = {"run.sh": "interpreter", "bad.sh": "does not exist", "ok.sh": ""}
    for number, (name, text) in enumerate(words.items()):
        handle = f"exp_{number}.1"
        agent.launch(handle, ["./" + name], command=True, snapshot=digest)
        end = agent.wait(handle)["exit"]
        assert end["reason"] == ("prepare" if text else "exited")
        assert text in end["message"]
    assert agent.log("exp_2.1") == b"ok\n"


def test_a_command_has_the_activation_but_no_prefix(agent: Driver, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "greet"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$WORD $1"\n')
    program.chmod(0o755)
    activation = {
        "argv_prefix": ["nothing"],
        "env": {"WORD": "hello"},
        "path": [str(tmp_path / "bin")],
    }
    made = {"key": None, "activation": activation}
    agent.launch(H, ["greet", "you"], command=True, recipe=made)
    assert agent.wait(H)["exit"]["code"] == 0
    assert agent.log(H) == b"hello you\n"


STUBBORN = (
    "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "if os.fork() == 0:\n    os.setsid()\n    signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    "    if os.fork(): os._exit(0)\n    print('daemon', os.getpid(), flush=True)\n"
    "    time.sleep(300)\n"
)


def daemon_pid(log: bytes) -> int:
    return int(log.split(b"daemon ")[1].split()[0])


def test_stop_of_a_script_that_ignores_it_kills_the_daemon_too(agent: Driver) -> None:
    launch(agent, STUBBORN + "time.sleep(300)")
    pid = daemon_pid(agent.wait_log(H, b"daemon"))
    agent.call("stop", handle=H, grace_s=0.3)
    end = agent.wait(H)["exit"]
    assert (end["reason"], end["signal"]) == ("stopped", signal.SIGKILL)
    assert not is_running(pid)


def test_a_later_stop_may_shorten_the_grace(agent: Driver) -> None:
    launch(agent, STUBBORN + "time.sleep(300)")
    agent.wait_log(H, b"daemon")
    agent.call("stop", handle=H, grace_s=300)
    agent.call("stop", handle=H, grace_s=300)
    agent.call("stop", handle=H, grace_s=0.1)
    assert agent.wait(H)["exit"]["reason"] == "stopped"


def test_a_polite_script_cleans_up_when_stopped(agent: Driver) -> None:
    launch(
        agent,
        "import signal, sys, time\n"
        "def end(*_): print('bye', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\ntime.sleep(300)",
    )
    agent.wait_log(H, b"up")
    agent.call("stop", handle=H, grace_s=30)
    end = agent.wait(H)["exit"]
    assert (end["reason"], end["code"]) == ("stopped", 0)
    assert b"bye" in agent.log(H)


def test_a_daemon_that_holds_the_output_does_not_hang_the_run(agent: Driver) -> None:
    launch(agent, STUBBORN + "time.sleep(0.2); print('done')", grace_s=0.2)
    end = agent.wait(H)["exit"]
    assert (end["reason"], end["code"]) == ("exited", 0)
    log = agent.log(H)
    assert b"done" in log
    assert not is_running(daemon_pid(log))


def test_time_limit(agent: Driver) -> None:
    launch(agent, "import time; time.sleep(300)", max_duration_s=0.3)
    end = agent.wait(H)["exit"]
    assert end["reason"] == "timeout"
    assert "time limit of 0.3 s" in end["message"]


def test_stop_while_the_environment_is_made(agent: Driver) -> None:
    made = {
        "key": "a" * 64,
        "lock": [{"message": "Sleeping", "argv": ["sleep", "300"]}],
        "activation": {},
    }
    launch(agent, "print(1)", recipe=made)
    while agent.observe(H)["message"] != "Sleeping":
        agent.wait_event()
    assert agent.observe(H)["state"] == "preparing"
    agent.call("stop", handle=H, grace_s=0)
    end = agent.wait(H)["exit"]
    assert (end["reason"], end["started_at"]) == ("stopped", None)
    assert agent.call("environments")[0]["environments"] == []


def test_stop_before_the_supervisor_looks(agent: Driver) -> None:
    digest = agent.send_tree({"train.py": b"import time; time.sleep(300)"})
    for number in range(10):
        agent.launch(f"exp_{number}.1", ["train.py"], snapshot=digest)
        agent.call("stop", handle=f"exp_{number}.1", grace_s=0)
    for number in range(10):
        assert agent.wait(f"exp_{number}.1")["exit"]["reason"] == "stopped"


def test_a_killed_supervisor_is_lost_and_takes_the_script_along(agent: Driver, root: Path) -> None:
    launch(agent, "import os, time; print(os.getpid(), flush=True); time.sleep(300)")
    pid = int(agent.wait_log(H, b"\n"))
    status = json.loads((root / "runs" / H / "status.json").read_text())
    os.kill(status["pid"], signal.SIGKILL)
    assert agent.wait(H)["state"] == "lost"
    deadline = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(pid)
    assert agent.launch(H, ["train.py"]) == {"state": "already"}


def test_another_boot_is_lost(agent: Driver, root: Path) -> None:
    launch(agent, "import time; time.sleep(300)")
    agent.wait(H, "running")
    place = root / "runs" / H / "status.json"
    status = json.loads(place.read_text())
    place.write_text(json.dumps({**status, "boot_id": "before"}))
    assert agent.observe(H)["state"] == "lost"
    place.write_text(json.dumps(status))
    assert agent.observe(H)["state"] == "running"


def test_faults_of_the_supervisor_are_an_exit(agent: Driver, root: Path) -> None:
    # A ticket that no version of the service writes.
    agent.launch(H, ["x"], variables={"A": 5}, command=True, recipe={"key": None})
    end = agent.wait(H)["exit"]
    assert end["reason"] in ("prepare", "supervisor")
    agent.launch("exp_2.1", [], command=True, recipe={"key": None})
    assert agent.wait("exp_2.1")["exit"]["reason"] == "supervisor"
    assert b"IndexError" in agent.log("exp_2.1", "control")


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True
    )
    if made.returncode:
        pytest.skip("a small disk needs the right to mount")
    yield place  # type: ignore[misc]
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk_keeps_the_scripts_end(
    make_agent: Callable[..., Driver], small_disk: Path, tmp_path: Path
) -> None:
    agent = make_agent(root=small_disk / "host", store=tmp_path / "store")
    launch(agent, "import sys\nfor _ in range(9): print('x' * 999_999)\nsys.exit(4)")
    end = agent.wait(H)["exit"]
    assert (end["reason"], end["code"]) == ("exited", 4)
    assert "disk is full" in end["message"]


def test_full_disk_while_laying_out(
    make_agent: Callable[..., Driver], small_disk: Path, tmp_path: Path
) -> None:
    agent = make_agent(root=small_disk / "host", store=tmp_path / "store")
    digest = agent.send_tree({"big.bin": os.urandom(8_000_000), "train.py": b""})
    agent.launch(H, ["train.py"], snapshot=digest)
    end = agent.wait(H)["exit"]
    assert end["reason"] == "prepare"
    assert "disk is full" in end["message"]


def slow_recipe(root: Path) -> dict[str, object]:
    """Two steps that wait until the file `go` is there."""
    wait = f"touch {root}/begun; while [ ! -e {root}/go ]; do sleep 0.01; done; "
    return {
        "key": "c" * 64,
        "label": "slow",
        "lock": [{"message": "Locking", "argv": ["sh", "-c", "echo slow > {files}/lock"]}],
        "build": [
            {"message": "Halving", "argv": ["sh", "-c", "mkdir -p {prefix}; touch {prefix}/half"]},
            {"message": "Waiting", "argv": ["sh", "-c", wait + "touch {prefix}/whole"]},
        ],
        "activation": {"argv_prefix": ["sh", "-c", "ls {prefix}"]},
    }


def test_a_build_that_is_killed_leaves_nothing_in_use(agent: Driver, root: Path) -> None:
    launch(agent, "", recipe=slow_recipe(root))
    while not (root / "begun").exists():
        agent.wait_event()
    status = json.loads((root / "runs" / H / "status.json").read_text())
    os.kill(status["pid"], signal.SIGKILL)
    assert agent.wait(H)["state"] == "lost"
    (row,) = agent.call("environments")[0]["environments"]
    assert row["ready"] is False
    (root / "go").touch()
    agent.launch("exp_2.1", ["x"], command=False, recipe=slow_recipe(root), prepare_only=True)
    assert agent.wait("exp_2.1")["exit"]["code"] == 0
    (row,) = agent.call("environments")[0]["environments"]
    assert row["ready"] is True
    log = agent.log("exp_2.1", "environment")
    assert b"Halving" in log
    assert b"Waiting\n" in log


def test_many_that_ask_at_once_build_once(agent: Driver, root: Path) -> None:
    handles = [f"exp_{n}.1" for n in range(8)]
    for handle in handles:
        agent.launch(handle, ["x"], recipe=slow_recipe(root), prepare_only=True)
    # Those who wait see it being made.
    for handle in handles:
        agent.wait_log(handle, b"Waiting\n", "environment")
    (root / "go").touch()
    for handle in handles:
        assert agent.wait(handle)["exit"]["code"] == 0
    logs = [agent.log(handle, "environment") for handle in handles]
    assert sum(b"another run" not in log for log in logs) == 1


def test_secrets_reach_the_build_and_no_file(agent: Driver, root: Path) -> None:
    made = {
        "key": "d" * 64,
        "lock": [{"message": "L", "argv": ["sh", "-c", "echo ${#PASS} > {files}/lock"]}],
        "build": [],
        "activation": {"argv_prefix": ["sh", "-c", 'echo "<$PASS>"', "sh"]},
    }
    digest = agent.send_tree({"train.py": b""})
    asked = ticket(H, ["train.py"], snapshot=digest, recipe=made)
    agent.call("launch", handle=H, ticket=asked, secrets={"PASS": "open sesame"})
    assert agent.wait(H)["exit"]["code"] == 0
    assert agent.log(H) == b"<>\n"
    assert agent.log(H, "azureml-logs/25_environment_lock.txt") == b"11\n"
    for path in root.rglob("*"):
        assert not path.is_file() or b"open sesame" not in path.read_bytes()


def test_what_was_done_otherwise_is_said_of_every_run(agent: Driver, root: Path) -> None:
    tell = """echo x > {files}/lock; printf '\\036{"note": "another Python"}\\n'"""
    made = {
        "key": "e" * 64,
        "lock": [{"message": "L", "argv": ["sh", "-c", tell]}],
        "activation": {"argv_prefix": ["sh"]},
    }
    for number in range(3):
        handle = f"exp_{number}.1"
        agent.launch(handle, ["x"], recipe=made, prepare_only=True)
        assert agent.wait(handle)["exit"]["code"] == 0
        (record,) = agent.log(handle, "records").splitlines()
        assert json.loads(record)["text"] == "another Python"
        # Not needed to run.
        for lock in root.glob("environments/*/ready.lock"):
            lock.unlink()
