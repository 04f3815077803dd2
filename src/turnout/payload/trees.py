"""Work folders: laid out from the store, and given back after a run to be used again.

Writing thousands of small files takes a second where a rename takes none. So a tree whose files
nobody touched is kept beside the runs, with a record of what `lstat` said about each file. A
tree is claimed by renaming it, so it has one user at a time and no inode is ever shared. The
record is away while a tree is being changed: what a killed process leaves is never used again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time

from turnout.payload import bundles, rundir
from turnout.payload.store import Store, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KEPT_PER_SNAPSHOT = 2
KEPT = 8
#: Trees looked at for one that is nearly right.
LOOKED_AT = 3
#: Less in common than this and a fresh tree is written instead.
WORTH_PATCHING = 0.3
#: File times tick: a file changed within a tick of its writing looks unchanged. Those written
#: this shortly before the script's start are compared by content instead.
TICK_NS = 20_000_000
WORK = "work"
RECORD = rundir.TREE_RECORD
PARTIAL = "partial"


def lay_out(
    store: Store,
    digest: str,
    into: str,
    record: str,
    trees: str,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Make `into` (which must not exist) hold the snapshot, and write its `record`.

    `tick` is called before each file; what it raises ends the work. Raises `StoreError`; what is
    half-made then is for the caller to remove.
    """
    no_rows: list[Any] = []
    try:
        if claim_exact(trees, digest, into, record):
            return
        manifest = store.manifest(digest)
        old = claim_nearest(trees, manifest, into)
        if old is None:
            os.mkdir(into)
            old = {"files": no_rows, "links": no_rows, "folders": no_rows}
        rows = patch(store, old, manifest, into, tick)
        mode = stat.S_IMODE(os.stat(into).st_mode)
        made = {
            "digest": digest,
            "laid_at": time.time_ns(),
            "folder_mode": mode,
            "files": rows,
            "links": manifest["links"],
            "folders": folders_of(manifest),
        }
        rundir.write_json(record, made)
    except OSError as e:
        raise failure(e, into) from e


def folders_of(manifest: dict[str, Any]) -> list[str]:
    """Every folder of the tree, a parent before its children."""
    paths = [row[0] for row in manifest["files"]] + [row[0] for row in manifest["links"]]
    return sorted(bundles.parents_of(paths + manifest["folders"]) | set(manifest["folders"]))


# -- claiming ----------------------------------------------------------------------------------


def slots(trees: str) -> list[tuple[float, str]]:
    """(given back at, name) of the trees, the newest first."""
    found: list[tuple[float, str]] = []
    try:
        with os.scandir(trees) as entries:
            for entry in entries:
                try:
                    found.append((entry.stat(follow_symlinks=False).st_mtime, entry.name))
                except OSError:
                    continue
    except OSError:
        return []
    return sorted(found, reverse=True)


def claim_exact(trees: str, digest: str, into: str, record: str) -> bool:
    for _, name in slots(trees):
        if not name.startswith(digest):
            continue
        claimed = claim(trees, name, into)
        if claimed is not None:
            os.rename(os.path.join(claimed, WORK), into)
            os.rename(os.path.join(claimed, RECORD), record)
            os.rmdir(claimed)
            return True
    return False


def claim(trees: str, name: str, into: str) -> str | None:
    """Take a tree for ourselves, beside `into`; None when another was faster."""
    claimed = into + ".claimed"
    try:
        os.rename(os.path.join(trees, name), claimed)
    except OSError:
        return None
    return claimed


def claim_nearest(trees: str, manifest: dict[str, Any], into: str) -> dict[str, Any] | None:
    """Take the recent tree that has most in common, as `into`; its record."""
    wanted = {(row[0], row[1], row[3]) for row in manifest["files"]}
    best: tuple[int, str, dict[str, Any]] | None = None
    for _, name in slots(trees)[:LOOKED_AT]:
        found = rundir.read_json(os.path.join(trees, name, RECORD))
        if not found:
            continue
        common = sum((row[0], row[1], row[3]) in wanted for row in found["files"])
        if common > max(len(found["files"]), len(wanted)) * WORTH_PATCHING and (
            best is None or common > best[0]
        ):
            best = (common, name, found)
    if best is None:
        return None
    claimed = claim(trees, best[1], into)
    if claimed is None:
        return None
    # From here on the tree is being changed: without its record nobody takes it for whole.
    os.unlink(os.path.join(claimed, RECORD))
    os.rename(os.path.join(claimed, WORK), into)
    os.rmdir(claimed)
    return best[2]


# -- writing -----------------------------------------------------------------------------------


def patch(
    store: Store,
    old: dict[str, Any],
    manifest: dict[str, Any],
    into: str,
    tick: Callable[[], None],
) -> list[list[Any]]:
    """Turn the tree `old` at `into` into the manifest's; the rows of its record."""
    base = os.fsencode(into) + b"/"
    wanted = {row[0]: row for row in manifest["files"]}
    kept: dict[str, list[Any]] = {}
    for row in old["files"]:
        if wanted.get(row[0]) == row[:4]:
            kept[row[0]] = row
        else:
            os.unlink(base + encode(row[0]))
    links = [row for row in manifest["links"] if row not in old["links"]]
    for row in old["links"]:
        if row not in manifest["links"]:
            os.unlink(base + encode(row[0]))
    folders = folders_of(manifest)
    for path in sorted(set(old["folders"]) - set(folders), reverse=True):
        os.rmdir(base + encode(path))
    there = set(old["folders"])
    for path in folders:
        if path not in there:
            os.mkdir(base + encode(path))
    missing = [row for row in manifest["files"] if row[0] not in kept]
    written = write_files(store, missing, base, tick)
    for path, target in links:
        os.symlink(encode(target), base + encode(path))
    return [kept.get(row[0]) or written[row[0]] for row in manifest["files"]]


def encode(path: str) -> bytes:
    """A manifest's path as the file system's bytes, whatever the locale is."""
    return path.encode("utf-8", "surrogateescape")


def write_files(
    store: Store, rows: list[list[Any]], base: bytes, tick: Callable[[], None]
) -> dict[str, list[Any]]:
    places = store.locate(list({row[3] for row in rows}))
    written: dict[str, list[Any]] = {}
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for row in sorted(rows, key=lambda r: places.get(r[3], (0, 0, 0))):
        path, executable, size, sha = row
        place = places.get(sha) or store.place(sha)
        fd = os.open(base + encode(path), flags, 0o777 if executable else 0o666)
        try:
            for part in store.parts(place[0], place[1], size):
                tick()
                rundir.write_all(fd, part)
            written[path] = [*row, *witness(os.fstat(fd))]
        finally:
            os.close(fd)
    return written


def witness(found: os.stat_result) -> list[int]:
    """What changes when somebody touches the file: also its times set back change the ctime."""
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode]


# -- giving back -------------------------------------------------------------------------------


def give_back(work: str, record: str, trees: str, trash: str) -> bool:
    """Clean the tree of what the run added and keep it for another run.

    Files that were changed or deleted only cost their own rewriting later. False when it is not
    worth keeping or cannot be cleaned; the caller then removes it.
    """
    laid = rundir.read_json(record)
    if not laid or not laid["files"]:
        return False
    try:
        base = os.fsencode(work) + b"/"
        if any(is_replaced(base + encode(path)) for path in laid["folders"]):
            return False
        files = [row for row in laid["files"] if is_untouched(base, row, laid["laid_at"])]
        links = [row for row in laid["links"] if is_same_link(base, row)]
        if len(files) < len(laid["files"]) / 2:
            return False
        folders = laid["folders"]
        allowed = {encode(row[0]) for row in files} | {encode(row[0]) for row in links}
        sweep(base, b"", allowed, {encode(p) for p in folders}, laid["folder_mode"])
        for path in folders:
            if not os.path.isdir(base + encode(path)):
                os.mkdir(base + encode(path))
        whole = len(files) == len(laid["files"]) and len(links) == len(laid["links"])
        os.unlink(record)
        keep(work, {**laid, "files": files, "links": links}, whole, trees)
        prune(trees, trash)
    except (OSError, KeyError, TypeError, ValueError, RecursionError):
        return False
    return True


def is_replaced(path: bytes) -> bool:
    """Something else has the folder's name: through a link, other files would pass for its own."""
    return os.path.lexists(path) and not stat.S_ISDIR(os.lstat(path).st_mode)


def is_untouched(base: bytes, row: list[Any], laid_at: int) -> bool:
    path = base + encode(row[0])
    try:
        found = os.lstat(path)
        if witness(found) != row[4:]:
            return False
        if found.st_ctime_ns < laid_at - TICK_NS:
            return True
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest() == row[3]
    except OSError:
        return False


def is_same_link(base: bytes, row: list[str]) -> bool:
    try:
        return os.readlink(base + encode(row[0])) == encode(row[1])
    except OSError:
        return False


def sweep(base: bytes, below: bytes, allowed: set[bytes], folders: set[bytes], mode: int) -> None:
    """Remove what is not the snapshot's from `base + below`, and set its folders' modes."""
    with os.scandir(base + below) as entries:
        found = list(entries)
    for entry in found:
        path = below + entry.name
        if entry.is_dir(follow_symlinks=False):
            if path in folders:
                if stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode) != mode:
                    os.chmod(entry.path, mode)
                sweep(base, path + b"/", allowed, folders, mode)
            else:
                remove_tree(entry.path)
        elif path not in allowed:
            os.unlink(entry.path)


def keep(work: str, record: dict[str, Any], whole: bool, trees: str) -> None:
    slot = work + ".kept"
    rundir.make_folder(trees)
    os.mkdir(slot, 0o700)
    rundir.write_json(os.path.join(slot, RECORD), record)
    os.rename(work, os.path.join(slot, WORK))
    name = "%s.%x-%x" % (record["digest"] if whole else PARTIAL, time.time_ns(), os.getpid())
    os.rename(slot, os.path.join(trees, name))


def prune(trees: str, trash: str) -> None:
    """Remove the oldest trees beyond what is kept."""
    count: dict[str, int] = {}
    for number, (_, name) in enumerate(slots(trees)):
        digest = name.partition(".")[0]
        count[digest] = count.get(digest, 0) + 1
        if number >= KEPT or count[digest] > KEPT_PER_SNAPSHOT:
            discard(os.path.join(trees, name), trash)


def discard(path: str, trash: str) -> None:
    """Free the name `path` at once, then delete what was there."""
    there = os.path.join(rundir.make_folder(trash), "%x-%x" % (time.time_ns(), os.getpid()))
    try:
        os.rename(path, there)
    except FileNotFoundError:
        return
    remove_tree(there)


def remove_tree(path: str | bytes) -> None:
    """Delete a folder and all below it, links not followed; what cannot be deleted stays."""
    folders = [path]
    for folder in folders:  # grows on the way: what is deeper comes later
        for entry in entries_to_delete(folder):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                rundir.remove_quietly(entry.path)
    for folder in reversed(folders):
        try:
            os.rmdir(folder)
        except OSError:
            continue


def entries_to_delete(folder: str | bytes) -> list[os.DirEntry[Any]]:
    """What is in a folder, which is made writable if it must be."""
    try:
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            os.chmod(folder, 0o700)
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
