"""One walk over a source folder: names and stamps, nothing is opened."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field

from turnout.snapshots.rules import ENVIRONMENT_MARKS, Rules
from turnout.spec.errors import SnapshotError

#: size, mtime_ns, ctime_ns, inode: while these stay, so does the content (but see `memories`).
Stamp = tuple[int, int, int, int]


@dataclass
class Tree:
    """What a walk found. Paths have forward slashes and are relative; folders end in a slash."""

    files: dict[str, Stamp] = field(default_factory=dict[str, Stamp])
    links: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    #: Every folder entered, and of these the ones in which nothing was kept.
    folders: list[str] = field(default_factory=list[str])
    empty: list[str] = field(default_factory=list[str])
    left_out: list[str] = field(default_factory=list[str])
    #: For the person: what was skipped although no rule says so.
    notes: list[str] = field(default_factory=list[str])
    total_bytes: int = 0
    #: The walk stopped early: there are more than `enough` files.
    cut: bool = False


def stamp_of(stat: os.stat_result) -> Stamp:
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def walk(root: str, rules: Rules, avoid: frozenset[str], enough: int) -> Tree:
    """Walk `root`; folders whose absolute path is in `avoid` are left out.

    Stops once `enough` files were seen. Raises `SnapshotError` for a folder that cannot be read.
    """
    tree = Tree()
    todo = [""]
    while todo and not tree.cut:
        prefix = todo.pop()
        if prefix and avoid and f"{root}/{prefix}"[:-1] in avoid:
            continue
        descriptor = open_folder(root, prefix)
        if descriptor is None:
            continue
        try:
            with os.scandir(descriptor) as found:
                entries = list(found)
            if prefix and not ENVIRONMENT_MARKS.isdisjoint([entry.name for entry in entries]):
                continue
            take_folder(entries, prefix, descriptor, tree, todo, rules)
        finally:
            os.close(descriptor)
        tree.cut = len(tree.files) > enough
    tree.total_bytes = sum([stamp[0] for stamp in tree.files.values()])
    tree.links.sort()
    tree.empty.sort()
    return tree


def take_folder(
    entries: list[os.DirEntry[str]],
    prefix: str,
    descriptor: int,
    tree: Tree,
    todo: list[str],
    rules: Rules,
) -> None:
    files, leave_out = tree.files, rules.leave_out
    before = len(files) + len(tree.links) + len(todo)
    # Few calls, and `stat` by the folder's descriptor: this loop is most of what an unchanged
    # source folder costs.
    for entry in entries:
        name = entry.name
        path = prefix + name
        if not entry.is_file(follow_symlinks=False):
            take_other(entry, path, descriptor, tree, todo, rules)
        elif leave_out(path, name):
            tree.left_out.append(path)
        else:
            try:
                stat = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone since the listing: as if the walk had come a moment later
            files[path] = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    if prefix:
        tree.folders.append(prefix)
        if len(files) + len(tree.links) + len(todo) == before:
            tree.empty.append(prefix[:-1])


def take_other(
    entry: os.DirEntry[str],
    path: str,
    descriptor: int,
    tree: Tree,
    todo: list[str],
    rules: Rules,
) -> None:
    """A folder, a link, or what can be neither sent nor read."""
    is_folder = entry.is_dir(follow_symlinks=False)
    path = f"{path}/" if is_folder else path
    if rules.leave_out(path, entry.name):
        tree.left_out.append(path)
    elif is_folder:
        todo.append(path)
    elif entry.is_symlink():
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(entry.name, dir_fd=descriptor)
            tree.links.append((path, target))
    else:
        tree.notes.append(f"'{path}' is a socket, pipe or device: skipped.")


def open_folder(root: str, prefix: str) -> int | None:
    """A descriptor of the folder; None if it is gone, or is none any more."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        # Without the slash at its end, which would follow a link that took the folder's place.
        return os.open(f"{root}/{prefix}"[:-1] if prefix else root, flags)
    except (FileNotFoundError, NotADirectoryError) as error:
        if prefix:
            return None
        if isinstance(error, FileNotFoundError):
            raise SnapshotError(f"The source folder '{root}' does not exist.") from None
        raise SnapshotError(f"'{root}' is not a folder.") from None
    except OSError as error:
        raise SnapshotError(
            f"Cannot read the folder '{root}/{prefix}': {error.strerror}. Make it readable, or "
            f"leave it out with the line '/{prefix}' in the ignore file (.amlignore)."
        ) from error
