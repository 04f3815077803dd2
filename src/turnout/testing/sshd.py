"""A real OpenSSH server for tests and demos: loopback, a free port, its own keys and folder.

    with SSHServer() as server:
        settings = server.settings()

Run by root it can serve any user, with passwords too (`TemporaryUser`); otherwise only the current
user, by key. Nothing outside its folder is touched, but for `/run/sshd`, which sshd insists on.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from turnout.hosts.ssh_settings import SSHSettings
from turnout.spec.secrets import Secret

SSHD_FOLDERS = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin"
START_TIMEOUT_S = 20.0
LOOPBACK = "127.0.0.1"


class Unavailable(Exception):
    """The server cannot run here; the text says what is missing."""


def program(name: str) -> str:
    """Path of an OpenSSH program, or `Unavailable`."""
    found = shutil.which(name, path=SSHD_FOLDERS)
    if not found:
        raise Unavailable(f"{name} is not installed (Debian: openssh-server, openssh-client)")
    return found


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "", form: str = "") -> Path:
    """Write a new key pair to `path` and `path.pub`. `form` "PEM" gives the older file format."""
    for old in (path, public_half(path)):
        old.unlink(missing_ok=True)
    argv = [
        program("ssh-keygen"),
        "-q",
        "-t",
        kind,
        "-N",
        passphrase,
        "-C",
        "test",
        "-f",
        str(path),
    ]
    subprocess.run(
        argv + (["-m", form] if form else []), check=True, stdin=subprocess.DEVNULL, timeout=60
    )
    return path


def public_half(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")


def public_line(path: Path) -> str:
    """ "ssh-ed25519 AAAA…" of a key pair, without its comment."""
    return " ".join(public_half(path).read_text().split()[:2])


class SSHServer:
    """An sshd that takes logins of one user. A context manager; `start` and `stop` by hand too."""

    def __init__(
        self,
        username: str | None = None,
        *,
        options: Sequence[str] = (),
        authorized: Sequence[str] = (),
        host_key_kind: str = "ed25519",
    ) -> None:
        """`options` are lines of sshd_config that come first (the first one counts); `authorized`
        are public keys that may log in beside `self.user_key`."""
        self.username = username or getpass.getuser()
        self.options = list(options)
        self.host_key_kind = host_key_kind
        self.folder = Path(tempfile.mkdtemp(prefix="turnout-sshd-"))
        # sshd reads the authorised keys as the user who logs in.
        self.folder.chmod(0o711)
        self.user_key = make_key(self.folder / "user_key")
        self.authorize(public_line(self.user_key), *authorized)
        self.change_host_key()
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return LOOPBACK

    @property
    def host_key(self) -> str:
        """The public host key as one line."""
        return public_line(self.folder / "host_key")

    @property
    def known_hosts_line(self) -> str:
        return f"[{self.address}]:{self.port} {self.host_key}"

    @property
    def log(self) -> str:
        """What sshd said since it was started."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "log").read_text(errors="replace")
        return ""

    def settings(self, *, pinned: bool = True) -> SSHSettings:
        """Settings that log in with `user_key`."""
        return SSHSettings(
            address=self.address,
            port=self.port,
            username=self.username,
            private_key=Secret(self.user_key.read_text()),
            host_key=self.host_key if pinned else None,
        )

    def authorize(self, *lines: str) -> None:
        """Let more public keys log in."""
        path = self.folder / "authorized_keys"
        with path.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))
        path.chmod(0o644)

    def change_host_key(self, kind: str = "") -> None:
        """Give the machine another host key, as if it were set up anew. Counts from `restart`."""
        make_key(self.folder / "host_key", kind or self.host_key_kind)

    def start(self) -> Self:
        """Start and wait until it takes connections. Raises `Unavailable`."""
        if self.process is not None:
            return self
        sshd = program("sshd")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        elif self.username != getpass.getuser():
            raise Unavailable("only root can serve another user")
        config = self.folder / "sshd_config"
        config.write_text("\n".join([*self.options, *self.defaults()]) + "\n")
        (self.folder / "log").unlink(missing_ok=True)
        with (self.folder / "log").open("xb") as log:
            self.process = subprocess.Popen(
                [sshd, "-D", "-e", "-f", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.wait_until_listening()
        except BaseException:
            self.stop()
            raise
        return self

    def defaults(self) -> list[str]:
        return [
            f"Port {self.port}",
            f"ListenAddress {LOOPBACK}",
            f"HostKey {self.folder}/host_key",
            "PidFile none",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            f"AllowUsers {self.username}",
            "PermitRootLogin yes",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UsePAM no",
            "StrictModes no",
            "UseDNS no",
            "PrintMotd no",
            "PrintLastLog no",
        ]

    def wait_until_listening(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Unavailable(f"sshd ended at once: {self.log.strip()[-500:]}")
            if "Server listening on" in self.log:
                return
            time.sleep(0.01)
        raise Unavailable(f"sshd did not start: {self.log.strip()[-500:]}")

    def stop(self) -> None:
        """End it and every connection; the commands that they started go on."""
        if self.process is None:
            return
        self.resume()
        connections = self.connections()  # before it ends: they have no parent then
        self.process.terminate()
        kill(connections)
        self.process.wait(timeout=START_TIMEOUT_S)
        self.process = None

    def restart(self) -> None:
        """Stop and start again on the same port."""
        self.stop()
        self.start()

    def cut(self) -> None:
        """Kill the processes of the connections, as a network does; the server goes on."""
        kill(self.connections())

    def pause(self) -> None:
        """Make it hang: connections stay open and nothing answers."""
        self.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal_all(signal.SIGCONT)

    def signal_all(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        kill([self.process.pid, *self.connections()], number)

    def connections(self) -> list[int]:
        """The pids of its connection processes: sshd's own, not the commands of users."""
        if self.process is None:
            return []
        parents = {pid: parent for pid, parent, name in processes() if name.startswith("sshd")}
        found: list[int] = []
        todo = [self.process.pid]
        while todo:
            parent = todo.pop()
            children = [pid for pid, of in parents.items() if of == parent]
            found += children
            todo += children
        return found

    def remove(self) -> None:
        """Stop and remove the folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


class SSHAgent:
    """An ssh-agent on a socket of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="turnout-agent-"))
        self.path = str(self.folder / "agent.sock")
        self.process: subprocess.Popen[bytes] | None = None

    def add(self, key: Path) -> None:
        subprocess.run(
            [program("ssh-add"), "-q", str(key)],
            check=True,
            env={**os.environ, "SSH_AUTH_SOCK": self.path},
            stdin=subprocess.DEVNULL,
            timeout=30,
        )

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [program("ssh-agent"), "-D", "-a", self.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not Path(self.path).exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise Unavailable("ssh-agent did not start")
            time.sleep(0.01)
        return self

    def __exit__(self, *error: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=START_TIMEOUT_S)
        shutil.rmtree(self.folder, ignore_errors=True)


class TemporaryUser:
    """A user of this machine with a random password, gone at the end. Needs root.

    It is made with `useradd`, so it exists for the whole machine meanwhile.
    """

    def __init__(self, shell: str = "/bin/sh") -> None:
        self.name = f"turnout-{secrets.token_hex(4)}"
        self.password = secrets.token_urlsafe(16)
        self.shell = shell

    @property
    def home(self) -> Path:
        return Path("/home") / self.name

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise Unavailable("only root can make a user for the test")
        for name in ("useradd", "chpasswd", "userdel"):
            program(name)
        argv = [program("useradd"), "-m", "-d", str(self.home), "-s", self.shell, self.name]
        subprocess.run(argv, check=True, timeout=60)
        try:
            line = f"{self.name}:{self.password}\n".encode()
            subprocess.run([program("chpasswd")], input=line, check=True, timeout=60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        kill(self.processes())
        argv = [program("userdel"), "-f", "-r", self.name]
        # Says on stderr that there is no mail spool, which is so.
        subprocess.run(argv, check=False, timeout=60, stderr=subprocess.DEVNULL)

    def processes(self) -> list[int]:
        """What still runs as this user."""
        home = self.home
        if not home.exists():
            return []
        uid = home.stat().st_uid
        found: list[int] = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and folder.stat().st_uid == uid:
                    found.append(int(folder.name))
        return found


def processes() -> Iterator[tuple[int, int, str]]:
    """(pid, parent, name) of every process."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            head, _, tail = (folder / "stat").read_text(errors="replace").rpartition(")")
            yield int(folder.name), int(tail.split()[1]), head.partition("(")[2]


def kill(pids: Sequence[int], number: signal.Signals = signal.SIGKILL) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
