"""What goes wrong on the way, seen from the command line: on this machine and over a real sshd."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from turnout.testing.sshd import SSHServer, TemporaryUser

if TYPE_CHECKING:
    from tests.acceptance.conftest import Shell

    Attach = Callable[..., str]

pytestmark = pytest.mark.ssh

#: Makes users and mounts. Never skipped in CI.
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 and os.environ.get("CI") != "true", reason="only root can set this up"
)

COUNTING = """\
import time
from turnout import Run
run = Run.get_context()
for i in range(80):
    print("line", i, flush=True)
    run.log("i", i)
    time.sleep(0.1)
"""


def show(shell: Shell, run: str) -> dict[str, object]:
    return json.loads(shell.run("run", "show", run, "--json")[0])


def until(shell: Shell, run: str, seen: Callable[[dict[str, object]], bool]) -> dict[str, object]:
    deadline = time.monotonic() + 60
    while not seen(view := show(shell, run)):
        assert time.monotonic() < deadline, f"Not seen within a minute: {view}"
        time.sleep(0.2)
    return view


def submit(shell: Shell, target: str, code: int) -> tuple[str, str]:
    return shell.run("submit", "train.py", "--target", target, code=code)


@pytest.fixture
def attach(shell: Shell) -> Iterator[Attach]:
    """Attaches a server as `lab`, by its key; gives what was said, on stderr when refused."""
    made: list[str] = []

    def do(server: SSHServer, *more: str, code: int = 0) -> str:
        argv = ["target", "attach", "ssh", "lab", "--address", server.address, "--yes"]
        argv += ["--port", str(server.port), "--username", server.username]
        if "--password-stdin" not in more:
            argv += ["--private-key-file", str(server.user_key)]
        made.append("lab")
        return "".join(shell.run(*argv, *more, code=code))

    yield do
    for name in made:
        shell.run("target", "detach", name)


@pytest.fixture(params=["local", "lab"])
def target(request: pytest.FixtureRequest, attach: Attach) -> str:
    if request.param == "lab":
        attach(request.getfixturevalue("server"))
    return str(request.param)


# -- scripts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("import sys; print('so far'); sys.exit(3)", 3, "3"),
        ("print('so far'); raise ValueError('no such column')", 1, "no such column"),
        ("import os; print('so far', flush=True); os.kill(os.getpid(), 9)", 137, "SIGKILL"),
    ],
    ids=["exits 3", "raises", "killed"],
)
def test_a_script_that_fails(shell: Shell, target: str, source: str, code: int, said: str) -> None:
    shell.write("train.py", source)
    out, err = submit(shell, target, code)
    assert out.startswith("so far\n")
    assert said in out + err
    assert "failed" in err


def test_a_daemon_does_not_outlive_its_run(shell: Shell, target: str) -> None:
    shell.write(
        "train.py",
        "import subprocess, sys\n"
        "print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)\n",
    )
    out, _ = submit(shell, target, 0)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{int(out)}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{int(out)}").exists()


def test_200_mb_of_output(shell: Shell, target: str) -> None:
    """All of it is kept, and what is on the terminal is what was printed."""
    shell.write(
        "train.py", "line = 'x' * 999 + '\\n'\nfor _ in range(200_000): print(line, end='')\n"
    )
    out, _ = shell.bytes("submit", "train.py", "--target", target)
    assert len(out) == 200_000_000
    assert out == (b"x" * 999 + b"\n") * 200_000
    out, _ = shell.bytes("run", "logs")
    assert len(out) == 200_000_000


def test_source_and_outputs_come_back_byte_by_byte(shell: Shell, target: str) -> None:
    blob = os.urandom(300_000)
    shell.write(
        "train.py",
        "import os, shutil\nos.mkdir('outputs')\nopen(b'outputs/\\xff', 'w').close()\n"
        "shutil.copytree('odd names', 'outputs/odd names', symlinks=True)\n",
    )
    odd = shell.cwd / "odd names"
    odd.mkdir()
    names = ["n" * 255, "space and \N{SNOWMAN}.bin", "new\nline", "-rf", "quote'\".txt", ".zattrs"]
    for name in names:
        (odd / name).write_bytes(name.encode() + blob)
    (odd / "run.sh").write_text("#!/bin/sh\n")
    (odd / "run.sh").chmod(0o755)
    (shell.cwd / "empty").mkdir()
    (shell.cwd / "link").symlink_to("odd names/run.sh")
    submit(shell, target, 0)
    shell.run("run", "restore", "latest", "-o", "restored")
    shell.run("run", "download", "latest", "-o", "got")
    for folder in (shell.cwd / "restored", shell.cwd / "got/outputs"):
        for name in names:
            assert (folder / "odd names" / name).read_bytes() == name.encode() + blob
    assert (shell.cwd / "got/outputs/\\xff").exists()
    restored = shell.cwd / "restored"
    assert os.access(restored / "odd names/run.sh", os.X_OK)
    assert (restored / "link").readlink() == Path("odd names/run.sh")
    assert list((restored / "empty").iterdir()) == []


# -- the way there ------------------------------------------------------------------------------


def test_a_changed_host_key_is_refused(shell: Shell, server: SSHServer, attach: Attach) -> None:
    attach(server)
    shell.write("train.py", "print('on')")
    old = (server.folder / "host_key").read_bytes(), (server.folder / "host_key.pub").read_bytes()
    server.change_host_key()
    server.restart()
    try:
        out, err = submit(shell, "lab", 1)
        assert out == ""
        assert "host key" in err
        assert "has changed" in err
    finally:
        (server.folder / "host_key").write_bytes(old[0])
        (server.folder / "host_key.pub").write_bytes(old[1])
        server.restart()
    assert submit(shell, "lab", 0)[0] == "on\n"


def test_a_run_goes_on_without_its_connection(
    shell: Shell, server: SSHServer, attach: Attach
) -> None:
    attach(server)
    shell.write("train.py", COUNTING)
    with shell.start("submit", "train.py", "--target", "lab") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        server.stop()
        time.sleep(4)
        server.start()
        rest, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert (first + rest).decode().splitlines() == [f"line {i}" for i in range(80)]
    metrics = json.loads(shell.run("run", "metrics", "--json")[0])
    assert metrics["i"] == list(range(80))


def test_a_machine_that_is_away_is_waited_for(
    shell: Shell, server: SSHServer, attach: Attach
) -> None:
    attach(server)
    shell.write("train.py", "print('on')")
    server.stop()
    try:
        kept = shell.run("submit", "train.py", "--target", "lab", "--detach")[0].strip()
        dropped = shell.run("submit", "train.py", "--target", "lab", "--detach")[0].strip()
        view = until(shell, kept, lambda v: "Waiting for lab" in str(v["message"]))
        assert server.address in str(view["message"])
        shell.run("run", "cancel", dropped)
        until(shell, dropped, lambda v: v["state"] == "canceled")
    finally:
        server.start()
    until(shell, kept, lambda v: v["state"] == "completed")
    assert shell.run("run", "logs", kept)[0] == "on\n"


@needs_root
def test_a_wrong_password(shell: Shell) -> None:
    with (
        TemporaryUser() as user,
        SSHServer(user.name, options=["PasswordAuthentication yes"]) as s,
    ):
        argv = ["target", "attach", "ssh", "lab", "--address", s.address, "--port", str(s.port)]
        argv += ["--username", user.name, "--yes", "--password-stdin"]
        for password, code, said in (("wrong", 1, "password"), (user.password, 0, "is ready")):
            with shell.start(*argv, stdin=subprocess.PIPE) as process:
                out, err = process.communicate(password.encode() + b"\n", timeout=60)
            assert process.returncode == code, err
            assert said in (out + err).decode()
            assert user.password.encode() not in out + err
        shell.run("target", "detach", "lab")


# -- the machine there --------------------------------------------------------------------------


@pytest.fixture
def bare() -> Iterator[tuple[SSHServer, Path]]:
    """A machine on whose PATH there is nothing but what the test puts into the folder."""
    # A user of its own: the start-up files of the one who tests may change PATH.
    with TemporaryUser() as user:
        path = user.home / "programs"
        path.mkdir()
        (path / "sh").symlink_to("/bin/sh")
        with SSHServer(user.name, options=[f"SetEnv PATH={path}"]) as server:
            yield server, path


@needs_root
def test_a_machine_without_python(bare: tuple[SSHServer, Path], attach: Attach) -> None:
    said = attach(bare[0], code=1)
    assert "Python" in said
    assert "3.8" in said


@needs_root
def test_a_machine_with_an_old_python(bare: tuple[SSHServer, Path], attach: Attach) -> None:
    server, path = bare
    # A stand-in: it answers the question for its version as Python 3.6.9 does.
    (path / "python3").write_text("#!/bin/sh\necho 3.6.9\nexit 1\n")
    (path / "python3").chmod(0o755)
    said = attach(server, code=1)
    assert "3.6.9" in said
    assert "3.8" in said


@pytest.fixture
def small(server: SSHServer) -> Iterator[Path]:
    """The home of the server's user has 230 MB: just what attaching asks for."""
    home = Path("/home") / server.username
    options = f"size=230m,uid={home.stat().st_uid},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(home)], check=True)
    yield home
    subprocess.run(["umount", "-l", str(home)], check=True)


@needs_root
def test_a_full_disk_there(shell: Shell, server: SSHServer, small: Path, attach: Attach) -> None:
    attach(server)
    (small / "filler").write_bytes(bytes(200 << 20))
    shell.write("train.py", "import sys\nfor _ in range(40): print('x' * 999_999)\nsys.exit(4)")
    _, err = submit(shell, "lab", 4)
    assert "disk is full" in err
    shell.write(
        "train.py",
        "import os\nos.mkdir('outputs')\n"
        "with open('outputs/model', 'wb') as f: f.write(bytes(40_000_000))\n",
    )
    _, err = submit(shell, "lab", 1)
    assert "disk is full" in err
    (shell.cwd / "data.bin").write_bytes(os.urandom(40_000_000))
    _, err = submit(shell, "lab", 1)
    assert "disk is full" in err
    (shell.cwd / "data.bin").unlink()
    shell.write("train.py", "print('on')")
    assert submit(shell, "lab", 0)[0] == "on\n"
