"""On a node of Slurm: carry out one run of a batch, once, whatever Slurm does.

Started by the batch's script (`batches.SCRIPT`), which becomes this process: so a signal that
Slurm sends to the script reaches the supervisor.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time

from turnout.payload import rundir, supervisor
from turnout.payload.slurm.places import BEGUN, batch_path, end
from turnout.payload.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main(argv: list[str]) -> int:
    """`ROOT STORE BATCH`, beside Slurm's own variables; returns the exit code."""
    # Slurm may ask it to end before it listens: the signal waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP])
    root, store, batch = argv
    payload = os.path.dirname(os.path.dirname(os.path.dirname(supervisor.__file__)))
    index = int(os.environ.get("SLURM_ARRAY_TASK_ID") or 0)
    handles: list[str] = rundir.read_mapping(batch_path(root, batch)).get("handles") or []
    if index >= len(handles):
        return 1
    handle = handles[index]
    folder = rundir.run_folder(root, handle)
    if not os.path.isdir(folder) or not claim(folder, batch, index):
        return 0
    lock = os.open(os.path.join(folder, rundir.LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # Not every shared file system has locks; `BEGUN` has decided already.
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    supervisor.supervise(supervisor.Supervisor(root, Store(store), payload, handle), lock)
    # Everything is written: what the interpreter puts in order would only keep the node.
    os._exit(0)


def claim(folder: str, batch: str, index: int) -> bool:
    """Whether this process is the one to carry the run out.

    A Slurm that lost its state may start a run twice: the first goes on alone. One that was put
    back in the queue by an administrator would mix with what the first start left: that is the
    end of the attempt."""
    me: dict[str, Any] = {
        "batch": batch,
        "index": index,
        "number": os.environ.get("SLURM_JOB_ID", ""),
        "restart": int(os.environ.get("SLURM_RESTART_COUNT") or 0),
        "node": os.environ.get("SLURMD_NODENAME", ""),
        "at": time.time(),
    }
    there = os.path.join(folder, BEGUN)
    # Whole or not there: linked from a file that is written.
    mine = "%s.%s.%d" % (there, me["node"], os.getpid())
    rundir.write_json(mine, me)
    try:
        os.link(mine, there)
        return True
    except FileExistsError:
        # The answer of a server that is asked twice: it was ours that came through.
        if os.stat(mine).st_nlink > 1:
            return True
        if me["restart"] > int(rundir.read_mapping(there).get("restart") or 0):
            end(folder, "node", "Slurm started the run a second time.")
        return False
    except OSError:
        # A file system without links.
        return claim_without_link(mine, there)
    finally:
        rundir.remove_quietly(mine)


def claim_without_link(mine: str, there: str) -> bool:
    try:
        fd = os.open(there, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    try:
        with open(mine, "rb") as file:
            rundir.write_all(fd, file.read())
    finally:
        os.close(fd)
    return True
