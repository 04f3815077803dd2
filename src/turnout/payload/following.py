"""Following a child of the supervisor to its end: output, signs of life, stopping, what it left.

One `poll` for everything; nothing here waits without a reason to wake.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

from turnout.payload import processes, rundir
from turnout.payload.logs import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from turnout.payload.usage import Usage

READ = 1 << 18
#: Agents hear of changes at most this often; the last change is never forgotten.
TELL_S = 0.01
TELL_RARELY_S = 1.0
#: How often the watched folders are looked at.
LOOK_S = 1.0
#: After SIGKILL: how often it is sent again, and when we stop waiting (a process in the kernel).
KILL_AGAIN_S = 0.2
KILLS = 50
#: Longest wait for output behind the end of everything that could write it.
DRAIN_S = 0.5


class Stopped(Exception):
    """The run was asked to stop."""


class Follower:
    """What the supervisor of `handle` watches while a child runs."""

    def __init__(self, root: str, handle: str, ticket: dict[str, Any]) -> None:
        self.root = root
        self.handle = handle
        self.folder = rundir.run_folder(root, handle)
        self.grace_s = float(ticket.get("grace_s", 10.0))
        self.heartbeat_s = float(ticket.get("heartbeat_s", 5.0))
        self.watched = [os.path.join(self.folder, rundir.WORK, w) for w in ticket.get("watch", [])]
        self.watched_state: list[tuple[int, int]] = []
        #: Why the child was ended by us: "", "stopped" or "timeout".
        self.reason = ""
        self.notes: list[str] = []
        self.stop_grace: float | None = None
        self.dirty = False
        self.told_at = 0.0
        self.gap = TELL_S
        self.beat_at = 0.0
        self.look_at = 0.0
        self.poke_fd = -1
        #: What samples the use of CPU, memory and GPUs, once the script runs.
        self.usage: Usage | None = None
        self.poll = select.poll()
        processes.adopt_orphans()
        self.listen()
        self.beat()

    def listen(self) -> None:
        self.wake, wake_write = os.pipe()
        for fd in (self.wake, wake_write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, wake_up)
        signal.signal(signal.SIGTERM, self.on_stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        self.poll.register(self.wake, select.POLLIN)
        try:
            self.pokes = rundir.bind_datagram(self.folder, rundir.POKE_SOCKET)
        except OSError as e:
            # The script's records are then noticed with the next sign of life.
            with contextlib.suppress(OSError):
                print("no pokes from the script: %s" % e, file=sys.stderr)
            return
        self.poke_fd = self.pokes.fileno()
        self.poll.register(self.poke_fd, select.POLLIN)

    # -- being stopped -------------------------------------------------------------------------

    def on_stop(self, *_: object) -> None:
        asked = rundir.read_json(os.path.join(self.folder, rundir.STOP))
        try:
            grace = float(asked["grace_s"])
        except (TypeError, KeyError, ValueError):
            grace = self.grace_s
        self.stop_grace = max(0.0, grace)

    def check_stop(self) -> None:
        """Raise Stopped when a stop was asked for, also where the signal got lost."""
        if self.stop_grace is None and os.path.exists(os.path.join(self.folder, rundir.STOP)):
            self.on_stop()
        if self.stop_grace is not None:
            self.reason = "stopped"
            raise Stopped

    def tick(self) -> None:
        """Called often during long work of our own."""
        if self.stop_grace is not None:
            raise Stopped
        if time.monotonic() - self.beat_at > self.heartbeat_s:
            self.beat()

    def pause(self, seconds: float) -> None:
        """Wait, with everything that goes on meanwhile; raises Stopped."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.wait(end)
            self.check_stop()

    # -- signs of life -------------------------------------------------------------------------

    def beat(self) -> None:
        self.beat_at = time.monotonic()
        path = os.path.join(self.folder, rundir.HEARTBEAT)
        try:
            os.utime(path)
        except OSError:
            with contextlib.suppress(OSError):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # A stop whose signal got lost (another process namespace) is found here.
        if self.stop_grace is None and os.path.exists(os.path.join(self.folder, rundir.STOP)):
            self.on_stop()

    def changed(self) -> None:
        """Something in the run folder grew."""
        self.dirty = True
        self.tell()

    def tell(self) -> None:
        now = time.monotonic()
        if self.dirty and now - self.told_at >= self.gap:
            self.dirty = not rundir.tell(self.root, self.handle)
            self.told_at = now
            # An agent that does not listen (its connection hangs) is asked ever more rarely.
            self.gap = min(2 * self.gap, TELL_RARELY_S) if self.dirty else TELL_S

    def look(self) -> None:
        """Notice the growth of watched files, which their writers do not tell of."""
        self.look_at = time.monotonic()
        state: list[tuple[int, int]] = []
        for folder in self.watched:
            try:
                with os.scandir(folder) as entries:
                    sizes = [e.stat(follow_symlinks=False).st_size for e in entries]
            except OSError:
                continue
            state.append((len(sizes), sum(sizes)))
        if state != self.watched_state:
            self.watched_state = state
            self.changed()

    # -- waiting -------------------------------------------------------------------------------

    def wait(self, until: float | None = None) -> list[int]:
        """Sleep until something happens or it is time for something; descriptors to look at."""
        now = time.monotonic()
        due = self.beat_at + self.heartbeat_s
        if self.watched:
            due = min(due, self.look_at + LOOK_S)
        if self.dirty:
            due = min(due, self.told_at + self.gap)
        if self.usage is not None:
            due = min(due, self.usage.due_at)
        if until is not None:
            due = min(due, until)
        ready = self.poll.poll(max(0.0, due - now) * 1000)
        for fd, _ in ready:
            if fd == self.wake:
                drain(fd)
            elif fd == self.poke_fd:
                drain(fd)
                self.dirty = True
        now = time.monotonic()
        if now >= self.beat_at + self.heartbeat_s:
            self.beat()
            self.dirty = True
        if self.watched and now >= self.look_at + LOOK_S:
            self.look()
        woken = [fd for fd, _ in ready]
        if self.usage is not None and self.usage.tick(woken):
            self.dirty = True
        self.tell()
        return woken

    def follow(self, pid: int, output: int, log: Log, limit_s: float | None = None) -> int:
        """Copy the child's output to `log` until it and all that it left have ended.

        Returns its wait status. `reason` tells whether we ended it.
        """
        return Child(self, pid, output, log, limit_s).follow()


class Child:
    """The child being followed: how far its end has come."""

    def __init__(
        self, follower: Follower, pid: int, output: int, log: Log, limit_s: float | None
    ) -> None:
        self.follower = follower
        self.pid = pid
        self.output = output
        self.log = log
        self.status: int | None = None
        self.others = True
        self.deadline = time.monotonic() + limit_s if limit_s else None
        #: When SIGKILL is due; None while nothing is to be ended.
        self.kill_at: float | None = None
        #: Whether what the child left running was already asked to end.
        self.asked_rest = False
        self.kills = 0
        self.stop_seen: float | None = None
        os.set_blocking(output, False)
        follower.poll.register(output, select.POLLIN)

    def follow(self) -> int:
        while True:
            self.reap()
            if self.status is not None and not self.others:
                break
            if self.kills > KILLS:
                self.follower.notes.append("Some of its processes could not be killed.")
                break
            self.decide()
            dues = [t for t in (self.kill_at, self.deadline) if t is not None]
            ready = self.follower.wait(min(dues) if dues else None)
            if self.output in ready and not self.read():
                self.close()
        self.drain()
        self.follower.tell()
        return self.status if self.status is not None else signal.SIGKILL

    def reap(self) -> None:
        ended, self.others = processes.reap()
        if self.pid in ended:
            self.status = ended[self.pid]
        usage = self.follower.usage
        if usage is not None and usage.asked:
            usage.collected(ended)
            if self.others and self.status is not None:
                self.others = usage.are_others()

    def decide(self) -> None:
        """Ask politely when it is to end; kill when the grace is over."""
        now = time.monotonic()
        follower = self.follower
        if self.deadline is not None and now >= self.deadline:
            self.deadline = None
            if self.status is None and not follower.reason:
                follower.reason = "timeout"
                self.ask(follower.grace_s, now)
        if follower.stop_grace is not None and follower.stop_grace != self.stop_seen:
            self.stop_seen = follower.stop_grace
            if self.status is None and not follower.reason:
                follower.reason = "stopped"
            self.ask(follower.stop_grace, now)
        if self.status is not None and not self.asked_rest:
            self.asked_rest = True
            processes.send_signal(processes.descendants(os.getpid()), signal.SIGTERM)
            self.kill_by(now + follower.grace_s)
        if self.kill_at is not None and now >= self.kill_at:
            processes.kill_descendants(None)
            self.kills += 1
            self.kill_at = now + KILL_AGAIN_S

    def ask(self, grace_s: float, now: float) -> None:
        if self.status is None:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGTERM)
        self.kill_by(now + grace_s)

    def kill_by(self, when: float) -> None:
        self.kill_at = when if self.kill_at is None else min(self.kill_at, when)

    def read(self) -> bool:
        """Copy what is there; False at the end of the output."""
        try:
            data = os.read(self.output, READ)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if data:
            self.log.write(data)
            self.follower.changed()
        return bool(data)

    def close(self) -> None:
        if self.output >= 0:
            self.follower.poll.unregister(self.output)
            os.close(self.output)
            self.output = -1

    def drain(self) -> None:
        """What still stands in the pipe. Somebody beyond our reach may hold it open for ever."""
        end = time.monotonic() + DRAIN_S
        while self.output >= 0 and time.monotonic() < end:
            if not select.select([self.output], [], [], max(0.0, end - time.monotonic()))[0]:
                break
            if not self.read():
                self.close()
        self.close()


def wake_up(*_: object) -> None:
    """A signal handler that does nothing: what counts is the byte in the wake-up pipe."""


def drain(fd: int) -> None:
    """Empty a pipe or a socket that only says that something happened."""
    with contextlib.suppress(OSError):
        while len(os.read(fd, 4096)):
            pass
