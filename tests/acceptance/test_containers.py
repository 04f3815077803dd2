"""Containers as a person meets them, here and on a machine that SSH reaches; a real engine."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from turnout.testing import dockerd
from turnout.testing.conda_channel import serve
from turnout.testing.dockerd import DockerEngine
from turnout.testing.missing import missing
from turnout.testing.sshd import SSHServer, Unavailable
from turnout.testing.wheels import add_wheel

if TYPE_CHECKING:
    from tests.acceptance.conftest import Shell

TRAIN = """\
import os, sys
from turnout import Run
run = Run.get_context()
print(os.path.exists('/.dockerenv'), sys.argv[1:])
run.log('mse', 0.5)
os.makedirs('outputs', exist_ok=True)
open('outputs/model.txt', 'w').write('weights')
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    """An engine with the image "base:1"."""
    try:
        archive = dockerd.make_base(tmp_path_factory.mktemp("base") / "base.tar")
        with DockerEngine("--live-restore") as made:
            made.import_image(archive, "base:1")
            yield made
    except dockerd.Unavailable as e:
        missing(e)


@pytest.fixture(scope="module")
def docker_home(engine: DockerEngine) -> Iterator[Path]:
    """The home of a service that reaches the engine."""
    from tests.acceptance.conftest import Shell

    with tempfile.TemporaryDirectory(prefix="turnout-") as name:
        yield Path(name) / "home"
        Shell(Path(name) / "home").run("service", "stop")


@pytest.fixture
def boxed(shell: Shell, docker_home: Path, engine: DockerEngine) -> Shell:
    shell.home = docker_home
    shell.env.update(TURNOUT_HOME=str(docker_home), DOCKER_HOST=engine.host)
    return shell


@pytest.fixture(params=["local", pytest.param("lab", marks=pytest.mark.ssh)])
def where(
    request: pytest.FixtureRequest, boxed: Shell, engine: DockerEngine, tmp_path: Path
) -> Iterator[str]:
    """A target whose user may reach the engine."""
    if request.param == "local":
        yield "local"
        return
    try:
        with SSHServer(options=[f"SetEnv DOCKER_HOST={engine.host}"]) as server:
            boxed.run(
                *("target", "attach", "ssh", "lab", "--address", server.address, "--yes"),
                *("--port", str(server.port), "--username", server.username),
                *("--private-key-file", str(server.user_key)),
                *("--folder", str(tmp_path / "lab")),
            )
            yield "lab"
            boxed.run("target", "detach", "lab")
    except Unavailable as e:
        missing(e)


def test_a_script_in_an_image_as_it_is(boxed: Shell, where: str) -> None:
    boxed.write("train.py", TRAIN)
    out, err = boxed.run("submit", "--target", where, "--docker", "base:1", "train.py", "a b")
    assert out == "True ['a b']\n"
    assert "mse" in err
    boxed.run("run", "download", "latest", "-o", "got")
    assert (boxed.cwd / "got/outputs/model.txt").read_text() == "weights"
    boxed.write("fails.py", "import sys; sys.exit(3)\n")
    boxed.run("submit", "--target", where, "--docker", "base:1", "fails.py", code=3)


def test_packages_are_baked_into_an_image_once(boxed: Shell, where: str, tmp_path: Path) -> None:
    # An address: a folder of this machine is not there in a container.
    add_wheel(tmp_path / "wheels", "turnoutgreeting", "1.0", "WORD = 'hello'\n")
    boxed.write("train.py", "import turnoutgreeting as g\nprint(g.WORD)\n")
    with serve(tmp_path / "wheels") as address:
        boxed.write("req.txt", f"--find-links {address}/\nturnoutgreeting\n")
        words = ("submit", "--target", where, "--docker", "base:1", "-r", "req.txt", "train.py")
        assert boxed.run(*words)[0] == "hello\n"
    built = json.loads(boxed.run("environments", "list", "--target", where, "--json")[0])
    (row,) = [r for r in built if "base:1, turnoutgreeting" in r["label"]]
    assert row["size"] > 100_000_000
    # Known from now on: nothing is asked of anybody.
    assert boxed.run(*words)[0] == "hello\n"
    boxed.run("environments", "prune", "--target", where, row["key"])
    boxed.write("bad.txt", "turnoutgreeting==7\n")
    _, err = boxed.run(*words[:-2], "bad.txt", "train.py", code=1)
    assert "'turnoutgreeting==7' stands in bad.txt, line 1." in err


def test_out_of_memory_is_named(boxed: Shell) -> None:
    boxed.write("train.py", "x = bytearray(400_000_000)\nprint(len(x))\n")
    _, err = boxed.run("submit", "--docker", "base:1", "--memory", "100m", "train.py", code=137)
    assert "memory" in err
    assert "100m" in err


def test_an_image_that_is_not_there(boxed: Shell) -> None:
    boxed.write("train.py", TRAIN)
    _, err = boxed.run("submit", "--docker", "nowhere.invalid/x:1", "train.py", code=1)
    assert "nowhere.invalid/x:1" in err
    assert "Traceback" not in err


def test_no_engine(shell: Shell) -> None:
    """Where there is none, one sentence says what to do."""
    shell.write("train.py", TRAIN)
    shell.env["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    with tempfile.TemporaryDirectory(prefix="turnout-") as name:
        shell.env["TURNOUT_HOME"] = name
        _, err = shell.run("submit", "--docker", "base:1", "train.py", code=1)
        shell.run("service", "stop")
    assert "/nowhere/docker.sock" in err


def test_runs_in_a_virtual_network(boxed: Shell) -> None:
    boxed.write("train.py", "import socket; print(socket.gethostname())\n")
    create = ("target", "create", "cluster", "net", "--size", "1c1g", "--max-nodes", "1")
    err = boxed.fails(*create, "--vnet", "lab")
    assert "--vnet and --subnet belong together" in err
    out, _ = boxed.run(*create, "--vnet", "lab", "--subnet", "default")
    words = "lab, subnet default, and reach nothing outside of it"
    assert f"Runs are containers in the virtual network {words}." in out
    err = boxed.fails("submit", "--target", "net", "train.py")
    assert "which holds containers only: run it in one (--docker IMAGE" in err
    err = boxed.fails(
        *("submit", "--target", "net", "--docker", "base:1", "--docker-arg=--net=host"), "train.py"
    )
    assert "leave '--net=host' out" in err
    out, _ = boxed.run("submit", "--target", "net", "--docker", "base:1", "train.py")
    assert out.startswith("net-")
    boxed.run("target", "delete", "net")


def test_a_script_in_a_container_reads_and_writes_data(
    boxed: Shell, where: str, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").write_text("hello")
    boxed.write(
        "train.py",
        "import os, sys\n"
        "from azureml.core import Run\n"
        "run = Run.get_context()\n"
        "print(os.listdir(sys.argv[1]), open(run.input_datasets['files'] + '/a.txt').read())\n"
        "open(sys.argv[2] + '/r.txt', 'w').write('result')\n"
        "print(hasattr(run.experiment, 'get_runs'))\n",
    )
    boxed.write(
        "go.py",
        f"""\
from turnout import *
ws = Workspace()
store = ws.get_default_datastore()
store.upload({str(tmp_path / "d")!r}, "in-box", overwrite=True, show_progress=False)
rc = RunConfiguration()
rc.target = {where!r}
rc.environment.docker.enabled = True
rc.environment.docker.base_image = "base:1"
rc.environment.python.user_managed_dependencies = True
rc.environment.python.interpreter_path = "python3"
files = Dataset.File.from_files((store, "in-box")).as_named_input("files").as_mount()
out = OutputFileDatasetConfig("res", destination=(store, "made/{{run-id}}"))
src = ScriptRunConfig(".", "train.py", [files, out], run_config=rc)
run = Experiment(ws, "box").submit(src)
run.wait_for_completion(show_output=True)
print(store.names("made/" + run.id))
""",
    )
    done = subprocess.run(
        [sys.executable, "go.py"], cwd=boxed.cwd, env=boxed.env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "['a.txt'] hello\nFalse\n" in done.stdout
    assert done.stdout.endswith("/r.txt']\n")
