"""What a run uses over time: CPU, memory and GPUs, a line of JSON every few seconds.

Contract: docs/design/run-folder.md, "Usage". Read by the supervisor between other things: nothing
here waits, and what cannot be found out is left out.
"""

from __future__ import annotations

import json
import os
import signal
import time

from turnout.payload import gauges, processes, rundir

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Iterable, Sequence
    from typing import Any

#: When the first sample is taken: a shorter run has none.
FIRST_S = 1.0
#: Between two samples, while the run is younger than `OFTEN_S`, and later.
GAP_S = 5.0
LATER_GAP_S = 30.0
OFTEN_S = 600.0
#: A last sample is taken when the one before is older than this.
LAST_S = 0.5
#: Longest wait for nvidia-smi, and how often in a row it may fail before it is asked no more.
GPU_S = 4.0
GPU_TRIES = 3
#: Longest answer of nvidia-smi.
ANSWER = 1 << 16


def gap_s(age_s: float) -> float:
    """How long after a sample, taken at that age of the run, the next one is due."""
    return GAP_S if age_s < OFTEN_S else LATER_GAP_S


class Reading:
    """All at one moment. `cpu_s` since the run's start; memory in bytes."""

    def __init__(self, cpu_s: float, resident: int, peak: int, count: int) -> None:
        self.cpu_s = cpu_s
        self.resident = resident
        self.peak = peak
        self.count = count


class Own:
    """Processes of the run that descend from this one."""

    def __init__(self, groups: Sequence[gauges.Group]) -> None:
        self.groups = groups
        self.base_s = gauges.collected_s()

    def read(self, without: Iterable[int]) -> Reading | None:
        rows = gauges.every_process()
        pids = gauges.below(rows, os.getpid(), without)
        resident = held(self.groups)
        if resident is None:
            resident = sum(rows[pid].resident for pid in pids)
        peak = max((gauges.peak_of(pid) for pid in pids), default=0)
        return Reading(self.cpu_s(rows, pids), resident, max(peak, resident), len(pids))

    def cpu_s(self, rows: dict[int, gauges.Row], pids: list[int]) -> float:
        """The living, what they collected, and what we collected."""
        counted = [group.cpu_s() for group in self.groups]
        if counted and None not in counted:
            return sum(c for c in counted if c is not None)
        return sum(rows[pid].cpu_s for pid in pids) + gauges.collected_s() - self.base_s

    def read_last(self) -> Reading | None:
        """When all have ended: their CPU is what we collected."""
        return Reading(self.cpu_s({}, []), 0, 0, 0)


class Boxed:
    """Processes of the run that a container engine started: they do not descend from us."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        #: Processes that were looked at already.
        self.seen: set[int] = set()
        #: First process of each container → what holds it.
        self.boxes: dict[int, gauges.Group] = {}
        #: CPU seconds of each, as last seen.
        self.used: dict[int, float] = {}

    def read(self, without: Iterable[int]) -> Reading | None:
        """None while no container is seen."""
        rows = gauges.every_process()
        for pid in gauges.first_processes(self.folder, rows.keys() - self.seen):
            self.boxes[pid] = gauges.group_of(pid)
        self.seen = set(rows)
        self.boxes = {pid: group for pid, group in self.boxes.items() if pid in rows}
        if not self.boxes:
            return None
        total = peak = count = 0
        for first, group in self.boxes.items():
            pids = [first, *gauges.below(rows, first)]
            cpu_s, resident = group.cpu_s(), group.resident()
            self.used[first] = sum(rows[p].cpu_s for p in pids) if cpu_s is None else cpu_s
            total += sum(rows[p].resident for p in pids) if resident is None else resident
            peak = max([peak, *(gauges.peak_of(pid) for pid in pids)])
            count += len(pids)
        return Reading(sum(self.used.values()), total, max(peak, total), count)

    def read_last(self) -> Reading | None:
        """They are gone, and their figures with them."""
        return None


def held(groups: Sequence[gauges.Group]) -> int | None:
    """Bytes that the groups hold; None where one does not tell."""
    found = [group.resident() for group in groups]
    return None if not found or None in found else sum(r for r in found if r is not None)


class Usage:
    """Samples of one run, from now on. `tick` is called whenever its supervisor is awake."""

    def __init__(
        self, folder: str, source: Own | Boxed, query: list[str], poll: select.poll
    ) -> None:
        """`query` asks for the GPUs; [] where the run has none."""
        self.folder = folder
        self.path = os.path.join(folder, rundir.USAGE)
        self.source = source
        self.query = query
        self.poll = poll
        self.started = self.last = time.monotonic()
        self.cpu_s = 0.0
        self.peak = 0
        self.lines = 0
        self.torn = False
        #: When something is due: a sample, or the end of our patience with nvidia-smi.
        self.due_at = self.started + FIRST_S
        #: Where nvidia-smi answers; -1 while it is not asked.
        self.answer_fd = -1
        self.answer = b""
        self.failures = 0
        #: Every nvidia-smi of ours that lives, and the last one.
        self.asked: set[int] = set()
        self.asked_last = 0

    def tick(self, ready: Sequence[int]) -> bool:
        """Do what is due; whether there is a new line."""
        now = time.monotonic()
        if self.answer_fd >= 0:
            if self.answer_fd in ready and not self.hear():
                return self.sample(self.gpus())
            if now < self.due_at:
                return False
            self.give_up()
            self.failures += 1
            return self.sample([])
        if now < self.due_at:
            return False
        if self.query and self.failures < GPU_TRIES and self.ask(now):
            return False
        return self.sample([])

    def sample(self, gpus: list[dict[str, object]]) -> bool:
        now = time.monotonic()
        self.due_at = now + gap_s(now - self.started)
        return self.write(self.source.read(self.asked), gpus, now)

    def finish(self) -> None:
        """The run is over: what it used since the last sample, if it has any."""
        self.give_up()
        now = time.monotonic()
        if self.lines and now - self.last >= LAST_S:
            self.write(self.source.read_last(), [], now)

    def write(self, reading: Reading | None, gpus: list[dict[str, object]], now: float) -> bool:
        if reading is None:
            return False
        seconds = max(now - self.last, 1e-3)
        # A process that nobody collected takes its time along: never less than nothing.
        cpu = max(reading.cpu_s - self.cpu_s, 0.0) / seconds
        self.last, self.cpu_s = now, reading.cpu_s
        self.peak = max(self.peak, reading.peak)
        line: dict[str, Any] = {
            "at": round(time.time(), 3),
            "seconds": round(seconds, 3),
            "cpu": round(cpu, 3),
            "memory_mb": round(reading.resident / gauges.MB, 1),
            "peak_mb": round(self.peak / gauges.MB, 1),
            "processes": reading.count,
            "gpus": gpus,
        }
        return self.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def append(self, line: bytes) -> bool:
        if self.torn:
            line = b"\n" + line
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            fd = os.open(self.path, flags, 0o600)
            try:
                self.torn = os.write(fd, line) != len(line)
            finally:
                os.close(fd)
        except OSError:
            # A full disk: the run matters, this does not.
            return False
        self.lines += 1
        return True

    # -- GPUs ----------------------------------------------------------------------------------

    def ask(self, now: float) -> bool:
        """Start nvidia-smi; the sample is taken when it has answered. False when it cannot."""
        self.answer = b""
        read, write = os.pipe()
        try:
            self.asked_last = processes.spawn(self.query, dict(os.environ), "/", write)
        except processes.StartError:
            os.close(read)
            self.failures += 1
            return False
        finally:
            os.close(write)
        self.asked.add(self.asked_last)
        self.answer_fd = read
        os.set_blocking(read, False)
        self.poll.register(read)
        self.due_at = now + GPU_S
        return True

    def hear(self) -> bool:
        """Take what nvidia-smi says; False at its end."""
        try:
            data = os.read(self.answer_fd, ANSWER)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        self.answer += data
        return bool(data) and len(self.answer) < ANSWER

    def gpus(self) -> list[dict[str, object]]:
        """What was heard; it is asked no more."""
        self.give_up()
        found = gauges.parse_gpus(self.answer.decode("utf-8", "replace"))
        self.failures = 0 if found else self.failures + 1
        return found

    def give_up(self) -> None:
        """Nobody waits for nvidia-smi any more."""
        if self.answer_fd < 0:
            return
        self.poll.unregister(self.answer_fd)
        os.close(self.answer_fd)
        self.answer_fd = -1
        if self.asked_last in self.asked:
            processes.send_signal([self.asked_last], signal.SIGKILL)

    def collected(self, ended: Iterable[int]) -> None:
        """These are no processes any more."""
        self.asked.difference_update(ended)

    def are_others(self) -> bool:
        """Whether anything but a nvidia-smi of ours lives below us. One that hangs in the kernel
        must not keep a run from its end."""
        return bool(set(processes.descendants(os.getpid())) - self.asked)
