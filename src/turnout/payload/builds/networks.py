"""Virtual networks: the container network that runs of a cluster join, made by the first and
removed after the last.

Contract: docs/design/run-folder.md, "Ticket", `network`. Who uses a network is said by locks
below the host root, so it is known after a kill too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time

from turnout.payload import rundir
from turnout.payload.builds.engine import Engine, ask, explain
from turnout.payload.builds.telling import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NETWORKS = "networks"
#: Marks what we make.
LABEL = "org.turnout.network"
#: A host's name has at most so many characters.
HOST = 63
#: Longest wait for an engine that has yet to notice that our container ended.
LEAVE_S = 2.0
LEAVE_AGAIN_S = 0.05


class Network:
    """The network that a ticket asks for, on one engine; a context manager around its use."""

    def __init__(self, engine: Engine, root: str, asked: dict[str, Any], box: str) -> None:
        """`box` is the name of the container that joins it."""
        self.engine = engine
        self.box = box
        self.name: str = asked["name"]
        #: "10.20.0.0/24"; "" for whatever the engine takes.
        self.subnet: str = asked.get("subnet") or ""
        #: Whether what is outside of it can be reached.
        self.outside = bool(asked.get("outside"))
        #: By what others reach us.
        self.host: str = asked.get("host") or ""
        self.folder = os.path.join(root, NETWORKS)
        #: Descriptor of the lock that says that we use it.
        self.used = -1

    def __enter__(self) -> Network:
        rundir.make_folder(self.folder)
        with self.changing():
            # Taken while nobody else may change the network: it cannot go between the two.
            self.used = self.lock("used", fcntl.LOCK_SH)
            try:
                self.make()
            except BaseException:
                os.close(self.used)
                raise
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the network if nobody else uses it. What fails here is left to the next one."""
        with contextlib.suppress(OSError, BuildError), self.changing():
            try:
                fcntl.flock(self.used, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.remove()
            finally:
                os.close(self.used)

    @contextlib.contextmanager
    def changing(self) -> Any:
        fd = self.lock("change", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(fd)

    def lock(self, what: str, how: int) -> int:
        path = os.path.join(self.folder, "%s.%s" % (self.name, what))
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, how)
        return fd

    def options(self) -> list[str]:
        """Of `run`: join it, under the node's name."""
        found = ["--network", self.name]
        if self.host:
            found += ["--network-alias", self.host]
            if len(self.host) <= HOST:
                found += ["--hostname", self.host]
        if not self.outside and self.engine.kind == "docker":
            # Docker's own name service knows who is in the network; it is to ask nobody else, and
            # to say so at once.
            found += ["--dns", "127.0.0.1", "--dns-option", "timeout:1", "--dns-option"]
            found.append("attempts:1")
        return found

    # -- the engine ----------------------------------------------------------------------------

    def make(self) -> None:
        """Make it unless it is there as it should be; BuildError in words when that cannot be."""
        found = self.look()
        if found is not None and self.fits(found):
            return
        if found is not None:
            # Left by a cluster that had it otherwise. One that is in use stays.
            self.engine.try_ask("network", "rm", self.name)
        code, out, err = ask(self.engine.program, ("network", "create", *self.wanted()))
        if not code:
            return
        # Somebody else on this engine may have been faster.
        found = self.look()
        if found is None:
            raise BuildError(self.why_not(err or out))
        if not self.fits(found):
            raise BuildError(
                "The network %s is in use, and it is %s. Clusters that share a virtual network "
                "and a subnet must say the same of what is outside."
                % (self.name, describe(found) or "another one")
            )

    def wanted(self) -> list[str]:
        words = ["--label", "%s=yes" % LABEL]
        if self.subnet:
            words += ["--subnet", self.subnet]
        if not self.outside:
            words.append("--internal")
            if self.engine.kind == "docker":
                # The machine itself is outside too: it gets no address in the network.
                words += ["--opt", "com.docker.network.bridge.inhibit_ipv4=true"]
        return [*words, self.name]

    def look(self) -> dict[str, Any] | None:
        """What the engine knows of it, None when there is none."""
        answer = self.engine.try_ask("network", "inspect", self.name)
        try:
            found = json.loads(answer or "[]")
        except ValueError:
            return None
        return found[0] if found else None

    def fits(self, found: dict[str, Any]) -> bool:
        if is_internal(found) == self.outside:
            return False
        return not self.subnet or self.subnet in subnets(found)

    def why_not(self, said: str) -> str:
        text = explain(said, "%s network create" % self.engine.kind)
        if "overlap" in said or "already used" in said:
            text = (
                "The range %s is taken on this machine by another network. Give the cluster "
                "another subnet, or a name, and the engine chooses a range.\n%s"
                % (self.subnet or "that the engine chose", text.splitlines()[-1])
            )
        return "The network of the run's node cannot be made. " + text

    def remove(self) -> None:
        end = time.monotonic() + LEAVE_S
        while True:
            code, _, _ = ask(self.engine.program, ("network", "rm", self.name))
            if not code or time.monotonic() > end or self.look() is None or self.has_others():
                return
            time.sleep(LEAVE_AGAIN_S)

    def has_others(self) -> bool:
        """Whether containers of another host root, or not ours at all, are in it."""
        words = ("--filter", "network=%s" % self.name, "--format", "{{.Names}}")
        return bool(set((self.engine.try_ask("ps", *words) or "").split()) - {self.box})


def is_gone(error: BuildError) -> bool:
    """Whether a container was not started because its network went meanwhile: runs of another
    host root on the same engine know nothing of our locks.

    >>> is_gone(BuildError("'docker run' failed: docker: network turnout-lab-a not found."))
    True
    """
    return bool(re.search(r"network (?:\S+ )?not found", str(error)))


def is_internal(found: dict[str, Any]) -> bool:
    """
    >>> is_internal({"Internal": True}), is_internal({"internal": False})
    (True, False)
    """
    return bool(found.get("Internal", found.get("internal", False)))


def subnets(found: dict[str, Any]) -> list[str]:
    """
    >>> subnets({"IPAM": {"Config": [{"Subnet": "10.1.0.0/24"}]}})
    ['10.1.0.0/24']
    >>> subnets({"subnets": [{"subnet": "10.1.0.0/24"}]})
    ['10.1.0.0/24']
    """
    docker = (found.get("IPAM") or {}).get("Config") or []
    rows = [row.get("Subnet") for row in docker]
    rows += [row.get("subnet") for row in found.get("subnets") or []]
    return [row for row in rows if row]


def describe(found: dict[str, Any]) -> str:
    """
    >>> describe({"internal": True, "subnets": [{"subnet": "10.1.0.0/24"}]})
    '10.1.0.0/24, without what is outside'
    """
    outside = "without what is outside" if is_internal(found) else "with what is outside"
    return ", ".join([*subnets(found), outside])
