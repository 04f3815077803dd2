"""One container, from its start to its end, without trusting its engine in between.

The engine only starts it. Output, end and stopping go through three named pipes that are bound
into the container, so an engine that hangs, dies or restarts loses nothing:

`out`   what the command prints.
`code`  "began" once the container lives, "missing" when the image has no such command, "ended
        CODE KILLS" when the command ended (KILLS: how many of its processes were killed for
        memory). Its end is the container's end.
`life`  held open by us: first the command's private variables, a line each, then an empty line;
        later a line asks everything in the container to end. When it closes, because we ended or
        were killed, the container kills itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time

from turnout.payload import processes, rundir
from turnout.payload.builds.engine import Engine, ask, explain
from turnout.payload.builds.telling import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Marks what we start: what a killed build left behind can be found by it.
LABEL = "org.turnout.container"
PIPES = ("out", "code", "life")
READ = 1 << 18
#: How often we ask whether a container that was started and says nothing is there at all.
SILENT_S = 2.0
#: How often the container looks whether what its command left running has ended.
LOOK_S = 0.02
#: Longest wait for output behind the end of everything that could write it.
DRAIN_S = 10.0
#: Longest wait for an engine that is to remove a container.
REMOVE_S = 3.0
#: The number of times a container's name is made free.
NAME_TRIES = 3

#: PID 1 of every container: POSIX shell, builtins only. $1 is the folder with the pipes.
FIRST = r"""
d=$1; shift
# Opened both ways at first: that never blocks, also when the other side is gone already.
exec 7<>"$d/out" 8<>"$d/code" 9<>"$d/life" || exit 125
exec 3>"$d/out" 5>"$d/code" 4<"$d/life" 7>&- 8>&- 9>&-
[ $$ = 1 ] || { echo "shared" >&5; exit 125; }
while IFS= read -r l <&4 || exit 125; do
    [ -n "$l" ] || break
    export "$l"
done
echo "began" >&5
command -v "$1" >/dev/null 2>&1 || echo "missing" >&5
# `kill -1` means all but PID 1 and whoever asks. Repeated until there is somebody to kill: the
# command may not have been started yet.
(
    trap '' TERM
    while IFS= read -r l <&4; do until kill -TERM -1; do :; done; done
    until kill -KILL -1; do :; done
) 3>&- 5>&- >/dev/null 2>&1 &
w=$!
# In the foreground: what a shell starts in the background cannot be interrupted. In a shell of
# its own: how it died is said there, not in its output.
( exec "$@" ) >&3 2>&3 3>&- 4<&- 5>&-
c=$?
kill -KILL $w
wait $w
o=0
for f in /sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events; do
    if [ -r "$f" ]; then
        while read -r k v; do [ "$k" != oom_kill ] || o=$v; done <"$f"
    fi
done
echo "ended $c $o" >&5
# What the command left running is asked to end, and looked after for as long as we are told to.
if kill -TERM -1; then
    while IFS= read -r l <&4; do
        [ "$l" != TERM ] || kill -TERM -1
        ( : ) # collects the dead
        kill -0 -1 || break
    done
fi
exit $c
"""


class End:
    """How a container ended. `code` None: without a word of its own."""

    def __init__(self, code: int | None, kills: int, missing: bool = False) -> None:
        self.code = code
        self.kills = kills
        #: Whether the image has no such command.
        self.missing = missing


class Box:
    """A container to be started with `options` of `run`. The name is ours: what has it goes."""

    def __init__(self, engine: Engine, name: str, folder: str, build: str = "") -> None:
        """`folder` is where its pipes are made, for it alone. A `build` sees them at that place
        and is there after its end; a run sees `folder` by itself.
        """
        self.engine = engine
        self.name = name
        self.folder = folder
        self.build = build
        #: How long what the command leaves running may take to end.
        self.grace_s = 10.0
        #: Whether the image's own entry point is to be left out: there may be none.
        self.entrypoint = True
        #: Whether `stop` came before the command was started, which then never is.
        self.dropped = False
        self.began = False
        #: When to end what is left; 0.0 while the command runs.
        self.end_at = 0.0
        self.news = b""
        self.fds: dict[str, int] = {}

    def run(
        self,
        options: list[str],
        image: str,
        argv: list[str],
        take: Callable[[bytes], None],
        variables: dict[str, str] | None = None,
    ) -> End:
        """Run `argv` in a new container to its end, its output to `take`.

        `variables` reach the command and are kept nowhere. BuildError when it cannot be started.
        """
        rundir.make_folder(self.folder)
        for tries in range(NAME_TRIES):
            self.open_pipes(variables or {})
            try:
                said = self.follow(self.command(options, image, argv), take)
            finally:
                self.close_pipes()
            if said is None:
                if not self.build and not self.removes_itself():
                    self.remove()
                return self.end()
            # What could not be started; or an earlier try of the same run, or of the same build.
            self.remove()
            if "is already in use" not in said or tries + 1 == NAME_TRIES:
                raise BuildError(explain(said, "%s run" % self.engine.kind))
        raise AssertionError("unreachable")

    def command(self, options: list[str], image: str, argv: list[str]) -> list[str]:
        label = "%s=%s" % (LABEL, "build" if self.build else "run")
        ours = ["run", "--detach", "--name", self.name, "--label", label, "--pull", "never"]
        ours += ["--log-driver", "none", "--init=false"]
        if self.entrypoint:
            ours += ["--entrypoint", "/bin/sh"]
        if self.removes_itself():
            ours.append("--rm")
        if self.build:
            ours += bind(self.folder, self.build)
        else:
            # The first process hears of no signal while its command runs: an engine that is
            # stopped need not wait for it.
            ours += ["--stop-signal", "SIGKILL"]
        place = self.build or os.path.realpath(self.folder)
        first = [*([] if self.entrypoint else ["/bin/sh"]), "-c", FIRST, "turnout", place, *argv]
        return self.engine.argv(*ours, *options, image, *first)

    def removes_itself(self) -> bool:
        """Never where containers outlive their engine: with --rm Docker ends them all the same
        (seen with 20.10)."""
        return not self.build and (self.engine.kind != "docker" or not self.engine.live_restore)

    def remove(self) -> None:
        """Take the container away, whatever it does; where the engine hangs it stays."""
        with contextlib.suppress(BuildError):
            ask(self.engine.program, ("rm", "--force", "--volumes", self.name), timeout_s=REMOVE_S)

    # -- pipes ---------------------------------------------------------------------------------

    def open_pipes(self, variables: dict[str, str]) -> None:
        self.began = False
        self.end_at = 0.0
        self.news = b""
        for name in PIPES:
            path = os.path.join(self.folder, name)
            rundir.remove_quietly(path)
            os.mkfifo(path, 0o600)
            # Both ways, `life` needs no reader to be opened. Nobody inherits it: it must close
            # with us.
            way = os.O_RDWR if name == "life" else os.O_RDONLY
            self.fds[name] = os.open(path, way | os.O_NONBLOCK | os.O_CLOEXEC)
            processes.widen_pipe(self.fds[name])
        lines = "".join("%s=%s\n" % pair for pair in variables.items() if "\n" not in pair[1])
        os.write(self.fds["life"], lines.encode("utf-8", "surrogateescape") + b"\n")

    def close_pipes(self) -> None:
        for name in PIPES:
            self.close(name)
            rundir.remove_quietly(os.path.join(self.folder, name))

    def close(self, name: str) -> None:
        fd = self.fds.pop(name, -1)
        if fd >= 0:
            os.close(fd)

    def stop(self) -> None:
        """Ask everything in the container to end; may be called from a signal handler."""
        if self.began:
            self.tell(b"TERM\n")
        else:
            # It ends itself at once when it comes up after all.
            self.dropped = True
            self.close("life")

    def tell(self, word: bytes) -> None:
        if "life" in self.fds:
            with contextlib.suppress(OSError):
                os.write(self.fds["life"], word)

    # -- following -----------------------------------------------------------------------------

    def follow(self, argv: list[str], take: Callable[[bytes], None]) -> str | None:
        """Start it, follow it to its end; what the client said when it could not be started."""
        client = Client(argv)
        poll = select.poll()
        for fd in (client.fd, self.fds["out"], self.fds["code"]):
            poll.register(fd, select.POLLIN)
        gone_at = 0.0
        try:
            while "out" in self.fds:
                ready = [fd for fd, _ in poll.poll(self.look_after() * 1000)]
                if client.fd in ready and not client.read():
                    poll.unregister(client.fd)
                    if not self.began and self.dropped:
                        return None
                    if not self.began and client.code:
                        return client.said()
                for name, heard in (("out", take), ("code", self.hear)):
                    fd = self.fds.get(name, -1)
                    if fd in ready and not copy(fd, heard):
                        poll.unregister(fd)
                        self.close(name)
                if "code" not in self.fds:
                    gone_at = gone_at or time.monotonic()
                    if time.monotonic() > gone_at + DRAIN_S:
                        break
                elif not (ready or self.began or client.code is None or self.is_there()):
                    break
        finally:
            client.close()
        return None

    def hear(self, data: bytes) -> None:
        self.news += data
        self.began = self.began or self.news.startswith(b"began\n")
        if not self.end_at and b"\nended " in self.news:
            self.end_at = time.monotonic() + self.grace_s

    def look_after(self) -> float:
        """Let the container look at what its command left; how long to wait for news."""
        if not self.end_at or "code" not in self.fds:
            return SILENT_S
        if time.monotonic() > self.end_at:
            self.close("life")
        self.tell(b"LOOK\n")
        return LOOK_S

    def is_there(self) -> bool:
        state = self.engine.try_ask("inspect", "--format", "{{.State.Running}}", self.name)
        return state is not None and state.strip() == "true"

    def end(self) -> End:
        if self.news.startswith(b"shared"):
            raise BuildError(
                "The container shares its process ids, so it could not be ended. Leave --pid and "
                "--init out of its arguments."
            )
        for line in self.news.split(b"\n")[:-1]:
            words = line.split()
            if words[:1] == [b"ended"] and len(words) == 3:
                return End(int(words[1]), int(words[2]), b"\nmissing\n" in self.news)
        return End(None, 0)


class Client:
    """The engine's client while it starts a container."""

    def __init__(self, argv: list[str]) -> None:
        try:
            # A session of its own: a signal to our group is for the command, not for the client.
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as e:
            raise BuildError("%s cannot be started: %s." % (argv[0], e.strerror)) from e
        assert self.process.stdout is not None
        self.stdout = self.process.stdout
        self.fd = self.stdout.fileno()
        self.data = b""
        #: Its exit code; None while it runs.
        self.code: int | None = None

    def read(self) -> bool:
        """Take what it says; False once it has ended."""
        more = os.read(self.fd, READ)
        self.data += more
        if not more:
            self.code = self.process.wait()
        return bool(more)

    def said(self) -> str:
        return self.data.decode("utf-8", "replace")

    def close(self) -> None:
        """The container came and went; an engine that has not answered yet need not any more."""
        if self.code is None:
            self.process.kill()
            self.process.wait()
        self.stdout.close()


def copy(fd: int, take: Callable[[bytes], None]) -> bool:
    """Pass on what is there; False at the end."""
    try:
        data = os.read(fd, READ)
    except BlockingIOError:
        return True
    if data:
        take(data)
    return bool(data)


def bind(source: str, target: str = "", read_only: bool = False) -> list[str]:
    """Options that show a folder or a file in a container; without `target` at its own place."""
    real = os.path.realpath(source)
    for text in (real, target):
        if "," in text or '"' in text:
            raise BuildError(
                "The folder '%s' has a comma or a quote in its name: it cannot be shown in a "
                "container." % text
            )
    end = ",readonly" if read_only else ""
    return ["--mount", "type=bind,source=%s,target=%s%s" % (real, target or real, end)]


def default_signals() -> None:
    """No core file of ours, whatever signal ends us."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def die_by(number: int) -> None:
    """End as a plain run would that this signal killed."""
    default_signals()
    with contextlib.suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)
