"""A real image registry with a login, on loopback: Debian's docker-registry.

with Registry("ada", "secret") as registry:
    registry.address   # "127.0.0.1:40001"
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import bcrypt
from typing_extensions import Self

from turnout.testing.dockerd import START_TIMEOUT_S, Unavailable, program
from turnout.testing.sshd import LOOPBACK, free_port

CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "{address}"}}
auth: {{htpasswd: {{realm: test, path: {folder}/users}}}}
log: {{level: warn}}
"""


class Registry:
    """Serves images to one user."""

    def __init__(self, username: str, password: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="turnout-registry-"))
        self.port = free_port()
        self.address = f"{LOOPBACK}:{self.port}"
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
        (self.folder / "users").write_text(f"{username}:{hashed}\n")
        (self.folder / "config.yml").write_text(
            CONFIG.format(folder=self.folder, address=self.address)
        )
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            with (self.folder / "log").open("wb") as log:
                self.process = subprocess.Popen(
                    [program("docker-registry"), "serve", str(self.folder / "config.yml")],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            self.wait_until_listening()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_until_listening(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1):
                return
            time.sleep(0.02)
        raise Unavailable(f"docker-registry did not start: {(self.folder / 'log').read_text()}")

    def __exit__(self, *error: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=START_TIMEOUT_S)
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)
