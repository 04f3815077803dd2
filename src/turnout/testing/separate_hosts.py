"""Machines of their own on this one: each has a name, an address and processes that no other sees.

They share this machine's files and are reached from it. Needs root and Debian's iproute2::

    with SeparateHosts(["a", "b"]) as hosts:
        subprocess.run([*hosts.enter("a"), "hostname"])     # a
"""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import Self

from turnout.testing.dockerd import Unavailable
from turnout.testing.waiting import wait_until

NAMESPACES = ("--net", "--uts", "--mount", "--pid")
#: The first process of a machine: it collects what others leave behind. /sys stays this machine's,
#: or no control group would be seen.
FIRST = """\
set -e
mount --bind "$2/hosts" /etc/hosts
# No name server is to be reached: an answer at once that there is none, or each name takes 10 s.
[ ! -e /etc/resolv.conf ] || mount --bind "$2/resolv.conf" /etc/resolv.conf
ip link set lo up
hostname "$1"
sleep infinity &
wait
"""


def ip(*argv: str) -> str:
    done = subprocess.run(["ip", *argv], capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"ip {' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


class SeparateHosts:
    """Machines called `names`, switched on by `start`. `address`: where they find this machine."""

    def __init__(self, names: Sequence[str]) -> None:
        for program in ("ip", "unshare", "nsenter"):
            if not shutil.which(program):
                raise Unavailable(f"there is no {program}")
        self.names = list(names)
        self.mark = secrets.token_hex(3)
        self.bridge = f"tn{self.mark}"
        taken = ip("-o", "-4", "addr")
        free = [f"10.213.{n}" for n in range(256) if f" 10.213.{n}." not in taken]
        self.subnet = secrets.choice(free)
        self.holders: dict[str, subprocess.Popen[bytes]] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="turnout-hosts-", dir="/tmp"))

    @property
    def address(self) -> str:
        return f"{self.subnet}.1"

    def address_of(self, name: str) -> str:
        return f"{self.subnet}.{self.names.index(name) + 11}"

    def __enter__(self) -> Self:
        try:
            ip("link", "add", self.bridge, "type", "bridge")
            ip("addr", "add", f"{self.address}/24", "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
            known = [(self.address, socket.gethostname())]
            known += [(self.address_of(name), name) for name in self.names]
            lines = ["127.0.0.1 localhost", *(f"{address} {name}" for address, name in known)]
            (self.folder / "hosts").write_text("\n".join(lines) + "\n")
            (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
            for name in self.names:
                self.start(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, name: str) -> None:
        """Switch the machine on; one that is on stays so."""
        if name in self.holders:
            return
        argv = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc"]
        self.holders[name] = subprocess.Popen(
            [*argv, "sh", "-c", FIRST, "first", name, str(self.folder)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(lambda: self.first(name) != "", f"the machine {name} to start")
        cable = self.cable(name)
        first = self.first(name)
        ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", first)
        ip("link", "set", cable, "master", self.bridge, "up")
        for words in (
            ["addr", "add", f"{self.address_of(name)}/24", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["route", "add", "default", "via", self.address],
        ):
            subprocess.run([*self.enter(name), "ip", *words], check=True)
        wait_until(lambda: self.asked_name(name) == name, f"the machine {name} to have its name")

    def asked_name(self, name: str) -> str:
        argv = [*self.enter(name), "hostname"]
        return subprocess.run(argv, capture_output=True, text=True).stdout.strip()

    def first(self, name: str) -> str:
        """The number, as this machine counts, of the other's first process; "" before it runs."""
        pid = self.holders[name].pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()

    def enter(self, name: str) -> list[str]:
        """Before the words of a command that runs on this machine."""
        return ["nsenter", f"--target={self.first(name)}", *NAMESPACES, "--"]

    def cable(self, name: str) -> str:
        return f"{self.mark}-{self.names.index(name)}"

    def stop(self, name: str) -> None:
        """As when its power fails."""
        holder = self.holders.pop(name, None)
        if holder is not None:
            holder.kill()
            holder.wait()
            # The kernel would, but later, and the next start makes one of this name.
            subprocess.run(["ip", "link", "del", self.cable(name)], capture_output=True)

    def __exit__(self, *error: object) -> None:
        for name in self.names:
            self.stop(name)
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
