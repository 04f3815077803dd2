"""Runs in containers: the real supervisor, the real runner, a real Docker engine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_driver import Driver
from container_driver import DEAF, IMAGE, POLITE, Boxed, Engine, until

from turnout.environments import registry
from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.testing.building import Building
from turnout.testing.missing import missing
from turnout.testing.wheels import add_wheel

#: A user that no machine has.
UID = 61234

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
    until(lambda: boxed.is_removed("r.1"), "the container is removed")


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
    assert boxed.driver_log("r.1") == b""


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


# -- stopping ------------------------------------------------------------------------------------


def test_polite_cancel(boxed: Boxed) -> None:
    boxed.launch("r.1", POLITE)
    boxed.agent.wait_log("r.1", b"ready")
    boxed.agent.call("stop", handle="r.1", grace_s=20.0)
    end = boxed.agent.wait("r.1")["exit"]
    assert (end["reason"], end["code"]) == ("stopped", 3)
    assert boxed.driver_log("r.1") == b"ready\nbye\n"
    until(lambda: boxed.is_removed("r.1"), "the container is removed")


def test_forced_cancel(boxed: Boxed) -> None:
    boxed.launch("r.1", DEAF)
    boxed.agent.wait_log("r.1", b"ready")
    boxed.agent.call("stop", handle="r.1", grace_s=0.2)
    assert boxed.agent.wait("r.1")["exit"]["reason"] == "stopped"
    until(lambda: boxed.is_gone("r.1"), "the container ends")


def test_cancel_reaches_what_the_script_started(boxed: Boxed) -> None:
    script = (
        "import subprocess, sys\n"
        "child = 'import signal, sys\\n'\n"
        "child += 'signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(\"child bye\")))\\n'\n"
        "child += 'print(\"child ready\", flush=True)\\nsignal.pause()\\n'\n"
        "subprocess.Popen([sys.executable, '-c', child], start_new_session=True).wait()\n"
    )
    boxed.launch("r.1", script)
    boxed.agent.wait_log("r.1", b"child ready")
    boxed.agent.call("stop", handle="r.1", grace_s=20.0)
    boxed.agent.wait("r.1")
    assert b"child ready\nchild bye" in boxed.driver_log("r.1")


def test_time_limit(boxed: Boxed) -> None:
    end = boxed.run("r.1", POLITE, max_duration_s=1.0)
    assert (end["reason"], end["code"]) == ("timeout", 3)
    until(lambda: boxed.is_removed("r.1"), "the container is removed")


LEAVER = (
    "import os, subprocess, sys\n"
    "child = 'import signal, sys\\n'\n"
    "child += 'signal.signal(signal.SIGTERM, lambda *_: {})\\n'\n"
    'child += \'print("left", flush=True)\\nopen("up", "w")\\nwhile True: signal.pause()\'\n'
    "subprocess.Popen([sys.executable, '-c', child], start_new_session=True)\n"
    "while not os.path.exists('up'): pass\n"
)


def test_what_the_script_leaves_running_is_asked_to_end(boxed: Boxed) -> None:
    script = LEAVER.format('sys.exit(print(\\"bye\\"))')
    assert boxed.run("r.1", script, grace_s=30.0)["code"] == 0
    assert boxed.driver_log("r.1") == b"left\nbye\n"
    until(lambda: boxed.is_removed("r.1"), "the container is removed")


def test_what_the_script_leaves_running_is_killed_in_the_end(boxed: Boxed) -> None:
    assert boxed.run("r.1", LEAVER.format("None"), grace_s=0.3)["code"] == 0
    assert boxed.driver_log("r.1") == b"left\n"
    until(lambda: boxed.is_removed("r.1"), "the container is removed")


# -- limits --------------------------------------------------------------------------------------

EATER = "data = []\nwhile True: data.append(bytearray(8 << 20))\n"


def test_memory_limit_is_named(boxed: Boxed) -> None:
    end = boxed.run("r.1", EATER, about={"memory": "64m"})
    assert (end["reason"], end["signal"]) == ("signaled", 9)
    assert "ran out of its memory (limit 64m)" in end["message"]
    assert b"ran out of its memory (limit 64m)" in boxed.driver_log("r.1")


def test_memory_of_a_child_is_named(boxed: Boxed) -> None:
    script = (
        "import subprocess, sys\n"
        f"child = subprocess.run([sys.executable, '-c', {EATER!r}])\n"
        "sys.exit(1 if child.returncode else 0)\n"
    )
    end = boxed.run("r.1", script, about={"memory": "64m"})
    assert (end["reason"], end["code"]) == ("exited", 1)
    assert "killed one of its processes" in end["message"]


def test_processors_are_limited(boxed: Boxed) -> None:
    script = (
        "import time\n"
        "began = time.monotonic()\n"
        "while time.process_time() < 0.3: pass\n"
        "print(time.monotonic() - began)\n"
    )
    boxed.run("r.1", script, about={"cpus": 0.25})
    assert float(boxed.driver_log("r.1")) > 0.9


def test_shared_memory_network_and_arguments(boxed: Boxed, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("given")
    script = (
        "import os\n"
        "found = os.statvfs('/dev/shm')\n"
        "print(found.f_blocks * found.f_frsize, sorted(os.listdir('/sys/class/net')))\n"
        "print(open('/data').read())\n"
    )
    about = {"shm_size": "16m", "network": "none", "arguments": ["-v", f"{tmp_path}/data:/data"]}
    assert boxed.run("r.1", script, about=about)["code"] == 0
    assert boxed.driver_log("r.1") == b"%d ['lo']\ngiven\n" % (16 << 20)


def test_gpus_that_are_not_there(boxed: Boxed) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has GPUs")
    end = boxed.run("r.1", "print('ran')", about={"gpus": True})
    assert end["code"] == 125
    assert "no /dev/nvidiactl" in end["message"]


@pytest.mark.parametrize("argument", ["--pid=host", "--init"])
def test_arguments_that_would_make_it_unstoppable(boxed: Boxed, argument: str) -> None:
    end = boxed.run("r.1", "print('ran')", about={"arguments": [argument]})
    assert end["code"] == 125
    assert "Leave --pid and --init out" in end["message"], end
    assert b"ran" not in boxed.driver_log("r.1")


# -- variables, users, tracking ------------------------------------------------------------------


def test_variables_go_in_by_name_only(boxed: Boxed) -> None:
    script = (
        "import os\n"
        "print(os.environ['SECRET'], os.environ.get('OTHER'))\n"
        "print(os.environ['PATH'] == os.environ.get('OUTER'))\n"
        "print('ready', flush=True)\n"
        "while not os.path.exists('go'): pass\n"
    )
    variables = {"SECRET": "s3cr3t \n'\"$x", "OUTER": os.environ["PATH"]}
    boxed.launch("r.1", script, variables=variables)
    log = boxed.agent.wait_log("r.1", b"ready")
    lines = b"".join(p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if is_alive(p))
    (boxed.agent.root / "runs" / "r.1" / "work" / "go").touch()
    assert b"s3cr3t \n'\"$x None\nFalse\n" in log
    assert b"s3cr3t" not in lines
    assert boxed.agent.wait("r.1")["exit"]["code"] == 0


def is_alive(path: Path) -> bool:
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


def test_metrics_and_uploads_from_inside(boxed: Boxed) -> None:
    script = (
        "from turnout import Run\n"
        "run = Run.get_context()\n"
        "run.log('loss', 0.5)\n"
        "open('model.bin', 'wb').write(b'weights')\n"
        "run.upload_file('outputs/model.bin', 'model.bin')\n"
        "print(run.id)\n"
    )
    end = boxed.run("r.1", script)
    assert end["code"] == 0, boxed.driver_log("r.1")
    records, _ = (
        boxed.agent.call("read", handle="r.1", name="records", offset=0, limit=1 << 20)[1],
        None,
    )
    kinds = [json.loads(line)["t"] for line in records.splitlines()]
    assert "metric" in kinds
    assert "file" in kinds
    names = dict(boxed.agent.call("files", handle="r.1")[0]["files"])
    assert names["outputs/model.bin"] == 7
    assert boxed.driver_log("r.1") == b"r\n"


@pytest.fixture
def plain_user(docker: Engine, payload: Path) -> Iterator[tuple[Path, Path, str]]:
    """(folder of a user who is not root and may reach the engine, payload, their Python)."""
    python = shutil.which("python3", path="/usr/bin:/bin")
    setpriv = shutil.which("setpriv")
    if not python or not setpriv:
        missing("needs the system's python3 and setpriv")
    docker.socket.chmod(0o666)
    folder = Path(tempfile.mkdtemp(prefix="turnout-user-"))
    try:
        shutil.copytree(payload, folder / "payload")
        start = folder / "python"
        words = f"--reuid {UID} --regid {UID} --clear-groups {python}"
        start.write_text(f'#!/bin/sh\nexec {setpriv} {words} "$@"\n')
        start.chmod(0o755)
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, UID, UID)
        yield folder, folder / "payload", str(start)
    finally:
        docker.socket.chmod(0o660)
        shutil.rmtree(folder)


def test_files_of_another_user_are_theirs(
    docker: Engine,
    plain_user: tuple[Path, Path, str],
    make_agent: Callable[..., Driver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, payload, python = plain_user
    monkeypatch.setenv("HOME", str(folder))
    agent = make_agent(root=folder / "host", payload=payload, python=python)
    boxed = Boxed(agent, payload, docker, folder)
    script = (
        "import getpass, os\n"
        "from turnout import Run\n"
        "Run.get_context().log('loss', 0.5)\n"
        "open(os.path.expanduser('~/cache'), 'w').close()\n"
        "os.makedirs('outputs')\n"
        "open('outputs/model', 'w').close()\n"
        "print(os.getuid(), os.getgid(), getpass.getuser())\n"
    )
    assert boxed.run("r.1", script)["code"] == 0, boxed.driver_log("r.1")
    assert boxed.driver_log("r.1") == b"%d %d %d\n" % (UID, UID, UID)
    found = list((folder / "host").rglob("*"))
    assert {path.lstat().st_uid for path in found} == {UID}
    assert any(path.name == "model" for path in found)


def test_user_who_may_not_use_the_engine(
    docker: Engine,
    plain_user: tuple[Path, Path, str],
    make_agent: Callable[..., Driver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, payload, python = plain_user
    monkeypatch.setenv("HOME", str(folder))
    docker.socket.chmod(0o660)
    agent = make_agent(root=folder / "host", payload=payload, python=python)
    end = Boxed(agent, payload, docker, folder).run("r.1", "print('ran')")
    assert end["code"] == 125
    assert "may not use the container engine" in end["message"], end
    assert "group 'docker'" in end["message"]


def test_folder_behind_a_link(
    docker: Engine, payload: Path, tmp_path: Path, make_agent: Callable[..., Driver]
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    boxed = Boxed(make_agent(root=tmp_path / "link" / "host"), payload, docker, tmp_path)
    script = "import os; print(os.path.isdir(os.environ['TURNOUT_RUN_FOLDER']), os.getcwd())"
    assert boxed.run("r.1", script)["code"] == 0
    assert boxed.driver_log("r.1").startswith(b"True ")


# -- from what was asked for to its end ----------------------------------------------------------


async def test_an_environment_is_made_and_used(
    docker: Engine,
    payload: Path,
    root: Path,
    make_agent: Callable[..., Driver],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    add_wheel(tmp_path, "greeting", "1.0", "WORD = 'hello'\n")
    for name, value in {
        **{"DOCKER_HOST": docker.host, "PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1"},
        **{"PIP_FIND_LINKS": str(tmp_path), "UV_PYTHON_DOWNLOADS": "never"},
    }.items():
        monkeypatch.setenv(name, value)
    agent = make_agent()
    container = ContainerSpec(image=IMAGE, network="host", memory="256m")
    made = registry.recipe(EnvironmentSpec(pip=("greeting",), container=container))
    recipe = made.to_dict(await Building(root).with_tools(made))
    script = (
        "import greeting, os, sys\n"
        "from turnout import Run\n"
        "Run.get_context().log('loss', 0.5)\n"
        "print(greeting.WORD, sys.prefix, os.environ['VIRTUAL_ENV'], os.environ['KEY'])\n"
    )
    more = {"snapshot": agent.send_tree({"train.py": script.encode()}), "recipe": recipe}
    more["variables"] = {"KEY": "value"}
    agent.launch("r.1", ["train.py"], **more)
    place = b"/opt/turnout/environment"
    assert agent.wait("r.1")["exit"]["code"] == 0, agent.log("r.1", "environment")
    assert agent.log("r.1") == b"hello %s %s value\n" % (place, place)
    # A command has the environment first on its PATH.
    command = ["sh", "-c", "command -v python; cd /; python -c 'import greeting'"]
    agent.launch("r.2", command, **{**more, "command": True})
    assert agent.wait("r.2")["exit"]["code"] == 0, agent.log("r.2")
    assert agent.log("r.2") == b"%s/bin/python\n" % place
    lock = agent.call(
        "read", handle="r.2", name="azureml-logs/25_environment_lock.txt", offset=0, limit=9999
    )[1]
    assert json.loads(lock)["inside"]["requirements"] == ["greeting==1.0"]
