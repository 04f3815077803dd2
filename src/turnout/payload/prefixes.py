"""The environments of a host, by the digest of their lock: held while in use, listed, pruned."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

from turnout.payload import rundir, trees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, BinaryIO

READY = "ready"
LOCK = "ready.lock"
#: Left by a build that made a container's image: {"image": its tag, "client": "docker"}.
IMAGE = "image.json"
#: Compiled packages are kept for so long after their last use: the next environment likes them.
BYTECODE_KEPT_S = 7 * 86400.0
#: Open files whose shared lock says that this process uses an environment.
_held: list[BinaryIO] = []


def folder_of(root: str, digest: str) -> str:
    if not rundir.DIGEST.fullmatch(digest):
        raise ValueError("%r cannot name an environment" % (digest,))
    return os.path.join(root, rundir.ENVIRONMENTS, digest)


def is_ready(root: str, digest: str) -> bool:
    try:
        # Empty: the machine lost its power before it was written.
        return os.stat(os.path.join(folder_of(root, digest), READY)).st_size > 0
    except OSError:
        return False


def hold(root: str, digest: str) -> BinaryIO | None:
    """Keep the environment from being pruned for as long as this process lives, and note its use;
    None when it is not there (any more)."""
    path = os.path.join(folder_of(root, digest), READY)
    try:
        file = open(path, "rb")
    except OSError:
        return None
    try:
        # Waits for who looks whether it is used, or takes it away: both need a moment only.
        fcntl.flock(file.fileno(), fcntl.LOCK_SH)
        # A prune that came between opening and locking took it away.
        if os.stat(path).st_ino != os.fstat(file.fileno()).st_ino or not is_ready(root, digest):
            raise FileNotFoundError
    except OSError:
        file.close()
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    _held.append(file)
    return file


def let_go() -> None:
    """Hold nothing any more; a supervisor does so by ending."""
    while _held:
        _held.pop().close()


def finish(prefix: str, label: str) -> None:
    """All is there: from now on it may be used."""
    image = rundir.read_mapping(os.path.join(prefix, IMAGE))
    locked = rundir.read_mapping(os.path.join(prefix, LOCK))
    about = {
        "label": label,
        "kind": locked.get("kind", ""),
        "size": size_of(prefix) + int(image.get("size") or 0),
        "built_at": time.time(),
    }
    rundir.write_json(os.path.join(prefix, READY), about)


def size_of(folder: str) -> int:
    """Bytes of the files below `folder`; links count nothing."""
    total = 0
    todo = [folder]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def known(root: str) -> list[dict[str, Any]]:
    """The environments of this host, the last used first."""
    found: list[dict[str, Any]] = []
    try:
        names = os.listdir(os.path.join(root, rundir.ENVIRONMENTS))
    except OSError:
        return found
    for name in names:
        if rundir.DIGEST.fullmatch(name):
            found.append(describe(root, name))
    return sorted(found, key=lambda row: (-(row["used_at"] or 0.0), row["key"]))


def describe(root: str, digest: str) -> dict[str, Any]:
    ready = os.path.join(folder_of(root, digest), READY)
    about = rundir.read_mapping(ready)
    row: dict[str, Any] = {"key": digest, "label": "", "kind": "", "ready": bool(about)}
    row.update(size=0, built_at=None, used_at=None, in_use=is_locked(folder_of(root, digest)))
    if about:
        for name in ("label", "kind", "size", "built_at"):
            row[name] = about.get(name, row[name])
        try:
            row["used_at"] = os.stat(ready).st_mtime
        except OSError:
            row["ready"] = False
    return row


def is_locked(folder: str) -> bool:
    """Whether a run uses the environment or is making it."""
    return any(not try_lock(path) for path in (os.path.join(folder, READY), folder + ".lock"))


def try_lock(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def prune(
    root: str,
    keys: list[str] | None,
    older_than_s: float,
    dry_run: bool,
    background: Callable[[Callable[[], None]], None],
) -> list[dict[str, Any]]:
    """Remove the environments named, or those not used for `older_than_s`; never one in use.

    Their names are free at once; what takes long is done in the `background`. The rows removed.
    """
    now = time.time()
    removed: list[dict[str, Any]] = []
    gone: list[str] = []
    for row in known(root):
        if keys is not None:
            wanted = any(len(key) >= 6 and row["key"].startswith(key) for key in keys)
        else:
            wanted = now - (row["used_at"] or 0.0) >= older_than_s
        if not wanted or row["in_use"]:
            continue
        if dry_run or take_away(root, row["key"], gone):
            removed.append(row)
    if gone:
        forget_requests(root, {row["key"] for row in removed})
        background(lambda: delete(gone, os.path.join(root, "cache", "bytecode")))
    return removed


def take_away(root: str, digest: str, gone: list[str]) -> bool:
    """Move the environment into the trash, unless somebody began to use it just now."""
    folder = folder_of(root, digest)
    there = os.path.join(root, rundir.TRASH, "%s.%x" % (digest[:16], time.time_ns()))
    try:
        rundir.make_folder(os.path.dirname(there))
        with exclusive(folder + ".lock", os.O_CREAT), contextlib.ExitStack() as used:
            with contextlib.suppress(FileNotFoundError):
                used.enter_context(exclusive(os.path.join(folder, READY)))
            os.rename(folder, there)
    except OSError:
        return False
    gone.append(there)
    return True


@contextlib.contextmanager
def exclusive(path: str, flags: int = 0) -> Generator[None, None, None]:
    """Hold the lock file meanwhile; OSError when somebody else does."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)


def forget_requests(root: str, digests: set[str]) -> None:
    folder = os.path.join(root, rundir.REQUESTS)
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        path = os.path.join(folder, name)
        found = rundir.read_mapping(path) if name.endswith(".json") else {}
        if found.get("environment") not in digests:
            continue
        stem = path[: -len(".json")]
        # Whoever asks again at this moment makes it anew in that folder.
        with contextlib.suppress(OSError), exclusive(stem + ".lock", os.O_CREAT):
            rundir.remove_quietly(path)
            trees.discard(stem + ".files", os.path.join(root, rundir.TRASH))


def delete(folders: list[str], bytecode: str) -> None:
    """Delete environments that lie in the trash, and the bytecode that no other one links to."""
    import subprocess

    for folder in folders:
        image = rundir.read_mapping(os.path.join(folder, IMAGE))
        if image.get("image"):
            argv = [str(image.get("client") or "docker"), "image", "rm", str(image["image"])]
            with contextlib.suppress(OSError):
                subprocess.call(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        trees.remove_tree(folder)
    sweep(bytecode)


def sweep(bytecode: str) -> None:
    """Remove compiled packages that no environment links to, and that none was linked to for
    long. Who links one just now compiles what is missing."""
    old = time.time() - BYTECODE_KEPT_S
    for python in entries(bytecode):
        for package in entries(python):
            with contextlib.suppress(OSError):
                if os.stat(package).st_mtime < old and not is_linked(package):
                    trees.remove_tree(package)


def entries(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder)]
    except OSError:
        return []


def is_linked(folder: str) -> bool:
    """Whether a file below `folder` has another name elsewhere."""
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                if os.lstat(os.path.join(place, name)).st_nlink > 1:
                    return True
    return False
