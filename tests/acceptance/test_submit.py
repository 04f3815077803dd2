"""`turnout submit` on this machine: output, exit codes, interrupts, mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Shell

TRAIN = """\
import os, sys
from turnout import Run
from helper import double
run = Run.get_context()
print("arguments", sys.argv[1:], os.environ.get("COLOUR"))
for step in range(5):
    run.log("mse", double(step))
os.makedirs("outputs/models", exist_ok=True)
for i in range(3):
    with open(f"outputs/models/{i}.txt", "w") as file:
        file.write(str(i))
"""


@pytest.fixture
def project(shell: Shell) -> Shell:
    shell.write("train.py", TRAIN)
    shell.write("helper.py", "def double(x):\n    return 2.0 * x\n")
    return shell


def latest(shell: Shell) -> dict[str, object]:
    return json.loads(shell.run("run", "show", "--json")[0])


def wait_for(shell: Shell, run: str, state: str) -> None:
    for _ in range(600):
        if json.loads(shell.run("run", "show", run, "--json")[0])["state"] == state:
            return
        time.sleep(0.05)
    raise AssertionError(f"{run} never was {state}")


def read_run_id(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    line = process.stderr.readline().decode()
    assert line.startswith("Run "), line
    return line.split()[1]


def test_output_metrics_and_files(project: Shell) -> None:
    out, err = project.run("submit", "train.py", "--env", "COLOUR=red", "--alpha", "0.1")
    assert out == "arguments ['--alpha', '0.1'] red\n"
    assert "mse     8.0   5       0.0  8.0" in err
    view = latest(project)
    assert view["experiment"] == "work"
    assert view["state"] == "completed"
    assert view["metrics"] == {"mse": [0.0, 2.0, 4.0, 6.0, 8.0]}
    assert project.run("run", "logs")[0] == out
    assert project.run("run", "logs", "--follow")[0] == out
    assert project.run("run", "metrics", "--name", "mse")[0].split() == [
        "0.0", "2.0", "4.0", "6.0", "8.0",
    ]  # fmt: skip
    listed = project.run("run", "files")[0]
    assert "outputs/models/2.txt" in listed
    project.run("run", "download", "latest", "outputs/models", "-o", "here")
    assert (project.cwd / "here/outputs/models/2.txt").read_text() == "2"
    project.run("run", "restore", "-o", "again")
    assert (project.cwd / "again/train.py").read_text() == TRAIN
    assert sorted(p.name for p in (project.cwd / "again").iterdir()) == ["helper.py", "train.py"]


def test_options_reach_the_run(project: Shell) -> None:
    project.run(
        "submit", "-e", "exp1", "--name", "first", "--tag", "a=1", "--tag", "b", "--max-duration",
        "1h", "train.py",
    )  # fmt: skip
    view = latest(project)
    assert (view["experiment"], view["display_name"]) == ("exp1", "first")
    assert view["tags"] == {"a": "1", "b": ""} or view["tags"] == {"a": "1", "b": None}
    assert view["spec"]["max_run_duration_s"] == 3600  # type: ignore[index]
    assert "exp1" in project.run("experiment", "list")[0]
    assert "first" in project.run("run", "list", "--tag", "a=1")[0]
    project.run("run", "tag", "latest", "c=2", "--remove", "a")
    tags = latest(project)["tags"]
    assert isinstance(tags, dict)
    assert "a" not in tags
    assert tags["c"] == "2"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("import sys; sys.exit(3)", 3),
        ("raise ValueError('no data')", 1),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 139),
    ],
)
def test_the_exit_code_is_the_scripts(shell: Shell, script: str, code: int) -> None:
    shell.write("bad.py", script)
    out, err = shell.bytes("submit", "bad.py", code=code)
    assert "failed" in err
    if "ValueError" in script:
        assert b"ValueError: no data" in out


def test_binary_output_passes_through(shell: Shell) -> None:
    shell.write("raw.py", "import sys; sys.stdout.buffer.write(bytes(range(256)) * 40)")
    out, _ = shell.bytes("submit", "raw.py")
    assert out.rstrip(b"\n") == (bytes(range(256)) * 40).rstrip(b"\n")
    assert shell.bytes("run", "logs")[0] == bytes(range(256)) * 40


def test_output_comes_as_it_is_printed(shell: Shell) -> None:
    shell.write(
        "slow.py",
        "import pathlib, time\nprint('first')\n"
        f"while not pathlib.Path({str(shell.cwd / 'go')!r}).exists(): time.sleep(0.01)\n"
        "print('second')\n",
    )
    with shell.start("submit", "slow.py") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"first\n"
        (shell.cwd / "go").touch()
        assert process.stdout.readline() == b"second\n"
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_detach_then_follow(shell: Shell) -> None:
    shell.write("train.py", "print('done')")
    run = shell.run("submit", "--detach", "train.py")[0].strip()
    assert shell.run("run", "logs", "--follow", run)[0] == "done\n"
    part = run.rpartition("_")[2]
    assert run in shell.run("run", "show", part)[0]


def test_json(shell: Shell) -> None:
    shell.write("train.py", "print('noise')")
    found = json.loads(shell.run("submit", "--json", "train.py")[0])
    assert found["state"] == "completed"
    assert found["metrics"] == {}


def test_the_active_virtual_environment_is_used(shell: Shell) -> None:
    shell.write("which.py", "import sys; print(sys.prefix)")
    (shell.cwd / ".amlignore").write_text("env/\n")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "env"], cwd=shell.cwd, check=True
    )
    out, _ = shell.run("submit", "which.py", env={"VIRTUAL_ENV": str(shell.cwd / "env")})
    assert out.strip() == str(shell.cwd / "env")
    out, _ = shell.run("submit", "which.py")
    assert out.strip() == sys.prefix


def test_interrupt_cancels(shell: Shell) -> None:
    shell.write("long.py", "import time\nprint('on', flush=True)\ntime.sleep(600)")
    with shell.start("submit", "long.py") as process:
        run = read_run_id(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"was canceled" in err
    assert b"Traceback" not in err
    wait_for(shell, run, "canceled")


def test_a_second_interrupt_leaves(shell: Shell) -> None:
    shell.write(
        "stubborn.py",
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('on', flush=True)\ntime.sleep(600)",
    )
    with shell.start("submit", "stubborn.py") as process:
        run = read_run_id(process)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        while b"Canceling" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"turnout run logs --follow {run}".encode() in err
    wait_for(shell, run, "canceled")


def test_run_cancel(shell: Shell) -> None:
    shell.write("long.py", "import time; time.sleep(600)")
    run = shell.run("submit", "--detach", "long.py")[0].strip()
    assert "canceled" in shell.run("run", "cancel", run)[1]
    assert "over already" in shell.run("run", "cancel", run)[1]


def test_a_closed_pipe_is_quiet(shell: Shell) -> None:
    shell.write("many.py", "for i in range(200000): print('line', i)")
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "turnout.cli.main", "submit", "many.py"],
        cwd=shell.cwd, env=shell.env, stdout=write, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(write)
    os.read(read, 10)
    os.close(read)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 141
    assert b"Traceback" not in err
    assert b"Exception" not in err


# -- mistakes ----------------------------------------------------------------------------------


def test_missing_script(project: Shell) -> None:
    err = project.fails("submit", "trian.py")
    assert "no script 'trian.py'" in err
    assert "train.py" in err


def test_missing_folder(project: Shell) -> None:
    assert "no source directory 'nowhere'" in project.fails(
        "submit", "--source-directory", "nowhere", "train.py"
    )


def test_unknown_target(project: Shell) -> None:
    assert "labb" in project.fails("submit", "train.py", "--target", "labb")


def test_bad_package(project: Shell) -> None:
    assert "not a package requirement" in project.fails("submit", "train.py", "--pip", "a b")


def test_an_interpreter_that_is_not_there(project: Shell) -> None:
    _, err = project.run("submit", "--python", "/no/python", "train.py", code=1)
    assert "/no/python" in err


def test_a_script_that_is_ignored(project: Shell) -> None:
    project.write(".amlignore", "*.py\n")
    assert "left out of the snapshot" in project.fails("submit", "train.py")


def test_a_folder_past_the_limit(project: Shell) -> None:
    project.write("data/big.bin", "x" * (2 << 20))
    err = project.fails("submit", "train.py", env={"TURNOUT_SNAPSHOT_LIMIT_MB": "1"})
    assert "/data/big.bin" in err
    assert project.fails("run", "show", "no-such-run")


def test_unknown_runs_files_and_metrics(project: Shell) -> None:
    project.run("submit", "train.py")
    assert "nothing-like-it" in project.fails("run", "show", "nothing-like-it")
    assert "no file 'outputs/modles'" in project.fails(
        "run", "download", "latest", "outputs/modles"
    )
    assert "no metric 'msee' (did you mean 'mse'?)" in project.fails(
        "run", "metrics", "--name", "msee"
    )
    assert "run download latest" in project.fails("run", "download", "outputs/models/1.txt")
    (project.cwd / "again").mkdir()
    (project.cwd / "again/mine").touch()
    assert "exists already" in project.fails("run", "restore", "-o", "again")


def test_a_home_that_cannot_be_one(project: Shell) -> None:
    project.write("file", "")
    _, err = project.run("run", "list", code=1, env={"TURNOUT_HOME": str(project.cwd / "file")})
    assert "TURNOUT_HOME" in err
