"""No wall, but a question: a tree past the limit is described, with the lines that shrink it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from turnout.snapshots.rules import escape
from turnout.snapshots.trees import Tree
from turnout.spec.errors import SnapshotError, UserError

MB = 1024 * 1024
DEFAULT_MB = 2048
DEFAULT_FILES = 100_000
MB_VARIABLE = "TURNOUT_SNAPSHOT_LIMIT_MB"
FILES_VARIABLE = "TURNOUT_SNAPSHOT_LIMIT_FILES"
NAMED_PARTS = 10
#: A folder of which one entry makes up so much is not worth naming; the entry is.
DOMINANT = 0.8


def from_variable(name: str, default: int, environ: Mapping[str, str]) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise UserError(f"{name} must be a positive whole number, not '{text}'.")
    return int(text)


def resolve(limit_bytes: int | None, limit_files: int | None) -> tuple[int, int]:
    """The limits in force: the arguments, else the variables, else the defaults."""
    if limit_bytes is None:
        limit_bytes = from_variable(MB_VARIABLE, DEFAULT_MB, os.environ) * MB
    if limit_files is None:
        limit_files = from_variable(FILES_VARIABLE, DEFAULT_FILES, os.environ)
    return limit_bytes, limit_files


def check(root: str, ignore_name: str, tree: Tree, limit_bytes: int, limit_files: int) -> None:
    """Raise `SnapshotError` that says what is big, what to leave out, how to allow it."""
    count = len(tree.files)
    if tree.total_bytes <= limit_bytes and count <= limit_files:
        return
    by_bytes = tree.total_bytes > limit_bytes
    parts = biggest(tree, by_bytes=by_bytes)
    more = "more than " if tree.cut else ""
    shown = "\n".join(
        f"  {megabytes(size):>12}  {files:>9,} files  {path}" for path, size, files in parts
    )
    lines = "\n".join(f"  {escape(path)}" for path, _, _ in parts)
    if by_bytes:
        raised = -(-tree.total_bytes // MB) * (10 if tree.cut else 1)
        variable = f"{MB_VARIABLE}={raised}"
        limit = megabytes(limit_bytes)
    else:
        variable = f"{FILES_VARIABLE}={count * (10 if tree.cut else 1)}"
        limit = f"{limit_files:,} files"
    raise SnapshotError(
        f"The source folder '{root}' holds {more}{megabytes(tree.total_bytes)} in {count:,} "
        f"files; the limit is {limit}. The biggest parts:\n{shown}\n"
        f"Leave out what the script does not need with lines such as these in "
        f"'{root}/{ignore_name or '.amlignore'}':\n{lines}\n"
        f"Or allow it: {variable} in the environment."
    )


def megabytes(size: int) -> str:
    return f"{size / MB:,.1f} MB"


def biggest(tree: Tree, *, by_bytes: bool) -> list[tuple[str, int, int]]:
    """(path, bytes, files) of the parts that matter, largest first."""
    totals: dict[str, list[int]] = {}
    children: dict[str, set[str]] = {}
    for path, stamp in tree.files.items():
        child, at = path, len(path)
        totals[path] = [stamp[0], 1]
        while at > 0:
            at = child.rstrip("/").rfind("/") + 1
            parent = path[:at]
            known = children.setdefault(parent, set())
            known.add(child)
            if parent:
                total = totals.setdefault(parent, [0, 0])
                total[0] += stamp[0]
                total[1] += 1
            child = parent
    measure = 0 if by_bytes else 1

    def weigh(path: str) -> int:
        return totals[path][measure]

    chosen: list[str] = []
    for top in children.get("", set()):
        path = top
        while path in children:
            heaviest = max(children[path], key=weigh)
            if weigh(heaviest) < DOMINANT * weigh(path):
                break
            path = heaviest
        chosen.append(path)
    chosen.sort(key=weigh, reverse=True)
    return [(path, totals[path][0], totals[path][1]) for path in chosen[:NAMED_PARTS]]
