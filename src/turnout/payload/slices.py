"""The part of a machine that a run may use: cores by affinity, memory by a cgroup, GPUs by name.

Contract: docs/design/run-folder.md, "Ticket", `slice`. Where this user may make no cgroup, memory
is not held, and `limits` says so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from turnout.payload import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CGROUPS = "/sys/fs/cgroup"
MB = 1 << 20


class Slice:
    """The slice of the run `handle`, as its ticket says."""

    def __init__(self, handle: str, asked: dict[str, Any], of_several: bool = False) -> None:
        self.node = str(asked.get("node") or "")
        #: What its cgroup is called.
        self.name = "turnout-%s" % handle + ("-" + self.node if of_several else "")
        self.cores: list[int] = asked.get("cores") or []
        self.memory_mb = int(asked.get("memory_mb") or 0)
        self.gpus: list[int] = asked.get("gpus") or []
        #: The cgroup that holds the memory; "" where there is none.
        self.folder = ""
        self.version = 0
        #: A cgroup that an engine made for the run and us, and what was killed in it before.
        self.engines = ""
        self.killed_before = 0

    def prepare(self) -> None:
        """Make the cgroup, where this user may."""
        if not self.memory_mb:
            return
        parent, self.version = parent_group()
        folder = os.path.join(parent, self.name) if parent else ""
        limit = "memory.max" if self.version == 2 else "memory.limit_in_bytes"
        try:
            if folder:
                os.makedirs(folder, exist_ok=True)
                put(os.path.join(folder, limit), str(self.memory_mb * MB))
                self.folder = folder
        except OSError:
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def enter(self) -> None:
        """Called by the script's process before it becomes the script."""
        if self.cores:
            os.sched_setaffinity(0, self.cores)
        if self.folder:
            put(os.path.join(self.folder, "cgroup.procs"), str(os.getpid()))

    def variables(self) -> dict[str, str]:
        """What programs look at; a node without GPUs hides those of the machine."""
        found = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, self.gpus))}
        if self.cores:
            found["OMP_NUM_THREADS"] = str(len(self.cores))
        return found

    def adopt(self, memory_mb: int) -> None:
        """The engine has put this process where the run's memory is held."""
        self.memory_mb = memory_mb
        self.engines, self.version = parent_group()
        self.killed_before = self.killed(self.engines)

    def outgrown(self) -> bool:
        """Whether the kernel killed something of the run for want of memory."""
        if self.engines:
            return self.killed(self.engines) > self.killed_before
        return bool(self.folder) and self.killed(self.folder) > 0

    def killed(self, folder: str) -> int:
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        try:
            with open(os.path.join(folder, name), encoding="ascii") as file:
                counts = dict(line.split() for line in file)
            return int(counts.get("oom_kill", 0))
        except (OSError, ValueError):
            return 0

    def remove(self) -> None:
        """Nothing of the run is left in it."""
        if self.folder:
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)


def variables_of(parts: list[Slice]) -> dict[str, str]:
    """What programs look at, for a run that has all of these; its processes are told their own."""
    found = parts[0].variables()
    found["CUDA_VISIBLE_DEVICES"] = ",".join(str(gpu) for part in parts for gpu in part.gpus)
    return found


def end_processes(handle: str) -> None:
    """Kill what is left of an attempt whose supervisor died, where its cgroup tells of it."""
    parent, _ = parent_group()
    own = "turnout-" + handle
    try:
        names = os.listdir(parent) if parent else []
    except OSError:
        return
    for name in names:
        # With several nodes there is one for each, by its name.
        if name == own or name.startswith(own + "-"):
            end_group(os.path.join(parent, name))


def end_group(folder: str) -> None:
    try:
        while True:
            with open(os.path.join(folder, "cgroup.procs"), encoding="ascii") as file:
                pids = [int(line) for line in file]
            if not pids:
                os.rmdir(folder)
                return
            processes.send_signal(pids, signal.SIGKILL)
            time.sleep(0.01)
    except OSError:
        return


def put(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def parent_group() -> tuple[str, int]:
    """(the cgroup below which ours may lie, version of cgroups); ("", 0) where there is none."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            rows = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return "", 0
    for _, controllers, path in rows:
        if "memory" in controllers.split(","):
            own = CGROUPS + "/memory" + path
            # Seen from inside of a container the path may be another's.
            return (own if os.path.isdir(own) else CGROUPS + "/memory"), 1
    for _, controllers, path in rows:
        if not controllers and os.path.exists(CGROUPS + "/cgroup.controllers"):
            # A group that has processes can have none below it: ours lies beside it.
            return os.path.dirname(CGROUPS + path.rstrip("/")) if path != "/" else CGROUPS, 2
    return "", 0


def limits() -> str:
    """How slices are held on this machine, in a sentence; tried for real."""
    probe = Slice("probe.%d" % os.getpid(), {"memory_mb": 64})
    probe.prepare()
    held = bool(probe.folder)
    probe.remove()
    if held:
        return "Cores are held by affinity, memory by cgroups (version %d)." % probe.version
    return (
        "Cores are held by affinity. Memory is not held: this user may make no cgroup with a "
        "memory limit here."
    )
