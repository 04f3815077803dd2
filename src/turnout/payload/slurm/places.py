"""Files of Slurm runs: in their run folders, and `slurm/<batch>.json` below the host root."""

from __future__ import annotations

import contextlib
import os
import time

from turnout.payload import rundir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FOLDER = "slurm"
#: A batch's file is kept at least so long.
KEPT_S = 3600.0
#: In a run folder: which batch the run is in, `{"batch": str, "index": int}`.
POINTER = "slurm.json"
#: In a run folder: written by the node that took the run, so that no second one does; with the
#: batch that it was in, which may be another than the last one that it was handed over in.
BEGUN = "slurm.begun"


def batch_path(root: str, batch: str) -> str:
    """The batch's file; ValueError when `batch` is no name of one."""
    if not rundir.HANDLE.fullmatch(batch):
        raise ValueError("%r cannot be a batch" % (batch,))
    return os.path.join(root, FOLDER, batch + ".json")


def look_afresh(folder: str) -> None:
    """From now on names are there that other machines made. NFS remembers for half a minute that
    a file was not there; opening its folder makes it ask again."""
    with contextlib.suppress(OSError):
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def tidy(root: str) -> None:
    """Remove the files of batches whose runs are all gone."""
    old = time.time() - KEPT_S
    folder = os.path.join(root, FOLDER)
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError, ValueError):
            if not name.endswith(".json") or os.stat(path).st_mtime > old:
                continue
            handles = rundir.read_mapping(path).get("handles") or []
            if not any(os.path.isdir(rundir.run_folder(root, handle)) for handle in handles):
                os.unlink(path)


def end(folder: str, reason: str, message: str, **more: object) -> None:
    """Write the end of a run that no supervisor will end. The first end stands."""
    there = os.path.join(folder, rundir.EXIT)
    if not os.path.exists(there):
        found: dict[str, Any] = {"reason": reason, "code": None, "signal": None}
        found.update({"message": message, "started_at": None, "ended_at": time.time(), **more})
        rundir.write_json(there, found)


def signature(folder: str) -> tuple[object, ...]:
    """Changes when a run wrote something that a look would show."""
    found: list[object] = []
    for name in (rundir.STATUS, rundir.DRIVER_LOG, rundir.RECORDS, rundir.EXIT, BEGUN):
        try:
            seen = os.stat(os.path.join(folder, name))
            found.append((seen.st_size, seen.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)


def stop_asked(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, rundir.STOP))


def heartbeat_age(folder: str) -> float | None:
    try:
        return time.time() - os.stat(os.path.join(folder, rundir.HEARTBEAT)).st_mtime
    except OSError:
        return None
