"""A real Slurm on this machine: controller and nodes as processes, in a folder of their own.

Example::

    with Slurm() as slurm:                       # n1, n2, n3 with 4 cores each, about 3 s
        slurm.run("sbatch", "--wrap", "hostname")

Needs root and Debian's slurmctld, slurmd, slurm-client and munge. Nodes share this machine and its
files; they claim more cores than it has. Everything ends with the block, also what ran in it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from typing_extensions import Self

from turnout.testing import slurm_accounting
from turnout.testing.dockerd import Unavailable
from turnout.testing.separate_hosts import SeparateHosts
from turnout.testing.slurm_accounting import Accounting
from turnout.testing.sshd import free_port
from turnout.testing.waiting import is_running, wait_until

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "munged")
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
CONF = """\
ClusterName=turnout
SlurmctldHost={host}({address})
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge.sock,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
JobAcctGatherType=jobacct_gather/linux
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
SlurmdTimeout=10
KillWait=2
MessageTimeout=5
SlurmdParameters=config_overrides
SlurmctldParameters=idle_on_node_suspend,power_save_interval=1,power_save_min_interval=1
"""
#: Without a cgroup to hold memory, and with one.
LOOSE = "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n"
HELD = "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup\n"
CGROUPS = "CgroupPlugin=cgroup/v1\nConstrainRAMSpace=yes\nConstrainDevices=yes\n"
PREEMPTION = "PreemptType=preempt/partition_prio\nPreemptMode=REQUEUE\n"
#: Nodes that Slurm powers on and off: here the power is a slurmd of ours.
POWER = """\
ResumeProgram={folder}/resume
SuspendProgram={folder}/suspend
ResumeTimeout=30
SuspendTimeout=3
SuspendTime=4
ResumeRate=0
SuspendRate=0
PrivateData=cloud
"""
RESUME = """#!/bin/sh
export SLURM_CONF={folder}/slurm.conf
for n in $(scontrol show hostnames "$1"); do TURNOUT_SLURM_NODE=$n slurmd -b -N "$n"; done
"""
SUSPEND = """#!/bin/sh
export SLURM_CONF={folder}/slurm.conf
for n in $(scontrol show hostnames "$1"); do kill "$(cat {folder}/slurmd-$n.pid)"; done
"""


#: Which node a daemon is, in its environment; what a run starts has Slurm's SLURMD_NODENAME.
NODE_MARK = "TURNOUT_SLURM_NODE"


def parent_of(place: Path) -> int:
    """The parent of the process with this folder in /proc."""
    return int((place / "stat").read_text().rpartition(")")[2].split()[1])


def children_of(pid: int) -> list[int]:
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Slurm:
    """`nodes`: how many, n1 and on. `partitions`: more options by name; the first is the default.

    `gpus`: fake ones on each node. `memory`: held by cgroups. `power_saving`: nodes are off until
    they are needed. `preemption`: partitions with a higher PriorityTier take nodes back.
    `namespaces`: each node is a host of its own, with a name, an address and processes that others
    do not see; not with `power_saving`. `accounting`: slurmdbd knows accounts and their limits;
    root is in the account "lab". `forgets_s`: how long Slurm knows what is over (MinJobAge).
    """

    def __init__(
        self,
        nodes: int = 3,
        *,
        cores: int = 4,
        memory_mb: int = 4000,
        partitions: Mapping[str, str] | None = None,
        gpus: int = 0,
        memory: bool = False,
        power_saving: bool = False,
        preemption: bool = False,
        namespaces: bool = False,
        accounting: bool = False,
        forgets_s: int = 300,
    ) -> None:
        if os.geteuid() != 0:
            raise Unavailable("Slurm's daemons are started by root here")
        for name in PROGRAMS + (slurm_accounting.PROGRAMS if accounting else ()):
            if not shutil.which(name, path=PATH):
                raise Unavailable(f"there is no {name}: scripts/slurm installs it")
        if namespaces and power_saving:
            raise ValueError("namespaces and power_saving are not for the same Slurm")
        self.folder = Path(tempfile.mkdtemp(prefix="turnout-slurm-", dir="/tmp"))
        self.names = [f"n{number}" for number in range(1, nodes + 1)]
        self.hosts = SeparateHosts(self.names) if namespaces else None
        self.power_saving = power_saving
        self.gpus = gpus
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        parts = [CONF, HELD if memory else LOOSE]
        parts += [f"MinJobAge={forgets_s}\n"]
        parts += [PREEMPTION] if preemption else []
        parts += [POWER] if power_saving else []
        words = {
            "folder": str(self.folder),
            "host": socket.gethostname(),
            "address": self.hosts.address if self.hosts else "127.0.0.1",
            "port": free_port(),
        }
        text = "".join(part.format(**words) for part in parts)
        environ = {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": PATH}
        self.environ = {**os.environ, **environ}
        self.accounting = Accounting(self.folder, self.environ, PATH) if accounting else None
        text += self.accounting.conf() if self.accounting else ""
        if gpus:
            self.write_gpus(gpus)
        text += self.lines_of_nodes(f"CPUs={cores} RealMemory={memory_mb}")
        for number, (name, more) in enumerate((partitions or {"main": ""}).items()):
            default = "NO" if number else "YES"
            text += f"PartitionName={name} Nodes=ALL Default={default} State=UP {more}\n"
        (self.folder / "slurm.conf").write_text(text)
        if memory:
            (self.folder / "cgroup.conf").write_text(CGROUPS)
        if power_saving:
            for name, script in (("resume", RESUME), ("suspend", SUSPEND)):
                (self.folder / name).write_text(script.format(**words))
                (self.folder / name).chmod(0o755)
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o600)
        (self.folder / "state").mkdir()
        (self.folder / "spool").mkdir()
        # munged wants nobody else to be able to write to the socket's folder, all to read it.
        self.folder.chmod(0o755)

    def lines_of_nodes(self, size: str) -> str:
        """In slurm.conf: the nodes, each with this size."""
        gpus = f" Gres=gpu:{self.gpus}" if self.gpus else ""
        state = " State=CLOUD" if self.power_saving else ""
        lines = ["GresTypes=gpu"] if self.gpus else []
        lines += ["AccountingStorageTRES=gres/gpu"] if self.gpus and self.accounting else []
        for name in self.names:
            host = name if self.hosts else socket.gethostname()
            address = self.hosts.address_of(name) if self.hosts else "127.0.0.1"
            lines.append(
                f"NodeName={name} NodeHostname={host} NodeAddr={address} Port={free_port()} "
                f"{size}{gpus}{state}"
            )
        return "".join(f"{line}\n" for line in lines)

    def write_gpus(self, count: int) -> None:
        """Device files that look like GPUs to Slurm. Not 1:3: its cgroup rule would be that of
        /dev/null."""
        devices = self.folder / "dev"
        devices.mkdir()
        for number in range(count):
            minor = (7, 11, 8, 9)[number]
            os.mknod(devices / f"fake{number}", 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        (self.folder / "gres.conf").write_text(
            f"AutoDetect=off\nName=gpu File={devices}/fake[0-{count - 1}]\n"
        )

    # -- daemons -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            if self.hosts is not None:
                self.hosts.__enter__()
            self.start("munged", *self.munge_options())
            wait_until((self.folder / "munge.sock").exists, "munged to listen")
            if self.accounting is not None:
                self.accounting.start(self.start)
            self.controller_start()
            for name in self.names if not self.power_saving else []:
                self.node_start(name)
            wait_until(self.is_up, "the nodes to be idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def munge_options(self) -> list[str]:
        places = {
            "key-file": "munge.key",
            "socket": "munge.sock",
            "pid-file": "munged.pid",
            "log-file": "munged.log",
            "seed-file": "munge.seed",
        }
        named = [f"--{option}={self.folder / name}" for option, name in places.items()]
        return ["--foreground", "--force", *named]

    def start(
        self, name: str, *options: str, key: str = "", environ: Mapping[str, str] | None = None
    ) -> None:
        variables = {**(environ or self.environ), **({NODE_MARK: key} if key else {})}
        with (self.folder / f"{key or name}.log").open("ab") as log:
            self.processes[key or name] = subprocess.Popen(
                [*self.place_of(key), shutil.which(name, path=PATH) or name, *options],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def place_of(self, key: str) -> list[str]:
        """What comes before the words of a daemon: with it, it runs on the node's own host."""
        if self.hosts is None or key not in self.names:
            return []
        self.hosts.start(key)
        return self.hosts.enter(key)

    def end(self, key: str, number: int = signal.SIGTERM) -> None:
        process = self.processes.pop(key, None)
        if process is not None:
            inner = children_of(process.pid) if self.hosts and key in self.names else []
            # Who entered the host ends as the daemon there does.
            for pid in inner or [process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def controller_start(self) -> None:
        self.start("slurmctld", "-D")
        wait_until(self.answers, "slurmctld to answer")

    def controller_stop(self) -> None:
        """Politely: its state is written."""
        self.end("slurmctld")

    def controller_kill(self) -> None:
        """With what it had not written yet."""
        self.end("slurmctld", signal.SIGKILL)

    def node_start(self, name: str) -> None:
        self.start("slurmd", "-D", "-N", name, key=name)

    def slurmd_kill(self, name: str) -> None:
        """The daemon alone; what it started goes on."""
        self.end(name, signal.SIGKILL)

    def node_kill(self, name: str) -> None:
        """The whole node, as when its power fails."""
        self.slurmd_kill(name)
        if self.hosts is not None:
            self.hosts.stop(name)
        self.kill_all(name)

    def ours(self) -> dict[int, str]:
        """Node of every process on a node of this Slurm: daemons, and what they started."""
        environs = {}
        parents = {}
        for place in Path("/proc").iterdir():
            if place.name.isdigit():
                # Processes end while we look.
                with contextlib.suppress(OSError):
                    parents[int(place.name)] = parent_of(place)
                    environs[int(place.name)] = (place / "environ").read_bytes().split(b"\0")
        found = {pid: self.node_of(environ) for pid, environ in environs.items()}
        found = {pid: node for pid, node in found.items() if node}
        # A script may start children with variables of their own.
        while more := {
            pid: found[parent]
            for pid, parent in parents.items()
            if parent in found and pid not in found
        }:
            found.update(more)
        return found

    def node_of(self, environ: Sequence[bytes]) -> str:
        """The node on which a process with these variables runs; "" for one that is not ours."""
        values: dict[str, str] = {}
        for word in environ:
            name, _, value = word.decode(errors="replace").partition("=")
            values[name] = value
        if values.get("SLURM_CONF") != self.environ["SLURM_CONF"]:
            return ""
        return values.get("SLURMD_NODENAME") or values.get(NODE_MARK, "")

    def kill_all(self, *names: str) -> None:
        """Every process of these nodes, until none is left: they start others meanwhile."""
        while left := [pid for pid, node in self.ours().items() if node in names]:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda gone=left: not any(map(is_running, gone)), f"{names} to end")

    def __exit__(self, *error: object) -> None:
        self.end("slurmctld", signal.SIGKILL)
        self.kill_all(*self.names)
        # What they would put in order first goes with the folder.
        for key in ("slurmdbd", "mariadbd"):
            self.end(key, signal.SIGKILL)
        for key in list(self.processes):
            self.end(key)
        if self.hosts is not None:
            self.hosts.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- asking --------------------------------------------------------------------------------

    def call(self, *argv: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, env=self.environ, input=text, capture_output=True, text=True, timeout=60
        )

    def run(self, *argv: str, text: str = "") -> str:
        """What it prints; AssertionError with its words when it fails."""
        done = self.call(*argv, text=text)
        if done.returncode:
            raise AssertionError(f"{' '.join(argv)}: {done.stderr}")
        return done.stdout.strip()

    def answers(self) -> bool:
        return "UP" in self.call("scontrol", "ping").stdout

    def job(self, number: str) -> dict[str, str]:
        """What `scontrol show job` knows by name: JobState, ExitCode, Reason, NodeList..."""
        words = self.run("scontrol", "-o", "show", "job", number).split()
        return {word.partition("=")[0]: word.partition("=")[2] for word in words if "=" in word}

    def submit(self, script: str, *options: str) -> str:
        """Slurm's number of a script, given to `sbatch` with these options."""
        given = ["sbatch", "--parsable", "--output=/dev/null", *options]
        return self.run(*given, text=f"#!/bin/sh\n{script}\n")

    def reaches(self, number: str, *states: str) -> dict[str, str]:
        """Wait until its JobState is one of these."""
        seen: dict[str, str] = {}

        def there() -> bool:
            seen.update(self.job(number))
            return seen["JobState"] in states

        try:
            wait_until(there, f"Slurm's {number} to be {states}")
        except AssertionError as e:
            raise AssertionError(f"{e}; it is {seen}") from None
        return seen

    def is_up(self) -> bool:
        wanted = ("idle~",) if self.power_saving else ("idle",)
        return self.states() == dict.fromkeys(self.names, wanted[0])

    def states(self) -> dict[str, str]:
        """State by node, as sinfo shows it."""
        rows = self.call("sinfo", "-h", "-N", "-o", "%N %T").stdout.split("\n")
        return {row.split()[0]: row.split()[1] for row in rows if row}

    def becomes(self, name: str, states: Sequence[str]) -> None:
        wait_until(lambda: self.states().get(name) in states, f"{name} to be {states}")

    def numbers(self) -> list[str]:
        """Slurm's numbers of all that is not over."""
        return self.run("squeue", "-h", "-r", "-o", "%i").split()

    def settle(self) -> None:
        """Cancel what is left and wait until every node is free again."""
        self.call("scancel", "-u", "root")
        wait_until(lambda: not self.numbers(), "Slurm's queue to be empty")
        end = time.monotonic() + 5
        while time.monotonic() < end and not self.is_up():
            time.sleep(0.05)
