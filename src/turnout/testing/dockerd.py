"""A real Docker engine for tests and demos: its own socket, data and folder; nothing else touched.

    with DockerEngine() as engine:
        image = engine.make_base()
        engine.docker("run", "--rm", image, "true")

Needs root and Debian's docker.io; base images are made from Debian's packages (mmdebstrap) without
a registry. The engine has no bridge and leaves the machine's firewall alone: containers use the
network "host" or none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

PROGRAM_FOLDERS = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin"
START_TIMEOUT_S = 60.0
#: Enough for Python and its compiled packages.
PACKAGES = (
    *("python3", "python3-distutils", "dash", "bash", "coreutils", "grep", "sed", "procps"),
    *("libc-bin", "base-files", "libstdc++6"),
)


class Unavailable(Exception):
    """The engine cannot run here; the text says what is missing."""


def program(name: str) -> str:
    """Path of a program, or `Unavailable`."""
    found = shutil.which(name, path=PROGRAM_FOLDERS)
    if not found:
        raise Unavailable(f"{name} is not installed (scripts/docker installs it)")
    return found


class DockerEngine:
    """A dockerd of our own. A context manager; `start` and `stop` by hand too."""

    def __init__(self, *options: str) -> None:
        """`options` are further arguments of dockerd: "--live-restore"."""
        self.options = list(options)
        self.folder = Path(tempfile.mkdtemp(prefix="turnout-dockerd-"))
        # Others than root may reach the socket when it is opened to them.
        self.folder.chmod(0o711)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"

    @property
    def host(self) -> str:
        """What DOCKER_HOST has to be."""
        return f"unix://{self.socket}"

    @property
    def environ(self) -> dict[str, str]:
        """Variables for a client."""
        return {**os.environ, "DOCKER_HOST": self.host}

    @property
    def log(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "log").read_text(errors="replace")
        return ""

    def start(self) -> Self:
        """Start and wait until it answers. Raises `Unavailable`."""
        if self.process is not None:
            return self
        if os.geteuid() != 0:
            raise Unavailable("only root can start a Docker engine")
        program("docker")
        argv = [
            *(program("dockerd"), "--host", self.host, "--pidfile", f"{self.folder}/pid"),
            *("--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec"),
            *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none"),
            # How long it waits for containers when it is stopped.
            "--shutdown-timeout=1",
            *self.options,
        ]
        # What a killed one left: a second one would refuse to start, or wait for a containerd
        # that is dead and, with nobody to collect it, seems to live.
        for name in ("pid", "exec/containerd/containerd.pid"):
            (self.folder / name).unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PATH": PROGRAM_FOLDERS},
            )
        try:
            self.wait_until_answering()
        except BaseException:
            self.stop()
            raise
        return self

    def wait_until_answering(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Unavailable(f"dockerd ended at once: {self.log.strip()[-500:]}")
            if self.try_docker("version").returncode == 0:
                return
            time.sleep(0.02)
        raise Unavailable(f"dockerd did not start: {self.log.strip()[-500:]}")

    def stop(self) -> None:
        """End it as an administrator does."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=START_TIMEOUT_S)
            self.process = None

    def kill(self) -> None:
        """SIGKILL; its containers go on."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=START_TIMEOUT_S)
            self.process = None

    def pause(self) -> None:
        """Make it hang: its socket takes connections and nothing answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    # -- using it ------------------------------------------------------------------------------

    def docker(self, *words: str, data: bytes = b"") -> str:
        """What the client prints; AssertionError with its words when it fails."""
        done = self.try_docker(*words, data=data)
        if done.returncode:
            raise AssertionError(f"docker {' '.join(words)}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def try_docker(
        self, *words: str, data: bytes = b"", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [program("docker"), *words],
            env={**self.environ, **(env or {})},
            input=data,
            capture_output=True,
            timeout=600,
        )

    def containers(self, *options: str) -> list[str]:
        """Names of those that run; with "--all" also of those that ended."""
        return self.docker("ps", *options, "--format", "{{.Names}}").split()

    def import_image(self, archive: Path, name: str) -> str:
        """Make an image of a root file system; returns its name."""
        self.docker("import", str(archive), name)
        return name

    # -- ending --------------------------------------------------------------------------------

    def remove(self) -> None:
        """End it with its containers and remove the folder."""
        with contextlib.suppress(Unavailable, AssertionError, subprocess.TimeoutExpired):
            self.start()
            if names := self.containers("--all"):
                self.try_docker("rm", "--force", *names)
        self.stop()
        for pid in self.left_behind():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for place in mounts_below(self.folder):
            subprocess.run([program("umount"), "--lazy", place], check=False, timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def left_behind(self) -> Iterator[int]:
        """Processes of the engine that a kill left: they have its folder among their arguments."""
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    if str(self.folder).encode() in (folder / "cmdline").read_bytes():
                        yield int(folder.name)

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


def mounts_below(folder: Path) -> list[str]:
    """Mount points in `folder`, the innermost first."""
    places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted((p for p in places if p.startswith(f"{folder}/")), key=len, reverse=True)


def make_base(
    archive: Path,
    packages: Sequence[str] = PACKAGES,
    variant: str = "extract",
) -> Path:
    """A root file system of Debian's packages as a tar file: 6 s. `variant` "apt" can install
    more: 22 s."""
    argv = [program("mmdebstrap"), f"--variant={variant}", f"--include={','.join(packages)}"]
    done = subprocess.run(
        [*argv, "bookworm", str(archive)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
    )
    if done.returncode:
        raise Unavailable(f"mmdebstrap failed: {done.stdout.decode(errors='replace')[-800:]}")
    return archive
