"""The real command line against a real service, in a home of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout import Workspace
from turnout.client.embedded import default_client
from turnout.testing.missing import missing
from turnout.testing.sshd import SSHServer, TemporaryUser, Unavailable


class Shell:
    """Runs `turnout …` as a person would."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cwd = Path.cwd()
        hidden = ("TURNOUT_", "VIRTUAL_ENV", "CONDA_PREFIX")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        self.env["TURNOUT_HOME"] = str(home)

    def start(self, *args: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "turnout.cli.main", *args],
            cwd=self.cwd,
            env={**self.env, **options.pop("env", {})},
            stdout=subprocess.PIPE,
            stderr=options.pop("stderr_to", subprocess.PIPE),
            stdin=options.pop("stdin", subprocess.DEVNULL),
            # Whoever runs the tests in the background lets them ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            **options,
        )

    def bytes(self, *args: str, code: int = 0, **options: Any) -> tuple[bytes, str]:
        """(stdout, stderr) of a command that must end with `code`; no stack trace of ours."""
        with self.start(*args, **options) as process:
            out, err = process.communicate(timeout=120)
        text = err.decode(errors="replace")
        assert process.returncode == code, f"{args}: {process.returncode}\n{out!r}\n{text}"
        assert "Traceback" not in text
        return out, text

    def run(self, *args: str, code: int = 0, **options: Any) -> tuple[str, str]:
        out, err = self.bytes(*args, code=code, **options)
        return out.decode(), err

    def fails(self, *args: str, **options: Any) -> str:
        """The error of a command that was asked for something impossible."""
        out, err = self.run(*args, code=2, **options)
        assert out == ""
        assert "turnout: error: " in err
        return err

    def write(self, name: str, text: str) -> Path:
        path = self.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    # Short: the path of a unix socket is limited.
    with tempfile.TemporaryDirectory(prefix="turnout-") as name:
        folder = Path(name) / "home"
        yield folder
        Shell(folder).run("service", "stop")


@pytest.fixture
def shell(home: Path, tmp_path: Path) -> Shell:
    """A shell in an empty folder `work`; the service is shared, and started by the first use."""
    made = Shell(home)
    made.cwd = tmp_path / "work"
    made.cwd.mkdir()
    return made


@pytest.fixture
def ws(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The workspace of `shell`'s service, for the SDK in this process."""
    monkeypatch.setenv("TURNOUT_HOME", str(shell.home))
    monkeypatch.chdir(shell.cwd)
    yield Workspace()
    default_client().close()


@pytest.fixture(scope="session")
def server() -> Iterator[SSHServer]:
    try:
        if os.geteuid() == 0:
            with TemporaryUser() as user, SSHServer(user.name) as made:
                yield made
        else:
            with SSHServer() as made:
                yield made
    except Unavailable as e:
        missing(e)
