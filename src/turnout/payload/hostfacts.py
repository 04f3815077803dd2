"""What a host is and whether it can do the work, told in words that a person can act on."""

from __future__ import annotations

import fcntl
import os
import sys

from turnout.payload import rundir
from turnout.payload.store import Store, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Less free space than this is called a problem, in bytes.
DISK_NEEDED = 200_000_000


def facts(root: str, boot_id: str) -> dict[str, Any]:
    """The agent's greeting."""
    machine = os.uname()
    return {
        "protocol": 1,
        "python": "%d.%d.%d" % sys.version_info[:3],
        "executable": sys.executable,
        "platform": sys.platform,
        "machine": machine.machine,
        "libc": libc(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "disk_free": disk_free(root),
        "root": root,
        "boot_id": boot_id,
        "user": user(),
    }


def libc() -> str:
    """ "glibc 2.36", or "musl" where the C library does not say."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "musl"
    except (ValueError, OSError):
        return "musl"


def user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return str(os.getuid())


def disk_free(root: str) -> int:
    found = os.statvfs(root)
    return found.f_bavail * found.f_frsize


def problems(root: str, store: Store) -> list[dict[str, str]]:
    """What keeps this host from running anything: `code`, `message` and `fix` of each."""
    found: list[dict[str, str]] = []

    def add(code: str, message: str, fix: str) -> None:
        found.append({"code": code, "message": message, "fix": fix})

    probe = os.path.join(root, "check.%d" % os.getpid())
    try:
        rundir.write_file(probe, b"x")
        fd = os.open(probe, os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            fix = "Attach with a folder on a local disk, not on a network share."
            add("no_locks", "Files in %s cannot be locked: %s." % (root, e.strerror), fix)
        finally:
            os.close(fd)
    except OSError as e:
        fix = "Free space or give the user write access there, or attach with another folder."
        add("not_writable", "%s cannot be written: %s." % (root, e.strerror), fix)
    finally:
        rundir.remove_quietly(probe)
    try:
        store.missing([])
        store.known_packs()
    except StoreError as e:
        add("store", str(e), "Remove the folder %s and attach again." % store.root)
    free = disk_free(root)
    if free < DISK_NEEDED:
        fix = "Free at least %d MB there." % (DISK_NEEDED // 1_000_000)
        add("disk_full", "Only %d MB are free at %s." % (free // 1_000_000, root), fix)
    if not os.path.isdir("/proc/self/fd"):
        add("no_proc", "There is no /proc.", "Runs need Linux with /proc mounted.")
    return found
