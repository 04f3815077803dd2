"""One attempt of one run, from its ticket to its `exit.json`. Forked by the agent, never imports.

Contract: docs/design/run-folder.md, "Supervisor". Whatever happens ends in `exit.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time

from turnout.payload import attempts, gauges, plans, processes, recipes, rundir, trees
from turnout.payload.data import Data
from turnout.payload.following import Follower, Stopped
from turnout.payload.logs import Log
from turnout.payload.processes import StartError
from turnout.payload.recipes import PrepareError
from turnout.payload.slices import Slice, variables_of
from turnout.payload.store import Store, StoreError, failure
from turnout.payload.usage import Boxed, Own, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from turnout.payload.gangs import Gang

#: Bytes kept on the disk for `exit.json`, so that a full disk cannot swallow a run's end.
RESERVE = 8192
MESSAGE_LIMIT = 5000
#: Entry of the build programs, below the payload.
BUILDS = ("turnout", "payload", "builds", "__main__.py")
#: Variables of an outer run or of the service that mean nothing, or too much, to a script.
DROPPED = (
    "TURNOUT_RUN_",
    "TURNOUT_EXPERIMENT",
    "TURNOUT_RANK",
    "TURNOUT_TOKEN",
    "TURNOUT_DATABASE",
    "TURNOUT_ERAS",
    "AZUREML_RUN_",
    "AZUREML_ARM_",
)
#: What Slurm tells of the part of the node that it gave.
FROM_SLURM = ("SLURM", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES")


class Supervisor:
    """Carries out the ticket of the run folder of `handle`."""

    def __init__(
        self,
        root: str,
        store: Store,
        payload: str,
        handle: str,
        secrets: dict[str, str] | None = None,
    ) -> None:
        self.root = root
        self.store = store
        self.payload = payload
        self.handle = handle
        self.folder = rundir.run_folder(root, handle)
        self.ticket: dict[str, Any] = {}
        self.started_at: float | None = None
        self.boot_id = rundir.boot_id()
        self.driver = Log(self.path(rundir.DRIVER_LOG))
        self.built = Log(self.path(rundir.ENVIRONMENT_LOG))
        self.reserve = -1
        self.status_text = ""
        #: Variables of the steps that make an environment; in memory only.
        self.secrets = secrets or {}

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def carry_out(self) -> None:
        """Everything, to the end. Does not raise."""
        try:
            end = self.attempt()
        except BaseException as e:
            report(e)
            end = {"reason": "supervisor", "message": "Turnout's supervisor failed: %r" % (e,)}
            processes.kill_descendants(None)
        try:
            self.write_exit(end)
        except BaseException as e:
            report(e)
        self.tell_all()

    def attempt(self) -> dict[str, Any]:
        self.hold_space()
        self.take_ticket()
        nodes: list[dict[str, Any]] = self.ticket.get("nodes") or []
        self.slices = [Slice(self.handle, node, len(nodes) > 1) for node in nodes] or [
            Slice(self.handle, {})
        ]
        self.gang: Gang | None = None
        if not plans.is_one(self.ticket):
            from turnout.payload.gangs import Gang

            self.gang = Gang(self.folder, self.payload, self.ticket, self.slices)
        self.set_status("preparing", "Laying out the source folder")
        try:
            self.follower.check_stop()
            activation = self.prepare()
            if self.ticket.get("prepare_only"):
                return {"reason": "exited", "code": 0}
            pid, output = self.start(activation)
        except Stopped:
            return {"reason": "stopped", "message": "Stopped before the script began."}
        except (PrepareError, StartError, StoreError) as e:
            return {"reason": "prepare", "message": str(e)}
        except OSError as e:
            return {"reason": "prepare", "message": str(failure(e, str(e.filename or self.root)))}
        return self.watch(pid, output)

    def take_ticket(self) -> None:
        self.ticket = rundir.read_json(self.path(rundir.TICKET)) or {}
        self.follower = Follower(self.root, self.handle, self.ticket)
        self.data = Data(self.root, self.folder, self.ticket, self.store, self.follower.tick)

    # -- making ready --------------------------------------------------------------------------

    def prepare(self) -> recipes.Activation:
        work = self.path(rundir.WORK)
        digest = self.ticket.get("snapshot")
        if digest:
            trees.lay_out(
                self.store,
                digest,
                work,
                self.path(rundir.TREE_RECORD),
                os.path.join(self.root, rundir.TREES),
                self.follower.tick,
            )
        else:
            os.mkdir(work)
        if self.ticket.get("continues"):
            attempts.take_over(self.root, self.ticket["continues"], work)
        if self.ticket.get("data"):
            self.set_status("preparing", "Laying out the data")
        self.data.lay_out()
        self.store.close()
        activation = self.make_environment()
        self.keep(activation)
        return activation

    def make_environment(self) -> recipes.Activation:
        words = {
            "{python}": sys.executable,
            "{builds}": os.path.join(self.payload, *BUILDS),
        }
        builder = recipes.Builder(
            self.root,
            words,
            self.built,
            self.execute,
            self.follower.pause,
            lambda text: self.set_status("preparing", text),
        )
        return recipes.ensure(builder, self.ticket.get("recipe") or {})

    def keep(self, activation: recipes.Activation) -> None:
        """What the environment was, beside the run: its lock, and what is not as asked."""
        if activation.lock:
            there = self.path(rundir.ENVIRONMENT_LOCK)
            try:
                os.link(activation.lock, there)
            except (FileExistsError, FileNotFoundError):
                pass
            except OSError:
                with open(activation.lock, "rb") as file:
                    rundir.write_file(there, file.read())
        for text in activation.notes:
            rundir.append_record(self.folder, {"t": "warning", "at": time.time(), "text": text})

    def execute(self, argv: list[str], env: dict[str, str], log: Log) -> int:
        """One step of a build."""
        output, write = os.pipe()
        try:
            every = {**self.host_variables(), **self.secrets, **env}
            pid = processes.spawn(argv, every, self.root, write)
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(write)
        status = self.follower.follow(pid, output, log)
        if self.follower.reason:
            raise Stopped
        return exit_code(status)

    def host_variables(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if not k.startswith(DROPPED)}

    def start(self, activation: recipes.Activation) -> tuple[int, int]:
        """Start the script; its pid and the reading end of its output."""
        work = self.path(rundir.WORK)
        argv = [self.data.filled(word) for word in self.ticket["argv"]]
        if not self.ticket.get("command"):
            if not os.path.isfile(os.path.join(work, argv[0])):
                raise PrepareError(
                    "The script '%s' is not in the snapshot of the source folder. Check its name, "
                    "and that no ignore file leaves it out." % argv[0]
                )
            argv = activation.argv_prefix + argv
        argv[0] = os.path.expanduser(argv[0])
        for part in self.slices:
            if self.ticket.get("slurm"):
                part.adopt(int(os.environ.get("SLURM_MEM_PER_NODE") or 0))
            else:
                part.prepare()
        if self.gang is not None:
            isolated, python = activation.isolated, activation.argv_prefix
            argv = self.gang.command(argv, python or ["python3"], isolated=isolated)
            self.follower.watched.append(self.path(plans.RANKS))
        argv = activation.launcher + argv
        env = self.script_variables(activation, work)
        # Processes of several nodes enter the part of their own one.
        enter = self.slices[0].enter if len(self.slices) == 1 else None
        output, write = os.pipe()
        processes.widen_pipe(write)
        self.started_at = time.time()
        try:
            pid = processes.spawn(argv, env, work, write, enter)
        except BaseException:
            self.started_at = None
            os.close(output)
            raise
        finally:
            os.close(write)
        self.set_status("running", "", pid)
        self.measure(activation, env)
        return pid, output

    def measure(self, activation: recipes.Activation, env: dict[str, str]) -> None:
        """From now on, note what the run uses."""
        groups = [gauges.group_at(part.folder, part.version) for part in self.slices]
        source = Boxed(self.folder) if activation.isolated else Own(groups)
        query = gauges.gpu_query(env)
        self.follower.usage = Usage(self.folder, source, query, self.follower.poll)

    def script_variables(self, activation: recipes.Activation, work: str) -> dict[str, str]:
        host = self.host_variables()
        unbuffered = {"PYTHONUNBUFFERED": host.get("PYTHONUNBUFFERED", "1")}
        env = {**unbuffered, **activation.env}
        if self.ticket.get("slurm"):
            # In a container too, where this machine's own variables mean nothing.
            env.update({k: v for k, v in host.items() if k.startswith(FROM_SLURM)})
        if self.ticket.get("nodes"):
            env.update(variables_of(self.slices))
        env.update(self.ticket.get("variables") or {})
        env.update(self.data.variables(env))
        env[rundir.RUN_FOLDER_VARIABLE] = self.folder
        env[rundir.RUN_ID_VARIABLE] = self.ticket["run"]
        env[rundir.EXPERIMENT_VARIABLE] = self.ticket.get("experiment", "")
        env[rundir.ATTEMPT_VARIABLE] = str(self.ticket.get("attempt", 1))
        if self.ticket.get("eras") is False:
            env[rundir.ERAS_VARIABLE] = "0"
        # Where a launcher puts the script elsewhere, this machine's own variables mean nothing.
        outer = {} if activation.isolated else host
        python_path = [self.payload, work, env.get("PYTHONPATH", outer.get("PYTHONPATH", ""))]
        env["PYTHONPATH"] = os.pathsep.join(p for p in python_path if p)
        tracking = env.get(rundir.MLFLOW_VARIABLE, outer.get(rundir.MLFLOW_VARIABLE, ""))
        if not tracking or tracking.startswith("turnout:"):
            env[rundir.MLFLOW_VARIABLE] = rundir.MLFLOW_URI
        env["PWD"] = work
        if activation.isolated:
            env[rundir.INSIDE_VARIABLE] = json.dumps(sorted(env))
        path = [*activation.path, env.get("PATH", host.get("PATH", os.defpath))]
        env["PATH"] = os.pathsep.join(p for p in path if p)
        return {**host, **env}

    # -- running and ending --------------------------------------------------------------------

    def watch(self, pid: int, output: int) -> dict[str, Any]:
        limit = self.ticket.get("max_duration_s")
        status = self.follower.follow(pid, output, self.driver, limit)
        if self.follower.usage is not None:
            self.follower.usage.finish()
        code = exit_code(status)
        if code and not self.follower.reason and self.follower.stop_grace is not None:
            # Who asked us to stop asked the script as well, and it was the quicker.
            self.follower.reason = "stopped"
        end: dict[str, Any] = {"reason": "exited", "code": code}
        if code < 0:
            end = {"reason": "signaled", "signal": -code}
        notes: list[str] = []
        if self.gang is not None and not self.follower.reason:
            end, text = self.gang.end(code, signal_name)
            notes += [text] if text else []
        said = rundir.read_json(self.path(rundir.SAID))
        notes += self.data.gather()
        notes += [str(said["message"])] if isinstance(said, dict) and "message" in said else []
        notes += self.follower.notes
        if self.follower.reason:
            end["reason"] = self.follower.reason
        if self.follower.reason == "timeout":
            notes.append("Stopped at its time limit of %g s." % (limit or 0))
        for part in self.slices:
            if code and part.outgrown():
                which = "its node" if len(self.slices) == 1 else "the node " + part.node
                notes.append("The run outgrew the memory of %s (%d MB)." % (which, part.memory_mb))
            part.remove()
        if self.driver.lost:
            lost = self.driver.lost
            notes.append("The disk is full: %d bytes of the run's output were lost." % lost)
        return {**end, "message": " ".join(notes)}

    def set_status(self, state: str, message: str, script_pid: int | None = None) -> None:
        status = {
            "state": state,
            "message": message,
            "pid": os.getpid(),
            "script_pid": script_pid,
            "started_at": self.started_at,
            "boot_id": self.boot_id,
        }
        try:
            rundir.write_json(self.path(rundir.STATUS), status)
        except OSError as e:
            # A full disk: the run goes on, what is shown of it stays behind.
            with contextlib.suppress(OSError):  # Our own log is on that disk too.
                print("status not written: %s" % e, file=sys.stderr)
        self.follower.changed()

    def hold_space(self) -> None:
        """Write the blocks that `exit.json` will need while there is room for them."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            self.reserve = os.open(self.path("exit.reserve"), flags, 0o600)
            rundir.write_all(self.reserve, b" " * RESERVE)
        except OSError as e:
            report(e)

    def write_exit(self, end: dict[str, Any]) -> None:
        found: dict[str, Any] = {"reason": "", "code": None, "signal": None, "message": "", **end}
        found["message"] = str(found["message"])[:MESSAGE_LIMIT]
        found["started_at"] = self.started_at
        found["ended_at"] = time.time()
        data = json.dumps(found).encode()
        try:
            if len(data) > RESERVE or self.reserve < 0:
                raise OSError
            os.pwrite(self.reserve, data, 0)
            os.ftruncate(self.reserve, len(data))
            os.rename(self.path("exit.reserve"), self.path(rundir.EXIT))
        except OSError:
            rundir.write_file(self.path(rundir.EXIT), data)

    def tell_all(self) -> None:
        """The last word: tried for as long as an agent that is busy may need."""
        for _ in range(20):
            if rundir.tell(self.root, self.handle):
                return
            time.sleep(0.01)


def report(error: BaseException) -> None:
    """A traceback in the supervisor's own log, without importing what prints tracebacks."""
    sys.excepthook(type(error), error, error.__traceback__)


def signal_name(number: int | None) -> str:
    try:
        return "signal %d (%s)" % (number or 0, signal.Signals(number or 0).name)
    except ValueError:
        return "signal %s" % number


def exit_code(status: int) -> int:
    """The exit code, or minus the signal."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def fork(made: Supervisor, lock: int) -> None:
    """Start a supervisor, detached from this process; it keeps `lock` for all its life.

    Twice forked: nobody has to wait for it, and it has no terminal and no pipe of ours.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP])
    try:
        pid = os.fork()
        if not pid:
            try:
                os.setsid()
                if not os.fork():
                    supervise(made, lock)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def supervise(supervisor: Supervisor, lock: int) -> None:
    detach(supervisor.path(rundir.SUPERVISOR_LOG), lock)
    supervisor.carry_out()


def detach(log: str, lock: int) -> None:
    """Let go of every descriptor but the lock; faults are written to `log`."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        err = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        err = null
    for number, fd in enumerate((null, null, err)):
        os.dup2(fd, number)
    close_others(lock)
    sys.stderr = open(2, "w", buffering=1, errors="replace", closefd=False)


def close_others(kept: int = -1) -> None:
    """Close every descriptor but `kept` and the first three."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except OSError:
                continue
