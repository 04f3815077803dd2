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
    files, leave_out = tree.files, rules.leave_out
    while todo:
        prefix = todo.pop()
        entries = list_folder(root, prefix)
        if prefix:
            if not ENVIRONMENT_MARKS.isdisjoint([entry.name for entry in entries]):
                continue
            tree.folders.append(prefix)
        before = len(files) + len(tree.links) + len(todo)
        # One function and few calls: this loop is most of what an unchanged folder costs.
        for entry in entries:
            name = entry.name
            path = prefix + name
            if entry.is_file(follow_symlinks=False):
                if leave_out(path, name):
                    tree.left_out.append(path)
                    continue
                try:
                    stat = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # gone since the listing: as if the walk had come a moment later
                files[path] = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
            else:
                take_other(entry, path, tree, todo, rules)
        if avoid and todo:
            todo = [sub for sub in todo if f"{root}/{sub}"[:-1] not in avoid]
        if prefix and len(files) + len(tree.links) + len(todo) == before:
            tree.empty.append(prefix[:-1])
        if len(files) > enough:
            tree.cut = True
            break
    tree.total_bytes = sum([stamp[0] for stamp in files.values()])
    tree.links.sort()
    tree.empty.sort()
    return tree


def take_other(
    entry: os.DirEntry[str], path: str, tree: Tree, todo: list[str], rules: Rules
) -> None:
    """A folder, a link, or what can be neither sent nor read."""
    name = entry.name
    is_folder = entry.is_dir(follow_symlinks=False)
    path = f"{path}/" if is_folder else path
    if rules.leave_out(path, name):
        tree.left_out.append(path)
    elif is_folder:
        todo.append(path)
    elif entry.is_symlink():
        with contextlib.suppress(FileNotFoundError):
            tree.links.append((path, os.readlink(entry.path)))  # noqa: PTH115 - strings here
    else:
        tree.notes.append(f"'{path}' is a socket, pipe or device: skipped.")


def list_folder(root: str, prefix: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(f"{root}/{prefix}") as found:
            return list(found)
    except FileNotFoundError:
        if prefix:
            return []
        raise SnapshotError(f"The source folder '{root}' does not exist.") from None
    except NotADirectoryError:
        raise SnapshotError(f"'{f'{root}/{prefix}'[:-1]}' is not a folder.") from None
    except OSError as error:
        raise SnapshotError(
            f"Cannot read the folder '{root}/{prefix}': {error.strerror}. Make it readable, or "
            f"leave it out with the line '/{prefix}' in .amlignore."
        ) from error
