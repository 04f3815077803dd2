"""Processes on Linux: started in a session of their own, found with all they left, killed."""

from __future__ import annotations

import errno
import fcntl
import os
import signal

try:
    import ctypes

    libc = ctypes.CDLL(None)
except (ImportError, OSError):  # A Python built without it: orphans are then not adopted.
    libc = None

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
#: Not named by the Pythons before 3.10.
F_SETPIPE_SZ = 1031
PIPE_SIZE = 256 << 10


class StartError(Exception):
    """A program that cannot be started. The text is for a person."""


def control(option: int, value: int) -> None:
    """`prctl`, where there is one."""
    if libc is not None and hasattr(libc, "prctl"):
        libc.prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    control(PR_SET_CHILD_SUBREAPER, 1)


def widen_pipe(fd: int) -> None:
    """Fewer switches between a script that prints much and its reader; not needed to work."""
    try:
        fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE)
    except OSError:
        return


def find_program(name: str, path: str, cwd: str) -> str:
    """The file that `name` means in `cwd` with the search path `path`; raises StartError."""
    if "/" in name:
        place = os.path.join(cwd, name)
        if not os.path.exists(place):
            raise StartError("'%s' does not exist." % name)
        if os.path.isdir(place) or not os.access(place, os.X_OK):
            raise StartError(
                "'%s' is not an executable file. Set its executable bit (chmod +x), or name the "
                "program that runs it." % name
            )
        return place
    denied = False
    for folder in path.split(os.pathsep):
        place = os.path.join(cwd, folder, name)
        if os.path.isfile(place):
            if os.access(place, os.X_OK):
                return place
            denied = True
    if denied:
        raise StartError("'%s' is on the PATH, but is not executable." % name)
    raise StartError("There is no program '%s' on the PATH." % name)


def spawn(
    argv: list[str],
    env: dict[str, str],
    cwd: str,
    output: int,
    enter: Callable[[], None] | None = None,
) -> int:
    """Start `argv` in a session of its own; its output goes to `output`, it dies with us.

    `enter` is called in the new process before it becomes the program.

    Returns the pid once the program runs; raises StartError when it cannot.
    """
    program = find_program(argv[0], env.get("PATH", os.defpath), cwd)
    parent = os.getpid()
    told, tell = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pid = os.fork()
        if not pid:
            try:
                if enter is not None:
                    enter()
                become(program, argv, env, cwd, null, output, parent)
            except OSError as e:
                os.write(tell, b"%d" % (e.errno or errno.EINVAL))
            except BaseException:
                os.write(tell, b"%d" % errno.EINVAL)
            finally:
                os._exit(127)
        os.close(tell)
        tell = -1
        answer = os.read(told, 16)
    except OSError as e:
        raise StartError("No process can be started here: %s." % e.strerror) from e
    finally:
        for fd in (told, tell, null):
            if fd >= 0:
                os.close(fd)
    if answer:
        os.waitpid(pid, 0)
        raise StartError(why_not(argv[0], program, int(answer)))
    return pid


def become(
    program: str,
    argv: list[str],
    env: dict[str, str],
    cwd: str,
    null: int,
    output: int,
    parent: int,
) -> None:
    os.setsid()
    control(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(127)
    # Python ignores these two, and an ignored signal stays ignored in the new program.
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.chdir(cwd)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    encoded = {os.fsencode(k): os.fsencode(v) for k, v in env.items()}
    os.execve(program, [os.fsencode(a) for a in argv], encoded)  # noqa: S606


def why_not(name: str, program: str, code: int) -> str:
    if code == errno.ENOEXEC:
        return (
            "'%s' is not a program that this machine can run. Does its first line name an "
            "interpreter, as in '#!/bin/sh'?" % name
        )
    if code == errno.ENOENT:
        return "'%s' names an interpreter in its first line that does not exist." % program
    if code == errno.E2BIG:
        return "The arguments and variables are too long for '%s'." % name
    return "'%s' cannot be started: %s." % (name, os.strerror(code))


def reap() -> tuple[dict[int, int], bool]:
    """Collect every child that ended: {pid: wait status}, and whether others still live."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended, False
        if not pid:
            return ended, True
        ended[pid] = status


def stats() -> dict[int, bytes]:
    """What the kernel says of every process that this user may see, by pid."""
    found: dict[int, bytes] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return found
    for name in names:
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, "rb", 0) as file:
                    found[int(name)] = file.read()
            except OSError:
                continue
    return found


def parents() -> dict[int, int]:
    """{pid: parent} of every process that this user may see."""
    found: dict[int, int] = {}
    for pid, data in stats().items():
        try:
            # The name in parentheses may hold anything: count from its last one.
            found[pid] = int(data.rpartition(b")")[2].split()[1])
        except (ValueError, IndexError):
            continue
    return found


def descendants(root: int) -> list[int]:
    """Every process below `root`."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def send_signal(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue


def kill_descendants(group: int | None) -> None:
    """SIGKILL to all below us. Frozen first, so that nothing forks away from under the scan."""
    me = os.getpid()
    frozen: set[int] = set()
    while True:
        found = set(descendants(me)) - frozen
        if not found:
            break
        send_signal(list(found), signal.SIGSTOP)
        frozen |= found
    send_signal(list(frozen), signal.SIGKILL)
    if group is not None:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            return
