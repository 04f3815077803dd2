"""The files of a run folder and of a host's root: their names, how they are written and read.

Contract: docs/design/run-folder.md. Nothing here decides anything.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Below a host's root.
PAYLOAD = "payload"
STORE = "store"
TREES = "trees"
TOOLS = "tools"
ENVIRONMENTS = "environments"
REQUESTS = "requests"
RUNS = "runs"
TRASH = "trash"
WATCH = "watch"

# Below a run folder.
TICKET = "ticket.json"
LOCK = "lock"
STATUS = "status.json"
HEARTBEAT = "heartbeat"
STOP = "stop"
DRIVER_LOG = "driver.log"
ENVIRONMENT_LOG = "environment.log"
ENVIRONMENT_LOCK = "environment.lock"
SUPERVISOR_LOG = "supervisor.log"
#: CPU, memory and GPUs over time.
USAGE = "usage.jsonl"
RECORDS = "records.jsonl"
FILES = "files"
WORK = "work"
OUTPUTS = "outputs"
EXIT = "exit.json"
#: How a container ended, in words, by what ran it: {"message": str}. Stands in `exit.json` then.
SAID = "container/said.json"
#: Datagram socket of the supervisor: a byte sent here says that something in the folder grew.
POKE_SOCKET = "poke.sock"
#: What was laid out in `work/`, so that it can be recycled.
TREE_RECORD = "tree.json"

#: Public name of `USAGE`.
USAGE_NAME = "azureml-logs/80_usage.jsonl"
#: Public name of a log → its file.
LOGS = {
    "azureml-logs/20_image_build_log.txt": ENVIRONMENT_LOG,
    "azureml-logs/25_environment_lock.txt": ENVIRONMENT_LOCK,
    "azureml-logs/60_control_log.txt": SUPERVISOR_LOG,
    "azureml-logs/70_driver_log.txt": DRIVER_LOG,
    USAGE_NAME: USAGE,
}
#: Public names of the logs of further processes; the first one's is that of the run.
RANK_LOG = re.compile(r"azureml-logs/70_driver_log_([1-9][0-9]{0,5})\.txt")
#: Public name of the record file.
RECORDS_NAME = "records"

# Variables of the script's process.
RUN_FOLDER_VARIABLE = "TURNOUT_RUN_FOLDER"
RUN_ID_VARIABLE = "TURNOUT_RUN_ID"
EXPERIMENT_VARIABLE = "TURNOUT_EXPERIMENT"
ATTEMPT_VARIABLE = "TURNOUT_RUN_ATTEMPT"
#: "0": names that libraries have dropped stay dropped.
ERAS_VARIABLE = "TURNOUT_ERAS"
#: Which process of the run this is; "0" or not there for the first.
RANK_VARIABLE = "TURNOUT_RANK"
#: Where this machine's `turnout` is, for scripts that want more than `Run` and have none.
CLIENT_VARIABLE = "TURNOUT_RUN_CLIENT"
#: For a launcher: names of the variables that the script is to have, as JSON.
INSIDE_VARIABLE = "TURNOUT_INSIDE"
#: Where the script's MLflow, if it has one, logs: to the run, by `payload/mlflow`.
MLFLOW_VARIABLE = "MLFLOW_TRACKING_URI"
MLFLOW_URI = "turnout://run"

HANDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
DIGEST = re.compile(r"[0-9a-f]{64}")


def run_folder(root: str, handle: str) -> str:
    """The folder of `handle`; ValueError when it is no handle."""
    if not isinstance(handle, str) or not HANDLE.fullmatch(handle):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("%r is not a run handle" % (handle,))
    return os.path.join(root, RUNS, handle)


def make_folder(path: str) -> str:
    """Make `path` and what leads to it, for the owner only; return it."""
    if not os.path.isdir(path):
        # `os.makedirs` would give its mode to the last folder alone.
        if os.path.dirname(path) not in ("", path):
            make_folder(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
    return path


def write_file(path: str, data: bytes) -> None:
    """Put `data` at `path` by rename: a reader sees the old content or the new, never a part."""
    temporary = "%s.%d.%d.tmp" % (path, os.getpid(), time.monotonic_ns())
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            write_all(fd, data)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        remove_quietly(temporary)
        raise


def write_all(fd: int, data: bytes) -> None:
    """Write every byte; `os.write` may take fewer."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def remove_quietly(path: str | bytes) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def write_json(path: str, value: object) -> None:
    write_file(path, json.dumps(value, separators=(",", ":")).encode())


def read_json(path: str) -> Any:
    """The file's JSON, or None when there is none or it is damaged."""
    try:
        with open(path, "rb") as file:
            return json.loads(file.read())
    except (OSError, ValueError):
        return None


def read_mapping(path: str) -> dict[str, Any]:
    """The file's JSON mapping; empty when there is none or it is anything else."""
    found = read_json(path)
    return found if type(found) is dict else {}


def boot_id() -> str:
    """Changes when the machine starts anew; "" where the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def log_path(folder: str, name: str) -> str | None:
    """Path of a public log name or of "records"; None for every other name."""
    if name == RECORDS_NAME:
        return os.path.join(folder, RECORDS)
    file = LOGS.get(name)
    rank = RANK_LOG.fullmatch(name)
    if rank:
        file = "ranks/%s.log" % rank.group(1)
    return None if file is None else os.path.join(folder, file)


def read_complete_lines(path: str, offset: int, limit: int = 1 << 20) -> tuple[list[bytes], int]:
    """Whole lines from `offset` (without their newline) and the offset behind them.

    A torn last line is left for the next look. A line longer than `limit` is read whole.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return [], offset
    try:
        data = os.pread(fd, limit, offset)
        while data and b"\n" not in data:
            more = os.pread(fd, limit, offset + len(data))
            if not more:
                break
            data += more
    finally:
        os.close(fd)
    end = data.rfind(b"\n") + 1
    return (data[: end - 1].split(b"\n") if end else []), offset + end


# -- records -----------------------------------------------------------------------------------

#: Run folder → descriptor and the file it stood for.
_records: dict[str, tuple[int, int]] = {}
_pokers: dict[str, tuple[int, int]] = {}
_torn: set[str] = set()


def _kept(cache: dict[str, tuple[int, int]], key: str) -> int:
    """The descriptor kept for `key`, or -1.

    A script may close every descriptor and open its own (daemons do): the number is then
    somebody else's, and nothing of ours may be written there.
    """
    fd, inode = cache.get(key, (-1, 0))
    try:
        return fd if fd >= 0 and os.fstat(fd).st_ino == inode else -1
    except OSError:
        return -1


def append_record(run_folder: str, record: dict[str, Any]) -> None:
    """Append one record to `records.jsonl` with one write, then poke.

    Raises OSError (a full disk among them); what was half-written is then closed off by the next
    append, so that it never spoils a later record.
    """
    line = json.dumps(record, separators=(",", ":"), allow_nan=True).encode() + b"\n"
    fd = _kept(_records, run_folder)
    if fd < 0:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(os.path.join(run_folder, RECORDS), flags, 0o600)
        _records[run_folder] = fd, os.fstat(fd).st_ino
    if run_folder in _torn:
        line = b"\n" + line
    if os.write(fd, line) != len(line):
        _torn.add(run_folder)
        raise OSError(errno.ENOSPC, "No space left for the run's records", run_folder)
    _torn.discard(run_folder)
    poke(run_folder)


def poke(run_folder: str) -> None:
    """Say that something in `run_folder` grew. Never blocks, never raises.

    The supervisor hears it and tells the agents, at most every 10 ms and never forgetting the
    last: when its queue is full it has a poke to read anyway.
    """
    fd = _kept(_pokers, run_folder)
    try:
        if fd < 0:
            fd = connect_datagram(run_folder, POKE_SOCKET).detach()
            _pokers[run_folder] = fd, os.fstat(fd).st_ino
        os.write(fd, b"p")
    except OSError:
        pass


# -- datagrams ---------------------------------------------------------------------------------


def connect_datagram(folder: str, name: str) -> socket.socket:
    """A non-blocking datagram socket connected to `folder/name`, however long the path is."""
    return _at(folder, name, bind=False)


def bind_datagram(folder: str, name: str) -> socket.socket:
    """A non-blocking datagram socket bound at `folder/name`, replacing what is there."""
    remove_quietly(os.path.join(folder, name))
    return _at(folder, name, bind=True)


def _at(folder: str, name: str, bind: bool) -> socket.socket:
    # sun_path holds 108 bytes: reach the folder through an open descriptor instead of its path.
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        path = "/proc/self/fd/%d/%s" % (fd, name)
        if not os.path.isdir("/proc/self/fd"):
            path = os.path.join(folder, name)
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            found.setblocking(False)
            found.bind(path) if bind else found.connect(path)
        except BaseException:
            found.close()
            raise
        return found
    finally:
        os.close(fd)


_mark: list[str] = []


def watch_name() -> str:
    """A name for an agent's socket in `WATCH`; it begins with what only this machine's do."""
    return "%s%d-%x.sock" % (machine_mark(), os.getpid(), time.time_ns())


def machine_mark() -> str:
    if not _mark:
        _mark.append(boot_id()[:8] + "-")
    return _mark[0]


def tell(root: str, handle: str) -> bool:
    """Send `handle` to every listening agent; False when one could not take it now: try again.

    Sockets whose agent is gone are removed; those of other machines that share the root cannot be
    reached and stay.
    """
    watch = os.path.join(root, WATCH)
    mark = machine_mark()
    try:
        names = [name for name in os.listdir(watch) if name.startswith(mark)]
    except OSError:
        return True
    complete = True
    for name in names:
        try:
            with connect_datagram(watch, name) as agent:
                agent.send(handle.encode())
        except (BlockingIOError, InterruptedError):
            complete = False
        except ConnectionRefusedError:
            # Names are never used twice, so this is a dead agent's.
            remove_quietly(os.path.join(watch, name))
        except OSError:
            continue
    return complete
