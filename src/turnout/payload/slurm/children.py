"""Child processes of an agent, which are read while it does other things."""

from __future__ import annotations

import os
import select
import signal

from turnout.payload import supervisor
from turnout.payload.slurm.commands import COMMAND_S, UNCUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ = 1 << 16
#: More output than this is not kept.
TEXT_LIMIT = 64 << 20


class Child:
    """A child that is under way, and how it ended."""

    def __init__(self, pid: int, fd: int, done: Callable[[Child], None]) -> None:
        self.pid = pid
        self.fd = fd
        self.done = done
        self.data = bytearray()
        self.code = 0

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace")


class Children:
    """All of them. The loop of the agent calls `read` for what is ready to be read."""

    def __init__(self, poll: select.poll) -> None:
        self.poll = poll
        self.by_fd: dict[int, Child] = {}
        #: Wait statuses of children that the agent's loop has collected.
        self.ended: dict[int, int] = {}

    def start(self, argv: list[str], done: Callable[[Child], None]) -> None:
        """Run a command; output and errors are read together."""

        def become() -> str:
            os.dup2(1, 2)
            # One that hangs is ended: nothing else would be asked after it.
            signal.alarm(int(4 * COMMAND_S))
            os.execvpe(argv[0], argv, {**os.environ, **UNCUT})  # noqa: S606

        self.fork(become, done)

    def fork(self, work: Callable[[], str], done: Callable[[Child], None]) -> None:
        """Do `work` in a child that outlives the agent; what it returns is the child's text."""
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            code = 127
            try:
                os.setsid()
                null = os.open(os.devnull, os.O_RDWR)
                for number, fd in enumerate((null, write, null)):
                    os.dup2(fd, number)
                supervisor.close_others()
                os.write(1, work().encode())
                code = 0
            except BaseException as e:
                os.write(1, str(e).encode())
            finally:
                os._exit(code)
        os.close(write)
        os.set_blocking(read, False)
        self.by_fd[read] = Child(pid, read, done)
        self.poll.register(read, select.POLLIN)

    def read(self, ready: list[int]) -> None:
        """Take what is there; a child whose output has ended has ended."""
        for fd in ready:
            child = self.by_fd.get(fd)
            if child is None:
                continue
            try:
                data = os.read(fd, READ)
            except BlockingIOError:
                continue
            if data:
                if len(child.data) < TEXT_LIMIT:
                    child.data += data
                continue
            self.poll.unregister(fd)
            os.close(fd)
            del self.by_fd[fd]
            status = self.ended.pop(child.pid, None)
            if status is None:
                _, status = os.waitpid(child.pid, 0)
            child.code = supervisor.exit_code(status)
            child.done(child)

    def collect(self, ended: dict[int, int]) -> None:
        """What `processes.reap` found: other children of the agent are nobody's."""
        ours = {child.pid for child in self.by_fd.values()}
        self.ended.update({pid: status for pid, status in ended.items() if pid in ours})
