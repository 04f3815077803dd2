"""What processes use at one moment, as the kernel counts it; what GPUs do, as nvidia-smi says.

Reading only; when it is read and what becomes of it is in `usage`.
"""

from __future__ import annotations

import contextlib
import os

from turnout.payload import processes, slices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
MB = 1 << 20
#: Words of the query, and what its lines then hold.
GPU_QUERY = ("--query-gpu=index,utilization.gpu,memory.used", "--format=csv,noheader,nounits")


class Row:
    """A process: the CPU that it and its collected children used, and what it holds."""

    __slots__ = ("cpu_s", "parent", "resident")

    def __init__(self, parent: int, cpu_s: float, resident: int) -> None:
        self.parent = parent
        self.cpu_s = cpu_s
        self.resident = resident


def parse_stat(data: bytes) -> Row:
    """A line of `/proc/PID/stat`; ValueError or IndexError when it is none.

    The name in parentheses may hold anything: fields count from its last one.
    """
    fields = data.rpartition(b")")[2].split()
    ticks = sum(int(field) for field in fields[11:15])
    return Row(int(fields[1]), ticks / TICKS, int(fields[21]) * PAGE)


def every_process() -> dict[int, Row]:
    """All that this user may see, by pid."""
    found: dict[int, Row] = {}
    for pid, data in processes.stats().items():
        try:
            found[pid] = parse_stat(data)
        except (ValueError, IndexError):
            continue
    return found


def below(rows: dict[int, Row], top: int, without: Iterable[int] = ()) -> list[int]:
    """Pids of every process below `top`, those of `without` and below them left out."""
    children: dict[int, list[int]] = {}
    for pid, row in rows.items():
        children.setdefault(row.parent, []).append(pid)
    left_out = set(without)
    found: list[int] = []
    todo = [top]
    while todo:
        more = [pid for pid in children.get(todo.pop(), []) if pid not in left_out]
        found += more
        todo += more
    return found


def peak_of(pid: int) -> int:
    """The most bytes that the process ever held; 0 when it is gone."""
    try:
        with open("/proc/%d/status" % pid, "rb") as file:
            for line in file:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    return 0


def collected_s() -> float:
    """CPU seconds of the children that this process has collected, and of theirs."""
    found = os.times()
    return found.children_user + found.children_system


# -- cgroups -----------------------------------------------------------------------------------


class Group:
    """A cgroup that holds the run and nothing else; "" where a figure is not counted."""

    def __init__(self, cpu: str = "", memory: str = "") -> None:
        #: File of the CPU time so far: `cpu.stat` or `cpuacct.usage`.
        self.cpu = cpu
        #: `memory.stat`.
        self.memory = memory

    def cpu_s(self) -> float | None:
        """CPU seconds so far, of those too that ended; None where they are not counted."""
        if self.cpu.endswith("cpu.stat"):
            used = read_counts(self.cpu).get("usage_usec")
            return None if used is None else used / 1e6
        if self.cpu:
            with contextlib.suppress(OSError, ValueError), open(self.cpu, "rb") as file:
                return int(file.read()) / 1e9
        return None

    def resident(self) -> int | None:
        """Bytes held, those that several processes share counted once."""
        found = read_counts(self.memory) if self.memory else {}
        if "total_rss" in found:
            return found["total_rss"] + found.get("total_mapped_file", 0)
        if "anon" in found:
            return found["anon"] + found.get("file_mapped", 0)
        return None


def read_counts(path: str) -> dict[str, int]:
    """A file of `name number` lines; empty when it cannot be read."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
        for line in file:
            name, number = line.split()
            found[name] = int(number)
    return found


def group_at(folder: str, version: int) -> Group:
    """The cgroup that a slice made: of version 1 it is one of the memory alone."""
    if not folder:
        return Group()
    cpu = os.path.join(folder, "cpu.stat") if version == 2 else ""
    return Group(cpu, os.path.join(folder, "memory.stat"))


def group_of(pid: int) -> Group:
    """The cgroup that `pid` has apart from us; what is also ours is left out."""
    theirs, ours = paths_of(pid), paths_of(os.getpid())
    found = Group()
    for controllers, path in theirs.items():
        if path == ours.get(controllers) or path == "/" or "/.." in path:
            continue
        names = controllers.split(",")
        for name, file in (("cpuacct", "cpuacct.usage"), ("memory", "memory.stat")):
            if name in names:
                # Mounted by its own name, or by those of all that share it.
                places = [
                    "%s/%s%s/%s" % (slices.CGROUPS, n, path, file) for n in (name, controllers)
                ]
                there = next((place for place in places if os.path.exists(place)), "")
                if name == "memory":
                    found.memory = found.memory or there
                else:
                    found.cpu = found.cpu or there
        if not controllers:
            folder = slices.CGROUPS + path
            if os.path.exists(folder + "/memory.stat"):
                found = Group(folder + "/cpu.stat", folder + "/memory.stat")
    return found


def paths_of(pid: int) -> dict[str, str]:
    """{controllers: path} of the process; version 2 has no controllers."""
    try:
        with open("/proc/%d/cgroup" % pid, encoding="utf-8", errors="replace") as file:
            rows = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return {}
    return {row[1]: row[2] for row in rows if len(row) == 3}


def first_processes(folder: str, pids: Iterable[int]) -> list[int]:
    """The first processes of containers whose pipes lie in `folder`, named by their arguments.

    No engine is asked. None is seen where the engine has other process ids than we.
    """
    wanted = b"\0turnout\0%s/" % os.fsencode(os.path.realpath(folder))
    found: list[int] = []
    for pid in pids:
        try:
            with open("/proc/%d/cmdline" % pid, "rb", 0) as file:
                if wanted in file.read(1 << 16) and is_first(pid):
                    found.append(pid)
        except OSError:
            continue
    return found


def is_first(pid: int) -> bool:
    """Whether it is the first process of a namespace of its own: the engine's client, which has
    the same arguments, is not."""
    with open("/proc/%d/status" % pid, "rb") as file:
        for line in file:
            if line.startswith(b"NSpid:"):
                return line.split()[-1] == b"1" and len(line.split()) > 2
    return False


# -- GPUs --------------------------------------------------------------------------------------


def parse_gpus(text: str) -> list[dict[str, object]]:
    """The lines of nvidia-smi; what a card does not tell ("[N/A]") is None.

    >>> parse_gpus("0, 97, 40536\\n1, [N/A], 3\\n")[1]
    {'index': 1, 'use': None, 'memory_mb': 3}
    """
    found: list[dict[str, object]] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 3 and cells[0].isdigit():
            use, memory = (int(c) if c.isdigit() else None for c in cells[1:])
            found.append({"index": int(cells[0]), "use": use, "memory_mb": memory})
    return found


def gpu_query(env: dict[str, str]) -> list[str]:
    """The command line that asks for the GPUs of a run with these variables; [] for none."""
    shown = env.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        if not os.path.exists("/dev/nvidiactl"):
            return []
        chosen: list[str] = []
    else:
        chosen = [word.strip() for word in shown.split(",") if word.strip()]
        # -1 hides every GPU, and what no query takes is not asked for.
        if not chosen or any(word.startswith("-") for word in chosen):
            return []
    try:
        # Ours: the run's PATH may be meant for the inside of its container.
        path = os.environ.get("PATH", os.defpath)
        program = processes.find_program("nvidia-smi", path, "/")
    except processes.StartError:
        return []
    only = ["--id=%s" % ",".join(chosen)] if chosen else []
    return [program, *only, *GPU_QUERY]
