"""What of a run folder can be seen from outside: its state, its logs, its files, by public names.

Names come from outside: none leads out of the run folder, whatever it contains and whatever the
script linked to where.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from turnout.payload import rundir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Most files that a listing names; a run with more is told by `observe` as this many.
LISTED = 100_000


# -- names -------------------------------------------------------------------------------------


def open_public(folder: str, name: str, watch: list[str]) -> int:
    """Open a public name for reading; raises FileNotFoundError for what is not there or not ours.

    Links are followed inside `work/` and `files/`, never out of them.
    """
    fixed = rundir.log_path(folder, name)
    if fixed is not None:
        return os.open(fixed, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    pieces = name.split("/")
    if "\0" in name or any(piece in ("", ".", "..") for piece in pieces):
        raise FileNotFoundError(name)
    for base in bases(folder, name, watch):
        fd = open_inside(base, name)
        if fd >= 0:
            return fd
    raise FileNotFoundError(name)


def bases(folder: str, name: str, watch: list[str]) -> list[str]:
    """Where `name` may lie, the likelier first: an upload wins over the script's own file."""
    work = os.path.join(folder, rundir.WORK)
    found = [os.path.join(folder, rundir.FILES)]
    if any(name.startswith(top.strip("/") + "/") for top in [rundir.OUTPUTS, *watch]):
        found.append(work)
    return found


def open_inside(base: str, name: str) -> int:
    """Open the regular file `base/name`, or return -1; checked after it is open."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(
            os.path.join(os.fsencode(base), name.encode("utf-8", "surrogateescape")), flags
        )
    except (OSError, UnicodeError):
        return -1
    try:
        place = os.readlink("/proc/self/fd/%d" % fd)
        inside = os.path.realpath(base) + "/"
        if stat.S_ISREG(os.fstat(fd).st_mode) and place.startswith(inside):
            return fd
    except OSError:
        pass
    os.close(fd)
    return -1


def read_part(fd: int, offset: int, limit: int) -> bytes:
    """Up to `limit` bytes from `offset`, as many as there are."""
    data = os.pread(fd, limit, offset)
    while data and len(data) < limit:
        more = os.pread(fd, limit - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


# -- listings ----------------------------------------------------------------------------------


def list_files(folder: str, watch: list[str]) -> list[tuple[str, int]]:
    """(public name, size) of what is under outputs, of the uploads, and of the watched files."""
    found: dict[str, int] = {}
    work = os.path.join(folder, rundir.WORK)
    for top in [rundir.OUTPUTS, *watch]:
        walk(work, top.strip("/"), found)
    walk(os.path.join(folder, rundir.FILES), "", found)
    return sorted(found.items())


def walk(base: str, below: str, found: dict[str, int]) -> None:
    """Sizes of the files in `base/below`, however deep."""
    todo = [below]
    while todo:
        below = todo.pop()
        try:
            with os.scandir(os.path.join(base, below)) as entries:
                rows = list(entries)
        except OSError:
            continue
        walk_folder(base, below, rows, found, todo)


def walk_folder(
    base: str, below: str, rows: list[os.DirEntry[str]], found: dict[str, int], todo: list[str]
) -> None:
    for entry in rows:
        name = below + "/" + entry.name if below else entry.name
        # Names travel as JSON: bytes that are not UTF-8 stay as surrogate escapes.
        if len(found) >= LISTED:
            return
        try:
            if entry.is_dir(follow_symlinks=False):
                todo.append(name)
            elif entry.is_file(follow_symlinks=False):
                found[name] = entry.stat(follow_symlinks=False).st_size
            elif entry.is_symlink():
                fd = open_inside(base, name)
                if fd >= 0:
                    found[name] = os.fstat(fd).st_size
                    os.close(fd)
        except OSError:
            continue


def sizes_of(folder: str, watch: list[str], ended: bool = False) -> dict[str, int]:
    """Bytes of every public log that there is, of the records and of the watched files. Those of
    a run that ended are its last, so they are not what a shared file system remembers."""
    found: dict[str, int] = {}
    add_size = add_last_size if ended else add_known_size
    for name, file in rundir.LOGS.items():
        add_size(found, name, os.path.join(folder, file))
    for rank in ranks_of(folder):
        name = "azureml-logs/70_driver_log_%d.txt" % rank
        add_size(found, name, os.path.join(folder, "ranks", "%d.log" % rank))
    add_size(found, rundir.RECORDS_NAME, os.path.join(folder, rundir.RECORDS))
    # An empty log of a fault or of a build that never began is no log.
    for name in [n for n, size in found.items() if not size and n != rundir.RECORDS_NAME]:
        del found[name]
    work = os.path.join(folder, rundir.WORK)
    for top in watch:
        walk(work, top.strip("/"), found)
    return found


def ranks_of(folder: str) -> list[int]:
    """Further processes of the run that have written something."""
    try:
        names = os.listdir(os.path.join(folder, "ranks"))
    except OSError:
        return []
    return sorted(int(n[:-4]) for n in names if n.endswith(".log") and n[:-4].isdigit())


def add_last_size(found: dict[str, int], name: str, path: str) -> None:
    """NFS asks its server when a file is opened."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    found[name] = os.fstat(fd).st_size
    os.close(fd)


def add_known_size(found: dict[str, int], name: str, path: str) -> None:
    try:
        found[name] = os.stat(path, follow_symlinks=False).st_size
    except OSError:
        return


# -- state -------------------------------------------------------------------------------------


def is_alive(folder: str) -> bool:
    """Whether a supervisor holds the run folder's lock."""
    try:
        fd = os.open(os.path.join(folder, rundir.LOCK), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def observe(root: str, handle: str, boot_id: str) -> dict[str, Any]:
    """One look, as the mapping of an Observation (turnout.spec.targets)."""
    folder = rundir.run_folder(root, handle)
    end = rundir.read_json(os.path.join(folder, rundir.EXIT))
    status: dict[str, Any] = rundir.read_json(os.path.join(folder, rundir.STATUS)) or {}
    state = "ended"
    if end is None:
        same_boot = status.get("boot_id", boot_id) == boot_id
        if same_boot and is_alive(folder):
            state = status.get("state", "preparing")
        else:
            # It may have ended between the two looks.
            end = rundir.read_json(os.path.join(folder, rundir.EXIT))
            if end is None and not status:
                # Never begun: a launch that was cut may be asked for again.
                return {"state": "absent"}
            state = "ended" if end is not None else "lost"
    return told(folder, state, status, end)


def told(
    folder: str, state: str, status: dict[str, Any], end: dict[str, Any] | None
) -> dict[str, Any]:
    """The Observation of a run that is in `state`."""
    found: dict[str, Any] = {"state": state, "message": status.get("message", "")}
    watch = watched(folder)
    found["sizes"] = sizes_of(folder, watch, ended=end is not None)
    found["started_at"] = status.get("started_at")
    try:
        beat = os.stat(os.path.join(folder, rundir.HEARTBEAT)).st_mtime
        found["heartbeat_age_s"] = max(0.0, time.time() - beat)
    except OSError:
        found["heartbeat_age_s"] = None
    if end is not None:
        found["exit"] = end
        found["message"] = end.get("message", "")
        found["started_at"] = end.get("started_at")
    if state in ("ended", "lost"):
        found["files"] = len(list_files(folder, watch))
    return found


def watched(folder: str) -> list[str]:
    """The watched folders of the ticket that stay inside the work folder."""
    ticket: dict[str, Any] = rundir.read_json(os.path.join(folder, rundir.TICKET)) or {}
    folders: list[str] = ticket.get("watch") or []
    return [w for w in folders if w.strip("/") and ".." not in w.split("/")]
