"""A podman whose images and containers lie in a folder of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from typing_extensions import Self

from turnout.testing.dockerd import Unavailable, mounts_below, program

#: Works without a network of its own, and where limits cannot be raised and cgroups are of both
#: versions.
CONTAINERS = """\
[containers]
netns = "host"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/data"
runroot = "{folder}/run"
"""


class Podman:
    """Needs root and Debian's podman. `environ` are the variables that a client needs."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise Unavailable("only root has a podman that needs no set-up")
        self.program = program("podman")
        self.folder = Path(tempfile.mkdtemp(prefix="turnout-podman-"))
        (self.folder / "containers.conf").write_text(CONTAINERS.format(folder=self.folder))
        (self.folder / "storage.conf").write_text(STORAGE.format(folder=self.folder))
        self.environ = {
            **os.environ,
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            # The machine may have a Docker engine too.
            "TURNOUT_CONTAINER_ENGINE": "podman",
        }

    def podman(self, *words: str) -> str:
        """What it prints; AssertionError with its words when it fails."""
        done = subprocess.run(
            [self.program, *words],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=600,
        )
        if done.returncode:
            raise AssertionError(f"podman {' '.join(words)}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.podman("rm", "--all", "--force")
        for place in mounts_below(self.folder):
            subprocess.run([program("umount"), "--lazy", place], check=False, timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)
